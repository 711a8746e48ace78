"""What a driver can do wrong, and the one line that tells it so."""

from __future__ import annotations

import re

import pytest

from medenv.episodes.episode import Budget, Episode
from medenv.errors import UsageError

from ..fakes import ANSWER, SEARCH, question, result, rules


def test_advancing_an_ended_episode_is_refused() -> None:
    episode = Episode(question(), rules())
    episode.advance(ANSWER)
    with pytest.raises(UsageError, match=r"has ended \(answered\): start a new one"):
        episode.advance(SEARCH)
    with pytest.raises(UsageError, match="has ended"):
        episode.fail("too late")


def test_advancing_twice_is_refused() -> None:
    episode = Episode(question(), rules())
    episode.advance(SEARCH)
    with pytest.raises(UsageError, match="give the results of its calls to observe"):
        episode.advance(SEARCH)


@pytest.mark.parametrize("text", [None, ANSWER], ids=["at the start", "after the end"])
def test_observing_what_nobody_awaits_is_refused(text: str | None) -> None:
    episode = Episode(question(), rules())
    if text:
        episode.advance(text)
    with pytest.raises(UsageError, match="call advance first"):
        episode.observe([])


def test_results_of_other_calls_are_refused() -> None:
    episode = Episode(question(), rules())
    first, second = episode.advance(SEARCH * 2)
    expected = re.escape("expects the results of calls ['0.0', '0.1'] in this order")
    for wrong in ([result(first)], [result(second), result(first)], []):
        with pytest.raises(UsageError, match=expected):
            episode.observe(wrong)
    assert episode.observe([result(first), result(second)]) == "found\n\nfound"


def test_retracting_nothing_is_refused() -> None:
    episode = Episode(question(), rules())
    with pytest.raises(UsageError, match="nothing to retract"):
        episode.retract()


def test_there_is_no_last_turn_before_the_first() -> None:
    with pytest.raises(UsageError, match="no turn is finished yet"):
        _ = Episode(question(), rules()).last_turn


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        ({"turns": 0}, "turns must be at least 1, got 0"),
        ({"calls": -1}, "calls must be at least 0, got -1"),
        ({"tokens": 0}, "tokens must be at least 1, got 0"),
        ({"seconds": 0.0}, "seconds must be more than 0, got 0.0"),
        ({"seconds": float("nan")}, "seconds must be more than 0, got nan"),
    ],
)
def test_an_impossible_budget_is_refused(budget: dict[str, float], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        Budget(**budget)  # type: ignore[arg-type]  # from a table
