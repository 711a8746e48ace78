"""How steps and clues are said, in four voices: tests are worded as no training question is.

A chain is told step by step, one sentence each, and ends with the question. Genes are "associated
with" diseases and findings "reported in" them: the sources state no causes.
"""

from __future__ import annotations

from collections.abc import Sequence

from medenv.kg.conditions import Clue
from medenv.kg.graph import Graph

VOICES = 4
"""Number of voices; the last one is kept for tests."""

NOUNS = {"phenotype": "finding", "onset": "age of onset", "inheritance": "mode of inheritance"}
"""Kinds of nodes whose everyday name is another."""

_STEPS: dict[str, tuple[str, str, str, str]] = {
    "gene_of": (
        "{From} is associated with exactly one {other}disease{that}.",
        "There is just one {other}disease associated with {from}{that}.",
        "Only one {other}disease{that} is associated with {from}.",
        "A single {other}disease{that} is known to be associated with {from}.",
    ),
    "has_gene": (
        "{From} is associated with exactly one {other}gene{that}.",
        "There is just one {other}gene associated with {from}{that}.",
        "Only one {other}gene{that} is associated with {from}.",
        "A single {other}gene{that} is known to be associated with {from}.",
    ),
    "phenotype_of": (
        "{From} is reported in exactly one {other}disease{that}.",
        "Just one {other}disease{that} presents with {from}.",
        "Only one {other}disease{that} has {from} among its reported findings.",
        "A single {other}disease{that} is known to present with {from}.",
    ),
    "has_phenotype": (
        "{From} has exactly one {other}reported finding{that}.",
        "The reported findings of {from} include just one {other}finding{that}.",
        "Only one {other}finding{that} is reported in {from}.",
        "A single {other}finding{that} is known to occur in {from}.",
    ),
}
_ANY_STEP = (
    '{From} has the relation "{relation}" to exactly one {other}{noun}{that}.',
    'There is just one {other}{noun}{that} to which {from} has the relation "{relation}".',
    'Only one {other}{noun}{that} is linked from {from} by "{relation}".',
    'A single {other}{noun}{that} is recorded under "{relation}" of {from}.',
)
_ANY_STEP_BACK = (
    'Exactly one {other}{noun}{that} has the relation "{relation}" to {from}.',
    'There is just one {other}{noun}{that} which has the relation "{relation}" to {from}.',
    'Only one {other}{noun}{that} is linked to {from} by "{relation}".',
    'A single {other}{noun}{that} is recorded with "{relation}" for {from}.',
)
_CLOSINGS = (
    "Which {noun} is it?",
    "Name that {noun}.",
    "What is this {noun} called?",
    "Identify the {noun}.",
)
_DESCRIBED = (
    'The following {noun} is meant: "{text}"',
    'A {noun} is defined as follows: "{text}"',
    'Textbooks define a {noun} in these words: "{text}"',
    'Start from the {noun} with this definition: "{text}"',
)
_SINGLED_OUT = (
    "Exactly one {noun} {predicates}.",
    "There is just one {noun} that {predicates}.",
    "Only one {noun} {predicates}.",
    "A single {noun} {predicates}.",
)
_PREDICATES = {
    "has_phenotype": 'has "{name}" among its reported findings',
    "has_gene": "is associated with the gene {name}",
    "gene_of": "is also associated with {name}",
    "phenotype_of": "is also reported in {name}",
    "is_a": 'is a kind of "{name}"',
}
_VERBS = {
    "has_gene": "is associated with",
    "gene_of": "is associated with",
    "has_phenotype": "is reported with",
    "phenotype_of": "is reported in",
}
_LISTED = {
    "phenotype_of": ("{name}", "is also reported in {names}"),
    "has_phenotype": ('"{name}"', "has {names} among its reported findings"),
}
"""Relations of which several clues are told in one list."""

_COUNTS = {"phenotype_of": "is reported in {n}", "gene_of": "is associated with {n}"}


def noun(kind: str) -> str:
    """Return the everyday word for a kind of node.

    Args:
        kind: Such as ``"phenotype"``.
    """
    return NOUNS.get(kind, kind.replace("_", " "))


def called(graph: Graph, node: int) -> str:
    """Return how a node is named in a sentence: genes as genes, findings in quotation marks."""
    name, kind = graph.nodes.names[node], graph.kind(node)
    if kind == "disease":
        return name
    return f'the {noun(kind)} "{name}"' if kind != "gene" else f"the gene {name}"


def said(relation: str) -> str:
    """Return a relation as the verb of a sentence: ``"is reported in"``.

    Args:
        relation: Name of the relation.
    """
    forward, back = _direction(relation)
    return _VERBS.get(relation, f'is linked by "{forward}" from' if back else forward)


def _direction(relation: str) -> tuple[str, bool]:
    """Return a relation's forward name in words, and whether it is told backwards."""
    forward = relation.removeprefix("inverse_")
    return forward.replace("_", " "), forward != relation


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


def predicate(graph: Graph, clue: Clue) -> str:
    """Return a clue as what is said of its entity: ``"has childhood onset"``.

    Args:
        graph: The graph.
        clue: The clue.
    """
    if clue.entity < 0:
        return _counted(clue)
    name, kind = graph.nodes.names[clue.entity], graph.kind(clue.entity)
    if clue.negated:
        return f'is not recorded with "{name}"'
    if clue.relation in _PREDICATES:
        return _PREDICATES[clue.relation].replace("{name}", name)
    if name.lower().endswith(kind):
        return f"has {lowered(name)}"
    if kind in NOUNS:
        return f'has the {NOUNS[kind]} "{name}"'
    forward, back = _direction(clue.relation)
    other = called(graph, clue.entity)
    return (
        f'is linked by "{forward}" from {other}'
        if back
        else f'has the relation "{forward}" to {other}'
    )


def predicates(graph: Graph, clues: Sequence[Clue]) -> str:
    """Return clues as what is said of their entity, findings in one list.

    Args:
        graph: The graph.
        clues: At least one.
    """
    told: list[str] = []
    for relation, template in _LISTED.items():
        names = [
            template[0].replace("{name}", graph.nodes.names[clue.entity])
            for clue in clues
            if clue.relation == relation and clue.entity >= 0 and not clue.negated
        ]
        if names:
            told.append(template[1].replace("{names}", joined(names)))
    rest = [c for c in clues if c.relation not in _LISTED or c.entity < 0 or c.negated]
    return joined([predicate(graph, clue) for clue in rest] + told)


def plural(singular: str) -> str:
    """Return what is said of one entity as it is said of several: ``"have childhood onset"``.

    Args:
        singular: What `predicate` returned.
    """
    verb, _, rest = singular.partition(" ")
    rest = rest.removesuffix("its reported findings") + (
        "their reported findings" if rest.endswith("its reported findings") else ""
    )
    verb = {"has": "have", "is": "are"}.get(verb, verb)
    return f"{verb} {rest}"


def _counted(clue: Clue) -> str:
    between = "or" if clue.high == clue.low + 1 else "to"
    number = f"{clue.low} {between} {clue.high} diseases"
    if clue.low == clue.high:
        number = f"{clue.low} diseases" if clue.low > 1 else "a single disease"
    counted = _COUNTS.get(clue.relation)
    if counted:
        return counted.replace("{n}", number)
    number = str(clue.low) if clue.low == clue.high else f"{clue.low} to {clue.high}"
    return f'has {number} relations of the kind "{clue.relation.replace("_", " ")}"'


def step(graph: Graph, voice: int, reference: str, hop: tuple[str, int, bool], clues: str) -> str:
    """Return the sentence that takes one step.

    Args:
        graph: The graph.
        voice: Number of the voice.
        reference: How the entity before is referred to: ``"that disease"``.
        hop: The relation, the node that it leads to, whether one of its kind was met before.
        clues: The clues on it in words, or ``""``.
    """
    relation, node, met = hop
    forward, back = _direction(relation)
    template = _STEPS.get(relation, _ANY_STEP_BACK if back else _ANY_STEP)[voice]
    filled = {
        "From": reference[:1].upper() + reference[1:],
        "from": reference,
        "other": "other " if met else "",
        "that": f" that {clues}" if clues else "",
        "relation": forward,
        "noun": noun(graph.kind(node)),
    }
    return fill(template, filled)


def fill(template: str, values: dict[str, str]) -> str:
    """Replace ``{name}`` by its value, all at once, so that no value is taken for a name.

    Args:
        template: The template.
        values: The values by name.
    """
    return template.format_map(values)


def closing(voice: int, kind: str) -> str:
    """Return the question that ends a chain."""
    return fill(_CLOSINGS[voice], {"noun": noun(kind)})


def described(voice: int, kind: str, text: str) -> str:
    """Return the sentence that gives an entity's definition instead of its name."""
    return fill(_DESCRIBED[voice], {"noun": noun(kind), "text": text})


def singled_out(voice: int, kind: str, predicates: str) -> str:
    """Return the sentence that gives an entity's clues instead of its name."""
    return fill(_SINGLED_OUT[voice], {"noun": noun(kind), "predicates": predicates})
