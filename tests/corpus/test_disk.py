"""Passages that stay on disk are those in memory, and need none."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.corpus import BM25Retriever, PassageFile, PassageStore
from medenv.corpus.bm25 import open_bm25
from medenv.corpus.disk import KEPT, note_lines
from medenv.errors import DataError
from medenv.io import write_records
from medenv.records import Passage

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


def test_a_file_of_the_same_length_that_is_another_one_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path)
    note_lines(path)
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([b"\n", *rest, first.rstrip(b"\n")]))
    with pytest.raises(DataError, match=r"changed since its lines were noted in p\.jsonl\.lines"):
        list(PassageFile(path))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([b'{"id": "a", "title": "", "text": ""}'] * 2, "two passages have the id 'a'"),
        ([b"", b'{"id": "a"}'], "p.jsonl:2: expected a Passage: .*missing required field"),
        ([b"{"], "p.jsonl:1: expected a Passage"),
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
from medenv.corpus import PassageFile, PassageStore

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
