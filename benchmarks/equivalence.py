"""How often answer equivalence errs, on pairs made from the names of the HPO, OMIM and NCBI Gene.

    python benchmarks/equivalence.py                      # prints the table
    python benchmarks/equivalence.py --write docs/results/equivalence.md
    python benchmarks/equivalence.py --graph atlas        # with the aliases of the atlas
    python benchmarks/equivalence.py --pairs pairs.jsonl  # the pairs themselves, for your own use

A pair is a gold entity and an answer. "same" pairs name the gold entity: a synonym that no other
entity bears, or its name written otherwise. "close" and "different" pairs name something else.
"slip" pairs are the gold name misspelt; they are forgiven where it is safe, and count towards no
goal. Quantities are equal where arithmetic says so. Everything is measured twice, the second time
with an index that lacks every second entity, so that an answer may also be a name nobody has heard
of. Truth comes from ontology ids and from how a pair was made, never from the code under test.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from name_pairs import Pair, Truth, World, close, different, same, slips
from quantity_pairs import quantities
from rich.console import Console
from rich.table import Table

from medenv.errors import MedEnvError
from medenv.kg import Graph
from medenv.kg.sources import open_source
from medenv.records import Entity
from medenv.reward import EntityNames, judge_answer

FALSE_ACCEPT, FALSE_REJECT = 0.001, 0.01


class Row(NamedTuple):
    """How one family of pairs fared: errors with all names known, and with half of them."""

    truth: Truth
    family: str
    pairs: int
    errors: int
    errors_half: int
    examples: list[str]


class Halves:
    """The index of all names, and of each half of the entities."""

    def __init__(self, world: World) -> None:
        self.all = EntityNames(world.entities.values())
        self._half = {
            even: EntityNames(one for n, one in world.entities.items() if (n % 2 == 0) == even)
            for even in (True, False)
        }
        self._even = {one.id: n % 2 == 0 for n, one in world.entities.items()}

    def of(self, gold: Entity) -> EntityNames:
        """The index of the entity's half; the whole one for a quantity, which is no entity."""
        return self._half[self._even[gold.id]] if gold.id in self._even else self.all


def measure(pairs: Sequence[Pair], halves: Halves) -> list[Row]:
    """Judge every pair and count the errors of each family."""
    rows: dict[str, Row] = {}
    for truth, family, gold, answer in pairs:
        row = rows.get(family) or Row(truth, family, 0, 0, 0, [])
        wrong, wrong_half = (
            judge_answer(answer, [gold], names).right != (truth in ("same", "slip"))
            for names in (halves.all, halves.of(gold))
        )
        if (wrong or wrong_half) and len(row.examples) < 5:
            row.examples.append(f"{gold.name!r} ({gold.id}) and {answer!r}")
        rows[family] = row._replace(
            pairs=row.pairs + 1,
            errors=row.errors + wrong,
            errors_half=row.errors_half + wrong_half,
        )
    return list(rows.values())


def totals(rows: Sequence[Row]) -> list[tuple[str, int, int, int, float]]:
    """(what, pairs, errors, errors with half the names, goal) of rejects and accepts."""
    sums = []
    for what, goal, truths in (
        ("false rejects", FALSE_REJECT, {"same"}),
        ("false accepts", FALSE_ACCEPT, {"close", "different"}),
    ):
        chosen = [row for row in rows if row.truth in truths]
        pairs, errors, half = (
            sum(getattr(row, field) for row in chosen)
            for field in ("pairs", "errors", "errors_half")
        )
        sums.append((what, pairs, errors, half, goal))
    return sums


def table(rows: Sequence[Row], title: str) -> Table:
    """The measurement for a terminal."""
    drawn = Table("truth", "family", title=title)
    for heading in ("pairs", "errors", "errors, half the names"):
        drawn.add_column(heading, justify="right")
    for row in rows:
        drawn.add_row(*map(str, row[:5]))
    drawn.add_section()
    for what, pairs, errors, half, goal in totals(rows):
        shares = (f"{n} ({100 * n / pairs:.3f} %)" for n in (errors, half))
        drawn.add_row(what, f"goal at most {100 * goal:g} %", str(pairs), *shares, style="bold")
    return drawn


def page(rows: Sequence[Row], graph: Graph, command: str) -> str:
    """The measurement as a Markdown page."""
    lines = [
        "# Answer equivalence: how often it errs\n",
        f"Measured on {sum(row.pairs for row in rows):,} pairs made from {graph.info.label}, which"
        " names its diseases after OMIM and its genes after NCBI Gene. Repeat it with\n",
        f"    {command}\n",
        "The pairs are made on your machine from files that you have; they are not part of medenv.",
        '"Half the names" means that the index of names lacks every second entity, so that most',
        "wrong answers are names that nobody has heard of. Quantities are made from the shares of",
        "patients that the source states of its findings.\n",
        "| error | pairs | errors | with half the names | goal |\n|---|--:|--:|--:|--:|",
    ]
    for what, pairs, errors, half, goal in totals(rows):
        shares = " | ".join(f"{n} ({100 * n / pairs:.3f} %)" for n in (errors, half))
        lines.append(f"| {what} | {pairs:,} | {shares} | at most {100 * goal:g} % |")
    lines += ["\n| truth | family | pairs | errors | with half the names |\n|---|---|--:|--:|--:|"]
    lines += [f"| {' | '.join(map(str, row[:5]))} |" for row in rows]
    lines += ["\nWhat was judged wrongly, up to five pairs of each family:\n"]
    lines += [f"- {row.family}: {one}" for row in rows for one in row.examples] or ["- nothing"]
    return "\n".join([*lines, f"\n{graph.info.acknowledgement}\n"])


def main(
    count: Annotated[int, typer.Option(help="Pairs of each family at most.")] = 1000,
    folder: Annotated[Path | None, typer.Option(help="Folder of the HPO's files.")] = None,
    source: Annotated[str, typer.Option("--graph", help="hpo, or atlas.")] = "hpo",
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="JSONL file of the pairs to write.")] = None,
) -> None:
    """Measure false accepts and false rejects; exit code 1 where a goal is missed."""
    graph = open_source(source, folder)
    world = World(graph)
    makers = (same, slips, different, close, quantities)
    made = [pair for make in makers for pair in make(world, count)]
    rows = measure(made, Halves(world))
    Console().print(table(rows, f"Answer equivalence on {graph.info.label}"))
    for row in rows:
        for one in row.examples:
            print(f"{row.family}: {one}")
    if pairs:
        pairs.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in made))
    if write:
        command = f"python benchmarks/equivalence.py --count {count}"
        write.write_text(page(rows, graph, command), encoding="utf-8")
    missed = [sum_ for sum_ in totals(rows) if max(sum_[2:4]) > sum_[4] * sum_[1]]
    raise typer.Exit(1 if missed else 0)


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"equivalence: {error}")
