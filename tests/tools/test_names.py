"""Names that nothing bears are answered with those that somebody may have meant."""

from __future__ import annotations

import numpy as np
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


@pytest.mark.parametrize(
    "written", ["Behçet disease", "behcet  DISEASE", "Behc\u0327et disease", "Behçet\u00a0disease"]
)
def test_spellings_of_one_name_find_it(written: str) -> None:
    entity = Entity(id="X:1", name="Behçet disease", kind="disease")
    assert NameIndex([entity]).find(written) == (entity,)


def test_of_many_names_the_same_are_near_as_if_all_were_compared() -> None:
    places = ("hand", "foot", "eyelid", "kidney", "heart", "liver", "tooth", "nail", "femur")
    kinds = ("Abnormal", "Enlarged", "Absent", "Short", "Dysplastic", "Painful", "Calcified")
    shapes = ("morphology", "growth", "position", "colour", "texture", "vessel", "tissue", "bone")
    names = [f"{k} {p} {s} {i}" for k in kinds for p in places for s in shapes for i in range(3)]
    index = NameIndex([Entity(id=f"X:{i}", name=n, kind="k") for i, n in enumerate(names)])
    lowered = [name.casefold() for name in names]
    rng = np.random.default_rng(0)
    same = 0
    for _ in range(60):
        name = names[int(rng.integers(len(names)))]
        at = int(rng.integers(1, len(name) - 2))
        asked = name[:at] + name[at + 1 :] if at % 2 else name[:at] + "q" + name[at:]
        expected = [names[place] for place in alike(asked, lowered)]
        assert index.near(asked)[0] == expected[0]
        same += list(index.near(asked)) == expected
    assert same >= 55


@pytest.mark.parametrize("asked", ["", "qqqq", "\ud800", "x" * 1_000_000])
def test_names_like_none_are_near_to_none(asked: str) -> None:
    index = NameIndex([Entity(id="X:1", name="Marfan syndrome", kind="disease")])
    assert index.near(asked) == ()
    assert NameIndex([]).near(asked) == ()
