"""Questions that are no chains: intersection, negation, lists, frequencies, comparison.

Each maker drafts one question around the order's rare entity, or rejects it with a reason. What it
drafts is proved like any other question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from medenv.kg.certificates.conditions import (
    Clue,
    bearers,
    fitting,
    inverse,
    narrow,
)
from medenv.kg.certificates.constants import (
    LISTABLE,
    Pool,
    is_asked,
    values,
    walks,
)
from medenv.kg.documents.frequencies import bounds, coarsest, more_frequent, patients
from medenv.kg.documents.naming import titled
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.schema import (
    HAS_GENE,
    HAS_ONSET,
    HAS_PHENOTYPE,
    HAS_PREVALENCE,
    IS_A,
    LACKS_PHENOTYPE,
)
from medenv.kg.graph.systems import systems
from medenv.kg.questions import phrases
from medenv.kg.questions.asked import is_disease
from medenv.kg.questions.clues import offers
from medenv.kg.questions.drafts import Draft, Rejected, Rejection, SampleSpec, tells, unnameable
from medenv.text import joined


def draft_intersection(graph: Graph, order: SampleSpec) -> Draft:
    """Ask which disease has all of some findings, none of which is enough.

    Raises:
        Rejected: The rare entity leads to no disease that its findings single out.
    """
    disease = _disease(graph, order)
    pool = _findings(graph, disease, order)
    chosen: list[Clue] = []
    found = graph.of_kind("disease")
    for place in order.rng.permutation(len(pool)).tolist():
        left = narrow(graph, found, pool[place])
        if (
            left.size < found.size
            and bearers(graph, pool[place].relation, pool[place].entity).size > 1
        ):
            chosen.append(pool[place])
            found = left
        if found.size == 1:
            break
    chosen = _needed(graph, chosen)
    if found.size != 1 or not 2 <= len(chosen) <= _MOST_FINDINGS:
        raise Rejected(Rejection.AMBIGUOUS_FINDINGS)
    names = joined([titled(graph, clue.entity) for clue in chosen])
    told = {
        "names": names,
        "all": "both" if len(chosen) == 2 else "all",
        "sources": phrases.sources(graph, [HAS_PHENOTYPE.name]),
    }
    text = phrases.fill(_INTERSECTIONS[order.voice], told)
    query = ["where", "disease", [clue.written(graph) for clue in chosen]]
    return Draft(query, text, f"intersection/{order.voice}")


_MOST_FINDINGS = 6
_FREQUENT = 0.3
_INTERSECTIONS = (
    "In which disease are {all} of these findings reported by {sources}: {names}?",
    "A patient shows {names}. Which disease has {all} of them among its findings in {sources}?",
    "Name the one disease in which {names} are {all} reported, going by {sources}.",
    "{names} are reported together in a single disease of {sources}. Which one is it?",
)


def _findings(graph: Graph, disease: int, order: SampleSpec) -> list[Clue]:
    """Return the findings of a disease that may be told of a patient.

    Whole systems may not, nor findings that fewer than three patients in ten are recorded with.
    """
    unfit, whole = unnameable(graph, order.max_name_chars), {*systems(graph)}
    tails = graph.step(disease, HAS_PHENOTYPE.name).tolist()
    shares = graph.qualifier_row(disease, HAS_PHENOTYPE.name, "frequency")
    for tail, share in zip(tails, shares, strict=True):
        known = bounds(share.partition("|")[0])
        if known is not None and known[1] < _FREQUENT:
            whole.add(tail)
    return [
        clue
        for clue in offers(graph, disease)
        if clue.relation == HAS_PHENOTYPE.name
        and clue.entity not in whole
        and not (unfit[clue.entity] or tells(graph, clue.entity, disease))
    ]


def _needed(graph: Graph, clues: list[Clue]) -> list[Clue]:
    """Return the clues without those that the others make superfluous."""
    kept = list(clues)
    for clue in clues:
        others = [c for c in kept if c != clue]
        if others and fitting(graph, "disease", others).size == 1:
            kept = others
    return kept


def draft_negation(graph: Graph, order: SampleSpec) -> Draft:
    """Ask in which of the diseases that share something a finding was looked for and not found.

    The others are recorded with it. That nothing is recorded is no absence.

    Raises:
        Rejected: No group of diseases around the drawn one is decided by an excluded finding.
    """
    disease = _examined(graph, order)
    decided = (
        (clue, deciding)
        for clue, group in _groups(graph, disease, order)
        if (deciding := _deciding(graph, disease, group, order))
    )
    shared, excluded = next(decided, (None, []))
    if shared is None:
        raise Rejected(Rejection.NO_COMMON_FINDING)
    missing = excluded[int(order.rng.integers(len(excluded)))]
    told = {
        "shared": phrases.predicate(graph, shared),
        "all_shared": phrases.plural(phrases.predicate(graph, shared)),
        "missing": phrases.predicate(graph, missing),
        "sources": phrases.sources(graph, [shared.relation]),
    }
    query = ["where", "disease", [shared.written(graph), missing.written(graph)]]
    text = phrases.fill(_NEGATIONS[order.voice], told)
    return Draft(query, text, f"negation/{order.voice}")


def _examined(graph: Graph, order: SampleSpec) -> int:
    """Return a disease in which some finding was looked for and not found."""
    known = _with_exclusions(graph)
    if not known.size:
        raise Rejected(Rejection.NO_COMMON_FINDING)
    return int(order.rng.choice(known))


@lru_cache(maxsize=4)
def _with_exclusions(graph: Graph) -> IntArray:
    if LACKS_PHENOTYPE.name not in graph.rows:
        return np.empty(0, dtype=np.int32)
    return np.flatnonzero(graph.degrees(LACKS_PHENOTYPE.name)).astype(np.int32)


def _deciding(graph: Graph, disease: int, group: IntArray, order: SampleSpec) -> list[Clue]:
    """Return findings excluded in a disease that all others of a group are recorded with."""
    unfit = unnameable(graph, order.max_name_chars)
    others = group[group != disease]
    found = []
    for finding in graph.step(disease, LACKS_PHENOTYPE.name).tolist():
        with_it = bearers(graph, HAS_PHENOTYPE.name, finding)
        if not unfit[finding] and disease not in with_it and np.isin(others, with_it).all():
            found.append(Clue(LACKS_PHENOTYPE.name, finding))
    return found


_NEGATIONS = (
    "Of the diseases that {all_shared}, which one {missing} in {sources}?",
    "Among the diseases that {all_shared} there is one that {missing}. Which one, by {sources}?",
    "Name the disease that {shared} but {missing}, going by {sources}.",
    "According to {sources}, just one disease that {shared} {missing}. Which one?",
)


def draft_differential(graph: Graph, order: SampleSpec) -> Draft:
    """Ask which disease has some findings, of several that have, by a finding that was excluded.

    All others that have the findings are recorded with the excluded one.

    Raises:
        Rejected: The rare entity leads to no disease that an excluded finding decides for.
    """
    disease = _examined(graph, order)
    findings = _findings(graph, disease, order)
    chosen: list[Clue] = []
    found = graph.of_kind("disease")
    for place in order.rng.permutation(len(findings)).tolist():
        left = narrow(graph, found, findings[place])
        if 1 < left.size < found.size:
            chosen.append(findings[place])
            found = left
        if len(chosen) == _MOST_FINDINGS:
            break
    deciding = _deciding(graph, disease, found, order)
    if len(chosen) < 2 or not deciding:
        raise Rejected(Rejection.NO_COMMON_FINDING)
    missing = deciding[int(order.rng.integers(len(deciding)))]
    told = {
        "names": joined([titled(graph, clue.entity) for clue in chosen]),
        "missing": titled(graph, missing.entity),
        "sources": phrases.sources(graph, [HAS_PHENOTYPE.name]),
    }
    query = ["where", "disease", [clue.written(graph) for clue in (*chosen, missing)]]
    text = phrases.fill(_DIFFERENTIALS[order.voice], told)
    return Draft(query, text, f"differential/{order.voice}")


_DIFFERENTIALS = (
    "A patient has {names}. {missing} was looked for and not found. Which disease do {sources} "
    "record with those findings and without this one?",
    "A patient shows {names}, but not {missing}, which was examined for. Which disease fits by the "
    "records of {sources}?",
    "Several diseases come with {names}; in one of them {missing} has been excluded. Name it, "
    "going by {sources}.",
    "Name the disease in which {names} are reported and {missing} was looked for in vain, "
    "according to {sources}.",
)


def _groups(graph: Graph, disease: int, order: SampleSpec) -> Iterator[tuple[Clue, IntArray]]:
    """Yield clues on a disease with the two to six diseases that each fits, in a drawn order.

    They are the same as recorded and as the ontology entails it, so that the list has one reading.
    """
    pool = [HAS_GENE.name, HAS_PHENOTYPE.name]
    clues = [c for c in offers(graph, disease) if c.relation in pool]
    for place in order.rng.permutation(len(clues)).tolist():
        clue = clues[place]
        if unnameable(graph, order.max_name_chars)[clue.entity]:
            continue
        group = fitting(graph, "disease", [clue])
        recorded = graph.step(clue.entity, inverse(graph, clue.relation))
        if group.size == recorded.size and group.size in LISTABLE:
            yield clue, group


def draft_list(graph: Graph, order: SampleSpec) -> Draft:
    """Ask for all diseases that share a gene or a finding.

    Raises:
        Rejected: The rare entity leads to no such group of diseases.
    """
    shared, group = next(_groups(graph, _disease(graph, order), order), (None, None))
    if shared is None or group is None:
        raise Rejected(Rejection.NO_GROUP)
    unfit = unnameable(graph, order.max_name_chars)
    if unfit[group].any() or not all(is_disease(graph, node) for node in group.tolist()):
        raise Rejected(Rejection.UNFIT_ANSWER)
    said = phrases.predicate(graph, shared)
    told = {
        "shared": said,
        "all_shared": phrases.plural(said),
        "sources": phrases.sources(graph, [shared.relation]),
    }
    text = phrases.fill(_LISTS[order.voice], told)
    return Draft(["where", "disease", [shared.written(graph)]], text, f"list/{order.voice}")


_LISTS = (
    "List every disease of {sources} that {shared}.",
    "Name all diseases that {all_shared}, going by {sources}.",
    "Which diseases {all_shared} according to {sources}? Name them all.",
    "Give the complete list of diseases in {sources} that {all_shared}.",
)


def _drawn(pool: Pool, answer: str, order: SampleSpec) -> None:
    """Reject a common answer as often as keeps a constant answer from being right too often."""
    if order.rng.random() >= pool.weights.get(answer, 1.0):
        raise Rejected(Rejection.COMMON_ANSWER)


def draft_quantity(graph: Graph, order: SampleSpec) -> Draft:
    """Ask how often a finding occurs in a disease, or when the disease begins.

    Raises:
        Rejected: The rare entity leads to no disease of which that is known.
    """
    disease = _disease(graph, order)
    name = titled(graph, disease)
    for relation, kind, wordings in _ATTRIBUTES:
        ends = graph.step(disease, relation).tolist() if relation in graph.rows else []
        if len(ends) == 1 and order.rng.random() < 0.8:
            _drawn(walks(graph, "disease", (relation,), kind), graph.nodes.ids[ends[0]], order)
            said_by = phrases.sources(graph, [relation])
            query = ["walk", graph.nodes.ids[disease], [relation]]
            text = phrases.fill(wordings[order.voice], {"name": name, "sources": said_by})
            return Draft(query, text, f"{kind}/{order.voice}")
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
    "What is the onset of {name} as recorded in {sources}?",
    "At which stage of life does {name} begin, going by {sources}?",
    "Name the onset of {name} that {sources} record.",
    "When does {name} set in, according to {sources}?",
)
_PREVALENCES = (
    "How prevalent is {name}, as a range recorded in {sources}?",
    "In which range does the prevalence of {name} lie, going by {sources}?",
    "Name the class of prevalence of {name} that {sources} record.",
    "What is the prevalence of {name} according to {sources}, as a range?",
)
_ATTRIBUTES = (
    (HAS_PREVALENCE.name, "prevalence", _PREVALENCES),
    (HAS_ONSET.name, "onset", _ONSETS),
)
"""What is recorded of a disease in ranges: relation, kind of the answer, wordings."""
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
            told = {
                "finding": titled(graph, finding),
                "names": "; ".join(titled(graph, node) for node in chosen),
                "most": "more" if len(chosen) == 2 else "most",
                "largest": "larger" if len(chosen) == 2 else "largest",
            }
            ids = [graph.nodes.ids[node] for node in chosen]
            query = ["most", HAS_PHENOTYPE.name, graph.nodes.ids[finding], ids]
            text = phrases.fill(_COMPARISONS[order.voice], told)
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
    """Return up to four diseases in a random order, one of which has the finding most often.

    It has it more often than each of the others by Fisher's exact test, so only those count of
    which numbers of patients are recorded.
    """
    known: list[tuple[float, int, tuple[int, int]]] = []
    heads = graph.step(finding, HAS_PHENOTYPE.inverse)
    for place in order.rng.permutation(heads.size)[:_TRIED].tolist():
        head = int(heads[place])
        value = graph.qualifiers(head, HAS_PHENOTYPE.name, finding).get("frequency", "")
        found = patients(value)
        if found and not unnameable(graph, order.max_name_chars)[head]:
            known.append((-found[0] / found[1], head, found))
    known.sort()
    if not known:
        return []
    rest = [head for _, head, found in known[1:] if more_frequent(known[0][2], found)][:3]
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
    "differential": draft_differential,
    "list": draft_list,
    "quantity": draft_quantity,
    "comparison": draft_comparison,
}
"""The makers by the kind of question."""
