"""BM25 against the formula written out, and what else a rollout relies on."""

from __future__ import annotations

import math
import pickle
import re
import shutil
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import Stemmer

from medenv.errors import DataError, UsageError
from medenv.records import Passage
from medenv.retrieval import BM25Retriever, PassageStore
from medenv.retrieval.bm25 import open_bm25
from medenv.text import ANALYSES
from medenv.text.analysis import STOP_WORDS

from ..fakes import PASSAGES

WORDS = ["type", "1", "2", "fever", "β", "gene", "syndrome", "of", "the", "hand", "µg", "a"]


def passages(count: int = 60, seed: int = 0) -> list[Passage]:
    """Passages of random words, some of them equal texts under different ids."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        words = rng.choice(WORDS, int(rng.integers(1, 15)))
        made.append(
            Passage(id=f"d{number % 7}:{number}", title=str(words[0]), text=" ".join(words[1:]))
        )
    return made + [Passage(id=f"twin{n}", title="Twin", text="fever of the hand") for n in "cab"]


Terms = Callable[[str], list[str]]


def plain_terms(text: str) -> list[str]:
    """Words in lower case without accents, character by character."""
    out = [""]
    for char in unicodedata.normalize("NFKD", text):
        if char.isalnum() or char == "_":
            out[-1] += char.lower()
        elif not unicodedata.combining(char):
            out.append("")
    return [word for word in out if word]


def stemmed_terms(text: str) -> list[str]:
    """The same, stemmed all at once."""
    stems: list[str] = Stemmer.Stemmer("porter").stemWords(plain_terms(text))
    return stems


def english_terms(text: str) -> list[str]:
    """The terms of `ENGLISH`, by replacement in the whole text."""
    text = " ".join(unicodedata.normalize("NFKD", text).split()).lower()
    text = re.sub("[\u0300-\u036f]", "", text).replace("tumour", "tumor").replace("aemia", "emia")
    text = re.sub(rf"\b({'|'.join(STOP_WORDS)})\b", ".", text)
    text = text.replace("α", " alpha ").replace("β", " beta ").replace("µ", " mu ")
    text = text.replace("μ", " mu ")
    joined = re.findall(r"(?=(?<![a-z])([a-z]+)(?:-| *)(\d+))", text)
    joined += re.findall(r"(?=(?<!\d)(\d+)([a-z]+))", text)
    stem = Stemmer.Stemmer("english").stemWord
    return [*map(stem, re.findall(r"[a-z]+|\d+", text)), *map("".join, joined)]


def bm25(
    query: str,
    corpus: list[Passage],
    k1: float = 1.5,
    b: float = 0.75,
    title_weight: int = 1,
    terms: Terms = plain_terms,
) -> Counter[str]:
    """The formula of the retriever's docstring, term by term in double precision."""
    texts = {p.id: terms(p.title) * title_weight + terms(p.text) for p in corpus}
    mean = sum(map(len, texts.values())) / len(texts)
    scores: Counter[str] = Counter()
    for term in terms(query):
        holders = sum(term in text for text in texts.values())
        idf = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        for name, text in texts.items():
            f = text.count(term)
            if f:
                scores[name] += idf * f / (f + k1 * (1 - b + b * len(text) / mean))
    return scores


def assert_scores(found: list[tuple[Passage, float]], expected: Counter[str]) -> None:
    assert {p.id for p, _ in found} == set(expected)
    for passage, score in found:
        assert score == pytest.approx(expected[passage.id], rel=1e-5)
    assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)


@pytest.mark.parametrize(
    ("k1", "b", "title_weight"), [(1.5, 0.75, 1), (0.9, 0.4, 1), (1.2, 0.0, 3), (0.0, 1.0, 2)]
)
@pytest.mark.parametrize(
    "query", ["type 1 fever", "β", "fever fever gene", "the hand OF", "nothing"]
)
def test_scores_are_those_of_the_formula(
    query: str, k1: float, b: float, title_weight: int
) -> None:
    corpus = passages()
    retriever = BM25Retriever(corpus, k1=k1, b=b, title_weight=title_weight)
    (found,) = retriever.search([query], len(corpus))
    assert_scores(found, bm25(query, corpus, k1, b, title_weight))


PROSE = [
    Passage(id="1", title="TNFα", text="Tumours of the liver respond to TNF-alpha (5 µg)."),
    Passage(id="2", title="Leukaemias", text="IL-2 and IL2 receptors in leukemia; LATS1."),
    Passage(id="3", title="LAT1", text="What is LAT1? A transporter of tumor cells."),
    Passage(id="4", title="Ménière disease", text="Vertigo, hearing losses, β-blockers."),
    Passage(
        id="5", title="Behc\u0327et", text="Ulcers and uveitis are treated with TNF α blockers."
    ),
]


@pytest.mark.parametrize(
    ("analysis", "terms"),
    [("plain", plain_terms), ({"stemming": "porter"}, stemmed_terms), ("english", english_terms)],
    ids=["plain", "porter", "english"],
)
@pytest.mark.parametrize(
    "query",
    [
        "What is the treatment of tumours with TNF alpha blockers?",
        "IL 2 receptor in leukaemia",
        "lats1 LAT1 transporters",
        "MENIERE's vertigo, 5 μg",
        "Behçet ulcer ulcer",
    ],
)
def test_scores_are_those_of_the_formula_over_the_terms_of_the_analysis(
    analysis: Any, terms: Terms, query: str
) -> None:
    corpus = [*passages(), *PROSE]
    (found,) = BM25Retriever(corpus, analysis=analysis).search([query], len(corpus))
    assert found
    assert_scores(found, bm25(query, corpus, terms=terms))


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Behcet", "Behc\u0327et"),
        ("BEHÇET", "Behc\u0327et"),
        ("Ménière", "Ménière disease"),
        (unicodedata.normalize("NFD", "Ménière"), "Ménière disease"),
        ("Meniere", "Ménière disease"),
        ("ＬＡＴ１", "LAT1"),
        ("Méni\u00adère", "Ménière disease"),
    ],
)
@pytest.mark.parametrize("analysis", sorted(ANALYSES))
def test_every_spelling_finds_the_disease(analysis: str, query: str, title: str) -> None:
    (found,) = BM25Retriever(PROSE, analysis=analysis).search([query], 1)
    assert [passage.title for passage, _ in found] == [title]


@pytest.mark.parametrize(
    "spellings",
    [
        ("TNFα", "TNF-alpha", "TNF alpha", "tnf-α", "ＴＮＦα"),
        ("IL2", "IL-2", "IL 2", "il‑2"),
        ("liver tumour", "liver tumors", "LIVER TUMOR"),
        ("leukaemia", "leukemia", "leukaemias"),
        ("β-blocker", "beta blockers", "Beta-Blocker"),
    ],
    ids=lambda spellings: spellings[0],
)
def test_variants_of_a_term_have_one_ranking(spellings: tuple[str, ...]) -> None:
    for analysis in ("english", {"variants": True}):
        retriever = BM25Retriever(PROSE, analysis=analysis)
        first, *others = retriever.search(spellings, 5)
        assert first
        assert others == [first] * len(others)


def test_a_symbol_is_told_from_another_that_has_its_stem() -> None:
    retriever = BM25Retriever(PROSE, analysis="english")
    for query, found in (("LATS1", "2"), ("LATS-1", "2"), ("lats 1", "2"), ("LAT1", "3")):
        assert retriever.search([query], 1)[0][0][0].id == found


@pytest.mark.parametrize(
    "query",
    [
        " ".join(f"w{n}" for n in range(40_000)),
        "w7 " * 40_000,
        " ".join(f"only{n}" for n in range(40_000)),
    ],
    ids=["many words", "one word", "a word for each passage"],
)
def test_the_time_for_a_query_grows_with_its_length(query: str) -> None:
    retriever = BM25Retriever(
        Passage(id=f"{n:05}", title=f"only{n}", text=f"w{n} w{n // 2} w7") for n in range(20_000)
    )
    retriever.search(["w1"], 3)
    began = time.perf_counter()
    assert len(retriever.search([query], 5)[0]) == 5
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_first_k_are_the_first_of_all(k: int) -> None:
    retriever = BM25Retriever(passages())
    queries = ["fever of the hand", "gene 2", "syndrome a"]
    for few, everything in zip(
        retriever.search(queries, k), retriever.search(queries, 1000), strict=True
    ):
        assert few == everything[:k]


@pytest.mark.parametrize("length", [2, 12, 80])
def test_words_left_out_and_words_said_often_change_no_ranking(length: int) -> None:
    rng = np.random.default_rng(length)
    share = 1 / (np.arange(400) + 2.7)  # a few words everywhere, most of them rare

    def draw(count: int) -> str:
        return " ".join(f"w{word}" for word in rng.choice(400, count, p=share / share.sum()))

    corpus = [Passage(id=f"Z:{i}", title=draw(1), text=draw(30)) for i in range(1500)]
    queries = [draw(length) for _ in range(40)]
    retriever = BM25Retriever(corpus)
    for few, everything in zip(
        retriever.search(queries, 10), retriever.search(queries, 1500), strict=True
    ):
        assert few == everything[:10]
    expected = bm25(queries[0], corpus)
    for passage, score in retriever.search(queries[:1], 10)[0]:
        assert score == pytest.approx(expected[passage.id], rel=1e-5)


def test_ties_go_by_passage_id_whatever_the_order_of_the_corpus() -> None:
    for corpus in (passages(), passages()[::-1]):
        (found,) = BM25Retriever(corpus).search(["twin"], 3)
        assert [passage.id for passage, _ in found] == ["twina", "twinb", "twinc"]


def test_single_characters_and_digits_are_words() -> None:
    corpus = [
        Passage(id="1", title="Diabetes type 1", text="x"),
        Passage(id="2", title="Diabetes type 2", text="x"),
    ]
    (found,) = BM25Retriever(corpus).search(["diabetes type 2"], 1)
    assert found[0][0].id == "2"


def test_titles_are_searched() -> None:
    (found,) = BM25Retriever(passages()).search(["Twin"], 5)
    assert {passage.title for passage, _ in found} == {"Twin"}


def test_a_heavier_title_lifts_the_document_about_it() -> None:
    corpus = [
        Passage(id="about", title="Fever", text="a long text " * 8),
        Passage(id="mentions", title="Hand", text="fever"),
    ]
    light = BM25Retriever(corpus).search(["fever"], 1)[0]
    heavy = BM25Retriever(corpus, title_weight=4).search(["fever"], 1)[0]
    assert (light[0][0].id, heavy[0][0].id) == ("mentions", "about")


@pytest.mark.parametrize("query", ["", "  ", "zzz", "?!"])
def test_a_query_without_known_words_finds_nothing(query: str) -> None:
    assert BM25Retriever(passages()).search([query], 3) == [[]]


def test_a_passage_without_words_is_kept_and_never_found() -> None:
    retriever = BM25Retriever([*PASSAGES, Passage(id="empty", title="", text="")])
    assert retriever.get("empty") is not None
    assert [p.id for p, _ in retriever.search(["myopia"], 9)[0]] == ["D:2#0"]


def test_passages_are_got_by_id() -> None:
    retriever = BM25Retriever(passages())
    twin = retriever.get("twina")
    assert twin is not None
    assert twin.text == "fever of the hand"
    assert retriever.get("none") is None


def test_a_saved_index_answers_as_the_fresh_one(tmp_path: Path) -> None:
    fresh = BM25Retriever(passages(), k1=1.2, title_weight=2)
    fresh.save(tmp_path / "index")
    saved = open_bm25(tmp_path / "index")
    queries = ["fever of the hand", "type 1", "β µg"]
    assert saved.search(queries, 9) == fresh.search(queries, 9)


def test_a_saved_index_is_asked_with_the_analysis_that_it_was_made_by(tmp_path: Path) -> None:
    for name, analysis in ANALYSES.items():
        fresh = BM25Retriever(PROSE, analysis=name)
        fresh.save(tmp_path / name)
        for wanted in (None, name, analysis):
            saved = open_bm25(tmp_path / name, analysis=wanted)
            assert saved.analysis == analysis
            assert saved.search(["tumour of the liver"], 5) == fresh.search(
                ["tumour of the liver"], 5
            )
    with pytest.raises(UsageError, match=r"analysis english.* plain"):
        open_bm25(tmp_path / "english", analysis="plain")


@pytest.mark.parametrize(
    ("old", "new"),
    [(None, None), ('"revision":1', '"revision":0'), ("Snowball ", "Snowball 0."), ("{", "")],
    ids=["no note", "other revision", "other stemmer", "no JSON"],
)
def test_an_index_of_unknown_terms_is_refused(
    tmp_path: Path, old: str | None, new: str | None
) -> None:
    BM25Retriever(PROSE, analysis="english").save(tmp_path)
    note = tmp_path / "analysis.json"
    text = note.read_text()
    note.unlink()
    if old is not None and new is not None:
        assert old in text
        note.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=r"(build it again|rebuild the index)"):
        BM25Retriever.load(tmp_path)


def test_a_saved_index_is_memory_mapped(tmp_path: Path) -> None:
    BM25Retriever(passages()).save(tmp_path)
    data = tmp_path / "data.csc.index.npy"
    saved = BM25Retriever.load(tmp_path)
    before = saved.search(["twin"], 1)[0][0][1]
    values = np.load(data, mmap_mode="r+")
    values *= 2
    values.flush()
    assert saved.search(["twin"], 1)[0][0][1] == pytest.approx(2 * before)


def test_a_retriever_survives_pickling() -> None:
    fresh = BM25Retriever(passages(), analysis="english")
    copy = pickle.loads(pickle.dumps(fresh))
    assert copy.search(["fever"], 5) == fresh.search(["fever"], 5)


@pytest.mark.parametrize("analysis", sorted(ANALYSES))
def test_many_threads_get_the_answers_of_one(analysis: str) -> None:
    retriever = BM25Retriever(passages(400), analysis=analysis)
    queries = [" ".join(WORDS[i % 12 : i % 12 + 3]) for i in range(200)]
    alone = [retriever.search([query], 5) for query in queries]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: retriever.search([query], 5), queries))
    assert together == alone


@pytest.mark.parametrize("missing", ["passages.jsonl", "data.csc.index.npy", "vocab.index.json"])
def test_an_index_without_a_file_is_refused(tmp_path: Path, missing: str) -> None:
    BM25Retriever(passages()).save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(DataError, match=r"cannot be read|no readable BM25 index"):
        BM25Retriever.load(tmp_path)


@pytest.mark.parametrize("cut", ["data.csc.index.npy", "indices.csc.index.npy"])
def test_an_index_that_was_cut_short_is_refused(tmp_path: Path, cut: str) -> None:
    BM25Retriever(passages()).save(tmp_path)
    file = tmp_path / cut
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(DataError, match="no readable BM25 index"):
        BM25Retriever.load(tmp_path)


def test_an_index_of_other_passages_is_refused(tmp_path: Path) -> None:
    BM25Retriever(passages()).save(tmp_path)
    PassageStore(passages(5)).save(tmp_path / "passages.jsonl")
    with pytest.raises(DataError, match="of another passages"):
        BM25Retriever.load(tmp_path)


def test_an_index_of_as_many_other_passages_is_refused(tmp_path: Path) -> None:
    BM25Retriever(passages()).save(tmp_path / "index")
    BM25Retriever(passages(seed=1)).save(tmp_path / "other")
    for name in ("passages.jsonl", "passages.jsonl.lines.npy"):
        shutil.copy(tmp_path / "other" / name, tmp_path / "index" / name)
    with pytest.raises(DataError, match=r"of another passages\.jsonl: build it again"):
        BM25Retriever.load(tmp_path / "index")


def test_an_index_is_replaced_as_a_whole_and_nothing_else_is(tmp_path: Path) -> None:
    BM25Retriever(passages()).save(tmp_path / "index")
    BM25Retriever(passages(5)).save(tmp_path / "index")
    assert len(BM25Retriever.load(tmp_path / "index").passages) == 8
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(DataError, match="not empty"):
        BM25Retriever(passages()).save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


def test_a_file_of_passages_is_indexed_when_opened(tmp_path: Path) -> None:
    PassageStore(passages()).save(tmp_path / "p.jsonl")
    assert open_bm25(tmp_path / "p.jsonl").search(["twin"], 3) == BM25Retriever(passages()).search(
        ["twin"], 3
    )


@pytest.mark.parametrize(
    "wrong", [{"k1": -1.0}, {"b": 1.5}, {"b": -0.1}, {"title_weight": 0}], ids=str
)
def test_impossible_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="BM25 needs k1 >= 0, 0 <= b <= 1 and title_weight >= 1"):
        BM25Retriever(passages(), **wrong)  # type: ignore[arg-type]  # from a table


def test_a_corpus_without_a_word_and_an_empty_list_are_refused() -> None:
    for corpus in ([], [Passage(id="a", title="", text="?!")]):
        with pytest.raises(UsageError, match=f"at least one word, got {len(corpus)} empty"):
            BM25Retriever(corpus)
    with pytest.raises(UsageError, match="k must be at least 1, got 0"):
        BM25Retriever(passages()).search(["fever"], 0)


def every_posting(retriever: BM25Retriever, query: str, k: int) -> list[tuple[str, np.float32]]:
    """The best of all documents, every posting added up in the order of the query."""
    data, indices, indptr, _ = retriever._arrays
    scores = np.zeros(len(retriever.passages), np.float32)
    for word, times in Counter(plain_terms(query)).items():
        token = retriever._vocabulary.get(word)
        if token is not None:
            pairs = slice(indptr[token], indptr[token + 1])
            scores[indices[pairs]] += np.float32(times) * data[pairs]
    order = [n for n in np.lexsort((np.arange(len(scores)), -scores)) if scores[n] > 0]
    return [(retriever.passages[int(n)].id, scores[n]) for n in order[:k]]


@pytest.mark.parametrize("k", [1, 3, 10, 500])
@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.6])
def test_postings_that_are_left_out_change_neither_order_nor_a_single_bit(
    k: int, exponent: float
) -> None:
    rng = np.random.default_rng([k, int(10 * exponent)])
    share = 1 / np.arange(2, 802) ** exponent
    words = rng.choice(800, (1500, 12), p=share / share.sum())
    retriever = BM25Retriever(
        Passage(id=f"d{n:04}", title="", text=" ".join(f"w{word}" for word in row))
        for n, row in enumerate(words)
    )
    asked = [rng.choice(800, int(rng.integers(1, 9)), p=share / share.sum()) for _ in range(60)]
    asked += [rng.choice(words[n], 6) for n in range(60)]
    asked += [rng.choice(800, 60, p=share / share.sum()) for _ in range(30)]  # words said often
    for row in asked:
        query = " ".join(f"w{word}" for word in row)
        (found,) = retriever.search([query], k)
        assert [(one.id, np.float32(score)) for one, score in found] == every_posting(
            retriever, query, k
        )
