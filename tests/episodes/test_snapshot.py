"""A snapshot is the whole episode: it can be stored, restored, and gone on with in many ways."""

from __future__ import annotations

import pickle

import gymnasium
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.episodes.episode import Episode, Snapshot
from medenv.errors import UsageError
from medenv.records import Trajectory

from ..fakes import ANSWER, HERMES, SEARCH, Clock, question, result, rules

TEXTS = st.lists(st.sampled_from([SEARCH, SEARCH * 3, "hm", ANSWER]), max_size=6)


def play(episode: Episode, texts: list[str]) -> Episode:
    for text in texts:
        if episode.ended:
            break
        calls = episode.advance(text, tokens=3)
        if not episode.ended:
            episode.observe([result(call) for call in calls])
    return episode


def timeless(trajectory: Trajectory) -> Trajectory:
    return msgspec.structs.replace(trajectory, seconds=0.0)


@given(TEXTS, TEXTS, st.booleans())
def test_going_on_from_a_snapshot_is_going_on(
    before: list[str], after: list[str], final_turn: bool
) -> None:
    settled = rules(turns=6, calls=8, tokens=12, final_turn=final_turn)
    original = play(Episode(question(), settled, seed=5), before)
    stored = msgspec.json.encode(original.snapshot())
    restored = Episode.restore(msgspec.json.decode(stored, type=Snapshot), settled)
    for episode in (original, restored):
        play(episode, after)
    assert timeless(restored.trajectory()) == timeless(original.trajectory())
    assert restored.messages == original.messages


def test_branches_of_one_snapshot_do_not_touch_each_other() -> None:
    settled = rules()
    taken = play(Episode(question(), settled), [SEARCH]).snapshot()
    first, second = (Episode.restore(taken, settled) for _ in range(2))
    play(first, [SEARCH, ANSWER])
    assert (first.ending, second.ending) == ("answered", None)
    assert len(second.trajectory().turns) == len(taken.turns) == 1
    assert second.snapshot().messages == taken.messages


def test_awaited_calls_are_part_of_a_snapshot() -> None:
    settled = rules()
    episode = Episode(question(), settled)
    calls = episode.advance(SEARCH)
    restored = Episode.restore(episode.snapshot(), settled)
    assert restored.observe([result(call) for call in calls]) == "found"


NOW = [0.0]


def shared_clock() -> float:
    return NOW[0]


def test_a_pickled_episode_goes_on_and_the_time_between_does_not_count() -> None:
    settled = rules(seconds=10.0, turns=6)
    settled.clock = shared_clock
    episode = play(Episode(question(), settled), [SEARCH])
    NOW[0] += 6.0
    stored, taken = pickle.dumps(episode), episode.snapshot()
    NOW[0] += 1000.0
    restored = pickle.loads(stored)
    assert restored.snapshot() == taken
    assert restored.trajectory().seconds == 6.0
    play(restored, [SEARCH, ANSWER])
    assert (restored.ending, len(restored.trajectory().turns)) == ("answered", 3)


def test_time_goes_on_from_where_it_was() -> None:
    clock = Clock()
    settled = rules(seconds=10.0)
    settled.clock = clock
    episode = Episode(question(), settled)
    clock.now = 7.0
    taken = episode.snapshot()
    clock.now = 100.0
    restored = Episode.restore(taken, settled)
    assert restored.trajectory().seconds == 7.0
    clock.now = 103.0
    restored.advance(SEARCH)
    assert restored.ending == "seconds"


def test_a_failure_is_in_the_snapshot_and_in_the_trajectory() -> None:
    settled = rules()
    episode = Episode(question(), settled)
    episode.fail("the corpus is away")
    restored = Episode.restore(episode.snapshot(), settled)
    assert restored.trajectory().failure == "the corpus is away"


def test_a_snapshot_of_other_settings_is_refused() -> None:
    taken = Episode(question(), rules(turns=3)).snapshot()
    with pytest.raises(UsageError, match="the snapshot has the settings"):
        Episode.restore(taken, rules(turns=4))


def test_an_environment_can_be_searched_like_a_tree() -> None:
    env = gymnasium.make("medenv:medenv/Research-v0").unwrapped
    env.reset(seed=0)
    env.step(SEARCH)
    taken = env.snapshot()
    gold = env.episode.question.answers[0].name
    rewards = []
    for answer in ("nothing like it", gold):
        env.restore(taken)
        rewards.append(env.step(HERMES.write_answer(answer))[1])
    assert rewards[0] == 0.0 < rewards[1]


def test_an_ended_episode_that_is_restored_is_not_paid_again() -> None:
    env = gymnasium.make("medenv:medenv/Research-v0").unwrapped
    env.reset(seed=0)
    answer = HERMES.write_answer(env.episode.question.answers[0].name)
    assert env.step(answer)[1] > 0
    taken = env.snapshot()
    other = gymnasium.make("medenv:medenv/Research-v0").unwrapped
    other.reset(seed=1)
    for one in (env, other, env):
        one.restore(taken)
        assert one.episode.ending == "answered"
        for text in (answer, "anything"):
            with pytest.raises(UsageError, match="has ended"):
                one.step(text)
    other.reset(seed=0)
    assert other.step(answer)[1] > 0
