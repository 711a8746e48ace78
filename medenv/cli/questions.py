"""Commands about questions: shown with their proof, proved again, browsed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from medenv.errors import UsageError

if TYPE_CHECKING:
    from medenv.kg.graph import Graph
    from medenv.records import Question

questions_app = typer.Typer(no_args_is_help=True, help="Look at questions, and prove them.")

MADE_IN = "outputs"
"""Where ``recipes/synthesize.py`` puts its sets."""

_File = Annotated[Path, typer.Argument(help="A JSONL file of questions, sealed or not.")]
_Source = Annotated[
    str | None, typer.Option(help="Source of the graph; by default what the set was made from.")
]
_Path = Annotated[str | None, typer.Option(help="What the source reads, where it needs something.")]
_Namespace = Annotated[list[str] | None, typer.Option(help="Disease namespaces of the HPO.")]


def register(app: typer.Typer) -> None:
    """Add the commands to a command line.

    Args:
        app: The command line.
    """
    app.add_typer(questions_app, name="questions")


def graph_of(
    file: Path, source: str | None, path: str | None, namespace: list[str] | None
) -> Graph:
    """Read the graph that a file of questions is about.

    Args:
        file: The file, or the folder of a set, whose card names what it was made from.
        source: Name of another source, or None.
        path: What it reads.
        namespace: Disease namespaces of the HPO.

    Raises:
        DataError: A file is missing or damaged.
        UsageError: There is no such source, or it cannot be opened like this.
    """
    from medenv.kg.questions.card import read_card
    from medenv.kg.sources import GraphSettings, open_source

    folder = file if file.is_dir() else file.parent
    if source is not None or not (folder / "card.json").is_file():
        options = {"namespaces": namespace} if namespace else {}
        return open_source(source or "hpo", path, options)
    origin = read_card(folder).origin or GraphSettings(source="hpo")
    return open_source(origin.source, path or origin.path, origin.options)


@questions_app.command("show")
def show(
    question: Annotated[str, typer.Argument(help="Id of a question, e.g. test:42.")],
    file: Annotated[Path | None, typer.Option(help="Its file; the newest set without.")] = None,
    source: _Source = None,
    path: _Path = None,
    namespace: _Namespace = None,
) -> None:
    """Show a question, its path drawn, and its certificate."""
    from medenv.kg import read_questions, toy_graph, toy_questions

    console = Console()
    file = file or newest(question.partition(":")[0])
    if file is None:
        made = toy_questions()
        chosen = _chosen((*made.train, *made.test), question)
        graph: Graph | None = toy_graph()
    else:
        chosen = _chosen(read_questions(file), question)
        graph = graph_of(file, source, path, namespace) if chosen.certificate else None
    console.print(Panel(escape(chosen.text), title=f"{chosen.id} of {file or 'the toy questions'}"))
    for line in drawn(graph, chosen) if graph is not None else ():
        console.print(line, soft_wrap=True)
    facts = Table.grid(padding=(0, 2))
    for name, value in described(chosen):
        facts.add_row(name, escape(value))
    console.print(facts)


def newest(split: str, root: Path = Path(MADE_IN)) -> Path | None:
    """Return the file of a split in the set made last, or None where there is none.

    Args:
        split: ``"train"`` or ``"test"``.
        root: Where to look for sets.
    """
    files = [
        path for path in root.glob(f"*/{split}.jsonl") if (path.parent / "card.json").is_file()
    ]
    return max(files, key=lambda path: path.stat().st_mtime_ns, default=None)


def _chosen(questions: tuple[Question, ...], question_id: str) -> Question:
    for question in questions:
        if question.id == question_id:
            return question
    raise UsageError(
        f"no question {question_id!r} among {len(questions):,}, "
        f"from {questions[0].id} to {questions[-1].id}"
        if questions
        else "the file has no question"
    )


def drawn(graph: Graph, question: Question) -> Iterator[str]:
    """Yield the lines that draw a question's path, with console markup.

    Args:
        graph: The graph that the question is about.
        question: The question.

    Raises:
        UsageError: The graph does not have one of its entities, or it has no certificate.
    """
    from medenv.kg.questions.phrases import said

    def entity(entity_id: str) -> str:
        node = graph.number(entity_id)
        name = escape(graph.nodes.names[node])
        return f"[bold]●[/] {name}  [dim]{graph.kind(node)} {entity_id}[/]"

    proof = question.proof
    beside: dict[str, list[str]] = {}
    for clue in proof.clues:
        name = escape(graph.nodes.names[graph.number(clue.tail)])
        told = f"{said(clue.relation)} {name}   [dim]{', '.join(clue.passages)}[/]"
        beside.setdefault(clue.head, []).append(f"[bold]│[/]    [cyan]clue: {told}[/]")
    at = ""
    for hop in proof.path:
        if hop.head != at:  # where edges have no order, each is drawn by itself
            yield entity(hop.head)
            yield from beside.pop(hop.head, ())
        yield f"[bold]│[/] {said(hop.relation)}   [dim]{', '.join(hop.passages)}[/]"
        yield entity(hop.tail)
        yield from beside.pop(hop.tail, ())
        at = hop.tail


def described(question: Question) -> list[tuple[str, str]]:
    """Return what is known of a question as pairs of name and value.

    Args:
        question: The question.
    """
    grades = ", ".join(f"{name} {value:.2g}" for name, value in question.grades.items())
    memory = ", ".join(f"{name} {right}/{of}" for name, (right, of) in question.calibration.items())
    world = f", {question.world} world: fiction" if question.world else ""
    return [
        ("answer", "; ".join(f"{a.name} ({a.id})" for a in question.answers) or "there is none"),
        ("kind", question.kind),
        ("specialty", question.specialty or "none"),
        ("rare entity", question.rare or "none"),
        ("level", str(question.level)),
        ("difficulty", "not graded" if question.difficulty is None else str(question.difficulty)),
        ("solvers", grades or "none"),
        ("from memory", memory or "not asked"),
        *_proved(question),
        ("reasoning", question.reasoning or "none"),
        ("guidance", " ".join(question.guidance) or "none"),
        ("wording", question.template or "its own"),
        ("source", f"{question.source}{world}"),
    ]


def _proved(question: Question) -> list[tuple[str, str]]:
    if (proof := question.certificate) is None:
        return [("certificate", "none")]
    rank = "not among the first 10" if proof.search_rank is None else str(proof.search_rank)
    return [
        ("query", str(proof.query)),
        ("hops", f"{len(proof.path)} (shortest way in the graph {proof.min_hops})"),
        ("fewest calls", str(proof.min_calls)),
        ("chance", f"{proof.chance:.3g}"),
        ("search rank", rank if question.grades or proof.search_rank else "not searched"),
        ("shortcuts", ", ".join(proof.shortcuts) or "none"),
    ]


@questions_app.command("verify")
def verify_file(
    file: Annotated[Path, typer.Argument(help="A file of questions, or the folder of a set.")],
    source: _Source = None,
    path: _Path = None,
    namespace: _Namespace = None,
    search: Annotated[bool, typer.Option(help="Search for graded questions again.")] = True,
) -> None:
    """Prove every question against the graph; exit code 1 where one is not proved."""
    from rich.progress import track

    from medenv.kg import read_questions
    from medenv.kg.certificates.certificate import documents_of
    from medenv.kg.certificates.proving import prove_all
    from medenv.retrieval import BM25Retriever

    graph = graph_of(file, source, path, namespace)
    files = sorted(file.glob("*.jsonl")) if file.is_dir() else [file]
    sets = {one.stem: read_questions(one) for one in files}
    questions = [question for one in sets.values() for question in one]
    if not questions:
        raise UsageError(f"{file} has no question")
    graded = search and any(question.grades for question in questions)
    retriever = BM25Retriever(documents_of(graph).passages) if graded else None
    console = Console()
    wrong = 0
    proofs = prove_all(questions, graph, retriever)
    for question, problems in track(
        proofs, "proving", len(questions), console=console, transient=True
    ):
        for problem in problems:
            wrong += 1
            console.print(f"{question.id}: {escape(problem)}", soft_wrap=True)
    wrong += _apart(file, sets, console)
    searched = ", searched" if graded else ""
    console.print(
        f"{len(questions):,} questions{searched}, {wrong:,} problems; {escape(graph.info.label)}"
    )
    if wrong:
        raise typer.Exit(1)


def _apart(folder: Path, sets: dict[str, tuple[Question, ...]], console: Console) -> int:
    """Check the leakage certificate of a set; return the number of problems."""
    from medenv.kg.questions.store import leakage_certificate, read_leakage

    if not (folder / "leakage.json").is_file() or not {"train", "test"} <= set(sets):
        return 0
    found = leakage_certificate(sets["train"], sets["test"])
    shared = ", ".join(f"{count:,} {what}" for what, count in found.shared.items())
    console.print(f"shared by training and test questions: {shared}")
    same = read_leakage(folder / "leakage.json") == found
    if not same:
        console.print("leakage.json tells of other files, or tells something else")
    return (not same) + (not found.clean)


@questions_app.command("browse")
def browse(
    file: _File,
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    source: _Source = None,
    path: _Path = None,
    namespace: _Namespace = None,
) -> None:
    """Write one HTML page to search, filter and see the questions of a file."""
    from medenv.kg import read_questions
    from medenv.kg.graph.pictures import catalogue, terms
    from medenv.report.explorer import write_explorer

    questions = read_questions(file)
    if not questions:
        raise UsageError(f"{file} has no question")
    graph = graph_of(file, source, path, namespace)
    target = out or file.with_suffix(".html")
    fiction = " The worlds they speak of are altered: fiction." if questions[0].world else ""
    lead = f"{len(questions):,} proved questions from {questions[0].source}.{fiction}"
    write_explorer(target, file.name, lead, terms(graph), catalogue(graph, questions))
    Console().print(f"wrote {target}: {len(questions):,} questions", soft_wrap=True)
