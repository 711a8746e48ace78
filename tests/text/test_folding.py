"""One folding for every spelling of a word, in time that grows with the text."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.text import fold, occurs, words

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
LETTERS = st.text(
    st.one_of(
        st.characters(max_codepoint=0x17F), st.sampled_from("αβγςΣᾳ’–−①ﬁＡ\u0301\u0327\u200b")
    ),
    max_size=30,
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Behçet", "behcet"),
        ("MÉNIÈRE’S", "meniere's"),
        ("Charcot–Marie–Tooth", "charcot-marie-tooth"),
        ("Straße", "strasse"),
        ("ＴＮＦα", "tnfα"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("ᾳ", "αι"),
        ("5\u00a0µg\ttwice", "5 μg twice"),
        ("Mar\u200bfan\u00ad", "marfan"),
        ("a\x00b\nc", "ab c"),
    ],
)
def test_every_form_of_a_text_folds_alike(form: str, text: str, folded: str) -> None:
    assert fold(unicodedata.normalize(form, text)) == folded  # type: ignore[arg-type]  # a form


@given(LETTERS)
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert len({fold(unicodedata.normalize(form, text)) for form in FORMS}) == 1
    assert fold(fold(text, keep_case=True)) == fold(text)


def test_capitals_stay_where_they_tell_names_apart() -> None:
    assert fold("ＲEST of Behçet", keep_case=True) == "REST of Behcet"
    assert fold("REST", keep_case=True) != fold("rest", keep_case=True)


@pytest.mark.parametrize(
    "unit", ["\u0301\u0327", "é", "\u0345\u0301", "\U0001d15e", "\u0345\U0001d165"]
)
def test_the_time_grows_with_the_text(unit: str) -> None:
    began = time.perf_counter()
    fold("a" + unit * 100_000)
    assert time.perf_counter() - began < 5  # Unicode's own normal forms take minutes


def test_words_are_those_of_the_folded_text() -> None:
    assert words("Type 1, β-blocker; 5 µg of Behc\u0327et!") == [
        *("type", "1", "β", "blocker", "5", "μg", "of", "behcet"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("gout", "gout", True),
        ("gout", "(gout)", True),
        ("gout", "gouty", False),
        ("gout", "agout gout", True),
        ("gout", "gout_1", False),
        ("a a", "a a_a a", False),
        ("a a", "a aa a a", True),
        ("+", "1+", False),
        ("", "text", False),
        ("name", "", False),
    ],
)
def test_a_name_occurs_as_whole_words(name: str, text: str, found: bool) -> None:
    assert occurs(name, text) is found
