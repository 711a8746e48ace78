"""Questions that are no chains: intersection, negation, lists, counts, frequencies, comparison.

Each maker drafts one question around the order's rare entity, or rejects it with a reason. What it
drafts is proved like any other question.
"""

from __future__ import annotations

from collections.abc import Callable

from medenv.kg.certificates.conditions import Clue, fitting, inverse, narrow, reach, satisfying
from medenv.kg.certificates.constants import (
    COUNTABLE,
    LISTABLE,
    Pool,
    counts,
    is_asked,
    values,
    walks,
)
from medenv.kg.documents.frequencies import bounds, coarsest
from medenv.kg.documents.naming import joined, titled
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.schema import HAS_GENE, HAS_ONSET, HAS_PHENOTYPE, IS_A
from medenv.kg.questions import phrases
from medenv.kg.questions.clues import offers
from medenv.kg.questions.drafts import Draft, Rejected, Rejection, SampleSpec, tells, unnameable


def draft_intersection(graph: Graph, order: SampleSpec) -> Draft:
    """Ask which disease has all of some findings, none of which is enough.

    Raises:
        Rejected: The rare entity leads to no disease that its findings single out.
    """
    disease = _disease(graph, order)
    unfit = unnameable(graph, order.max_name_chars)
    findings = [c for c in offers(graph, disease) if c.relation == HAS_PHENOTYPE.name]
    pool = [c for c in findings if not (unfit[c.entity] or tells(graph, c.entity, disease))]
    chosen: list[Clue] = []
    found = graph.of_kind("disease")
    for place in order.rng.permutation(len(pool)).tolist():
        left = narrow(graph, found, pool[place])
        if left.size < found.size and satisfying(graph, pool[place]).size > 1:
            chosen.append(pool[place])
            found = left
        if found.size == 1:
            break
    chosen = _needed(graph, chosen)
    if found.size != 1 or not 2 <= len(chosen) <= _MOST_FINDINGS:
        raise Rejected(Rejection.AMBIGUOUS_FINDINGS)
    names = joined([titled(graph, clue.entity) for clue in chosen])
    values = {"names": names, "all": "both" if len(chosen) == 2 else "all"}
    text = phrases.fill(_INTERSECTIONS[order.voice], values)
    query = ["where", "disease", [clue.written(graph) for clue in chosen]]
    return Draft(query, text, f"intersection/{order.voice}")


_MOST_FINDINGS = 6
_INTERSECTIONS = (
    "In which disease are {all} of these findings reported: {names}?",
    "A patient shows {names}. Which disease has {all} of them among its findings?",
    "Name the one disease in which {names} are {all} reported.",
    "{names} are reported together in a single disease. Which one is it?",
)


def _needed(graph: Graph, clues: list[Clue]) -> list[Clue]:
    """Return the clues without those that the others make superfluous."""
    kept = list(clues)
    for clue in clues:
        others = [c for c in kept if c != clue]
        if others and fitting(graph, "disease", others).size == 1:
            kept = others
    return kept


def draft_negation(graph: Graph, order: SampleSpec) -> Draft:
    """Ask which of the diseases that share something is not recorded with a finding.

    Raises:
        Rejected: The rare entity leads to no such group of diseases.
    """
    shared, group = _group(graph, order)
    answer = int(group[order.rng.integers(group.size)])
    others = group[group != answer]
    common = set.intersection(
        *(set(graph.step(int(other), HAS_PHENOTYPE.name).tolist()) for other in others)
    )
    absent = [
        finding
        for finding in sorted(common - {shared.entity})
        if not unnameable(graph, order.max_name_chars)[finding]
        and answer not in reach(graph, finding, HAS_PHENOTYPE.inverse)
    ]
    if not absent:
        raise Rejected(Rejection.NO_COMMON_FINDING)
    missing = Clue(HAS_PHENOTYPE.name, int(order.rng.choice(absent)), negated=True)
    text = phrases.fill(
        _NEGATIONS[order.voice],
        {
            "shared": phrases.predicate(graph, shared),
            "all_shared": phrases.plural(phrases.predicate(graph, shared)),
            "missing": phrases.predicate(graph, missing),
        },
    )
    query = ["where", "disease", [shared.written(graph), missing.written(graph)]]
    return Draft(query, text, f"negation/{order.voice}")


_NEGATIONS = (
    "Of the diseases that {all_shared}, which one {missing}?",
    "Among the diseases that {all_shared} there is one that {missing}. Which one?",
    "Name the disease that {shared} but {missing}.",
    "Just one disease that {shared} {missing}. Which one?",
)


def _group(graph: Graph, order: SampleSpec) -> tuple[Clue, IntArray]:
    """Return a clue and the two to six diseases that fit it, around the rare entity.

    They are the same as recorded and as the ontology entails it, so that the list has one reading.
    """
    pool = [HAS_GENE.name, HAS_PHENOTYPE.name]
    disease = _disease(graph, order)
    clues = [c for c in offers(graph, disease) if c.relation in pool]
    for place in order.rng.permutation(len(clues)).tolist():
        clue = clues[place]
        if unnameable(graph, order.max_name_chars)[clue.entity]:
            continue
        group = fitting(graph, "disease", [clue])
        recorded = graph.step(clue.entity, inverse(graph, clue.relation))
        if group.size == recorded.size and group.size in LISTABLE:
            return clue, group
    raise Rejected(Rejection.NO_GROUP)


def draft_list(graph: Graph, order: SampleSpec) -> Draft:
    """Ask for all diseases that share a gene or a finding.

    Raises:
        Rejected: The rare entity leads to no such group of diseases.
    """
    shared, group = _group(graph, order)
    if unnameable(graph, order.max_name_chars)[group].any():
        raise Rejected(Rejection.UNFIT_ANSWER)
    said = phrases.predicate(graph, shared)
    values = {"shared": said, "all_shared": phrases.plural(said)}
    text = phrases.fill(_LISTS[order.voice], values)
    return Draft(["where", "disease", [shared.written(graph)]], text, f"list/{order.voice}")


_LISTS = (
    "List every disease that {shared}.",
    "Name all diseases that {all_shared}.",
    "Which diseases {all_shared}? Name them all.",
    "Give the complete list of diseases that {all_shared}.",
)


def draft_count(graph: Graph, order: SampleSpec) -> Draft:
    """Ask with how many others an entity next to the rare one is connected.

    Of the rare entity itself it is nearly always two or three.

    Raises:
        Rejected: None has edges to count, or the number would be asked for too often.
    """
    near = set[int]().union(*(graph.step(order.seed, one).tolist() for one in graph.factual))
    countable = [
        node
        for node in sorted(near)
        if graph.kind(node) in _COUNTS
        and (relation := _COUNTS[graph.kind(node)][0]) in graph.rows
        and graph.step(node, relation).size in COUNTABLE
    ]
    if not countable:
        raise Rejected(Rejection.NO_COUNT)
    counted = int(order.rng.choice(countable))
    kind = graph.kind(counted)
    relation, wordings = _COUNTS[kind]
    _drawn(counts(graph, kind, relation), str(graph.step(counted, relation).size), order)
    text = phrases.fill(wordings[order.voice], {"name": titled(graph, counted)})
    return Draft(["count", graph.nodes.ids[counted], relation], text, f"count/{order.voice}")


def _drawn(pool: Pool, answer: str, order: SampleSpec) -> None:
    """Reject a common answer as often as keeps a constant answer from being right too often."""
    if order.rng.random() >= pool.weights.get(answer, 1.0):
        raise Rejected(Rejection.COMMON_ANSWER)


_COUNTS = {
    "gene": (
        HAS_GENE.inverse,
        (
            "With how many diseases is the gene {name} associated?",
            "How many diseases are associated with the gene {name}?",
            "State the number of diseases that the gene {name} is associated with.",
            "Count the diseases recorded for the gene {name}. How many are there?",
        ),
    ),
    "phenotype": (
        HAS_PHENOTYPE.inverse,
        (
            "In how many diseases is the finding {name} reported?",
            "How many diseases have the finding {name} among their findings?",
            "State the number of diseases in which the finding {name} is reported.",
            "Count the diseases recorded with the finding {name}. How many are there?",
        ),
    ),
    "disease": (
        HAS_PHENOTYPE.name,
        (
            "How many findings are reported in {name}?",
            "What is the number of findings reported in {name}?",
            "State the number of findings that {name} is reported with.",
            "Count the findings recorded for {name}. How many are there?",
        ),
    ),
}


def draft_quantity(graph: Graph, order: SampleSpec) -> Draft:
    """Ask how often a finding occurs in a disease, or when the disease begins.

    Raises:
        Rejected: The rare entity leads to no disease of which that is known.
    """
    disease = _disease(graph, order)
    name = titled(graph, disease)
    known_onset = HAS_ONSET.name in graph.rows
    onsets = graph.step(disease, HAS_ONSET.name).tolist() if known_onset else []
    if len(onsets) == 1 and order.rng.random() < 0.5:
        known_ends = walks(graph, "disease", (HAS_ONSET.name,), "onset")
        _drawn(known_ends, graph.nodes.ids[onsets[0]], order)
        text = phrases.fill(_ONSETS[order.voice], {"name": name})
        query = ["walk", graph.nodes.ids[disease], [HAS_ONSET.name]]
        return Draft(query, text, f"onset/{order.voice}")
    known = graph.qualifier_row(disease, HAS_PHENOTYPE.name, "frequency")
    tails = graph.step(disease, HAS_PHENOTYPE.name).tolist()
    usable = [
        tail
        for tail, value in zip(tails, known, strict=True)
        if bounds(value) and is_asked(value) and not unnameable(graph, order.max_name_chars)[tail]
    ]
    if not usable:
        raise Rejected(Rejection.NO_FREQUENCY)
    finding = int(order.rng.choice(usable))
    said = graph.qualifiers(disease, HAS_PHENOTYPE.name, finding)["frequency"]
    _drawn(values(graph, HAS_PHENOTYPE.name, "frequency"), coarsest(said), order)
    names = {"name": name, "finding": titled(graph, finding)}
    query = [
        *("value", graph.nodes.ids[disease], HAS_PHENOTYPE.name),
        *(graph.nodes.ids[finding], "frequency"),
    ]
    text = phrases.fill(_FREQUENCIES[order.voice], names | {"form": _FORM})
    return Draft(query, text, f"frequency/{order.voice}")


_ONSETS = (
    "What is the recorded onset of {name}?",
    "At which stage of life does {name} begin, as recorded?",
    "Name the recorded onset of {name}.",
    "When does {name} set in, as recorded?",
)
_FREQUENCIES = (
    "How often is the finding {finding} reported in {name}? {form}",
    "In what share of patients with {name} is the finding {finding} reported? {form}",
    "State how frequent the finding {finding} is in {name}. {form}",
    "Of patients with {name}, how many show {finding}, as recorded? {form}",
)
_FORM = "Give the fraction, the percentage or the class of frequency on record."


def draft_comparison(graph: Graph, order: SampleSpec) -> Draft:
    """Ask in which of two to four diseases a finding is most frequent.

    Raises:
        Rejected: The rare entity leads to no finding whose frequencies can be compared.
    """
    disease = _disease(graph, order)
    findings = graph.step(disease, HAS_PHENOTYPE.name)
    for place in order.rng.permutation(findings.size)[:_TRIED].tolist():
        finding = int(findings[place])
        chosen = _comparable(graph, finding, order)
        if not unnameable(graph, order.max_name_chars)[finding] and len(chosen) >= 2:
            values = {
                "finding": titled(graph, finding),
                "names": "; ".join(titled(graph, node) for node in chosen),
                "most": "more" if len(chosen) == 2 else "most",
                "largest": "larger" if len(chosen) == 2 else "largest",
            }
            ids = [graph.nodes.ids[node] for node in chosen]
            query = ["most", HAS_PHENOTYPE.name, graph.nodes.ids[finding], ids]
            text = phrases.fill(_COMPARISONS[order.voice], values)
            return Draft(query, text, f"comparison/{order.voice}")
    raise Rejected(Rejection.NO_COMPARISON)


_TRIED = 12
_COMPARISONS = (
    "In which of these diseases is the finding {finding} {most} frequent: {names}?",
    "One of these diseases shows {finding} {most} often. Which one: {names}?",
    "Compare how often {finding} is reported. Which disease has it {most} often: {names}?",
    "Name the disease that shows {finding} in the {largest} share of patients: {names}.",
)


def _comparable(graph: Graph, finding: int, order: SampleSpec) -> list[int]:
    """Return up to four diseases in a random order, one of which has the finding most often."""
    known: list[tuple[tuple[float, float], int]] = []
    heads = graph.step(finding, HAS_PHENOTYPE.inverse)
    for place in order.rng.permutation(heads.size)[:_TRIED].tolist():
        head = int(heads[place])
        value = graph.qualifiers(head, HAS_PHENOTYPE.name, finding).get("frequency", "")
        found = bounds(value)
        if found and not unnameable(graph, order.max_name_chars)[head]:
            known.append((found, head))
    known.sort(key=lambda pair: (-pair[0][0], pair[1]))
    if not known:
        return []
    low = known[0][0][0]
    rest = [head for (_, high), head in known[1:] if high < low][:3]
    chosen = [known[0][1], *rest]
    return [chosen[int(i)] for i in order.rng.permutation(len(chosen))]


def _disease(graph: Graph, order: SampleSpec) -> int:
    """Return the rare entity if it is a disease, else a neighbour that is."""
    if graph.kind(order.seed) == "disease":
        return order.seed
    near = sorted(
        {
            int(tail)
            for relation in graph.factual
            if relation != IS_A.name
            for tail in graph.step(order.seed, relation)
            if graph.kind(int(tail)) == "disease"
        }
    )
    if not near:
        raise Rejected(Rejection.NO_DISEASE)
    return int(order.rng.choice(near))


Maker = Callable[[Graph, SampleSpec], Draft]

MAKERS: dict[str, Maker] = {
    "intersection": draft_intersection,
    "negation": draft_negation,
    "list": draft_list,
    "count": draft_count,
    "quantity": draft_quantity,
    "comparison": draft_comparison,
}
"""The makers by the kind of question."""
