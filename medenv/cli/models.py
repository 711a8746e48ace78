"""Commands that use a language model: extract a graph, reword questions, calibrate them.

The model is called through any OpenAI-compatible endpoint. Its replies are stored next to the
result, so repeating a command resumes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from medenv.errors import UsageError
from medenv.io import raw_lines

if TYPE_CHECKING:
    from medenv.build.llm_stages import LLMStageSettings

_Url = Annotated[str, typer.Option(help="Base URL, e.g. http://localhost:8000/v1.")]
_Model = Annotated[str, typer.Option(help="Name of the model.")]
_Key = Annotated[str, typer.Option(help="Environment variable with the API key.")]
_Concurrency = Annotated[int, typer.Option(help="Maximum number of concurrent requests.")]
_Temperature = Annotated[float, typer.Option(help="Sampling temperature.")]
_File = Annotated[Path, typer.Argument(help="A JSONL file of questions, sealed or not.")]
_Out = Annotated[Path | None, typer.Option(help="Output file.")]
_Graph = Annotated[str, typer.Option(help="Source of the graph, or source:path.")]

KEY = "OPENAI_API_KEY"


def register(kg: typer.Typer, questions: typer.Typer) -> None:
    """Register the commands.

    Args:
        kg: The group of the knowledge graph commands.
        questions: The group of the question commands.
    """
    kg.command("extract")(extract)
    questions.command("rewrite")(rewrite)
    questions.command("calibrate")(calibrate)


def _settings(
    base_url: str, model: str, key_variable: str, concurrency: int, temperature: float
) -> LLMStageSettings:
    from medenv.build.llm_stages import LLMStageSettings

    return LLMStageSettings(
        url=base_url,
        model=model,
        key_variable=key_variable,
        concurrency=concurrency,
        options={"temperature": temperature},
    )


def extract(  # noqa: PLR0913 - each parameter is an option of the command
    corpus: Annotated[str, typer.Argument(help="A saved index or a JSONL file of passages.")],
    out: Annotated[Path, typer.Argument(help="Folder for the graph and the replies.")],
    base_url: _Url,
    model: _Model,
    start: Annotated[list[str] | None, typer.Option(help="Start entity; may be repeated.")] = None,
    max_nodes: Annotated[int, typer.Option(help="Maximum number of entities.")] = 200,
    max_passages: Annotated[int, typer.Option(help="Maximum number of passages to read.")] = 400,
    discovery: Annotated[float, typer.Option(help="Share of random choices (discovery).")] = 0.1,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    key_variable: _Key = KEY,
    concurrency: _Concurrency = 8,
    temperature: _Temperature = 0.0,
) -> None:
    """Extract a graph from a corpus with a model; use it as the source extracted:OUT."""
    from medenv.kg.extraction.pipeline import ExtractionConfig, extract_graph
    from medenv.llm.batch import BatchLimits
    from medenv.llm.endpoint import Endpoint
    from medenv.retrieval.bm25 import open_bm25

    config = ExtractionConfig(
        seeds=tuple(start or ()),
        max_nodes=max_nodes,
        max_passages=max_passages,
        discovery=discovery,
        seed=seed,
    )
    endpoint = Endpoint(_settings(base_url, model, key_variable, concurrency, temperature))
    console = Console()
    grown = extract_graph(
        out,
        endpoint,
        open_bm25(corpus),
        config,
        BatchLimits(concurrency=concurrency),
        console.print,
    )
    console.print(
        f"wrote {out / 'graph'}: {len(grown.graph):,} entities, {grown.graph.edge_count:,} edges, "
        f"{grown.read:,} passages read in {grown.rounds:,} rounds",
        soft_wrap=True,
    )
    for reason, count in grown.problems.items():
        console.print(f"left out, {escape(reason)}: {count:,}", soft_wrap=True)
    usage = endpoint.usage
    console.print(
        f"{usage.replies:,} replies, {usage.retries:,} tries again, {usage.prompt_tokens:,} tokens "
        f"read, {usage.completion_tokens:,} written",
        soft_wrap=True,
    )
    console.print(escape(f"{grown.graph.info.label}. {grown.graph.info.licence}"), soft_wrap=True)


def rewrite(  # noqa: PLR0913 - each parameter is an option of the command
    file: _File,
    base_url: _Url,
    model: _Model,
    out: _Out = None,
    graph: _Graph = "hpo",
    key_variable: _Key = KEY,
    concurrency: _Concurrency = 8,
    temperature: _Temperature = 0.7,
) -> None:
    """Reword questions with a model; a rewording that loses or reveals facts is rejected."""
    from medenv.build.llm_stages import reword
    from medenv.kg import read_questions, write_questions
    from medenv.kg.certificates.certificate import documents_of
    from medenv.kg.sources import open_named
    from medenv.retrieval import BM25Retriever

    target = out or file.with_suffix(".reworded.jsonl")
    settings = _settings(base_url, model, key_variable, concurrency, temperature)
    questions = read_questions(file)
    opened = open_named(graph)
    graded = any(question.difficulty is not None for question in questions)
    retriever = BM25Retriever(documents_of(opened).passages) if graded else None
    done = reword(settings, _replies(target), opened, questions, retriever)
    write_questions(target, done.questions, sealed=_sealed(file))
    console = Console()
    console.print(
        f"wrote {target}: {done.accepted:,} of {len(questions):,} questions reworded",
        soft_wrap=True,
    )
    for reason, count in done.rejected.items():
        console.print(f"not taken, {escape(reason)}: {count:,}", soft_wrap=True)


def calibrate(  # noqa: PLR0913 - each parameter is an option of the command
    file: _File,
    base_url: _Url,
    model: _Model,
    out: _Out = None,
    samples: Annotated[int, typer.Option(help="Number of answers per question.")] = 4,
    at_most: Annotated[
        float, typer.Option(help="Maximum share of right answers of a question to keep.")
    ] = 0.5,
    drop_guessed: Annotated[
        bool, typer.Option(help="Drop questions whose first answer, the model's guess, is right.")
    ] = False,
    graph: Annotated[
        str, typer.Option(help="Graph with names to distinguish typos from other entities.")
    ] = "",
    key_variable: _Key = KEY,
    concurrency: _Concurrency = 8,
    temperature: _Temperature = 0.7,
) -> None:
    """Answer questions with a model from memory, and drop the questions that it answers."""
    from medenv.build.calibration import kept, unguessed
    from medenv.build.llm_stages import calibrated
    from medenv.kg import read_questions, write_questions
    from medenv.kg.sources import open_named

    target = out or file.with_suffix(".calibrated.jsonl")
    settings = _settings(base_url, model, key_variable, concurrency, temperature)
    kept((), at_most)
    questions = read_questions(file)
    if not questions:
        raise UsageError(f"{file} has no question")
    settings = msgspec.structs.replace(settings, samples=samples)
    opened = open_named(graph) if graph else None
    found = calibrated(settings, _replies(target), questions, opened)
    if found.failure is not None:
        raise found.failure
    hard, easy = kept(found.questions, at_most)
    left = unguessed(hard) if drop_guessed else hard
    write_questions(target, left, sealed=_sealed(file))
    console = Console()
    asked = [q.calibration[model] for q in found.questions if model in q.calibration]
    right, of = sum(r for r, _ in asked), sum(n for _, n in asked)
    if of:
        console.print(
            f"{model} answers {right / of:.1%} of {len(asked):,} questions rightly from memory, "
            f"{samples} answers each",
            soft_wrap=True,
        )
    guessed = f" and {len(hard) - len(left):,} that are guessed" if drop_guessed else ""
    console.print(
        f"wrote {target}: {len(left):,} questions; dropped {len(easy):,} that are answered "
        f"rightly more often than {at_most:.0%}{guessed}",
        soft_wrap=True,
    )


def _replies(target: Path) -> Path:
    """Return the folder of a model's replies."""
    return target.with_suffix(".replies")


def _sealed(file: Path) -> bool:
    """Return whether a file of questions is sealed."""
    return next(raw_lines(file), (0, b""))[1].startswith(b'{"sealed":')
