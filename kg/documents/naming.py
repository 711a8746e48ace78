"""Names of kinds and entities in sentences.

Names are those of the source, unchanged; names that could merge with a sentence are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from medenv.kg.graph import Graph
from medenv.kg.graph.schema import ATTRIBUTES, HAS_PHENOTYPE
from medenv.text import fold, fold_name, lowered, occurs

NOUNS = {
    "phenotype": "finding",
    "onset": "age of onset",
    "inheritance": "mode of inheritance",
    "chemical_substance": "substance",
    "organism_taxon": "organism",
    "phenotypic_feature": "feature",
    "gross_anatomical_structure": "part of the body",
    "cellular_component": "part of the cell",
}
"""Node kinds to their common names, if different."""

_PLURALS = {
    "age of onset": "ages of onset",
    "mode of inheritance": "modes of inheritance",
    "part of the body": "parts of the body",
    "part of the cell": "parts of the cell",
}
_RUNS_ON = re.compile(r"[,;]| (?:with|without|and|or|due to|of) ")
_UNFIT = re.compile(r"[{}\[\]?\"\x00-\x1f]|^\w+:\w+$")
_FEATURES = {kind for kind, relation in ATTRIBUTES.items() if relation != HAS_PHENOTYPE}


def noun(kind: str) -> str:
    """Return the common noun for a node kind.

    Args:
        kind: Node kind, e.g. ``"phenotype"``.
    """
    return NOUNS.get(kind, kind.replace("_", " "))


def nouns(kind: str) -> str:
    """Return the plural of the common noun for a node kind: ``"findings"``, ``"anatomies"``.

    Args:
        kind: Node kind, e.g. ``"phenotype"``.
    """
    singular = noun(kind)
    if singular in _PLURALS:
        return _PLURALS[singular]
    if re.search(r"[^aeiou]y$", singular):
        return f"{singular[:-1]}ies"
    return f"{singular}es" if re.search(r"(s|x|z|ch|sh)$", singular) else f"{singular}s"


def a_noun(kind: str) -> str:
    """Return the common noun for a node kind with its article: ``"an enzyme"``.

    Args:
        kind: Node kind, e.g. ``"phenotype"``.
    """
    return f"{'an' if noun(kind)[:1] in 'aeiou' else 'a'} {noun(kind)}"


def titled(graph: Graph, node: int) -> str:
    """Return a node's name for use in a sentence, quoted if it could merge with the sentence.

    Args:
        graph: The graph.
        node: The node.
    """
    name, kind = graph.nodes.names[node], graph.kind(node)
    if kind == "gene" or (kind == "disease" and not _RUNS_ON.search(name)):
        return name
    return f'"{name}"'


def called(graph: Graph, node: int) -> str:
    """Return a node's name with its kind: ``'the finding "Tall stature"'``.

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


def unfit(name: str) -> bool:
    """Return whether a name carries a catalogue's notation (braces, question marks, an id)."""
    return not name.strip() or _UNFIT.search(name) is not None


def mentions(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that occur in a text as whole words, however spelled, in the order given."""
    folded = fold(text)
    return tuple(name for name in names if occurs(fold_name(name.strip()), folded))
