"""Passages that stay on disk are those in memory, and need none."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import DataError
from medenv.io import write_records
from medenv.records import Passage
from medenv.retrieval import BM25Retriever, PassageFile, PassageStore, disk
from medenv.retrieval.bm25 import open_bm25
from medenv.retrieval.disk import KEPT, note_lines

from ..fakes import PASSAGES

texts = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, texts, max_size=9))
def test_a_file_holds_what_a_store_holds(
    tmp_path_factory: pytest.TempPathFactory, made: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("corpus") / "p.jsonl"
    write_records(path, [Passage(id=one, title=text, text=text) for one, text in made.items()])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n", 2))
    file, store = PassageFile(path), PassageStore.load(path)
    assert list(file) == list(store) == [file[i] for i in range(len(file))]
    for one in [*made, "", "nothing", *(name + "x" for name in made)]:
        assert file.get(one) == store.get(one)


def saved(folder: Path, count: int = 30) -> Path:
    path = folder / "p.jsonl"
    write_records(path, [Passage(id=f"D:{i}#0", title="a", text=f"text {i}") for i in range(count)])
    return path


def test_noted_lines_are_used_and_those_of_an_earlier_file_are_not(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = list(PassageFile(path))
    note_lines(path)
    assert isinstance(PassageFile(path)._lines, np.memmap)
    assert list(PassageFile(path)) == before
    saved(tmp_path, 31)
    assert len(PassageFile(path)) == 31
    (tmp_path / "p.jsonl.lines.npy").write_bytes(b"damaged")
    assert len(PassageFile(path)) == 31


def passage(name: str, text: str = "x") -> Passage:
    return Passage(id=name, title="t", text=text)


@pytest.mark.parametrize("anew", [True, False])
@pytest.mark.parametrize("aged", [True, False])
def test_notes_of_a_file_made_anew_at_the_same_size_and_time_are_not_used(
    tmp_path: Path, anew: bool, aged: bool
) -> None:
    path, other = tmp_path / "p.jsonl", tmp_path / "other.jsonl"
    write_records(path, [passage("a1"), passage("b1"), passage("c1")])
    if aged:
        os.utime(path, (1e9, 1e9))
    note_lines(path)
    assert PassageFile(path).get("a1") is not None
    write_records(other, [passage("z9"), passage("b1"), passage("a0")])
    if anew:
        other.replace(path)
    else:
        path.write_bytes(other.read_bytes())
    if aged:
        os.utime(path, (1e9, 1e9))
    found = PassageFile(path)
    assert [one.id for one in found] == ["a0", "b1", "z9"]
    assert [found.get(name) is not None for name in ("a0", "b1", "z9", "a1")] == [True] * 3 + [
        False
    ]


def test_notes_go_with_a_copy_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a")
    os.utime(path, (1e9, 1e9))
    note_lines(path)
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)
    os.utime(tmp_path / "b" / "p.jsonl", (2e9, 1.1e9))
    monkeypatch.setattr(disk, "_scan", None)
    for _ in range(2):
        assert list(PassageFile(tmp_path / "b" / "p.jsonl")) == list(PassageFile(path))
    monkeypatch.setattr(disk, "file_digest", None)  # after the first opening not even that
    assert PassageFile(tmp_path / "b" / "p.jsonl").digest == PassageFile(path).digest


def test_notes_in_a_folder_that_cannot_be_written_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    note_lines(path)
    os.utime(path, (1e9, 1e9))

    def refused(*_: object) -> None:
        raise DataError(path, "cannot be written")

    monkeypatch.setattr(disk, "_note", refused)
    assert isinstance(PassageFile(path)._lines, np.memmap)


def test_a_file_that_changes_while_it_is_open_is_told_and_no_passage_missed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    os.utime(path, (1e9, 1e9))
    found = PassageFile(path)
    sent = pickle.dumps(found)
    assert found.get("none") is None
    path.write_bytes(path.read_bytes().replace(b"D:", b"E:"))
    with pytest.raises(DataError, match="was changed since it was opened"):
        found.get("D:3#0")
    path.write_bytes(path.read_bytes().replace(b"E:", b"\xe9:"))
    with pytest.raises(DataError, match="was changed since it was opened"):
        found[7]
    path.write_bytes(path.read_bytes().replace(b"\xe9:", b"F:"))
    with pytest.raises(DataError, match="was changed since another process opened it"):
        pickle.loads(sent)


def test_a_file_that_is_replaced_while_it_is_open_stays_as_it_was(tmp_path: Path) -> None:
    path = saved(tmp_path)
    found = PassageFile(path)
    write_records(path, [passage("z")])
    assert found.get("D:3#0") is not None
    assert found.get("z") is None
    assert len(list(found)) == 30


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n\r\n"])
def test_marks_and_line_ends_of_other_systems_make_no_difference(
    tmp_path: Path, mark: bytes, end: bytes
) -> None:
    path = saved(tmp_path)
    before = list(PassageFile(path))
    path.write_bytes(mark + path.read_bytes().replace(b"\n", end))
    for _ in range(2):
        found = PassageFile(path)
        assert list(found) == before
        assert found.get("D:17#0") == before[[one.id for one in before].index("D:17#0")]
        note_lines(path)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([b'{"id": "a", "title": "", "text": ""}'] * 2, "two passages have the id 'a'"),
        ([b"", b'{"id": "a"}'], "p.jsonl:2: expected a Passage: .*missing required field"),
        ([b"{"], "p.jsonl:1: expected a Passage"),
        ([b"", b'{"id": "caf\xe9", "title": "", "text": ""}'], "p.jsonl:2: .*not UTF-8"),
        ([b'{"id": "a", "title": "", "text": "", "more": "caf\xe9"}'], "p.jsonl:1: .*not UTF-8"),
        ([b"\x1f\x8b"], "is gzipped"),
        ([b'{"id": "a\\u0000", "title": "", "text": ""}'], "the id .* holds a NUL character"),
    ],
)
def test_a_malformed_file_is_told(tmp_path: Path, lines: list[bytes], problem: str) -> None:
    (tmp_path / "p.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=problem):
        PassageFile(tmp_path / "p.jsonl")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p\.jsonl: cannot be read: No such file"):
        PassageFile(tmp_path / "p.jsonl")


def test_many_threads_read_one_file(tmp_path: Path) -> None:
    path = saved(tmp_path, 2 * KEPT)
    file, store = PassageFile(path), PassageStore.load(path)
    numbers = np.random.default_rng(0).integers(len(store), size=4000).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: file[number], numbers)) == [store[n] for n in numbers]


def test_a_file_goes_to_another_process_by_its_path(tmp_path: Path) -> None:
    file = PassageFile(saved(tmp_path))
    sent = pickle.dumps(file)
    assert len(sent) < 300
    assert list(pickle.loads(sent)) == list(file)


def test_an_opened_index_reads_its_passages_from_disk(tmp_path: Path) -> None:
    made = BM25Retriever(PASSAGES)
    made.save(tmp_path / "index")
    opened = BM25Retriever.load(tmp_path / "index")
    assert isinstance(opened.passages, PassageFile)
    assert opened.search(["gene marfan", "myopia"], 3) == made.search(["gene marfan", "myopia"], 3)
    opened.save(tmp_path / "index")
    opened.save(tmp_path / "copy")
    assert list(BM25Retriever.load(tmp_path / "copy").passages) == list(made.passages)


def test_an_index_is_made_of_a_file_that_stays_on_disk(tmp_path: Path) -> None:
    write_records(tmp_path / "p.jsonl", PASSAGES[::-1])
    found = open_bm25(tmp_path / "p.jsonl")
    assert isinstance(found.passages, PassageFile)
    assert found.search(["gene"], 5) == BM25Retriever(PASSAGES).search(["gene"], 5)


COUNT, TEXT = 200_000, "ectopia lentis is the finding of this passage and of no other " * 8
PROGRAM = """
import sys
from medenv.retrieval import PassageFile, PassageStore

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) * 1024

path, kind = sys.argv[1:]
before = resident()
store = PassageFile(path) if kind == "file" else PassageStore.load(path)
for number in range(0, len(store), 97):
    assert store[number].text.endswith("of no other ")
    assert store.get(f"D:{number:06}#0") is not None
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_texts_of_a_large_corpus_are_not_resident(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with path.open("w") as file:
        for number in range(COUNT):
            file.write(f'{{"id": "D:{number:06}#0", "title": "t", "text": "{TEXT}"}}\n')
    note_lines(path)
    grown = {
        kind: int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, str(path), kind],
                capture_output=True,
                check=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            ).stdout
        )
        for kind in ("file", "store")
    }
    assert grown["store"] > COUNT * len(TEXT) > 90_000_000
    assert grown["file"] < 20_000_000
