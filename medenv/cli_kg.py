"""Commands about knowledge graphs and questions: what they hold, drawn, proved, browsed."""

from __future__ import annotations

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

kg_app = typer.Typer(no_args_is_help=True, help="Look at knowledge graphs.")
questions_app = typer.Typer(no_args_is_help=True, help="Look at questions, and prove them.")

_Source = Annotated[str, typer.Option(help="Source of the graph: hpo, toy, saved, ...")]
_Path = Annotated[str | None, typer.Option(help="What the source reads, where it needs something.")]
_Namespace = Annotated[list[str] | None, typer.Option(help="Disease namespaces of the HPO.")]


def register(app: typer.Typer) -> None:
    """Add the commands to a command line.

    Args:
        app: The command line.
    """
    app.add_typer(kg_app, name="kg")
    app.add_typer(questions_app, name="questions")


def _open(source: str, path: str | None, namespace: list[str] | None) -> Graph:
    from medenv.kg.sources import open_source

    return open_source(source, path, {"namespaces": namespace} if namespace else None)


@kg_app.command("info")
def info(source: _Source = "hpo", path: _Path = None, namespace: _Namespace = None) -> None:
    """Show a graph's version, terms, counts and degrees."""
    import numpy as np

    from medenv.kg.specialties import SPECIALTIES, Specialties

    graph = _open(source, path, namespace)
    console = Console()
    console.print(
        f"[bold]{escape(graph.info.label)}[/]: {len(graph):,} nodes, {graph.edge_count:,} edges"
    )
    percentiles = (0, 10, 25, 50, 75, 90, 99, 100)
    table = Table("kind", "nodes", *(f"p{p}" for p in percentiles), title="degrees by kind")
    degrees = graph.degrees()
    for kind in graph.kinds:
        nodes = graph.of_kind(kind)
        values = np.percentile(degrees[nodes], percentiles)
        table.add_row(kind, f"{nodes.size:,}", *(f"{value:,.0f}" for value in values))
    console.print(table)
    edges = Table("relation", "edges", "qualifiers")
    for name in graph.relations:
        qualifiers = ", ".join(graph.columns.get(name, {}))
        edges.add_row(name, f"{graph.rows[name].tails.size:,}", qualifiers)
    console.print(edges)
    numbers = Specialties(graph).numbers
    if (numbers >= 0).any():
        specialties = Table("specialty", "branches", "nodes")
        for code, (name, roots) in enumerate(SPECIALTIES.items()):
            specialties.add_row(name, ", ".join(roots), f"{int((numbers == code).sum()):,}")
        console.print(specialties)
    for name, count in graph.info.notes.items():
        console.print(f"{name}: {count:,}")
    console.print(escape(graph.info.acknowledgement))
    console.print(escape(graph.info.licence))


@kg_app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name, alias or id of an entity.")],
    hops: Annotated[int, typer.Option(help="How far around it.")] = 2,
    max_nodes: Annotated[int, typer.Option(help="Most entities drawn.")] = 80,
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    source: _Source = "hpo",
    path: _Path = None,
) -> None:
    """Draw what lies around an entity, with its longest chain, as one HTML page."""
    from medenv.kg.pictures import neighbourhood
    from medenv.report.explorer import write_explorer

    graph = _open(source, path, None)
    node = find(graph, name)
    picture = neighbourhood(graph, node, hops=hops, max_nodes=max_nodes)
    entity = graph.entity(node)
    target = out or Path(f"{entity.id.replace(':', '_')}.html")
    lead = f"{entity.kind} {entity.id}: up to {hops} hops, rare neighbours first, hubs left out."
    write_explorer(target, entity.name, lead, terms(graph), picture)
    Console().print(
        f"wrote {target}: {len(picture['nodes'])} entities, "
        f"longest chain {len(picture['chain']) - 1} hops",
        soft_wrap=True,
    )


def find(graph: Graph, name: str) -> int:
    """Return the node of a name, alias or id.

    Args:
        graph: The graph.
        name: What a person typed.

    Raises:
        UsageError: Nothing or several entities bear the name.
    """
    nodes = graph.find(name)
    if not nodes and ":" in name:
        return graph.number(name)
    if not nodes:
        import difflib

        near = difflib.get_close_matches(name, graph.nodes.names, n=3, cutoff=0.6)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UsageError(f"{graph.info.label} has no entity {name!r}{hint}")
    if len(nodes) > 1:
        ids = ", ".join(f"{graph.nodes.ids[n]} ({graph.kind(n)})" for n in nodes)
        raise UsageError(f"several entities bear the name {name!r}, give an id: {ids}")
    return nodes[0]


def terms(graph: Graph) -> str:
    """Return source, version and terms as one line.

    Args:
        graph: The graph.
    """
    info = graph.info
    return " ".join(part for part in (f"{info.label}.", info.acknowledgement, info.licence) if part)


_File = Annotated[Path, typer.Argument(help="A JSONL file of questions, sealed or not.")]


@questions_app.command("show")
def show_question(
    question: Annotated[str, typer.Argument(help="Id of a question, e.g. test:42.")],
    file: Annotated[Path | None, typer.Option(help="Its file; the toy questions without.")] = None,
) -> None:
    """Show a question, its path and its certificate."""
    chosen = _question(question, file)
    console = Console()
    console.print(Panel(escape(chosen.text), title=chosen.id))
    facts = Table.grid(padding=(0, 2))
    for name, value in described(chosen):
        facts.add_row(name, escape(value))
    console.print(facts)
    console.print("\n[bold]path[/]")
    for hop in chosen.certificate.path:
        stated = escape(", ".join(hop.passages))
        arrow = f"{escape(hop.head)} --{hop.relation}--> {escape(hop.tail)}"
        console.print(f"  {arrow}   [dim]stated in {stated}[/]", soft_wrap=True)
    for hop in chosen.certificate.clues:
        console.print(f"  clue: {escape(hop.head)} --{hop.relation}--> {escape(hop.tail)}")


def described(question: Question) -> list[tuple[str, str]]:
    """Return what is known of a question as pairs of name and value.

    Args:
        question: The question.
    """
    proof = question.certificate
    grades = ", ".join(f"{name} {value:.2g}" for name, value in question.grades.items())
    return [
        ("answer", "; ".join(f"{a.name} ({a.id})" for a in question.answers)),
        ("kind", question.kind),
        ("specialty", question.specialty or "none"),
        ("level", str(question.level)),
        ("difficulty", "not graded" if question.difficulty is None else str(question.difficulty)),
        ("solvers", grades or "none"),
        ("query", str(proof.query)),
        ("reasoning", question.reasoning),
        ("hops", f"{len(proof.path)} (shortest way in the graph {proof.min_hops})"),
        ("fewest calls", str(proof.min_calls)),
        ("chance", f"{proof.chance:.3g}"),
        (
            "search rank",
            "not among the first" if proof.search_rank is None else str(proof.search_rank),
        ),
        ("shortcuts", ", ".join(proof.shortcuts) or "none"),
        ("wording", question.template),
        (
            "source",
            question.source + (f", {question.world} world: fiction" if question.world else ""),
        ),
    ]


def _question(question_id: str, file: Path | None) -> Question:
    from medenv.kg import read_questions, toy_questions

    if file is None:
        made = toy_questions()
        questions = (*made.train, *made.test)
    else:
        questions = read_questions(file)
    for question in questions:
        if question.id == question_id:
            return question
    raise UsageError(
        f"no question {question_id!r} among {len(questions):,}, "
        f"from {questions[0].id} to {questions[-1].id}"
        if questions
        else "the file has no question"
    )


@questions_app.command("verify")
def verify_file(
    file: _File, source: _Source = "hpo", path: _Path = None, namespace: _Namespace = None
) -> None:
    """Prove every question of a file against the graph; exit code 1 where one is not proved."""
    from rich.progress import track

    from medenv.kg import read_questions, verify

    graph = _open(source, path, namespace)
    questions = read_questions(file)
    console = Console()
    wrong = 0
    for question in track(questions, "proving", console=console, transient=True):
        for problem in verify(question, graph):
            wrong += 1
            console.print(f"{question.id}: {escape(problem)}", soft_wrap=True)
    console.print(f"{len(questions):,} questions, {wrong:,} problems; {escape(graph.info.label)}")
    if wrong:
        raise typer.Exit(1)


@questions_app.command("browse")
def browse(
    file: _File,
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    source: _Source = "hpo",
    path: _Path = None,
    namespace: _Namespace = None,
) -> None:
    """Write one HTML page to search, filter and see the questions of a file."""
    from medenv.kg import read_questions
    from medenv.kg.pictures import catalogue
    from medenv.report.explorer import write_explorer

    graph = _open(source, path, namespace)
    questions = read_questions(file)
    if not questions:
        raise UsageError(f"{file} has no question")
    target = out or file.with_suffix(".html")
    fiction = " The worlds they speak of are altered: fiction." if questions[0].world else ""
    lead = f"{len(questions):,} proved questions from {questions[0].source}.{fiction}"
    write_explorer(target, file.name, lead, terms(graph), catalogue(graph, questions))
    Console().print(f"wrote {target}: {len(questions):,} questions", soft_wrap=True)
