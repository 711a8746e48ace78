"""Frequencies as sources write them, as graphs keep them, and as shares of patients."""

from __future__ import annotations

import pytest

from medenv.kg.documents.frequencies import FREQUENCIES, bounds, canonical, share_of, spellings


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        (" HP:0040281 ", "HP:0040281"),
        ("HP:0040285", "HP:0040285"),
        ("7/12", "7/12"),
        ("7 / 12", "7/12"),
        ("7 of 12", "7/12"),
        ("7 out of 12", "7/12"),
        ("12.5%", "12.5%"),
        (".5 %", ".5%"),
        ("30%-40%", "30-40%"),
        ("30 – 40 %", "30-40%"),
        ("99-80%", "80-99%"),
        ("40-40%", "40%"),
        ("<5%", "0-5%"),
        ("≥ 90%", "90-100%"),
        ("Very frequent (99-80%)", "HP:0040281"),
        ("Obligate (100%)", "HP:0040280"),
        ("Very rare (<4-1%)", "HP:0040284"),
        ("Excluded (0%)", "HP:0040285"),
        ("occasional", "HP:0040283"),
        ("Hallmark", "HP:0040281"),
        ("typical", "HP:0040282"),
    ],
)
def test_what_sources_write_is_kept_in_one_form(written: str, kept: str) -> None:
    assert canonical(written) == kept
    assert canonical(kept) == kept


@pytest.mark.parametrize(
    "written",
    ["often", "5/4", "1/0", "120%", "0.5", "5", "HP:0001250", "-5%", "3/4|1/2", "%", "of"],
)
def test_what_states_no_share_is_none(written: str) -> None:
    assert canonical(written) is None
    assert bounds(written) is None


def test_every_class_lies_within_its_own_range() -> None:
    for term, (words, low, high, share) in FREQUENCIES.items():
        assert canonical(words) == canonical(f"{words.title()} (50%)") == term
        assert bounds(words) == (low, high)
        assert share == share_of(words)
        assert min(low, 0.97) <= share <= high


@pytest.mark.parametrize(
    ("frequency", "range_"),
    [
        ("HP:0040282", (0.3, 0.79)),
        ("3/4", (0.75, 0.75)),
        ("3 of 4", (0.75, 0.75)),
        ("0/9", (0.0, 0.0)),
        ("HP:0040285", (0.0, 0.0)),
        (" <5 %", (0.0, 0.05)),
        (">50%", (0.5, 1.0)),
        ("30-40%", (0.3, 0.4)),
        ("12.5%", (0.125, 0.125)),
        ("5/4", None),
        ("1/0", None),
        ("3/4|1/2", None),
        ("", None),
    ],
)
def test_a_frequency_has_a_range(frequency: str, range_: tuple[float, float] | None) -> None:
    assert bounds(frequency) == range_


@pytest.mark.parametrize(
    ("frequency", "others"),
    [
        ("1/8", ("13%", "12.5%", "1 of 8", "1 out of 8")),
        ("13/13", ("100%", "13 of 13", "13 out of 13")),
        ("12.5%", ("13%",)),
        ("30-40%", ("30%-40%",)),
        ("HP:0040283", ("5%-29%", "5-29%")),
        ("HP:0040280", ("100%",)),
        ("3/4|1/2", ()),
        ("Infantile onset", ()),
    ],
)
def test_a_frequency_may_be_written_in_other_ways(frequency: str, others: tuple[str, ...]) -> None:
    assert spellings(frequency) == others
