"""Names as they are shown: repaired where a source glued words or wrote names of people small.

Offensive words are left out.

What a source wrote stays an accepted name.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import msgspec

from medenv.kg.graph import Graph

_OFFENSIVE = re.compile(r"(?i)\b(?:mental(?:ly)? retard\w*|idio(?:cy|t)\w*|imbecil\w*|mongol\w*)")
_PRESENT_WORDS = (
    (re.compile(r"(?i)\bmental retardation\b"), "intellectual disability"),
    (re.compile(r"(?i)\bmentally retarded\b"), "intellectually disabled"),
)
_COMMA = re.compile(r",(?=[^\W\d])")
_GLUED = re.compile(r"\b([A-Za-z]{4,}?)(and|with|or|of)\b")
_SHOUTED = re.compile(r"[A-Z]{7,}(?:[ ,-]+[A-Z]{3,})*")
_WORD = re.compile(r"[a-z]+")
_KNOWN = 3  # a word that stands so often in names is a word
_LETTERS = re.compile(r"[^\W\d_]+")
_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_CHROMOSOMES = re.compile(r"\b(4[4-9],\s?)(x{1,4}y{0,2})\b")


def with_shown_names(graph: Graph, kind: str = "disease") -> tuple[Graph, dict[str, int]]:
    """Return a graph whose names of a kind may be shown, and counts of what changed.

    Args:
        graph: The graph.
        kind: Kind of the nodes.
    """
    nodes, counts = graph.nodes, Counter[str]()
    vocabulary = Counter(word for name in nodes.names for word in _WORD.findall(name.lower()))
    proper = _proper_names(graph, kind)
    names, aliases = list(nodes.names), list(nodes.aliases)
    accepted = list(nodes.accepted or ((),) * len(names))
    for node in graph.of_kind(kind).tolist():
        before = (names[node], *aliases[node])
        shown = [_repaired(name, vocabulary, proper) for name in before]
        offensive = [bool(_OFFENSIVE.search(name)) for name in shown]
        if offensive[0]:
            name = next((n for n, bad in zip(shown, offensive, strict=True) if not bad), None)
            shown[0], offensive[0] = name or _in_present_words(shown[0]), False
        kept = [n for n, bad in zip(shown, offensive, strict=True) if not bad]
        names[node], aliases[node] = (
            kept[0],
            tuple(dict.fromkeys(n for n in kept[1:] if n != kept[0])),
        )
        left = [name for name in before if name not in kept]
        accepted[node] = tuple(dict.fromkeys((*accepted[node], *left)))
        counts["names repaired or replaced for display"] += names[node] != before[0]
        counts["offensive names, accepted and not shown"] += sum(
            map(bool, map(_OFFENSIVE.search, left))
        )
    changed = msgspec.structs.replace(
        nodes, names=tuple(names), aliases=tuple(aliases), accepted=tuple(accepted)
    )
    return replace(graph, nodes=changed), dict(counts)


class _Proper(NamedTuple):
    """Words of names of people and places.

    Attributes:
        alone: Those that are so wherever they stand.
        joined: Those that are so where a hyphen joins them to one of these: Marie-Tooth.
    """

    alone: frozenset[str]
    joined: frozenset[str]


def _proper_names(graph: Graph, kind: str) -> _Proper:
    """Return the words that names of a kind write large much more often than small.

    First words are large in any case and do not count, nor do words that other kinds write small.
    """
    nodes, large, small = graph.nodes, Counter[str](), Counter[str]()
    own = frozenset(graph.of_kind(kind).tolist())
    ordinary: set[str] = set()
    for node, name in enumerate(nodes.names):
        if node not in own:
            ordinary.update(word for word in _LETTERS.findall(name) if word.islower())
            continue
        for one in (name, *nodes.aliases[node]):
            for word in _LETTERS.findall(one)[1:]:
                if word.islower():
                    small[word] += 1
                elif word.istitle():
                    large[word.lower()] += 1
    often = {word for word, times in large.items() if len(word) > 3 and times >= 2}
    alone = {word for word in often - ordinary if large[word] >= 3 * small[word]}
    joined = {word for word in often if large[word] > small[word]}
    return _Proper(frozenset(alone), frozenset(joined))


def _repaired(name: str, vocabulary: Counter[str], proper: _Proper) -> str:
    """Return a name with a space after each comma and between words that were glued together."""

    def apart(found: re.Match[str]) -> str:
        rare = vocabulary[found[0].lower()] < _KNOWN
        known = vocabulary[found[1].lower()] >= _KNOWN
        return f"{found[1]} {found[2]}" if rare and known else found[0]

    def large(found: re.Match[str]) -> str:
        words = found[0].split("-")
        if not any(word.lower() in proper.alone for word in words):
            return found[0]
        return "-".join(word.capitalize() if word in proper.joined else word for word in words)

    if _SHOUTED.fullmatch(name):
        name = name.capitalize()
    name = _CHROMOSOMES.sub(lambda found: found[1] + found[2].upper(), name)
    return _COMPOUND.sub(large, _GLUED.sub(apart, _COMMA.sub(", ", name)))


def _in_present_words(name: str) -> str:
    for old, new in _PRESENT_WORDS:
        at_start = old.match(name)
        name = old.sub(new, name)
        name = f"{name[:1].upper()}{name[1:]}" if at_start else name
    return name
