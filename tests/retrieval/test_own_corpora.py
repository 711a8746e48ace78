"""Corpora of one's own: JSON lines with gaps, and folders of documents."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from medenv.errors import DataError
from medenv.io import write_records
from medenv.retrieval import BM25Retriever, PassageFile, PassageStore
from medenv.retrieval.bm25 import open_bm25
from medenv.retrieval.documents import PASSAGE_CHARS, TITLE_CHARS
from medenv.retrieval.loaders import open_passages

from ..fakes import PASSAGES


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_whole_passages_stay_on_disk(tmp_path: Path) -> None:
    write_records(tmp_path / "p.jsonl", PASSAGES)
    found = open_passages(tmp_path / "p.jsonl")
    assert isinstance(found, PassageFile)
    assert list(found) == sorted(PASSAGES, key=lambda one: one.id)


def test_ids_and_titles_may_be_missing(tmp_path: Path) -> None:
    long = "word " * 60
    path = lines(
        tmp_path / "own.jsonl",
        {"text": long},
        {"id": 7, "title": "T", "text": "b", "source": "S", "date": 2024, "entity": "E:1", "x": []},
        {"id": None, "title": "", "text": "c"},
    )
    first, second, third = sorted(open_passages(path), key=lambda one: one.text[0] != "w")
    assert (first.id, first.text) == ("own.jsonl#1", long)
    assert 0 < len(first.title) <= TITLE_CHARS
    assert long.startswith(first.title)
    assert (second.id, second.source, second.entity) == ("7", "S 2024", "E:1")
    assert (third.id, third.title) == ("own.jsonl#3", "c")
    packed = tmp_path / "own.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert isinstance(open_passages(packed), PassageStore)
    assert len(open_passages(packed)) == 3


@pytest.mark.parametrize(
    ("rows", "line", "word"),
    [
        ([{"text": "a"}, {"title": "b"}], 2, "title"),
        ([{"text": "a"}, {"text": " "}], 2, "text"),
        ([{"text": ["a"]}], 1, "list"),
        ([{"id": "x", "text": "a"}, {"id": "y", "text": "a"}, {"id": "x", "text": "b"}], 3, "'x'"),
        ([["a"]], 1, "object"),
    ],
)
def test_wrong_lines_are_named(rows: list[object], line: int, word: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as told:
        open_passages(lines(tmp_path / "p.jsonl", *rows))
    assert told.value.line == line
    assert word in told.value.problem


def test_other_encodings_are_named(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(b'{"text": "a"}\n{"text": "Beh\xe7et"}\n')
    with pytest.raises(DataError) as told:
        open_passages(tmp_path / "p.jsonl")
    assert told.value.line == 2
    (tmp_path / "p.txt").write_bytes(b"a\n\nBeh\xe7et")
    with pytest.raises(DataError) as told:
        open_passages(tmp_path / "p.txt")
    assert told.value.line == 3


MARKDOWN = """Before.

# Marfan syndrome #

A disorder\tof tissue.

```
# no heading
```

## Findings

Lens luxation.
"""
HTML = """<!doctype html><html><head><title>Gout &amp; urate</title><style>p {color: red}</style>
<script>var a = "hidden";</script></head><body><nav>Home</nav><p>Uric acid <b>crystals</b>.</p>
<h2>Treat<i>ment</i></h2><ul><li>Colchicine</li><li>Rest</li></ul><table><tr><td>a</td><td>b</td></tr>
</table></body></html>"""


def test_documents_of_a_folder_become_windows_with_headings(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "marfan.md").write_text("\ufeff" + MARKDOWN, encoding="utf-8")
    (tmp_path / "gout.HTML").write_text(HTML, encoding="utf-8")
    (tmp_path / "plain_notes.txt").write_bytes(b"One.\r\n\r\nTwo.")
    (tmp_path / ".hidden.txt").write_text("x")
    (tmp_path / "figure.png").write_bytes(b"\x89PNG")
    found = {one.id: (one.title, one.text) for one in open_passages(tmp_path)}
    assert found == {
        "deep/er/marfan.md#0": ("Marfan syndrome", "Before."),
        "deep/er/marfan.md#1": (
            "Marfan syndrome",
            "A disorder of tissue.\n\n``` # no heading ```",
        ),
        "deep/er/marfan.md#2": ("Marfan syndrome: Findings", "Lens luxation."),
        "gout.HTML#0": ("Gout & urate", "Uric acid crystals."),
        "gout.HTML#1": ("Gout & urate: Treatment", "Colchicine\n\nRest\n\na b"),
        "plain_notes.txt#0": ("plain notes", "One.\n\nTwo."),
    }
    assert list(open_passages(tmp_path / "plain_notes.txt")) == list(
        one for one in open_passages(tmp_path) if one.id.startswith("plain")
    )


def test_long_documents_are_cut_at_paragraphs(tmp_path: Path) -> None:
    paragraphs = [f"p{i} " + "word " * 90 for i in range(9)] + [
        "x" * (2 * PASSAGE_CHARS),
        "a " * 2_000,
    ]
    (tmp_path / "long.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    found = sorted(open_passages(tmp_path), key=lambda one: int(one.id.rpartition("#")[2]))
    assert [one.id for one in found] == [f"long.txt#{i}" for i in range(len(found))]
    assert found[0].text.count("\n\n") == 1
    assert found[1].text.startswith("p2 ")
    assert sorted({len(one.text) for one in found})[-2] <= PASSAGE_CHARS
    together = " ".join(one.text for one in found).split()
    assert together == " ".join(paragraphs).split()


def test_documents_without_text_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        open_passages(tmp_path)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "b.txt").write_text("b")
    with pytest.raises(DataError) as told:
        open_passages(tmp_path)
    assert told.value.path == tmp_path / "a.pdf"
    (tmp_path / "a.txt").write_text("extracted")
    assert [one.id for one in open_passages(tmp_path)] == ["a.txt#0", "b.txt#0"]
    with pytest.raises(DataError):
        open_passages(tmp_path / "none.jsonl")


def test_documents_are_searched_and_an_index_gives_its_passages(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Gout\n\nUrate crystals.")
    made = open_bm25(tmp_path / "docs")
    assert made.search(["urate"], 1)[0][0][0].title == "Gout"
    made.save(tmp_path / "index")
    assert list(open_passages(tmp_path / "index")) == list(made.passages)
    assert isinstance(open_bm25(tmp_path / "index"), BM25Retriever)
