"""Passages on disk and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from medenv.errors import DataError, UsageError
from medenv.io import read_records, write_records
from medenv.records import Passage
from medenv.retrieval import PassageStore

from ..fakes import PASSAGES


def test_passages_are_numbered_in_the_order_of_their_ids() -> None:
    store = PassageStore(PASSAGES[::-1])
    assert [passage.id for passage in store] == sorted(passage.id for passage in PASSAGES)
    assert store[0] == store.get("D:1#0") == PASSAGES[0]
    assert len(store) == len(PASSAGES)


def test_saved_passages_are_the_same_when_loaded(tmp_path: Path) -> None:
    odd = Passage(id="z", title='β\n"5 µg"', text="<answer>\u2028</answer>")
    store = PassageStore([*PASSAGES, odd])
    store.save(tmp_path / "new" / "p.jsonl")
    assert list(PassageStore.load(tmp_path / "new" / "p.jsonl")) == list(store)


def test_two_passages_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two passages have the id 'D:1#0'"):
        PassageStore([*PASSAGES, PASSAGES[0]])
    write_records(tmp_path / "p.jsonl", [PASSAGES[0], PASSAGES[0]])
    with pytest.raises(DataError, match=r"p\.jsonl: two passages have the id 'D:1#0'"):
        PassageStore.load(tmp_path / "p.jsonl")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", r"p\.jsonl:2: expected a Passage: Input data was truncated"),
        ("[]", r"p\.jsonl:2: expected a Passage: Expected `object`, got `array`"),
        ('{"id": "a", "title": "b"}', r"p\.jsonl:2: .* missing required field `text`"),
        ('{"id": "a", "title": "b", "text": "c", "colour": 1}', "unknown field `colour`"),
    ],
    ids=["cut", "list", "missing", "unknown"],
)
def test_a_line_that_is_no_passage_is_told_with_its_number(
    tmp_path: Path, line: str, problem: str
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f'{{"id": "x", "title": "y", "text": "z"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        PassageStore.load(path)


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read: No such file"):
        PassageStore.load(tmp_path / "none.jsonl")


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    assert write_records(path, PASSAGES) == len(PASSAGES)

    def failing() -> object:
        yield PASSAGES[0]
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_records(path, failing())  # type: ignore[arg-type]  # a generator
    assert len(list(read_records(path, Passage))) == len(PASSAGES)
