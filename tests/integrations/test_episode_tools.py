"""An episode that is played by calls: what all libraries with tools share."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from medenv.build.environment import Parts, registered_parts
from medenv.envs.registration import make
from medenv.errors import InfraError, JudgeUnavailableError, ToolUnavailableError, UsageError
from medenv.integrations.episode_tools import ANSWERED, ENDED, ToolEpisode
from medenv.integrations.trl import medenv_environment
from medenv.io import RetryPolicy
from medenv.records import Part, Score, Trajectory
from medenv.tools import FunctionTool

QUERY = {"query": "Night lake syndrome"}
AT_ONCE = RetryPolicy(attempts=2, backoff=0.0)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return registered_parts("medenv/Research-v0")


@FunctionTool
def slow(number: int) -> str:
    """Show a number after a while."""
    time.sleep(0.01)
    return f"number {number}"


class Down:
    """A tool whose backend fails so many times."""

    def __init__(self, failures: int) -> None:
        self.left, self.tried = failures, 0

    def tool(self) -> FunctionTool:
        def ping() -> str:
            """Ask the backend."""
            self.tried += 1
            if self.tried <= self.left:
                raise ConnectionError("refused")
            return "pong"

        return FunctionTool(ping)


def test_calls_and_an_answer_are_the_turns_of_the_environment(parts: Parts) -> None:
    episode = ToolEpisode(parts, question="test:4")
    env = make("medenv/Research-v0")
    env.reset(options={"question": "test:4"})
    shown, *_ = env.step(env.rules.dialect.write_call("search", QUERY))
    assert episode.question == env.episode.question.text
    assert episode.call("search", QUERY) == shown
    assert (episode.ended, episode.reward, episode.scored) == (False, None, None)
    assert episode.call("answer", {"text": "ZORI4"}) == ANSWERED
    *_, info = env.step(env.rules.dialect.write_answer("ZORI4"))
    assert episode.scored is not None
    assert episode.scored.score == info["score"]
    assert [one.text for one in episode.scored.trajectory.turns] == [
        one.text for one in info["trajectory"].turns
    ]
    assert (episode.ended, episode.reward) == (True, 1.3)
    assert episode.call("search", QUERY) == episode.answer("another") == ENDED
    assert episode.reward == 1.3


def test_an_exhausted_budget_ends_it_with_the_environments_reward() -> None:
    short = registered_parts("medenv/Research-v0", budget={"turns": 2})
    episode = ToolEpisode(short, question="test:4")
    assert "last turn" in episode.call("search", QUERY)
    assert episode.call("search", QUERY) == ENDED
    assert episode.scored is not None
    assert episode.scored.trajectory.ending == "turns"
    assert episode.answer("ZORI4") == ENDED
    assert episode.reward == episode.scored.score.total == 0.0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"query": 7}, "`int`"),
        ({"query": math.nan}, "JSON"),
        ({"query": object()}, "JSON"),
        ({"query": "\ud800"}, "JSON"),
        ({"query": {1, 2}}, "JSON"),
        ({"query": "x", "certificate": True}, "`certificate`"),
    ],
)
def test_wrong_arguments_are_observations(
    parts: Parts, arguments: dict[str, Any], named: str
) -> None:
    episode = ToolEpisode(parts, question="test:4")
    assert named in episode.call("search", arguments)
    assert not episode.ended


@pytest.mark.parametrize("text", ["", " \n", None, True, ["ZORI4"], {"text": "ZORI4"}])
def test_what_is_no_answer_is_not_taken(parts: Parts, text: Any) -> None:
    episode = ToolEpisode(parts, question="test:4")
    assert episode.answer(text).startswith("answer: ")
    assert not episode.ended
    assert episode.answer("ZORI4") == ANSWERED


def test_a_number_is_an_answer(parts: Parts) -> None:
    episode = ToolEpisode(parts, question="test:4")
    assert episode.answer(42) == ANSWERED
    assert episode.scored is not None
    assert episode.scored.trajectory.answer == "42"


def test_subclasses_of_texts_are_texts(parts: Parts) -> None:
    class Text(str):
        """As smolagents' own."""

    plain, other = (ToolEpisode(parts, question="test:4") for _ in range(2))
    expected = plain.call("search", {"query": ["Night lake syndrome", "lake"]})
    assert other.call("search", {"query": (Text("Night lake syndrome"), Text("lake"))}) == expected
    assert other.answer(Text("ZORI4")) == ANSWERED
    assert other.reward is not None
    assert other.reward > 1.0


def test_calls_from_threads_are_turns_one_after_another() -> None:
    made = registered_parts("medenv/Research-v0", tools=[slow], budget={"turns": 9})
    episode = ToolEpisode(made, question="test:4")
    with ThreadPoolExecutor(8) as threads:
        shown = list(threads.map(lambda n: episode.call("slow", {"number": n}), range(8)))
        answers = list(threads.map(episode.answer, ["ZORI4"] * 8))
    assert [one.splitlines()[0] for one in shown] == [f"number {n}" for n in range(8)]
    assert sorted(answers) == sorted([ANSWERED, *[ENDED] * 7])
    assert episode.scored is not None
    assert len(episode.scored.trajectory.turns) == 9


def test_a_failure_that_passes_is_tried_again() -> None:
    down = Down(failures=1)
    made = registered_parts("medenv/Research-v0", tools=[down.tool()])
    episode = ToolEpisode(made, question="test:4", retries=AT_ONCE)
    assert episode.call("ping", {}) == "pong"
    assert episode.answer("ZORI4") == ANSWERED
    assert episode.scored is not None
    assert len(episode.scored.trajectory.turns) == 2


def test_a_failure_that_stays_leaves_no_score() -> None:
    down = Down(failures=9)
    made = registered_parts("medenv/Research-v0", tools=[down.tool()])
    episode = ToolEpisode(made, question="test:4", retries=AT_ONCE)
    with pytest.raises(ToolUnavailableError, match="refused"):
        episode.call("ping", {})
    assert (down.tried, episode.ended) == (2, True)
    with pytest.raises(InfraError, match=r"no score: .*refused"):
        episode.answer("ZORI4")
    with pytest.raises(InfraError, match=r"no score: .*refused"):
        _ = episode.reward
    assert down.tried == 2


def test_a_reward_that_gives_no_score_is_no_reward_of_0() -> None:
    judged = []

    def judge(trajectory: Trajectory) -> Score:
        judged.append(trajectory)
        return Score(total=None if len(judged) < 3 else 1.0, parts={})

    made = registered_parts("medenv/Research-v0", scoring=judge)
    passing = ToolEpisode(made, question="test:4", retries=RetryPolicy(attempts=3, backoff=0.0))
    assert passing.answer("ZORI4") == ANSWERED
    assert passing.reward == 1.0
    judged.clear()
    failing = ToolEpisode(made, question="test:4", retries=AT_ONCE)
    with pytest.raises(JudgeUnavailableError):
        failing.answer("ZORI4")
    with pytest.raises(InfraError, match="no score"):
        _ = failing.scored


def test_a_bug_of_a_reward_is_no_reward_of_0() -> None:
    def broken(trajectory: Trajectory) -> Score:
        return Score(total=1.0, parts={"accuracy": Part(raw=1 / 0, weight=1, weighted=1)})

    made = registered_parts("medenv/Research-v0", scoring=broken)
    episode = ToolEpisode(made, question="test:4")
    with pytest.raises(ZeroDivisionError):
        episode.answer("ZORI4")
    with pytest.raises(InfraError, match="division by zero"):
        _ = episode.reward


def test_trl_is_given_no_reward_for_an_episode_that_failed() -> None:
    tool = Down(failures=9).tool()
    one = medenv_environment(tools=[tool])()
    one.reset(question="test:4")
    one._episode._retries = AT_ONCE  # without the waits
    with pytest.raises(ToolUnavailableError):
        one.ping()
    assert one.get_reward() is None
    one.reset(question="test:4")
    assert one.get_reward() == 0.0


def test_a_tool_of_the_name_of_the_last_one_is_refused() -> None:
    @FunctionTool
    def answer(word: str) -> str:
        """Answer something else."""
        return word

    made = registered_parts("medenv/Research-v0", tools=[answer])
    with pytest.raises(UsageError, match="rename yours"):
        _ = ToolEpisode(made).specs


def test_a_question_is_drawn_by_its_seed_or_refused(parts: Parts) -> None:
    drawn = [ToolEpisode(parts, seed=seed).question for seed in (3, 3, 4, 5, 6)]
    assert drawn[0] == drawn[1]
    assert len({*drawn}) > 1
    with pytest.raises(UsageError, match="no question has the id 'nowhere'"):
        ToolEpisode(parts, question="nowhere")
