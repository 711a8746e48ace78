"""Pairs of names that are the same, close or different, made from an ontology's entities."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from medenv.kg import Graph
from medenv.records import Entity

Truth = Literal["same", "slip", "different", "close"]
KINDS = ("disease", "gene", "phenotype")


class Pair(NamedTuple):
    """A gold entity and an answer."""

    truth: Truth
    family: str
    gold: Entity
    answer: str


class World:
    """The entities of a graph with what pairs are drawn from."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        numbers = [n for kind in KINDS for n in graph.of_kind(kind).tolist()]
        entities = {n: graph.entity(n) for n in numbers}
        self.entities = {n: one for n, one in entities.items() if _plain(one.name)}
        self.bearers: dict[str, set[int]] = defaultdict(set)
        for number, entity in self.entities.items():
            for name in (entity.name, *entity.aliases):
                self.bearers[_plain(name)].add(number)

    def named(self, number: int, answer: str) -> bool:
        """Whether the source lists the answer, letter for letter, as a name of the entity."""
        return number in self.bearers.get(_plain(answer), ())

    def shuffled(self, kind: str, seed: int) -> list[int]:
        """All entities of a kind in random order."""
        chosen = [n for n, one in sorted(self.entities.items()) if one.kind == kind]
        return [chosen[i] for i in np.random.default_rng([seed]).permutation(len(chosen))]


def _plain(name: str) -> str:
    """Letters, digits and signs only, so that truth does not hang on punctuation."""
    return re.sub(r"[^\w+%<>=αβγδ]|_", "", name.casefold())


# --- the same, written otherwise -----------------------------------------------------------------

_BRITISH = (
    ("anemi", "anaemi"), ("edema", "oedema"), ("esophag", "oesophag"), ("hemo", "haemo"),
    ("hemat", "haemat"), ("hemangi", "haemangi"), ("tumor", "tumour"), ("leukemia", "leukaemia"),
    ("diarrhea", "diarrhoea"), ("ischemi", "ischaemi"), ("cecum", "caecum"), ("emia", "aemia"),
    ("color", "colour"), ("fiber", "fibre"), ("behavior", "behaviour"), ("sulf", "sulph"),
    ("center", "centre"), ("gray", "grey"), ("odor", "odour"), ("pediatric", "paediatric"),
)  # fmt: skip
_GREEK = (("alpha", "α"), ("beta", "β"), ("gamma", "γ"), ("delta", "δ"))
_ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_PHRASES = (
    "The answer is {}.", "**{}**", "It is {}", "Final answer: {}", "`{}`", "{}.", '"{}"',
    "The answer is: {}", "the {}", "Answer: {}", "This is {}.", " {} \n",
)  # fmt: skip


def _british(name: str) -> str:
    for american, british in _BRITISH:
        if re.search(rf"(?<![ao]){american}", name):
            return re.sub(rf"(?<![ao]){american}", british, name, count=1)
    return name


def _greek(name: str) -> str:
    for word, letter in _GREEK:
        name = re.sub(rf"\b{word}\b", letter, name, flags=re.IGNORECASE)
    return name


def _roman(name: str) -> str:
    def convert(match: re.Match[str]) -> str:
        value = int(match[2])
        return f"{match[1]}{_ROMAN[value]}{match[3]}" if 0 < value < len(_ROMAN) else match[0]

    return re.sub(r"(\btype )(\d+)([A-D]?)\b", convert, name, flags=re.IGNORECASE)


def _spoken(name: str) -> str:
    """Put "Deafness, autosomal recessive 12" in the order in which it is spoken."""
    found = re.fullmatch(r"([^,;()]+), ([^,;()]*[a-z])((?: \d+[A-Z]?)?)", name)
    if found is None or re.match(r"(?:type|and|or|with|due)\b|\d", found[2]):
        return name
    if found[3] and found[2].endswith("type"):  # nobody says "nuclear type ... deficiency 7"
        return name
    return f"{found[2]} {found[1]}{found[3]}".lower()


def _plural(name: str) -> str:
    if re.search(
        r"[a-z]{3,}(?:cyst|fracture|tumor|seizure|ulcer|lesion|nodule|hernia|polyp)$", name
    ):
        return f"{name}s"
    return re.sub(r"([a-z]{4,}[b-df-hj-np-tv-z])y$", r"\1ies", name)


def _unaccented(name: str) -> str:
    return name.translate(str.maketrans("öüäéèáóíñçøå", "ouaeeaoincoa"))


WRITINGS: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "lower case": str.lower,
    "hyphens as spaces": lambda name: name.replace("-", " "),
    "typographic dashes": lambda name: name.replace("-", "–"),
    "typographic apostrophes": lambda name: name.replace("'", "’"),
    "no possessive": lambda name: name.replace("'s ", " "),
    "no accents": _unaccented,
    "British spelling": _british,
    "Greek letters": _greek,
    "Roman numerals": _roman,
    "no commas": lambda name: name.replace(", ", " "),
    "spoken order": _spoken,
    "plural": _plural,
    "the word type left out": lambda name: re.sub(r"\btype (?=\d)", "", name),
    "ampersands": lambda name: name.replace(" and ", " & "),
    "no-break spaces": lambda name: name.replace(" ", "\N{NO-BREAK SPACE}"),
}


def same(world: World, count: int) -> Iterator[Pair]:
    """Synonyms that one entity alone bears, and names written otherwise or in a phrase."""
    for kind in KINDS:
        order = world.shuffled(kind, 1)
        synonyms = [
            Pair("same", f"synonym of a {kind}", world.entities[n], alias)
            for n in order
            for alias in world.entities[n].aliases
            if world.bearers[_plain(alias)] == {n}
        ]
        yield from synonyms[:count]
        for i, number in enumerate(order[:count]):
            entity = world.entities[number]
            phrase = _PHRASES[i % len(_PHRASES)]
            yield Pair("same", f"{kind} in a phrase", entity, phrase.format(entity.name))
    for family, write in WRITINGS.items():
        yield from _written(world, family, write, count)


def _written(world: World, family: str, write: Callable[[str], str], count: int) -> Iterator[Pair]:
    """Names that a way of writing changes, diseases and phenotypes in turn."""
    mixed = zip(world.shuffled("disease", 2), world.shuffled("phenotype", 2), strict=False)
    found = 0
    for number in (n for both in mixed for n in both):
        entity = world.entities[number]
        answer = write(entity.name)
        if answer != entity.name and world.bearers.get(_plain(answer), {number}) == {number}:
            yield Pair("same", family, entity, answer)
            found += 1
        if found == count:
            return


def slips(world: World, count: int) -> Iterator[Pair]:
    """Two neighbouring letters exchanged, or one letter doubled or left out, in a long word."""
    rng = np.random.default_rng([11])
    for number in (
        *world.shuffled("disease", 11)[:count],
        *world.shuffled("phenotype", 11)[:count],
    ):
        entity = world.entities[number]
        words = [match for match in re.finditer(r"[A-Za-z]{8,}", entity.name)]
        if words:
            word = words[int(rng.integers(len(words)))]
            at = int(rng.integers(word.start() + 3, word.end() - 1))
            one, two = entity.name[at], entity.name[at + 1]
            slip = (two + one, one + one + two, two)[int(rng.integers(3))]
            answer = entity.name[:at] + slip + entity.name[at + 2 :]
            if _plain(answer) not in world.bearers:
                yield Pair("slip", f"misspelt {entity.kind}", entity, answer)


# --- not the same --------------------------------------------------------------------------------


def different(world: World, count: int) -> Iterator[Pair]:
    """The name of any other entity of the same kind."""
    for kind in KINDS:
        golds, others = world.shuffled(kind, 3), world.shuffled(kind, 4)
        pairs = _pairs(world, f"another {kind}", zip(golds, others, strict=True), "different")
        yield from _first(pairs, count)


def close(world: World, count: int) -> Iterator[Pair]:
    """Relatives in the ontology, members of a series, and names that look alike."""
    makers: dict[str, Iterator[tuple[int, int]]] = {
        "sibling": _siblings(world),
        "subtype or general class": _kin(world),
        "numbered type": _series(world, "disease", r"\d+[A-Za-z]?$|\d+[A-Z]?(?=,)"),
        "lettered type": _series(world, "disease", r"(?<=\d)[A-Z]$|(?<=type )[A-Z]$"),
        "gene family": _series(world, "gene", r"\d+[A-Z]?\d*$|[A-Z]$"),
        "one word apart, disease": _one_word_apart(world, "disease"),
        "one word apart, phenotype": _one_word_apart(world, "phenotype"),
    }
    for family, numbers in makers.items():
        yield from _first(_pairs(world, family, numbers, "close"), count)
    yield from _first(_one_letter_apart(world), count)
    yield from _first(_renumbered(world), count)
    yield from _first(_opposites(world), count)


def _first(pairs: Iterator[Pair], count: int) -> Iterator[Pair]:
    return (pair for _, pair in zip(range(count), pairs, strict=False))


def _pairs(
    world: World, family: str, numbers: Iterator[tuple[int, int]], truth: Truth
) -> Iterator[Pair]:
    """Pairs of two entities, the other under a name that the source does not give the gold one."""
    for i, (gold, other) in enumerate(numbers):
        entity = world.entities[other]
        names = (entity.name, *entity.aliases)
        answer = names[i % len(names)]
        if gold != other and not world.named(gold, answer):
            yield Pair(truth, family, world.entities[gold], answer)


def _kin(world: World) -> Iterator[tuple[int, int]]:
    for number in world.shuffled("phenotype", 5):
        for parent in world.graph.step(number, "is_a").tolist():
            if parent in world.entities:
                yield number, parent
                yield parent, number


def _siblings(world: World) -> Iterator[tuple[int, int]]:
    rng = np.random.default_rng([6])
    for number in world.shuffled("phenotype", 6):
        parents = world.graph.step(number, "is_a")
        if parents.size:
            family = world.graph.step(int(parents[0]), "has_subtype")
            other = int(family[rng.integers(family.size)])
            if other in world.entities:
                yield number, other


def _series(world: World, kind: str, ending: str) -> Iterator[tuple[int, int]]:
    """Neighbours in a series: names that are one but for a number or a letter at the end."""
    series: dict[str, list[int]] = defaultdict(list)
    for number in world.shuffled(kind, 7):
        name = world.entities[number].name
        if re.search(ending, name):
            series[re.sub(ending, "", name).casefold()].append(number)
    return _neighbours(series)


def _one_word_apart(world: World, kind: str) -> Iterator[tuple[int, int]]:
    """Names of as many words that differ in one of them ("proximal", "distal")."""
    series: dict[str, list[int]] = defaultdict(list)
    for number in world.shuffled(kind, 8):
        words = world.entities[number].name.casefold().split()
        for i in range(len(words)) if len(words) > 1 else ():
            series[" ".join([*words[:i], "*", *words[i + 1 :]])].append(number)
    return _neighbours(series)


def _one_letter_apart(world: World) -> Iterator[Pair]:
    """Names, synonyms too, that are one letter apart."""
    names = sorted(
        (name, number)
        for number, entity in world.entities.items()
        for name in (entity.name, *entity.aliases)
    )
    series: dict[str, list[int]] = defaultdict(list)
    for at, (name, _) in enumerate(names):
        for i in range(len(name)):
            series[f"{name[:i]}*{name[i + 1 :]}".casefold()].append(at)
    for one, other in _neighbours(series):
        (_, gold), (answer, bearer) = names[one], names[other]
        if gold != bearer and not world.named(gold, answer):
            yield Pair("close", "one letter apart", world.entities[gold], answer)


def _neighbours(series: dict[str, list[int]]) -> Iterator[tuple[int, int]]:
    for members in series.values():
        if len(set(members)) > 1:
            yield from zip(members, [*members[1:], members[0]], strict=True)


def _renumbered(world: World) -> Iterator[Pair]:
    """The gold name with another number, whether such a type exists or not."""
    rng = np.random.default_rng([9])
    for number in world.shuffled("disease", 9):
        entity = world.entities[number]
        found = re.search(r"\d+", entity.name)
        if found is not None:
            new = str(int(found[0]) + int(rng.choice([1, 10, 100])))
            answer = entity.name[: found.start()] + new + entity.name[found.end() :]
            if not world.named(number, answer):
                yield Pair("close", "number changed", entity, answer)


_OPPOSITES = (
    ("hyper", "hypo"), ("macro", "micro"), ("left", "right"), ("upper", "lower"),
    ("acute", "chronic"), ("dominant", "recessive"), ("increased", "decreased"),
    ("proximal", "distal"), ("anterior", "posterior"), ("brady", "tachy"), ("poly", "oligo"),
    ("early", "late"), ("superior", "inferior"), ("medial", "lateral"), ("long", "short"),
    ("thick", "thin"), ("absent", "present"), ("unilateral", "bilateral"), ("eso", "exo"),
    ("high", "low"), ("large", "small"), ("typical", "atypical"),
)  # fmt: skip


def _opposites(world: World) -> Iterator[Pair]:
    """The gold name with a word or prefix turned round."""
    for number in (*world.shuffled("phenotype", 10), *world.shuffled("disease", 10)):
        entity = world.entities[number]
        for one, other in (*_OPPOSITES, *((b, a) for a, b in _OPPOSITES)):
            answer = re.sub(rf"\b{one}", other, entity.name, count=1, flags=re.IGNORECASE)
            if answer != entity.name and not world.named(number, answer):
                yield Pair("close", "turned round", entity, answer)
                break
