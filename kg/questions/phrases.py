"""How steps and clues are said, in four voices: tests are worded as no training question is.

A chain is told step by step, one sentence each, and ends with the question. Genes are "associated
with" diseases and findings "reported in" them: the sources state no causes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from medenv.kg.certificates.conditions import Clue
from medenv.kg.documents.naming import NOUNS, a_noun, called, noun, nouns, titled
from medenv.kg.graph import Graph
from medenv.kg.graph.mechanisms import MECHANISMS
from medenv.kg.graph.schema import (
    ATTRIBUTES,
    HAS_ACTIVITY,
    HAS_COURSE,
    HAS_GENE,
    HAS_KEYWORD,
    HAS_PHENOTYPE,
    HAS_PREVALENCE,
    HAS_ROLE,
    HAS_VARIANT,
    IN_CLASS,
    IN_FAMILY,
    IN_PATHWAY,
    INHIBITS,
    LACKS_PHENOTYPE,
    LOCATED_AT,
    REPORTED_TARGET,
    REPORTED_TREATMENT,
    RESPONSE_DEPENDS_ON,
    TREATMENT_NAMES,
    VARIANT_IN,
)
from medenv.text import joined, lowered

VOICES = 4
"""Number of voices; the last one is kept for tests."""


class _Step(NamedTuple):
    """How a relation is said: where nothing singles the entity out, and as a group it is one of."""

    bare: tuple[str, str, str, str]
    group: str


_STEPS = {
    "gene_of": _Step(
        (
            "{From} is associated with exactly one {other}disease.",
            "There is just one {other}disease associated with {from}.",
            "Only one {other}disease is associated with {from}.",
            "A single {other}disease is associated with {from}.",
        ),
        "associated with {from}",
    ),
    "has_gene": _Step(
        (
            "{From} is associated with exactly one {other}gene.",
            "There is just one {other}gene associated with {from}.",
            "Only one {other}gene is associated with {from}.",
            "A single {other}gene is associated with {from}.",
        ),
        "associated with {from}",
    ),
    "phenotype_of": _Step(
        (
            "{From} is reported in exactly one {other}disease.",
            "There is just one {other}disease in which {from} is reported.",
            "Only one {other}disease is reported with {from}.",
            "A single {other}disease is known to feature {from}.",
        ),
        "in which {from} is reported",
    ),
    "has_phenotype": _Step(
        (
            "Exactly one {other}finding is reported in {from}.",
            "There is just one {other}finding that is reported in {from}.",
            "{From} has only one {other}reported finding.",
            "A single {other}finding is on record for {from}.",
        ),
        "reported in {from}",
    ),
}


def _relative(clause: str, group: str = "") -> _Step:
    """Return a step that is said after the noun by a relative clause, or as a group otherwise."""
    return _Step(
        (
            f"There is exactly one {{other}}{{noun}} {clause}.",
            f"Just one {{other}}{{noun}} is recorded {clause}.",
            f"Only one {{other}}{{noun}} is known {clause}.",
            f"A single {{other}}{{noun}} is on record {clause}.",
        ),
        group or clause,
    )


_STEPS |= {
    relation: _relative(*clauses)
    for relation, clauses in {
        IN_CLASS.name: ("under which {from} is classified",),
        IN_PATHWAY.name: ("in which the product of {from} takes part",),
        IN_PATHWAY.inverse: ("whose product takes part in {from}", "with a product in {from}"),
        IN_FAMILY.name: ("to which {from} belongs",),
        IN_FAMILY.inverse: ("that belongs to {from}", "belonging to {from}"),
        HAS_ACTIVITY.name: ("for which {from} codes",),
        HAS_ACTIVITY.inverse: ("that codes for {from}", "coding for {from}"),
        HAS_VARIANT.name: ("that lies in {from} and causes disease", "in {from} causing disease"),
        HAS_VARIANT.inverse: ("in which {from} lies",),
        VARIANT_IN.name: ("in which {from} has been found",),
        VARIANT_IN.inverse: (
            "that has been found in patients with {from}",
            "found in patients with {from}",
        ),
        INHIBITS.name: ("on which {from} acts as an inhibitor",),
        INHIBITS.inverse: ("that inhibits {from}", "inhibiting {from}"),
        RESPONSE_DEPENDS_ON.name: ("on which the response to {from} depends",),
        RESPONSE_DEPENDS_ON.inverse: ("to which the response depends on {from}",),
    }.items()
}
_STEPS |= {
    TREATMENT_NAMES.name: _Step(
        (
            "Exactly one {other}{noun} is named in texts on the treatment of {from}.",
            "There is just one {other}{noun} that texts on the treatment of {from} name.",
            "Texts on the treatment of {from} name only one {other}{noun}.",
            "A single {other}{noun} comes up in texts on the treatment of {from}.",
        ),
        "named in texts on the treatment of {from}",
    ),
    TREATMENT_NAMES.inverse: _Step(
        (
            "{From} is named in texts on the treatment of exactly one {other}{noun}.",
            "There is just one {other}{noun} with {from} named in texts on its treatment.",
            "Only one {other}{noun} has {from} named in texts on its treatment.",
            "A single {other}{noun} is treated with {from} by the texts on it.",
        ),
        "with {from} named in texts on their treatment",
    ),
}
_STEPS |= {
    REPORTED_TREATMENT.name: _Step(
        (
            "Passages of PubMed state exactly one {other}{noun} as a treatment of {from}.",
            "There is just one {other}{noun} that passages of PubMed state as treating {from}.",
            "Passages of PubMed state only one {other}{noun} as a treatment of {from}.",
            "A single {other}{noun} is stated in passages of PubMed as a treatment of {from}.",
        ),
        "stated in passages of PubMed as treatments of {from}",
    ),
    REPORTED_TREATMENT.inverse: _Step(
        (
            "Passages of PubMed state {from} as a treatment of exactly one {other}{noun}.",
            "There is just one {other}{noun} that {from} treats by passages of PubMed.",
            "Passages of PubMed state {from} as a treatment of only one {other}{noun}.",
            "A single {other}{noun} has {from} stated as its treatment in passages of PubMed.",
        ),
        "treated with {from} by passages of PubMed",
    ),
    REPORTED_TARGET.name: _Step(
        (
            "By passages of PubMed, {from} targets the product of exactly one {other}{noun}.",
            "There is just one {other}{noun} whose product {from} targets by passages of PubMed.",
            "By passages of PubMed, {from} targets the product of only one {other}{noun}.",
            "A single {other}{noun} codes for the target of {from} by passages of PubMed.",
        ),
        "whose products {from} targets by passages of PubMed",
    ),
    REPORTED_TARGET.inverse: _Step(
        (
            "By passages of PubMed, exactly one {other}{noun} targets the product of {from}.",
            "There is just one {other}{noun} that targets the product of {from} by passages of "
            "PubMed.",
            "By passages of PubMed, only one {other}{noun} targets the product of {from}.",
            "A single {other}{noun} is said in passages of PubMed to target the product of {from}.",
        ),
        "targeting the product of {from} by passages of PubMed",
    ),
}
_STEPS |= {
    relation: _relative(*clauses)
    for one in MECHANISMS.values()
    for relation, clauses in {
        one.name: (one.relative,),
        one.inverse: (f"that {one.verb} {{from}}", f"{one.participle} {{from}}"),
    }.items()
}
_ANY_STEP = _Step(
    (
        '{From} has the relation "{relation}" to exactly one {other}{noun}.',
        'There is just one {other}{noun} to which {from} has the relation "{relation}".',
        'Only one {other}{noun} is linked from {from} by "{relation}".',
        'A single {other}{noun} is recorded under "{relation}" of {from}.',
    ),
    'to which {from} has the relation "{relation}"',
)
_ANY_STEP_BACK = _Step(
    (
        'Exactly one {other}{noun} has the relation "{relation}" to {from}.',
        'There is just one {other}{noun} that has the relation "{relation}" to {from}.',
        'Only one {other}{noun} is linked to {from} by "{relation}".',
        'A single {other}{noun} is recorded with "{relation}" for {from}.',
    ),
    'with the relation "{relation}" to {from}',
)
_ONE_OF = (
    "Of the {other}{nouns} {group}, exactly one {clues}.",
    "Just one of the {other}{nouns} {group} {clues}.",
    "Among the {other}{nouns} {group}, only one {clues}.",
    "A single {other}{noun} {group} {clues}.",
)
_CLOSINGS = (
    "Which {noun} do you arrive at, going by the records of {sources}?",
    "Name the {noun} at the end, as recorded in {sources}.",
    "According to the records of {sources}, what is the {noun} at the end called?",
    "Identify the {noun} that the records of {sources} lead to.",
)
_CATALOGUES = {"OMIM": "OMIM", "ORPHA": "Orphanet", "DECIPHER": "DECIPHER"}
_LITERATURE = "passages of PubMed (BioASQ)"
_SOURCES = {
    IN_PATHWAY.name: "Reactome",
    IN_FAMILY.name: "HGNC",
    HAS_VARIANT.name: "UniProt",
    VARIANT_IN.name: "UniProt",
    RESPONSE_DEPENDS_ON.name: "CPIC",
    TREATMENT_NAMES.name: "MedQuAD",
    REPORTED_TREATMENT.name: _LITERATURE,
    REPORTED_TARGET.name: _LITERATURE,
    HAS_ACTIVITY.name: "HGNC",
    INHIBITS.name: "ChEBI",
} | {name: "DrugMechDB" for name in MECHANISMS}
"""Who records a relation, where that is not a catalogue of diseases."""

_RELATIONS = (
    *(
        HAS_PHENOTYPE,
        LACKS_PHENOTYPE,
        HAS_GENE,
        IN_PATHWAY,
        IN_FAMILY,
        HAS_VARIANT,
        VARIANT_IN,
        HAS_ACTIVITY,
    ),
    *(REPORTED_TREATMENT, REPORTED_TARGET),
    *(INHIBITS, RESPONSE_DEPENDS_ON, TREATMENT_NAMES, *(m.relation for m in MECHANISMS.values())),
)
_FORWARD = {relation.inverse: relation.name for relation in _RELATIONS}
_DISTINCT = (
    "No {a_or_b} is meant twice.",
    "Each {a_and_b} differs from those before it.",
    "No {a_or_b} comes up again.",
    "Every {a_and_b} is a new one.",
)
_DESCRIBED = (
    'Start from the {noun} that is defined like this: "{text}"',
    '{A_noun} is defined as follows: "{text}"',
    'Consider the {noun} with this definition: "{text}"',
    'Take the {noun} whose definition reads: "{text}"',
)
_SINGLED_OUT = (
    "Start from the one {noun} that {predicates}.",
    "There is just one {noun} that {predicates}.",
    "Only one {noun} {predicates}.",
    "A single {noun} {predicates}.",
)
_SINGLE = {
    HAS_COURSE.name: "has a course described as {names}",
    HAS_PREVALENCE.name: "has a prevalence of {names}",
    "has_phenotype": "has {names} among its findings",
    "has_gene": "is associated with the gene {names}",
    "gene_of": "is associated with {names}",
    "phenotype_of": "is reported in {names}",
    LACKS_PHENOTYPE.name: "is recorded without {names}",
    "is_a": "is a kind of {names}",
    IN_CLASS.name: "is classified under {names}",
    LOCATED_AT.name: "lies at {names}",
    HAS_KEYWORD.name: "is filed under {names}",
    HAS_ROLE.name: "is described as {names}",
    IN_PATHWAY.name: "has a product that takes part in {names}",
    IN_FAMILY.name: "belongs to {names}",
    HAS_ACTIVITY.name: "codes for {names}",
    INHIBITS.name: "inhibits {names}",
    TREATMENT_NAMES.name: "has {names} named in texts on its treatment",
    TREATMENT_NAMES.inverse: "is named in texts on the treatment of {names}",
    REPORTED_TREATMENT.name: "is treated with {names} by passages of PubMed",
    REPORTED_TREATMENT.inverse: "treats {names} by passages of PubMed",
    REPORTED_TARGET.name: "targets the product of {names} by passages of PubMed",
    REPORTED_TARGET.inverse: "has a product that {names} targets by passages of PubMed",
    RESPONSE_DEPENDS_ON.name: "has an effect that depends on {names}",
    RESPONSE_DEPENDS_ON.inverse: "affects the response to {names}",
    VARIANT_IN.name: "has been found in {names}",
    VARIANT_IN.inverse: "has been found with {names}",
    HAS_VARIANT.name: "is changed by {names}",
    HAS_VARIANT.inverse: "lies in {names}",
    HAS_ACTIVITY.inverse: "is encoded by {names}",
    INHIBITS.inverse: "is inhibited by {names}",
    IN_PATHWAY.inverse: "involves the products of {names}",
    IN_FAMILY.inverse: "includes {names}",
}
"""What is said of an entity by a relation; several clues of one relation make one list."""
for _one in MECHANISMS.values():
    _SINGLE[_one.name] = f"{_one.verb} {{names}}"
    _SINGLE[_one.inverse] = f"{_one.passive} {{names}}"

_VERBS = {relation.name: "has" for relation in ATTRIBUTES.values()} | {
    "has_gene": "is associated with",
    "gene_of": "is associated with",
    "has_phenotype": "is reported with",
    "phenotype_of": "is reported in",
    "is_a": "is a kind of",
    IN_CLASS.name: "is classified under",
    IN_CLASS.inverse: "includes",
    LOCATED_AT.name: "lies at",
    LOCATED_AT.inverse: "is the site of",
    HAS_KEYWORD.name: "is filed under",
    HAS_KEYWORD.inverse: "stands over",
    HAS_ROLE.name: "is described as",
    HAS_ROLE.inverse: "describes",
    LACKS_PHENOTYPE.name: "is recorded without",
    IN_PATHWAY.name: "takes part in",
    IN_PATHWAY.inverse: "involves",
    IN_FAMILY.name: "belongs to",
    IN_FAMILY.inverse: "includes",
    HAS_ACTIVITY.name: "encodes",
    HAS_ACTIVITY.inverse: "is encoded by",
    HAS_VARIANT.name: "is changed by",
    HAS_VARIANT.inverse: "changes",
    VARIANT_IN.name: "has been found in",
    VARIANT_IN.inverse: "can be caused by",
    INHIBITS.inverse: "is inhibited by",
    RESPONSE_DEPENDS_ON.name: "depends in its effect on",
    RESPONSE_DEPENDS_ON.inverse: "affects the response to",
    TREATMENT_NAMES.name: "has a treatment that includes",
    TREATMENT_NAMES.inverse: "is named in the treatment of",
    REPORTED_TREATMENT.name: "is treated with",
    REPORTED_TREATMENT.inverse: "treats",
    REPORTED_TARGET.name: "targets the product of",
    REPORTED_TARGET.inverse: "codes for a target of",
}
_VERBS |= {one.name: one.verb for one in MECHANISMS.values()}
_VERBS |= {one.inverse: one.passive for one in MECHANISMS.values()}


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


def predicate(graph: Graph, clue: Clue) -> str:
    """Return a clue as what is said of its entity: ``"has childhood onset"``.

    Args:
        graph: The graph.
        clue: The clue.
    """
    name, kind = graph.nodes.names[clue.entity], graph.kind(clue.entity)
    if clue.relation in _SINGLE:
        return fill(_SINGLE[clue.relation], {"names": titled(graph, clue.entity)})
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


def predicates(graph: Graph, clues: Sequence[Clue], after: str = "") -> str:
    """Return clues as what is said of their entity: attributes, then names in lists.

    Args:
        graph: The graph.
        clues: At least one.
        after: The relation from the entity back to the one before it, if there is one: of that
            relation it has one edge already.
    """
    named: dict[str, list[str]] = {}
    attributes, rest = [], []
    for clue in clues:
        if clue.relation in _SINGLE:
            named.setdefault(clue.relation, []).append(titled(graph, clue.entity))
        elif (told := predicate(graph, clue)).startswith("has "):
            attributes.append(told.removeprefix("has "))
        else:
            rest.append(told)
    lists = []
    for relation in sorted(named, key=list(_SINGLE).index, reverse=True):
        told = fill(_SINGLE[relation], {"names": joined(named[relation])})
        lists.append(_also(told) if relation == after else told)
    first = [f"has {joined(attributes)}"] if attributes else []
    return joined([*first, *rest, *lists])


def _also(told: str) -> str:
    verb, _, rest = told.partition(" ")
    return f"is also {rest}" if verb == "is" else f"also {told}"


def plural(singular: str) -> str:
    """Return what is said of one entity as it is said of several: ``"have childhood onset"``.

    Args:
        singular: What `predicate` returned.
    """
    verb, _, rest = singular.partition(" ")
    if rest.endswith("its findings"):
        rest = rest.removesuffix("its findings") + "their findings"
    verb = {"has": "have", "is": "are"}.get(verb, verb)
    return f"{verb} {rest}"


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
    said_as = _STEPS.get(relation, _ANY_STEP_BACK if back else _ANY_STEP)
    kind = graph.kind(node)
    values = {
        "From": reference[:1].upper() + reference[1:],
        "from": reference,
        "other": "other " if met else "",
        "relation": forward,
        "noun": noun(kind),
        "nouns": nouns(kind),
        "clues": clues,
    }
    if not clues:
        return fill(said_as.bare[voice], values)
    return fill(_ONE_OF[voice], values | {"group": fill(said_as.group, values)})


def fill(template: str, values: dict[str, str]) -> str:
    """Replace ``{name}`` by its value, all at once, so that no value is taken for a name.

    Args:
        template: The template.
        values: The values by name.
    """
    return template.format_map(values)


def distinct(voice: int, kinds: Sequence[str]) -> str:
    """Return the sentence that says that no entity of some kinds is meant twice.

    Args:
        voice: Number of the voice.
        kinds: The kinds that occur more than once.
    """
    words = [noun(kind) for kind in kinds]
    return fill(_DISTINCT[voice], {"a_or_b": joined(words, "or"), "a_and_b": joined(words)})


def sources(graph: Graph, relations: Iterable[str]) -> str:
    """Return who records some relations: ``"OMIM and Orphanet"``.

    Args:
        graph: The graph.
        relations: Names of the relations, forward or inverse.
    """
    names: dict[str, None] = {}
    for relation in relations:
        forward = relation if relation in graph.relations else graph.inverses[relation]
        known = (_SOURCES[forward],) if forward in _SOURCES else _catalogues(graph)
        names |= dict.fromkeys(known)
    return joined(list(names))


def recorded(relation: str) -> str:
    """Return a relation by its forward name, and who records it: ``"in_pathway (Reactome)"``.

    Args:
        relation: Name of the relation, forward or inverse.
    """
    forward = _FORWARD.get(relation, relation)
    return f"{forward} ({_SOURCES.get(forward, 'the catalogues of diseases')})"


@lru_cache(maxsize=4)
def _catalogues(graph: Graph) -> tuple[str, ...]:
    """Return the catalogues that a graph's diseases come from, or the graph's own source."""
    nodes = graph.nodes
    found = Counter(
        _CATALOGUES.get(entity.partition(":")[0], "")
        for disease in (graph.of_kind("disease").tolist() if "disease" in graph.kinds else ())
        for entity in (nodes.ids[disease], *nodes.xrefs[disease])
    )
    found.pop("", None)
    most = max(found.values(), default=0)
    return tuple(sorted(name for name, n in found.items() if n * 10 > most)) or (graph.info.source,)


def closing(graph: Graph, voice: int, end: int, relations: Iterable[str]) -> str:
    """Return the question that ends a chain.

    Args:
        graph: The graph.
        voice: Number of the voice.
        end: The node asked for.
        relations: All relations that the chain speaks of.
    """
    values = {"noun": noun(graph.kind(end)), "sources": sources(graph, relations)}
    return fill(_CLOSINGS[voice], values)


def described(voice: int, kind: str, text: str) -> str:
    """Return the sentence that gives an entity's definition instead of its name."""
    one = a_noun(kind)
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    values = {"noun": noun(kind), "A_noun": one[:1].upper() + one[1:], "text": ended}
    return fill(_DESCRIBED[voice], values)


def singled_out(voice: int, kind: str, predicates: str) -> str:
    """Return the sentence that gives an entity's clues instead of its name."""
    return fill(_SINGLED_OUT[voice], {"noun": noun(kind), "predicates": predicates})
