"""British and American, plural and singular, Greek letters by name."""

from __future__ import annotations

import pytest

from medenv.text import GREEK, american, singular


@pytest.mark.parametrize(
    ("word", "spelled"),
    [
        ("tumours", "tumors"),
        ("haematoma", "hematoma"),
        ("oesophagus", "esophagus"),
        ("sulphate", "sulfate"),
        ("fibres", "fibers"),
        ("aerobic", "erobic"),
        ("does", "does"),
        ("marfan", "marfan"),
    ],
)
def test_a_word_is_spelled_as_in_america(word: str, spelled: str) -> None:
    assert american(word) == spelled
    assert american(spelled) == spelled


@pytest.mark.parametrize(
    ("word", "one"),
    [
        ("genes", "gene"),
        ("biopsies", "biopsy"),
        ("virus", "virus"),
        ("necrosis", "necrosis"),
        ("abscess", "abscess"),
        ("pancreas", "pancreas"),
        ("gene", "gene"),
    ],
)
def test_an_english_plural_becomes_singular(word: str, one: str) -> None:
    assert singular(word) == one


def test_greek_letters_have_their_english_names() -> None:
    assert (GREEK["α"], GREEK["β"], GREEK["κ"], GREEK["ω"]) == ("alpha", "beta", "kappa", "omega")
    assert len(GREEK) == 24
