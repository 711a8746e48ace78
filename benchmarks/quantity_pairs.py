"""Pairs of quantities that are the same or close, made from the frequencies that a graph states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
from name_pairs import Pair, Truth, World

from medenv.records import Entity

Writing = Callable[[int, int], tuple[str, str]]
"""Makes of "so many of so many" a gold quantity and an answer."""


def _percent(few: int, many: int) -> str:
    return f"{float(Fraction(100 * few, many)):.6f}".rstrip("0").rstrip(".")


def _thousands(number: int, mark: str) -> str:
    return f"{number:,}".replace(",", mark)


SAME: dict[str, Writing] = {
    "share as a percentage": lambda few, many: (f"{few}/{many}", f"{_percent(few, many)} %"),
    "share in words": lambda few, many: (f"{few}/{many}", f"{few} out of {many} patients"),
    "share as a decimal": lambda few, many: (
        f"{_percent(few, many)}%",
        f"{float(Fraction(few, many)):.8f}",
    ),
    "number in groups": lambda few, many: (
        str(few * many * 1000),
        _thousands(few * many * 1000, " "),
    ),
    "prevalence written otherwise": lambda few, many: (
        f"{few}-{many} / 100 000",
        f"{few}–{many} in 100,000 people",
    ),
    "duration in another unit": lambda few, many: (f"{few * many} weeks", f"{7 * few * many} days"),
    "dose in another unit": lambda few, many: (f"{few * many} mg/L", f"{few * many / 10:g} mg/dL"),
}
CLOSE: dict[str, Writing] = {
    "another share": lambda few, many: (f"{few}/{many}", f"{few + 1}/{many}"),
    "another whole": lambda few, many: (f"{few}/{many}", f"{few}/{many + 1}"),
    "share as a range": lambda few, many: (f"{few}/{many}", f"{few}-{many}"),
    "share turned round": lambda few, many: (f"{few}/{many}", f"{many}/{few}"),
    "share as two numbers": lambda few, many: (f"{few}/{many}", f"{few} {many}"),
    "percentage without its sign": lambda few, _: (f"{few + 1}%", str(few + 1)),
    "percentage a hundred times off": lambda few, _: (f"{few}%", f"0.{few}%"),
    "another number": lambda few, many: (str(few * many), str(few * many + 1)),
    "prevalence ten times off": lambda few, many: (
        f"{few}-{many} / 100 000",
        f"{few}-{many} / 10 000",
    ),
    "one end of a range": lambda few, many: (f"{few}-{many}%", f"{many}%"),
    "a bound for a number": lambda few, _: (f"{few}%", f"<{few}%"),
    "months as weeks": lambda few, _: (f"{few} months", f"{4 * few} weeks"),
    "dose in a bigger unit": lambda few, _: (f"{few} mg/kg", f"{few} g/kg"),
}


def quantities(world: World, count: int) -> Iterator[Pair]:
    """Yield pairs of every family, from fractions that the graph states of its findings."""
    column = world.graph.columns["has_phenotype"]["frequency"]
    stated = [re.fullmatch(r"(\d+)/(\d+)", value) for value in sorted(column.values)]
    known = [(int(found[1]), int(found[2])) for found in stated if found]
    shares = [(few, many) for few, many in known if 0 < few < many]
    exact = [(few, many) for few, many in shares if 10**6 % many == 0]
    for seed, (truth, families) in enumerate((("same", SAME), ("close", CLOSE))):
        for number, (family, write) in enumerate(families.items()):
            pool = exact if "percentage" in family or "decimal" in family else shares
            rng = np.random.default_rng([seed, number])
            written = (write(*pool[place]) for place in rng.permutation(len(pool)).tolist())
            for gold, answer in list(dict.fromkeys(written))[:count]:
                yield _pair(truth, family, gold, answer)


def _pair(truth: Truth, family: str, gold: str, answer: str) -> Pair:
    return Pair(truth, family, Entity(id=f"value:{gold}", kind="value", name=gold), answer)
