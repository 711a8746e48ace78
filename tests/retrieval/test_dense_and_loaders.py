"""Dense and hybrid retrieval against their formulas, and public corpora from their files."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.records import Passage
from medenv.retrieval import BM25Retriever
from medenv.retrieval.dense import DenseRetriever, HybridRetriever
from medenv.retrieval.documents import PASSAGE_CHARS
from medenv.retrieval.loaders import LOADERS, cut, load_corpus, open_corpora

from ..fakes import PASSAGES, Shelf


def encode(texts: Sequence[str]) -> Any:
    """Hashed words as vectors."""
    vectors = np.zeros((len(texts), 64), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            vectors[row, zlib.crc32(word.encode()) % 64] += 1
    return vectors


def test_dense_ranking_is_by_cosine() -> None:
    queries = ["marfan syndrome", "gene: CBS."]
    for query, hits in zip(
        queries, DenseRetriever(PASSAGES, encode).search(queries, 9), strict=True
    ):
        (asked,) = encode([query])
        cosines = {}
        for passage in PASSAGES:
            (vector,) = encode([f"{passage.title}: {passage.text}"])
            cosines[passage.id] = vector @ asked / np.linalg.norm(vector) / np.linalg.norm(asked)
        assert [p.id for p, _ in hits] == sorted(cosines, key=lambda one: (-cosines[one], one))
        assert [score for _, score in hits] == pytest.approx([cosines[p.id] for p, _ in hits])


def test_hybrid_ranking_is_reciprocal_rank_fusion() -> None:
    bm25, dense = BM25Retriever(PASSAGES), DenseRetriever(PASSAGES, encode)
    (hits,) = HybridRetriever([bm25, dense]).search(["gene of marfan syndrome"], 3)
    expected: dict[str, float] = {}
    for ranking in (bm25, dense):
        for rank, (passage, _) in enumerate(ranking.search(["gene of marfan syndrome"], 50)[0]):
            expected[passage.id] = expected.get(passage.id, 0) + 1 / (61 + rank)
    assert {p.id: score for p, score in hits} == pytest.approx(
        dict(sorted(expected.items(), key=lambda one: (-one[1], one[0]))[:3])
    )


def test_hybrid_reads_from_whoever_has_it() -> None:
    both = HybridRetriever([Shelf(PASSAGES[:1]), Shelf(PASSAGES[1:])])
    assert both.get("P:1#0") == PASSAGES[3]
    assert both.get("none") is None


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: DenseRetriever([], encode), "at least one passage, got none"),
        (lambda: DenseRetriever(PASSAGES, lambda _: np.zeros(3)), r"shape \[4, dimensions\]"),
        (lambda: DenseRetriever(PASSAGES, encode).search(["a"], 0), "k must be at least 1, got 0"),
        (lambda: HybridRetriever([]), "expected retrievers and a depth >= 1, got 0, 50"),
    ],
    ids=["empty", "shape", "k", "none"],
)
def test_a_wrong_use_is_refused(make: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        make()


LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "medquad": (
        "medquad.jsonl.gz",
        {
            "id": "1_x/1",
            "source": "GARD",
            "focus": "Marfan syndrome",
            "qa": [{"question": "What is it?", "answer": "A disease.", "qtype": "information"}],
        },
    ),
    "orphanet": (
        "orphapackets.jsonl",
        {
            "ORPHAcode": "558",
            "Label": "Marfan syndrome",
            "creationDate": "2025-12-09 10:41:42",
            "Synonyms": [{"Synonym": "MFS"}],
            "TextSection": {"Contents": "A disease."},
        },
    ),
    "bioasq": ("bioasq.jsonl", {"pmid": "7", "passages": ["FBN1 is mutated. "]}),
    "pubmed": (
        "pubmed.jsonl",
        {"pmid": "9", "year": "1994", "sections": [{"label": "AIM", "text": "To see."}]},
    ),
}
READ = {
    "medquad": ("MEDQUAD:1_x/1#0", "What is it? A disease.", "MedQuAD GARD"),
    "orphanet": ("ORPHA:558#0", "A disease. Also known as: MFS.", "Orphanet 2025-12-09"),
    "bioasq": ("BIOASQ:7#0", "FBN1 is mutated.", "BioASQ PubMed"),
    "pubmed": ("PMID:9#0", "AIM: To see.", "PubMed 1994"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, line in LINES.values():
        text = json.dumps(line).encode() + b"\n"
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    return tmp_path


@pytest.mark.parametrize("name", LOADERS)
def test_a_public_corpus_is_read_by_name(folder: Path, name: str) -> None:
    for path in (folder, folder / LINES[name][0]):
        (passage,) = load_corpus(name, path)
        assert (passage.id, passage.text, passage.source) == READ[name]


@pytest.mark.parametrize(("year", "source"), [(None, "PubMed"), (1994, "PubMed 1994")])
def test_a_year_may_be_missing_or_a_number(tmp_path: Path, year: Any, source: str) -> None:
    (tmp_path / "pubmed.jsonl").write_text(json.dumps({**LINES["pubmed"][1], "year": year}))
    assert [one.source for one in load_corpus("pubmed", tmp_path)] == [source]


def test_all_corpora_of_a_folder_make_one_index(folder: Path) -> None:
    found = open_corpora(folder).search(["disease"], 9)[0]
    assert {passage.id for passage, _ in found} == {"MEDQUAD:1_x/1#0", "ORPHA:558#0"}


def test_missing_and_unknown_corpora_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no orphapackets\.jsonl\(\.gz\) or orphanet"):
        list(load_corpus("orphanet", tmp_path))
    with pytest.raises(DataError, match="holds none of the corpora bioasq, medquad"):
        open_corpora(tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'medquad'"):
        list(load_corpus("medqad", tmp_path))


@given(st.lists(st.text("abc", min_size=1, max_size=700), max_size=9))
def test_a_document_is_cut_between_words_and_loses_nothing(words: list[str]) -> None:
    passages: list[Passage] = list(cut("d", "t", " ".join(words), "s"))
    assert " ".join(one.text for one in passages) == " ".join(words)
    assert [one.id for one in passages] == [f"d#{i}" for i in range(len(passages))]
    assert all(len(one.text) <= PASSAGE_CHARS for one in passages)
