"""Commands that show, verify and browse questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import UNSET
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from medenv.errors import UsageError

if TYPE_CHECKING:
    from medenv.kg.graph import Graph
    from medenv.records import Guess, Question

questions_app = typer.Typer(no_args_is_help=True, help="Inspect and verify questions.")

MADE_IN = "outputs"
"""Default output folder of ``recipes/synthesize.py``."""

_File = Annotated[Path, typer.Argument(help="A JSONL file of questions, sealed or not.")]
_Graph = Annotated[
    str | None,
    typer.Option("--graph", help="Source of the graph; by default the source of the set."),
]
_Path = Annotated[str | None, typer.Option(help="Path of the source's files, if needed.")]
_Namespace = Annotated[list[str] | None, typer.Option(help="Disease namespaces of the HPO.")]


def register(app: typer.Typer) -> None:
    """Register the commands.

    Args:
        app: The main application.
    """
    app.add_typer(questions_app, name="questions")


def graph_of(
    file: Path, source: str | None, path: str | None, namespace: list[str] | None
) -> Graph:
    """Read the graph of a file of questions: the source anew, or what an older set was proved by.

    Args:
        file: The file, or the folder of a set, whose card names the graph.
        source: Name of another source, or None.
        path: Path of the source's files.
        namespace: Disease namespaces of the HPO.

    Raises:
        DataError: A file is missing or damaged.
        UsageError: The source is unknown or cannot be opened with these options.
    """
    from medenv.kg import Graph
    from medenv.kg.questions.card import read_card
    from medenv.kg.questions.sets import CERTIFIED_ANEW, QuestionSet, is_question_set
    from medenv.kg.sources import GraphSettings, open_source

    folder = file if file.is_dir() else file.parent
    if is_question_set(folder):
        found = QuestionSet.open(folder)
        if source is None and found.graph and found.contents.made_with.get(CERTIFIED_ANEW):
            return Graph.load(found.graph)
    if source is not None or not (folder / "card.json").is_file():
        options = {"namespaces": namespace} if namespace else {}
        return open_source(source or "hpo", path, options)
    origin = read_card(folder).origin or GraphSettings(source="hpo")
    return open_source(origin.source, path or origin.path, origin.options)


@questions_app.command("show")
def show(
    question: Annotated[str, typer.Argument(help="Id of a question, e.g. test:42.")],
    file: Annotated[
        Path | None, typer.Option(help="File of the question; by default the newest set.")
    ] = None,
    source: _Graph = None,
    path: _Path = None,
    namespace: _Namespace = None,
) -> None:
    """Show a question with its path and its certificate."""
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
    """Return the file of a split in the newest set, or None.

    Args:
        split: ``"train"`` or ``"test"``.
        root: Folder that contains the sets.
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
    """Yield the lines of a drawing of a question's path, with console markup.

    Args:
        graph: The graph of the question.
        question: The question.

    Raises:
        UsageError: The graph lacks an entity of the question, or it has no certificate.
    """
    from medenv.kg.questions.phrases import said

    def entity(entity_id: str) -> str:
        node = graph.number(entity_id)
        name = escape(graph.nodes.names[node])
        return f"[bold]●[/] {name}  [dim]{graph.kind(node)} {entity_id}[/]"

    proof = question.proof
    clues: dict[str, list[str]] = {}
    for clue in proof.clues:
        name = escape(graph.nodes.names[graph.number(clue.tail)])
        text = f"{said(clue.relation)} {name}   [dim]{', '.join(clue.passages)}[/]"
        clues.setdefault(clue.head, []).append(f"[bold]│[/]    [cyan]clue: {text}[/]")
    previous = ""
    for hop in proof.path:
        if hop.head != previous:  # edges without an order are drawn separately
            yield entity(hop.head)
            yield from clues.pop(hop.head, ())
        yield f"[bold]│[/] {said(hop.relation)}   [dim]{', '.join(hop.passages)}[/]"
        yield entity(hop.tail)
        yield from clues.pop(hop.tail, ())
        previous = hop.tail


def described(question: Question) -> list[tuple[str, str]]:
    """Return the fields of a question as pairs of name and value.

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
        ("effective hops", f"{proof.effective_hops}, from {proof.entries:,} possible starts"),
        ("needed clues", str(proof.needed_clues)),
        ("hidden bits", f"{proof.hidden_bits:g}"),
        ("fewest calls", str(proof.min_calls)),
        ("chance", f"{proof.chance:.3g}"),
        ("search rank", rank if question.grades or proof.search_rank else "not searched"),
        ("shortcuts", ", ".join(proof.shortcuts) or "none"),
        ("guess", "not asked" if proof.guess is UNSET else _guess(proof.guess)),
    ]


def _guess(guess: Guess) -> str:
    return f"{guess.answer or 'nothing'} ({guess.model}, {'right' if guess.right else 'wrong'})"


@questions_app.command("verify")
def verify_file(
    file: Annotated[Path, typer.Argument(help="A file of questions, or the folder of a set.")],
    source: _Graph = None,
    path: _Path = None,
    namespace: _Namespace = None,
    search: Annotated[bool, typer.Option(help="Search for graded questions again.")] = True,
) -> None:
    """Verify every question against the graph; exit code 1 if a proof fails."""
    from rich.progress import track

    from medenv.kg import read_questions
    from medenv.kg.certificates.certificate import documents_of
    from medenv.kg.certificates.proving import prove_all
    from medenv.retrieval import BM25Retriever

    graph = graph_of(file, source, path, namespace)
    files = sorted(file.glob("*.jsonl")) if file.is_dir() else [file]
    sets = {path.stem: read_questions(path) for path in files}
    questions = [question for split in sets.values() for question in split]
    if not questions:
        raise UsageError(f"{file} has no question")
    if any(q.certificate is not None and q.proof.effective_hops == 0 for q in questions):
        raise UsageError(
            f"{file} has certificates of an earlier version, which know no effective hops; prove"
            f" them anew with `medenv questions certify {file if file.is_dir() else file.parent}`,"
            " or make the questions anew with the command that made them"
        )
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
    wrong += _check_leakage(file, sets, console)
    searched = ", searched" if graded else ""
    console.print(
        f"{len(questions):,} questions{searched}, {wrong:,} problems; {escape(graph.info.label)}"
    )
    if wrong:
        raise typer.Exit(1)


def _check_leakage(folder: Path, sets: dict[str, tuple[Question, ...]], console: Console) -> int:
    """Check the leakage certificate of a set; return the number of problems."""
    from medenv.kg.questions.store import leakage_certificate, read_leakage

    if not (folder / "leakage.json").is_file() or not {"train", "test"} <= set(sets):
        return 0
    found = leakage_certificate(sets["train"], sets["test"])
    shared = ", ".join(f"{count:,} {what}" for what, count in found.shared.items())
    console.print(f"shared by training and test questions: {shared}")
    same = read_leakage(folder / "leakage.json") == found
    if not same:
        console.print("leakage.json does not match the files")
    return (not same) + (not found.clean)


@questions_app.command("certify")
def certify_folder(
    folder: Annotated[Path, typer.Argument(help="Folder of a question set, which is only read.")],
    out: Annotated[
        Path | None, typer.Option(help="The new folder; by default FOLDER-certified.")
    ] = None,
) -> None:
    """Prove a set of an earlier version anew; write what holds, with its graph, to a new folder."""
    from rich.progress import Progress

    from medenv.kg.questions.recertify import recertify

    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("proving", total=None)
        found = recertify(
            folder,
            out,
            lambda step: console.print(f"{step} ...", soft_wrap=True, markup=False),
            lambda done: progress.update(task, completed=done),
        )
    made = ", ".join(f"{n:,} {split}" for split, n in found.questions.contents.questions.items())
    console.print(
        f"wrote {found.questions.folder}: {made} questions, proved; "
        f"{sum(found.dropped.values()):,} dropped",
        soft_wrap=True,
    )
    for reason, count in found.dropped.items():
        console.print(f"dropped, {escape(reason)}: {count:,}", soft_wrap=True)


@questions_app.command("browse")
def browse(
    file: _File,
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    source: _Graph = None,
    path: _Path = None,
    namespace: _Namespace = None,
) -> None:
    """Write an HTML page to search, filter and view the questions of a file."""
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


@questions_app.command("convert")
def convert_file(
    benchmark: Annotated[str, typer.Argument(help="Name of the benchmark, e.g. pubmedqa.")],
    file: Annotated[Path, typer.Argument(help="Its file, as published.")],
    out: Annotated[Path, typer.Argument(help="The JSON lines to write.")],
) -> None:
    """Write a published benchmark as questions of one's own, all of them for tests."""
    from medenv.io import write_records
    from medenv.kg.questions.published import convert

    found = convert(benchmark, file)
    write_records(out, found.rows)
    Console().print(f"wrote {out}: {len(found.rows):,} questions of {benchmark}", soft_wrap=True)
    for reason, count in found.left_out.items():
        Console().print(f"left out, {reason}: {count:,}")


@questions_app.command("overlap")
def overlap_sets(
    asked: Annotated[
        str, typer.Argument(help="The set that is asked: a folder, a file or BENCHMARK:PATH.")
    ],
    trained: Annotated[
        str, typer.Argument(help="The set that is trained on: a folder, a file or BENCHMARK:PATH.")
    ],
    n: Annotated[list[int] | None, typer.Option(help="Words in a row; 8 and 13.")] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Passages to look through besides those of the set.")
    ] = None,
    show: Annotated[int, typer.Option(help="Number of questions to list.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Output JSON file of all results.")] = None,
) -> None:
    """Report what two sets share: wording and entities.

    Of the first set the test questions are looked at, of the second the training questions, where
    there are any, and all questions where there are none.
    """
    from itertools import chain

    from medenv.io import write_json
    from medenv.kg.questions.named import read_set
    from medenv.kg.questions.overlap import RUNS, overlap_of_sets
    from medenv.report.formatting import show as shown
    from medenv.retrieval.loaders import open_passages

    first, second = read_set(asked), read_set(trained)
    more = open_passages(corpus) if corpus is not None else ()
    found = overlap_of_sets(
        _of_split(first.questions, "test"),
        _of_split(second.questions, "train"),
        chain(second.passages, more),
        n or RUNS,
        first.passages,
    )
    console = Console()
    table = Table(title=escape(f"{asked} and {trained}"))
    for head in ("shared", "questions", "share of all runs"):
        table.add_column(head, justify="left" if head == "shared" else "right")
    table.add_row("the whole text", f"{found.identical:,}", "")
    for where, runs in (("questions", found.in_questions), ("the corpus", found.in_corpus)):
        for length, one in runs.items():
            short = f" ({one.too_short:,} are shorter)" if one.too_short else ""
            label = f"{length} words in a row, in {where}{short}"
            table.add_row(label, f"{one.questions:,}", shown(one.share, "share"))
    table.add_row(f"an entity ({found.entities:,} in all)", f"{found.with_entities:,}", "")
    if found.given:
        label = f"a passage that they bring along ({found.shared_passages:,} of {found.given:,})"
        table.add_row(label, "", shown(found.shared_passages / found.given, "share"))
    console.print(table)
    console.print(
        f"{found.questions:,} questions, held against {found.others:,} questions and "
        f"{found.passages:,} passages"
    )
    for each in found.found[:show]:
        shares = max((*each.in_questions.values(), *each.in_corpus.values()), default=0.0)
        facts = ["the same question"] * each.identical
        facts += [f"{shown(shares, 'share')} of its runs"] * (shares > 0)
        facts += [f"entities: {', '.join(each.entities)}"] * bool(each.entities)
        console.print(f"{each.question}: {'; '.join(facts)}", markup=False, soft_wrap=True)
    if json:
        write_json(json, found)
        console.print(f"wrote {json}", markup=False, soft_wrap=True)


def _of_split(questions: tuple[Question, ...], split: str) -> tuple[Question, ...]:
    """Return the questions of a split, or all where none is of it."""
    return tuple(one for one in questions if one.split == split) or questions
