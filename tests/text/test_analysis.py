"""Text becomes terms by one setting, that an index is stored with."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.text import (
    ANALYSES,
    ENGLISH,
    PLAIN,
    Analysis,
    analyser,
    analysis_of,
    read_analysis,
    words,
    write_analysis,
)

TEXTS = st.text(
    st.characters(max_codepoint=0x17F) | st.sampled_from("αβγςΣ’–−①ﬁＡ\u0301\u200b- 12_"),
    max_size=40,
)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("TNFα", ["tnf", "alpha"]),
        ("TNF-alpha", ["tnf", "alpha"]),
        ("TGF-β1", ["tgf", "beta", "1", "beta1"]),
        ("TGF beta 1", ["tgf", "beta", "1", "beta1"]),
        ("γδ T-cells", ["gamma", "delta", "t", "cell"]),
        ("νόσος", ["νοσοσ"]),
        ("IL2, IL-2 and IL 2", ["il", "2", "il2"] * 3),
        ("il, 2", ["il", "2"]),
        ("type 1A", ["type", "1", "type1", "a", "1a"]),
        ("vitamin A", ["vitamin", "a"]),
        ("COVID-19-related", ["covid", "19", "covid19", "related"]),
        ("a_b", ["a", "b"]),
        ("LAT1", ["lat", "1", "lat1"]),
        ("genes 12", ["gene", "12", "genes12"]),
        ("What are the tumours of children?", ["tumor", "children"]),
        ("leukaemias and genes", ["leukemia", "gene"]),
    ],
)
def test_variants_of_biomedical_text_are_one(text: str, terms: list[str]) -> None:
    found = analyser(Analysis(variants=True, stop_words="english"))(text)
    assert sorted(found) == sorted(terms)
    stem = Stemmer.Stemmer("english").stemWord
    joined = [any(map(str.isdigit, term)) for term in terms]
    stemmed = [one if one_of else stem(one) for one, one_of in zip(terms, joined, strict=True)]
    assert sorted(analyser(ENGLISH)(text)) == sorted(stemmed)


@given(TEXTS)
def test_plain_terms_are_the_words(text: str) -> None:
    assert analyser(PLAIN)(text) == words(text)
    assert analyser(Analysis(stemming="porter"))(text) == [
        Stemmer.Stemmer("porter").stemWord(word) for word in words(text)
    ]


@given(TEXTS, st.sampled_from(sorted(ANALYSES)))
def test_terms_are_words_and_text_parted_by_signs_is_analysed_alone(text: str, name: str) -> None:
    analyse = analyser(ANALYSES[name])
    assert all(words(term) == [term] for term in analyse(text))
    assert analyse(" / ".join(text.split())) == [
        term for one in text.split() for term in analyse(one)
    ]


def test_many_threads_get_the_terms_of_one() -> None:
    texts = [f"Tumours {n} of receptors{n} and il-{n} mutations" for n in range(500)]
    analyse = analyser(Analysis(stemming="english", variants=True))
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(analyse, texts))
    assert together == [analyse(text) for text in texts]


@pytest.mark.parametrize("unit", ["a", "a1", "α", "a-", "a-1", "\u0301\u0327", "_", "is "])
def test_the_time_grows_with_the_text(unit: str) -> None:
    began = time.perf_counter()
    analyser(ENGLISH)(unit * (200_000 // len(unit)))
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("given", "analysis"),
    [
        ("plain", PLAIN),
        ("english", ENGLISH),
        ({}, PLAIN),
        ({"stemming": "german"}, Analysis(stemming="german")),
        (
            '{"stop_words": "english", "variants": true}',
            Analysis(stop_words="english", variants=True),
        ),
        (ENGLISH, ENGLISH),
    ],
    ids=str,
)
def test_an_analysis_is_named_or_described(given: Any, analysis: Analysis) -> None:
    assert analysis_of(given) == analysis


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ("englsh", UnknownNameError, "did you mean 'english'"),
        ({"stemming": "englsh"}, UnknownNameError, "unknown stemming algorithm 'englsh'"),
        ({"stop_words": "french"}, UnknownNameError, "unknown list of stop words 'french'"),
        ({"stems": "english"}, UsageError, "stems"),
        ({"variants": "yes"}, UsageError, "variants"),
        ("{", UsageError, "expected an analysis"),
    ],
    ids=str,
)
def test_what_is_no_analysis_is_told(given: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        analysis_of(given)


def test_an_index_is_asked_with_the_analysis_that_is_stored_with_it() -> None:
    for analysis in (PLAIN, ENGLISH, Analysis(stemming="german")):
        note = write_analysis(analysis)
        assert read_analysis(note, "index") == analysis
        assert read_analysis(note, "index", analysis) == analysis
    with pytest.raises(UsageError, match=r"index .*german.* plain"):
        read_analysis(note, "index", "plain")
    for damaged in (b"", b"{}", note.replace(b"german", b"germ"), note.replace(b"Snowball", b"")):
        with pytest.raises(UsageError):
            read_analysis(damaged, "index")
    with pytest.raises(DataError):
        read_analysis(b"", "index")
