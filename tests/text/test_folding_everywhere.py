"""One folding of Unicode text for search, names and answers."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.text import fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Behçet", "behcet"),
        ("Behc\u0327et", "behcet"),
        ("ＳＣＮ１Ａ", "scn1a"),
        ("SC\u200bN\u00ad1A", "scn1a"),
        ("Crohn’s", "crohn's"),
        ("X–linked", "x-linked"),
        ("Xarelto™", "xarelto"),
        ("Ca²⁺", "ca2+"),
        ("H₂O", "h2o"),
        ("10²", "10^2"),
        ("10⁻³", "10^-3"),
        ("½", "1/2"),
        ("2½", "2 1/2"),
        ("≠", "=\u0338"),
        ("S\u0336", "s\u0336"),
        ("↓ TSH", "↓ tsh"),
    ],
)
def test_spelling_is_folded_and_meaning_is_kept(text, folded):
    assert fold(text) == folded


@given(st.text(max_size=80))
def test_composed_and_decomposed_text_fold_alike_and_no_further(text):
    folded = fold(text)
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))
    assert fold(folded) == folded or "^" in folded or "/" in folded


@given(st.text(max_size=80))
def test_nothing_invisible_and_no_line_break_is_left(text):
    kinds = {unicodedata.category(char) for char in fold(text)}
    assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn"}
