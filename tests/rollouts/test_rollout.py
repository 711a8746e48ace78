"""Whole episodes, one at a time and many at once, and what happens when the world fails."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from medenv.episodes.episode import Episode
from medenv.errors import (
    InfraError,
    JudgeUnavailableError,
    ModelUnavailableError,
    PolicyUnavailableError,
    TokensExhaustedError,
    UsageError,
)
from medenv.records import Message, Policy, Score, Scored, Trajectory, Written
from medenv.rollouts.deadlines import Deadlines
from medenv.rollouts.driver import RolloutRetryPolicy, Rollouts
from medenv.rollouts.policies import Texts
from medenv.tools import FunctionTool, Search, Tool, ToolBox, ToolOutput

from ..fakes import ANSWER, HERMES, SEARCH, Flaky, Shelf, exact, question, rules


def rollouts(one: Tool, waits: list[float] | None = None, **patience: float) -> Rollouts:
    box = ToolBox([one])
    patient = RolloutRetryPolicy(**{"backoff": 0.0, **patience})  # type: ignore[arg-type]  # from a table
    sleep = (lambda _: None) if waits is None else waits.append
    return Rollouts(rules(box, turns=4), box, exact, patient, sleep)


def policy(*texts: str) -> Policy:
    return Texts(texts or (SEARCH, ANSWER)).begin(question())


def both(driver: Rollouts, make: type | None = None) -> list[Scored]:
    """The same episode driven plainly and by asyncio."""
    return [
        driver.run(policy(), question(), seed=7),
        asyncio.run(driver.arun(policy(), question(), seed=7)),
    ]


def test_an_episode_is_played_to_its_end_and_scored() -> None:
    for scored in both(rollouts(Search(Shelf()))):
        assert (scored.trajectory.ending, scored.score.total) == ("answered", 1.0)
        assert [len(turn.calls) for turn in scored.trajectory.turns] == [1, 0]
        assert scored.trajectory.seed == 7


def test_both_drivers_make_the_same_trajectory() -> None:
    def timeless(trajectory: Trajectory) -> list[object]:
        return [
            (turn.text, turn.parsed, turn.calls, turn.observation, [r.text for r in turn.results])
            for turn in trajectory.turns
        ]

    plain, awaited = both(rollouts(Search(Shelf())))
    assert timeless(plain.trajectory) == timeless(awaited.trajectory)


def test_a_policy_that_never_answers_runs_out_of_turns() -> None:
    scored = rollouts(Search(Shelf())).run(policy(SEARCH), question())
    assert (scored.trajectory.ending, scored.score.total) == ("turns", 0.0)


def test_a_failure_is_tried_again_with_growing_waits() -> None:
    waits: list[float] = []
    driver = rollouts(Flaky(failures=2), waits, attempts=3, backoff=0.5)
    assert driver.run(policy(), question()).score.total == 1.0
    assert waits == [0.5, 1.0]


def test_a_failure_is_tried_again_by_asyncio_too() -> None:
    driver = rollouts(Flaky(failures=2), attempts=3)
    assert asyncio.run(driver.arun(policy(), question())).score.total == 1.0


def test_a_lasting_failure_ends_the_episode_without_a_score() -> None:
    for driven in (0, 1):
        driver = rollouts(Flaky(failures=99), attempts=2)
        driver = Rollouts(driver.rules, driver.toolbox, none_if_unavailable, driver.patience)
        scored = (
            asyncio.run(driver.arun(policy(), question()))
            if driven
            else driver.run(policy(), question())
        )
        assert (scored.trajectory.ending, scored.score.total) == ("unavailable", None)


def none_if_unavailable(trajectory: Trajectory) -> Score:
    if trajectory.ending == "unavailable":
        return Score(total=None, parts={})
    return exact(trajectory)


def test_a_judge_that_stays_away_leaves_the_trajectory_without_a_score() -> None:
    asked: list[int] = []

    def away(trajectory: Trajectory) -> Score:
        asked.append(1)
        raise JudgeUnavailableError("no verdict")

    driver = rollouts(Search(Shelf()), attempts=3)
    driver = Rollouts(driver.rules, driver.toolbox, away, driver.patience)
    scored = driver.run(policy(), question())
    assert (scored.trajectory.ending, scored.score.total, len(asked)) == ("answered", None, 3)


class Thinker:
    """An asynchronous policy that may be slow or fail."""

    def __init__(self, seconds: float = 0.0, error: InfraError | None = None) -> None:
        self.seconds, self.error = seconds, error

    async def act(self, messages: Sequence[Message]) -> str:
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return ANSWER if messages[-1]["role"] == "tool" else SEARCH


def test_an_asynchronous_policy_is_awaited() -> None:
    scored = asyncio.run(rollouts(Search(Shelf())).arun(Thinker(), question()))
    assert scored.score.total == 1.0


@pytest.mark.parametrize(
    "thinker",
    [Thinker(seconds=9.0), Thinker(error=PolicyUnavailableError("503"))],
    ids=["slow", "failing"],
)
def test_a_policy_that_is_away_is_a_failure_outside(thinker: Thinker) -> None:
    driver = rollouts(Search(Shelf()), attempts=2, timeout=0.01)
    driver = Rollouts(driver.rules, driver.toolbox, none_if_unavailable, driver.patience)
    scored = asyncio.run(driver.arun(thinker, question()))
    assert (scored.trajectory.ending, scored.trajectory.turns) == ("unavailable", ())


def test_a_text_may_take_longer_than_a_call() -> None:
    driver = rollouts(Search(Shelf()), attempts=1, timeout=0.01, policy_timeout=9.0)
    assert asyncio.run(driver.arun(Thinker(seconds=0.05), question())).score.total == 1.0


class Counted:
    """An asynchronous policy that knows how many tokens it writes, and how many turns fit."""

    def __init__(self, fits: int) -> None:
        self.left = fits

    async def act(self, messages: Sequence[Message]) -> str:
        return (await self.act_within(messages, None)).text

    async def act_within(self, messages: Sequence[Message], max_tokens: int | None) -> Written:
        self.left -= 1
        if self.left < 0:
            raise TokensExhaustedError("no room")
        return Written(text=SEARCH, tokens=7)


def test_an_episode_that_the_caller_started_is_played_with_its_tokens_counted() -> None:
    driver = rollouts(Search(Shelf()))
    episode = Episode(question(), driver.rules, seed=3)
    scored = asyncio.run(driver.play(Counted(fits=9), episode))
    assert (scored.trajectory.ending, scored.trajectory.seed) == ("turns", 3)
    assert [turn.tokens for turn in scored.trajectory.turns] == [7] * 4


def test_a_full_context_ends_the_episode_for_lack_of_tokens() -> None:
    scored = asyncio.run(rollouts(Search(Shelf())).arun(Counted(fits=2), question()))
    assert (scored.trajectory.ending, scored.score.total) == ("tokens", 0.0)
    assert [bool(turn.observation) for turn in scored.trajectory.turns] == [True, False]


class Counting:
    """An asynchronous search that knows how many of its calls ran at the same time."""

    def __init__(self, seconds: float) -> None:
        self.now = self.most = self.cancelled = 0

        @FunctionTool
        async def search(query: str) -> ToolOutput:
            """Search slowly."""
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.now -= 1
            if query == "bad":
                raise UsageError("a bug in the tool")
            return ToolOutput(text="found")

        self.tool = search


def test_the_calls_of_one_turn_are_made_together() -> None:
    slow = Counting(0.01)
    scored = asyncio.run(rollouts(slow.tool).arun(policy(SEARCH * 5, ANSWER), question()))
    assert slow.most == 5
    assert [result.call_id for result in scored.trajectory.turns[0].results] == [
        f"0.{i}" for i in range(5)
    ]


def test_a_call_that_takes_too_long_is_a_failure_outside() -> None:
    slow = Counting(9.0)
    driver = rollouts(slow.tool, attempts=2, timeout=0.01)
    driver = Rollouts(driver.rules, driver.toolbox, none_if_unavailable, driver.patience)
    scored = asyncio.run(driver.arun(policy(), question()))
    assert (scored.trajectory.ending, slow.cancelled) == ("unavailable", 2)


class Waiting(Tool):
    """A search that blocks its thread, and counts how many do at once."""

    name, local = "search", False

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._lock = threading.Lock()

    def call(self, query: str) -> ToolOutput:
        """Search slowly."""
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.05)
        with self._lock:
            self.now -= 1
        return ToolOutput(text="found")


def test_waits_overlap_however_a_tool_waits() -> None:
    awaited, blocking = Counting(0.05), Waiting()
    for slow, counted in ((awaited.tool, awaited), (blocking, blocking)):
        episodes = [(policy(SEARCH, SEARCH, ANSWER), question(i)) for i in range(48)]
        scored = asyncio.run(rollouts(slow).arun_all(episodes, 48))
        assert all(one.score.total == 1.0 for one in scored)
        assert counted.most >= 8


def test_cancelling_the_driver_cancels_what_it_awaits() -> None:
    slow = Counting(9.0)

    async def cancelled() -> None:
        episodes = [(policy(), question(i)) for i in range(4)]
        task = asyncio.ensure_future(rollouts(slow.tool).arun_all(episodes, 3))
        while slow.now < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert (slow.now, slow.cancelled) == (0, 3)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_episodes_run_together_up_to_a_bound(concurrency: int) -> None:
    slow = Counting(0.002)
    episodes = [(policy(), question(i)) for i in range(7)]
    scored = asyncio.run(rollouts(slow.tool).arun_all(episodes, concurrency))
    assert [one.trajectory.question.id for one in scored] == [f"train:{i}" for i in range(7)]
    assert [one.trajectory.seed for one in scored] == list(range(7))
    assert slow.most == concurrency


def test_many_episodes_need_no_event_loop_of_the_caller() -> None:
    slow = Counting(0.002)
    scored = rollouts(slow.tool).run_all([(policy(), question(i)) for i in range(7)], 3)
    assert [one.trajectory.question.id for one in scored] == [f"train:{i}" for i in range(7)]
    assert [one.score.total for one in scored] == [1.0] * 7
    assert slow.most == 3


@pytest.mark.parametrize("installed", [True, False], ids=["installed", "not installed"])
def test_they_run_in_uvloop_where_it_is(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if installed:
        pytest.importorskip("uvloop", reason="uvloop comes with vLLM, which is not installed")
    else:
        monkeypatch.setitem(sys.modules, "uvloop", None)  # so that importing it fails

    @FunctionTool
    async def search(query: str) -> ToolOutput:
        """Tell the loop."""
        return ToolOutput(text=type(asyncio.get_running_loop()).__module__)

    (scored,) = rollouts(search).run_all([(policy(), question())])
    package = scored.trajectory.turns[0].observation.partition(".")[0]
    assert package == ("uvloop" if installed else "asyncio")


def test_whoever_runs_a_loop_already_is_told_to_await() -> None:
    async def within() -> None:
        rollouts(Search(Shelf())).run_all([])

    with pytest.raises(UsageError, match="one is running: await arun_all"):
        asyncio.run(within())


class Bugged:
    """A policy with a bug, plain or asynchronous."""

    def act(self, messages: Sequence[Message]) -> str:
        raise KeyError("no such setting")


class SlowlyBugged:
    async def act(self, messages: Sequence[Message]) -> str:
        await asyncio.sleep(0.001)
        raise KeyError("no such setting")


@pytest.mark.parametrize("bad", [Bugged(), SlowlyBugged()], ids=["plain", "asynchronous"])
def test_a_policy_that_raises_ends_its_own_episode_alone(bad: Any) -> None:
    episodes = [(bad, question()), *[(policy(), question(i)) for i in range(1, 4)]]
    first, *others = rollouts(Search(Shelf())).run_all(episodes)
    assert (first.trajectory.ending, first.score.total) == ("unavailable", None)
    assert first.trajectory.failure == "KeyError: 'no such setting'"
    assert [one.score.total for one in others] == [1.0] * 3
    with pytest.raises(KeyError):  # alone, a bug is the caller's to see
        asyncio.run(rollouts(Search(Shelf())).arun(bad, question()))


def test_a_tool_that_raises_is_an_observation_and_the_episode_goes_on() -> None:
    slow = Counting(0.002)
    bad = policy(HERMES.write_call("search", {"query": "bad"}), ANSWER)
    driver = rollouts(slow.tool)
    first, *others = driver.run_all([(bad, question()), *[(policy(), question(1))] * 3])
    (result,) = first.trajectory.turns[0].results
    assert (result.status, first.score.total) == ("bad_call", 1.0)
    assert "UsageError: a bug in the tool" in first.trajectory.turns[0].observation
    assert [one.score.total for one in others] == [1.0] * 3


def test_a_reward_that_raises_leaves_the_trajectory_without_a_score_and_says_why() -> None:
    asked: list[int] = []

    def bugged(trajectory: Trajectory) -> Score:
        asked.append(1)
        raise ZeroDivisionError("no passages")

    driver = rollouts(Search(Shelf()), attempts=3)
    driver = Rollouts(driver.rules, driver.toolbox, bugged, driver.patience)
    for scored in both(driver):
        assert (scored.trajectory.ending, scored.score.total) == ("answered", None)
        assert scored.trajectory.failure == "ZeroDivisionError: no passages"
    assert len(asked) == 2  # once for each driver: a bug does not pass


class Full:
    """A policy whose model has no room left after some turns."""

    def __init__(self, turns: int) -> None:
        self.turns, self.asked = turns, 0

    async def act(self, messages: Sequence[Message]) -> str:
        self.asked += 1
        if self.asked > self.turns:
            raise TokensExhaustedError("the context is full")
        return SEARCH


@pytest.mark.parametrize("turns", [0, 2])
def test_a_model_without_room_ends_the_episode_for_tokens_at_once(turns: int) -> None:
    full = Full(turns)
    (scored,) = rollouts(Search(Shelf()), attempts=3).run_all([(full, question())])
    assert (scored.trajectory.ending, scored.score.total) == ("tokens", 0.0)
    assert [bool(turn.observation) for turn in scored.trajectory.turns] == [True, False][-turns:][
        :turns
    ]
    assert full.asked == turns + 1


def test_a_failure_that_cannot_pass_is_not_tried_again() -> None:
    asked: list[int] = []

    class Locked:
        def act(self, messages: Sequence[Message]) -> str:
            asked.append(1)
            raise ModelUnavailableError("401: no key", transient=False)

    driver = rollouts(Search(Shelf()), attempts=5)
    scored = [driver.run(Locked(), question()), asyncio.run(driver.arun(Locked(), question()))]
    assert [one.trajectory.ending for one in scored] == ["unavailable"] * 2
    assert len(asked) == 2


@pytest.mark.parametrize("written", [None, b"text"], ids=repr)
def test_what_a_policy_writes_is_a_string(written: object) -> None:
    class Mute:
        def act(self, messages: Sequence[Message]) -> Any:
            return written

    class Slow(Mute):
        async def act(self, messages: Sequence[Message]) -> Any:
            return written

    driver, told = rollouts(Search(Shelf())), f"a string, got {type(written).__name__}"
    with pytest.raises(UsageError, match=told):
        driver.run(Mute(), question())
    for one in (Mute(), Slow()):
        with pytest.raises(UsageError, match=told):
            asyncio.run(driver.arun(one, question()))


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"backoff": -1.0}, {"timeout": 0.0}, {"policy_timeout": 0.0}],
    ids=str,
)
def test_impossible_patience_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} >"):
        RolloutRetryPolicy(**wrong)  # type: ignore[arg-type]  # from a table


def test_no_episodes_at_a_time_are_refused() -> None:
    with pytest.raises(UsageError, match="concurrency must be at least 1, got 0"):
        asyncio.run(rollouts(Search(Shelf())).arun_all([], 0))


class Writer:
    """A policy that writes as many tokens as it may, up to what it would like to."""

    def __init__(self, *wanted: tuple[str, int]) -> None:
        self.wanted, self.allowed = list(wanted), list[int | None]()

    def act(self, messages: Sequence[Message]) -> str:
        raise AssertionError("it is asked within its tokens")

    def act_within(self, messages: Sequence[Message], max_tokens: int | None) -> Written:
        self.allowed.append(max_tokens)
        text, tokens = self.wanted.pop(0)
        if max_tokens is not None and tokens > max_tokens:
            return Written(text=text[: len(text) // 2], tokens=max_tokens)
        return Written(text=text, tokens=tokens)


class WriterLater(Writer):
    """The same without blocking."""

    async def act_within(  # type: ignore[override]  # what awaits and what does not
        self, messages: Sequence[Message], max_tokens: int | None
    ) -> Written:
        await asyncio.sleep(0)
        return super().act_within(messages, max_tokens)


@pytest.mark.parametrize("make", [Writer, WriterLater])
@pytest.mark.parametrize(
    ("budget", "allowed", "ending", "tokens"),
    [
        (None, [None, None], "answered", [300, 800]),
        (1100, [1100, 800], "answered", [300, 800]),
        (1000, [1000, 700], "tokens", [300, 700]),  # the answer is cut, and none
        (300, [300], "tokens", [300]),
    ],
)
def test_every_turn_is_bounded_by_the_tokens_that_are_left(
    make: type[Writer], budget: int | None, allowed: list[int], ending: str, tokens: list[int]
) -> None:
    box = ToolBox([Search(Shelf())])
    driver = Rollouts(rules(box, turns=4, tokens=budget), box, exact)  # type: ignore[arg-type]  # None is no limit
    policy = make((SEARCH, 300), (ANSWER, 800))
    played = (
        driver.run(policy, question())
        if make is Writer
        else asyncio.run(driver.arun(policy, question()))
    )
    assert policy.allowed == allowed
    assert played.trajectory.ending == ending
    assert [turn.tokens for turn in played.trajectory.turns] == tokens
    assert played.score.total == float(ending == "answered")


def test_a_caller_with_the_texts_takes_single_turns() -> None:
    driver = rollouts(Search(Shelf()))
    played = driver.run(policy(), question(), seed=7).trajectory

    async def play() -> Scored:
        deadlines, episode = Deadlines(1.0), Episode(question(), driver.rules, 7)
        limit = deadlines.deadline()
        shown = [await driver.turn(episode, text, deadlines, limit) for text in (SEARCH, ANSWER)]
        assert shown == [turn.observation for turn in played.turns]
        return await driver.score(episode)

    scored = asyncio.run(play())
    assert scored.score.total == 1.0
    assert [turn.text for turn in scored.trajectory.turns] == [SEARCH, ANSWER]


def test_a_single_turn_that_fails_can_be_repeated() -> None:
    driver = rollouts(Flaky(2), attempts=2)

    async def play() -> list[int]:
        deadlines, episode = Deadlines(1.0), Episode(question(), driver.rules)
        with pytest.raises(InfraError):
            await driver.turn(episode, SEARCH, deadlines, deadlines.deadline())
        turns = [episode.turns]
        assert "found" in await driver.turn(episode, SEARCH, deadlines, deadlines.deadline())
        return [*turns, episode.turns]

    assert asyncio.run(play()) == [0, 1]
