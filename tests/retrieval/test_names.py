"""Names that nothing bears are answered with those that somebody may have meant."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from medenv.records import Entity
from medenv.retrieval.names import NameIndex, alike

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


BEHCET = Entity(
    id="X:1", name="Behçet syndrome", kind="disease", aliases=("Adamantiades  disease",)
)
MENIERE = Entity(id="X:2", name="Meniere disease", kind="disease", aliases=("Behcet",))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Behcet syndrome", BEHCET),
        ("BEHÇET  SYNDROME", BEHCET),
        ("Behc\u0327et\nsyndrome", BEHCET),
        ("adamantiades disease", BEHCET),
        (unicodedata.normalize("NFD", "Ménière disease"), MENIERE),
        ("Ménière disease", MENIERE),
        ("behçet", MENIERE),
        ("ｘ:２", MENIERE),
    ],
)
def test_every_spelling_of_a_name_is_found(asked: str, found: Entity) -> None:
    assert NameIndex([BEHCET, MENIERE]).find(asked) == (found,)


def test_of_those_that_bear_a_name_it_is_first_the_one_whose_own_name_it_is() -> None:
    named = Entity(id="X:9", name="Behçet", kind="disease")
    assert NameIndex([MENIERE, named]).find("BEHCET") == (named, MENIERE)


def many() -> list[Entity]:
    """Names of three invented words each, 20,000 of them."""
    rng = np.random.default_rng(0)
    syllables = ["mar", "fan", "dys", "tro", "phy", "gli", "oma", "car", "den", "syn", "ic", "al"]
    words = ["".join(rng.choice(syllables, 3)) for _ in range(3000)]
    picked = rng.choice(words, (20_000, 3))
    return [
        Entity(id=f"X:{number}", name=" ".join(row), kind="disease")
        for number, row in enumerate(picked.tolist())
    ]


def test_among_many_names_a_misspelt_one_is_found() -> None:
    entities = many()
    index = NameIndex(entities)
    rng = np.random.default_rng(1)
    asked, wanted = [], []
    for number in rng.choice(len(entities), 200, replace=False).tolist():
        name = entities[number].name
        at = int(rng.integers(len(name) - 1))
        wanted.append(name)
        asked.append(name[:at] + name[at + 1] + name[at] + name[at + 2 :])
    found = [index.near(name) for name in asked]
    right = sum(name in near for name, near in zip(wanted, found, strict=True))
    assert right >= 198


@pytest.mark.parametrize("text", ["x" * 1_000_000, "marfan " * 100_000, "\u0301\u0327" * 100_000])
def test_a_long_name_is_answered_in_brief(text: str) -> None:
    index = NameIndex(many())
    assert index.find(text) == ()
    assert len(index.unknown("finding", text)) < 500
