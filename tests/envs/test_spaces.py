"""The space of all texts, alone and in vector environments."""

from __future__ import annotations

import json
import pickle
from copy import deepcopy

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Tuple, flatten, flatten_space, unflatten
from gymnasium.vector.utils import (
    batch_differing_spaces,
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
    iterate,
    read_from_shared_memory,
    write_to_shared_memory,
)
from gymnasium.wrappers.utils import create_zero_array

from medenv.envs.spaces import UnicodeText
from medenv.errors import UsageError

SPACE = UnicodeText(50)


@pytest.mark.parametrize("text", ["β-blocker 5 µg\n", "", "日本語", "\x00", "😀" * 50, "a" * 50])
def test_any_text_up_to_the_length_is_inside(text: str) -> None:
    assert text in SPACE


@pytest.mark.parametrize(
    "other", ["a" * 51, "lone \ud800", 5, None, b"bytes", ["a"], np.array("a")], ids=repr
)
def test_what_is_longer_or_no_text_is_outside(other: object) -> None:
    assert other not in SPACE


def test_samples_are_inside_and_varied() -> None:
    space = UnicodeText(1000, seed=0)
    samples = [space.sample() for _ in range(300)]
    assert all(sample in space for sample in samples)
    together = "".join(samples)
    assert {"\n", " ", "µ", "β", "<", "日"} <= set(together)
    assert len({len(sample) for sample in samples}) > 50
    assert all(len(UnicodeText(1, seed=seed).sample()) <= 1 for seed in range(20))


def test_samples_depend_on_the_seed_alone() -> None:
    def drawn(seed: int) -> list[str]:
        space = UnicodeText(100)
        space.seed(seed)
        return [space.sample() for _ in range(5)]

    assert drawn(3) == drawn(3) != drawn(4)


def test_texts_survive_json() -> None:
    texts = ["β\n", "", "\u2028"]
    assert SPACE.from_jsonable(json.loads(json.dumps(SPACE.to_jsonable(texts)))) == texts


def test_spaces_are_equal_by_their_length_and_can_be_pickled() -> None:
    assert UnicodeText(50) == SPACE != UnicodeText(51)
    assert pickle.loads(pickle.dumps(SPACE)) == SPACE
    assert repr(SPACE) == "UnicodeText(50)"
    assert not SPACE.is_np_flattenable


def test_vector_environments_can_batch_join_and_take_apart() -> None:
    batched = batch_space(SPACE, 3)
    assert batched == Tuple([SPACE] * 3)
    texts = ("a", "β\n", "")
    joined = concatenate(SPACE, texts, create_empty_array(SPACE, 3))
    assert joined == texts
    assert joined in batched
    assert tuple(iterate(batched, joined)) == texts


def test_the_empty_text_stands_for_zero() -> None:
    assert create_zero_array(SPACE) == ""
    assert create_empty_array(SPACE, 3) == ("", "", "")
    assert create_empty_array(SPACE, 3) in batch_space(SPACE, 3)


def test_a_text_is_flat_as_it_is() -> None:
    assert flatten_space(SPACE) == SPACE
    assert unflatten(SPACE, flatten(SPACE, "β\n")) == "β\n"
    both = Dict(text=SPACE, time=Box(0, 9, dtype=np.int32))
    flat = flatten(both, {"text": "β", "time": np.array([3])})
    assert (flat["text"], flat["time"].tolist()) == ("β", [3])


def test_shared_texts_are_seen_as_they_are_written() -> None:
    memory = create_shared_memory(SPACE, n=3)
    view = read_from_shared_memory(SPACE, memory, n=3)
    written = ("🧬" * 50, "", "β\n")
    for index, text in enumerate(written):
        write_to_shared_memory(SPACE, index, text, memory)
    copied = deepcopy(view)
    assert copied == tuple(view) == written
    assert copied in batch_space(SPACE, 3)
    assert (view[-1], view[1:], len(view)) == ("β\n", ("", "β\n"), 3)
    write_to_shared_memory(SPACE, 0, "short", memory)
    assert (view[0], copied[0]) == ("short", written[0])
    with pytest.raises(IndexError):
        _ = view[3]
    with pytest.raises(UsageError, match="at most 50 characters, got 201"):
        write_to_shared_memory(SPACE, 0, "x" * 201, memory)


def test_spaces_of_different_lengths_can_be_batched() -> None:
    batched = batch_differing_spaces([UnicodeText(1), UnicodeText(2)])
    assert ("a", "ab") in batched
    assert ("ab", "ab") not in batched


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(UsageError, match="max_length must be at least 1, got 0"):
        UnicodeText(0)
    with pytest.raises(UsageError, match="mask or probability"):
        SPACE.sample(mask=object())
