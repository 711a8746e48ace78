"""How often answers as language models write them are judged wrongly: right refused, wrong paid.

    python benchmarks/wrapped.py                      # prints the table
    python benchmarks/wrapped.py --write docs/results/wrapped.md

Answers are made from the names of HPO, OMIM and NCBI Gene: in boxes, sentences and labels, in bold
or quotes, with citations, ids and abbreviations, in other spellings; numbers, lists, and answers
that say that there is none. Wrong ones are made in the same forms: another name, two names, a
doubt, a negation, a stroke through the name, a number off in its last digit, a symbol turned round,
a list that lacks one. Truth comes from how an answer was made, never from the code under test.
Everything is judged twice, the second time with an index that lacks every second entity.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from equivalence import Halves
from name_pairs import World
from rich.console import Console
from rich.table import Table
from wrapped_answers import MAKERS, Case

from medenv.errors import MedEnvError
from medenv.kg import Graph, load_hpo
from medenv.reward import EntityNames, judge_answer
from medenv.reward.components.outcome import is_abstention

UNDUE_REJECTS, UNDUE_ACCEPTS = 0.02, 0.001
"""Goals of every category."""


class Row(NamedTuple):
    """How one category fared: errors with all names known, and with half of them."""

    right: bool
    category: str
    answers: int
    errors: int
    errors_half: int
    examples: list[str]

    @property
    def kept(self) -> bool:
        """Whether the goal is kept."""
        goal = UNDUE_REJECTS if self.right else UNDUE_ACCEPTS
        return max(self.errors, self.errors_half) <= goal * self.answers


def is_right(case: Case, names: EntityNames) -> bool:
    """Judge an answer as the reward does."""
    if not case.gold:
        return is_abstention(case.answer)
    return judge_answer(case.answer, case.gold, names, all_of=case.all_of).right


def measure(cases: Iterable[Case], halves: Halves) -> list[Row]:
    """Judge every answer and count the errors of each category."""
    rows: dict[tuple[bool, str], Row] = {}
    for case in cases:
        key = (case.right, case.category)
        row = rows.get(key) or Row(*key, 0, 0, 0, [])
        half = halves.of(case.gold[0]) if case.gold else halves.all
        wrong, wrong_half = (is_right(case, names) != case.right for names in (halves.all, half))
        if (wrong or wrong_half) and len(row.examples) < 5:
            gold = "; ".join(f"{one.name} ({one.id})" for one in case.gold) or "no answer"
            row.examples.append(f"{gold!r} and {case.answer!r}")
        rows[key] = row._replace(
            answers=row.answers + 1,
            errors=row.errors + wrong,
            errors_half=row.errors_half + wrong_half,
        )
    return sorted(rows.values(), key=lambda row: not row.right)


def totals(rows: Sequence[Row]) -> list[Row]:
    """All right answers, and all wrong ones."""
    return [
        Row(
            right,
            "all right answers" if right else "all wrong answers",
            *(
                sum(getattr(row, field) for row in rows if row.right == right)
                for field in ("answers", "errors", "errors_half")
            ),
            [],
        )
        for right in (True, False)
    ]


def shares(row: Row) -> tuple[str, str]:
    """The errors of a category with their share, with all names and with half of them."""
    one, half = (
        f"{errors} ({100 * errors / row.answers:.2f} %)" for errors in (row.errors, row.errors_half)
    )
    return one, half


def table(rows: Sequence[Row], title: str) -> Table:
    """The measurement for a terminal."""
    drawn = Table("truth", "category", title=title)
    for heading in ("answers", "errors", "errors, half the names", "goal"):
        drawn.add_column(heading, justify="right")
    for row in (*rows, *totals(rows)):
        goal = f"≤ {100 * (UNDUE_REJECTS if row.right else UNDUE_ACCEPTS):g} %"
        truth = "right" if row.right else "wrong"
        style = "" if row.kept else "bold red"
        drawn.add_row(truth, row.category, str(row.answers), *shares(row), goal, style=style)
    return drawn


def page(rows: Sequence[Row], graph: Graph, command: str) -> str:
    """The measurement as a Markdown page."""
    lines = [
        "# Answers as language models write them: how often they are judged wrongly\n",
        f"Measured on {sum(row.answers for row in rows):,} answers made around the names of"
        f" {graph.info.label}. Repeat it with\n",
        f"    {command}\n",
        "Truth comes from how an answer was made. A right answer that is refused is an error of its"
        f"\ncategory, as is a wrong one that is paid; the goals, for every category, are at most"
        f" {100 * UNDUE_REJECTS:g} %\nundue rejects and {100 * UNDUE_ACCEPTS:g} % undue accepts."
        ' "Half the names" means that the index of names\nlacks every second entity.\n',
        "| truth | category | answers | errors | with half the names |\n|---|---|--:|--:|--:|",
    ]
    for row in (*totals(rows), *rows):
        cells = ("right" if row.right else "wrong", row.category, f"{row.answers:,}", *shares(row))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["\nWhat was judged wrongly, up to five answers of each category:\n"]
    lines += [f"- {row.category}: {one}" for row in rows for one in row.examples] or ["- nothing"]
    return "\n".join([*lines, f"\n{graph.info.acknowledgement}\n"])


def main(
    count: Annotated[int, typer.Option(help="Answers of each family.")] = 300,
    folder: Annotated[Path | None, typer.Option(help="Folder of the HPO's files.")] = None,
    write: Annotated[Path | None, typer.Option(help="Markdown page to write.")] = None,
    answers: Annotated[Path | None, typer.Option(help="JSONL file of the answers.")] = None,
) -> None:
    """Measure undue rejects and undue accepts; exit code 1 where a category misses its goal."""
    graph = load_hpo(folder)
    world = World(graph)
    cases = [case for make in MAKERS for case in make(world, count)]
    rows = measure(cases, Halves(world))
    Console().print(table(rows, f"Answers in frames, {graph.info.label}"))
    for row in rows:
        for one in row.examples:
            print(f"{row.category}: {one}")
    if answers:
        answers.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in cases))
    if write:
        command = f"python benchmarks/wrapped.py --count {count}"
        write.write_text(page(rows, graph, command), encoding="utf-8")
    raise typer.Exit(0 if all(row.kept for row in rows) else 1)


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"wrapped: {error}")
