"""Results of checks, and the function that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from medenv.errors import describe
from medenv.records import Record

Outcome = Literal["passed", "failed", "not applicable"]
_T = TypeVar("_T")
Check = Callable[[_T], str]
"""A contract: it returns what it saw, or raises `Broken` or `NotApplicable`; whatever else it
raises is a failure too. Its name says what holds."""


class Broken(Exception):
    """A part does not keep a contract; the text says what was expected and what came."""


class NotApplicable(Exception):
    """A contract says nothing about a part; the text says why."""


class Result(Record, frozen=True, kw_only=True):
    """The result of one check.

    Args:
        name: What has to hold.
        outcome: Whether it does.
        told: What was seen, or what was expected and what came.
    """

    name: str
    outcome: Outcome
    told: str = ""


class Report(Record, frozen=True, kw_only=True):
    """All checks of one part.

    Args:
        target: The part, as it was named.
        results: What was found, in the order of the checks.
    """

    target: str
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed, and one at least passed."""
        outcomes = [one.outcome for one in self.results]
        return "failed" not in outcomes and "passed" in outcomes

    def counted(self, outcome: Outcome) -> int:
        """Return the number of checks with an outcome."""
        return sum(one.outcome == outcome for one in self.results)


def run_checks(checks: Iterable[Check[_T]], part: _T) -> list[Result]:
    """Hold a part against contracts.

    Args:
        checks: The contracts; the name of each, with spaces for underscores, is the result's.
        part: What they take.
    """
    found = []
    for one in checks:
        name = one.__name__.replace("_", " ")
        outcome: Outcome = "passed"
        try:
            told = one(part)
        except NotApplicable as error:
            outcome, told = "not applicable", str(error)
        except Broken as error:
            outcome, told = "failed", str(error)
        except Exception as error:  # whatever code of others raises is what was asked for here
            outcome, told = "failed", f"raised {describe(error)}"
        found.append(Result(name=name, outcome=outcome, told=told))
    return found


def holds(condition: bool, told: str) -> None:
    """Raise `Broken` unless a condition is true.

    Args:
        condition: What has to be true.
        told: What was expected and what came.
    """
    if not condition:
        raise Broken(told)
