"""How kinds and entities are named in sentences.

Names are the source's own, letter for letter; those that a sentence would run together with stand
in quotation marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from medenv.kg.graph import Graph
from medenv.kg.graph.schema import ATTRIBUTES, HAS_PHENOTYPE
from medenv.text import fold, fold_name, occurs

NOUNS = {"phenotype": "finding", "onset": "age of onset", "inheritance": "mode of inheritance"}
"""Kinds of nodes whose everyday name is another."""

_PLURALS = {"age of onset": "ages of onset", "mode of inheritance": "modes of inheritance"}
_RUNS_ON = re.compile(r"[,;]| (?:with|without|and|or|due to|of) ")
_UNFIT = re.compile(r"[{}\[\]?\"\x00-\x1f]|^\w+:\w+$")
_FEATURES = {kind for kind, relation in ATTRIBUTES.items() if relation != HAS_PHENOTYPE}


def noun(kind: str) -> str:
    """Return the everyday word for a kind of node.

    Args:
        kind: Such as ``"phenotype"``.
    """
    return NOUNS.get(kind, kind.replace("_", " "))


def nouns(kind: str) -> str:
    """Return the everyday word for several nodes of a kind: ``"findings"``, ``"anatomies"``.

    Args:
        kind: Such as ``"phenotype"``.
    """
    one = noun(kind)
    if one in _PLURALS:
        return _PLURALS[one]
    if re.search(r"[^aeiou]y$", one):
        return f"{one[:-1]}ies"
    return f"{one}es" if re.search(r"(s|x|z|ch|sh)$", one) else f"{one}s"


def a_noun(kind: str) -> str:
    """Return the word for a kind of node with its article: ``"an enzyme"``.

    Args:
        kind: Such as ``"phenotype"``.
    """
    return f"{'an' if noun(kind)[:1] in 'aeiou' else 'a'} {noun(kind)}"


def titled(graph: Graph, node: int) -> str:
    """Return a name as it stands in a sentence: in quotation marks where it would run on.

    Args:
        graph: The graph.
        node: The node.
    """
    name, kind = graph.nodes.names[node], graph.kind(node)
    if kind == "gene" or (kind == "disease" and not _RUNS_ON.search(name)):
        return name
    return f'"{name}"'


def called(graph: Graph, node: int) -> str:
    """Return how a node is named with its kind: ``'the finding "Tall stature"'``.

    Args:
        graph: The graph.
        node: The node.
    """
    kind, name = graph.kind(node), graph.nodes.names[node]
    if kind == "disease":
        return titled(graph, node)
    if kind in _FEATURES and name.lower().endswith(kind):
        return lowered(name)
    return f"the {noun(kind)} {titled(graph, node)}"


def joined(parts: Sequence[str], last: str = "and") -> str:
    """Return parts as a list in a sentence: ``"a, b and c"``.

    Args:
        parts: At least one.
        last: The word before the last part.
    """
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def lowered(name: str) -> str:
    """Return a name in lower case at its beginning, unless that is a symbol such as in X-linked."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def unfit(name: str) -> bool:
    """Return whether a name carries a catalogue's notation (braces, question marks, an id)."""
    return not name.strip() or _UNFIT.search(name) is not None


def mentions(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that occur in a text as whole words, however spelled, in the order given."""
    folded = fold(text)
    return tuple(name for name in names if occurs(fold_name(name.strip()), folded))
