"""Names that nothing bears are answered with those that somebody may have meant."""

from __future__ import annotations

import pytest

from medenv.records import Entity
from medenv.tools.names import NameIndex, alike

NAMES = (
    "Marfan syndrome",
    "Marfan lipodystrophy syndrome",
    "Maceration",
    "MAFA",
    "Ehlers-Danlos syndrome, classic type, 1",
    "Gaucher disease, type I",
    "Gaucher cells",
    "Parkinsonism",
    "Parkinson disease 4",
    "Cystic fibrosis",
    "Hepatic fibrosis",
    "FBN1",
    "FBN2",
)
LOWERED = [name.casefold() for name in NAMES]


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("marfan", ["Marfan syndrome", "Marfan lipodystrophy syndrome"]),
        ("marfn", ["Marfan syndrome"]),
        ("marfan syndrom", ["Marfan syndrome"]),
        ("ehlers danlos", ["Ehlers-Danlos syndrome, classic type, 1"]),
        ("gaucher disease", ["Gaucher disease, type I"]),
        ("gaucher", ["Gaucher cells", "Gaucher disease, type I"]),
        ("parkinson", ["Parkinsonism", "Parkinson disease 4"]),
        ("cystic fibrosi", ["Cystic fibrosis", "Hepatic fibrosis"]),
        ("fbn", ["FBN1", "FBN2"]),
    ],
)
def test_what_is_alike_in_the_whole_or_begins_alike_is_found(asked: str, first: list[str]) -> None:
    found = [NAMES[place] for place in alike(asked, LOWERED)]
    assert found[: len(first)] == first
    assert len(found) <= 3


@pytest.mark.parametrize("asked", ["", "zzzz", "\x00", "sindrome de marfan"])
def test_what_is_like_nothing_finds_nothing(asked: str) -> None:
    assert alike(asked, LOWERED) == []


def test_of_a_long_text_the_first_hundred_characters_are_looked_at() -> None:
    name = " ".join(f"finding {i}" for i in range(12))
    assert len(name) > 100
    assert alike(name[:100] + " and more" * 100_000, [*LOWERED, name]) == [len(LOWERED)]
    assert alike("x" * 100 + name, [*LOWERED, name]) == []


def test_an_entity_is_named_once_however_many_of_its_names_are_alike() -> None:
    index = NameIndex(
        [
            Entity(
                id="X:1", name="Marfan syndrome", kind="disease", aliases=("Marfan's syndrome",)
            ),
            Entity(id="X:2", name="Marinesco syndrome", kind="disease"),
        ]
    )
    assert index.near("Marfan syndrom") == ("Marfan syndrome", "Marinesco syndrome")
    assert index.unknown("disease", "Marfan") == (
        "no disease is named 'Marfan'; did you mean 'Marfan syndrome'?"
    )
