import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import networkx as nx
import numpy as np
import pytest

from medenv.errors import UsageError
from medenv.kg import Documents, Graph, load_hpo, verify
from medenv.kg.certificates.queries import evaluate
from medenv.kg.documents.naming import mentions
from medenv.kg.graph.rarity import rare_nodes
from medenv.kg.graph.topology import Topology
from medenv.kg.questions.drafts import Draft, Rejected, Rejection, SampleSpec, finish
from medenv.kg.questions.facts import MAKERS
from medenv.kg.questions.phrases import VOICES
from medenv.kg.questions.rare_chains import OTHER_CHAINS, ChainConfig, draft_chain
from medenv.kg.sources.hpo import bundled_folder
from medenv.records import Question

from .random_graphs import random_graph

SHORT = ChainConfig(min_hops=2, max_hops=5)


@pytest.fixture(scope="module")
def hpo() -> Graph:
    try:
        bundled_folder()
    except UsageError as error:
        pytest.skip(str(error))
    return load_hpo()


def ordered(graph: Graph, seed: int, i: int, level: int = 0) -> SampleSpec:
    rng = np.random.default_rng([seed, i])
    nodes = np.flatnonzero(graph.degrees() > 1)
    return SampleSpec(int(rng.choice(nodes)), level, i % VOICES, rng)


def made(
    graph: Graph, make: Callable[[SampleSpec], Draft], orders: list[SampleSpec]
) -> tuple[list[Question], Counter[str]]:
    documents = Documents(graph)
    questions, reasons = [], Counter[str]()
    for order in orders:
        try:
            questions.append(finish(documents, make(order), "train", 80)[0])
        except Rejected as rejected:
            reasons[rejected.reason] += 1
    return questions, reasons


def chains_of(graph: Graph, orders: list[SampleSpec], config: ChainConfig) -> list[Question]:
    topology = Topology(graph)
    return made(graph, lambda order: draft_chain(topology, order, config), orders)[0]


def test_from_some_round_on_other_chains_than_the_longest_are_cut() -> None:
    graph = random_graph(2, diseases=14, findings=14, genes=6)
    paths = {}
    for rounds in (0, OTHER_CHAINS - 1, OTHER_CHAINS):
        orders = [ordered(graph, 2, i)._replace(rounds=rounds) for i in range(60)]
        questions = chains_of(graph, orders, SHORT)
        assert len(questions) > 5
        assert [verify(question, graph) for question in questions] == [[]] * len(questions)
        rare = {graph.nodes.ids[order.seed] for order in orders}
        assert all(rare & {q.topic.id, *q.certificate.answers} for q in questions)
        paths[rounds] = {tuple(hop.tail for hop in q.certificate.path) for q in questions}
    assert paths[0] == paths[OTHER_CHAINS - 1] != paths[OTHER_CHAINS]


def test_every_chain_on_random_graphs_is_proved_and_gives_nothing_away() -> None:
    count = 0
    for seed in range(12):
        graph = random_graph(seed, diseases=14, findings=14, genes=6)
        orders = [ordered(graph, seed, i, level=i % 5) for i in range(20)]
        for question in chains_of(graph, orders, SHORT):
            assert verify(question, graph) == []
            outcome = evaluate(graph, question.certificate.query)
            hidden = [graph.nodes.names[node] for node in outcome.hidden]
            assert not mentions(question.text, hidden)
            assert 2 <= len(question.certificate.path) <= 5
            count += 1
    assert count > 60


@pytest.mark.parametrize("level", range(5))
def test_rare_chains_of_the_hpo_are_proved_at_every_level(hpo: Graph, level: int) -> None:
    topology = Topology(hpo)
    kinds = ("disease",) if level > 2 else ("disease", "gene", "phenotype")
    rare = np.concatenate([rare_nodes(hpo, kind) for kind in kinds])
    rare = rare[topology.path_nodes[rare]]
    orders = [
        SampleSpec(int(rare[97 * i % rare.size]), level, i % 3, np.random.default_rng([1, i]))
        for i in range(240 if level > 2 else 40)
    ]
    questions = chains_of(hpo, orders, ChainConfig())
    assert len(questions) >= 10
    for question in questions:
        assert verify(question, hpo) == []
        assert 3 <= len(question.certificate.path) <= 8
        assert bool(mentions(question.text, [question.topic.name])) is (question.level == 0)
    assert Counter(q.level for q in questions)[level] >= (1 if level > 2 else len(questions) / 4)


def named_entities(graph: Graph, question: Question) -> list[str]:
    """The diseases, genes and findings of few diseases that a chain names, by its query."""
    _, root, steps = question.certificate.query
    if isinstance(root, str):
        return [root]
    clues = [*(root[2] if root[0] == "where" else ()), *(c for _, told in steps for c in told)]
    few = 0.05 * graph.of_kind("disease").size
    named = []
    for _, entity in clues:
        kind = graph.kind(graph.number(entity))
        if kind in ("disease", "gene"):
            named.append(entity)
        elif kind == "phenotype":
            below = {graph.number(entity)} | descendants(graph, graph.number(entity))
            diseases = {d for f in below for d in graph.step(f, "phenotype_of").tolist()}
            named += [entity] if len(diseases) < few else []
    return named


def descendants(graph: Graph, node: int) -> set[int]:
    found: set[int] = set()
    for child in graph.step(node, "has_subtype").tolist():
        found |= {child} | descendants(graph, child)
    return found


def test_a_level_hides_the_topic_as_it_says(hpo: Graph) -> None:
    topology = Topology(hpo)
    rare = rare_nodes(hpo, "disease")
    rare = rare[topology.path_nodes[rare]]
    of_level: dict[int, list[Question]] = {}
    for i in range(240):
        rng = np.random.default_rng([2, i])
        order = SampleSpec(int(rng.choice(rare)), i % 5, 0, rng)
        for question in chains_of(hpo, [order], ChainConfig()):
            of_level.setdefault(question.level, []).append(question)
    assert set(of_level) == {0, 1, 2, 3, 4}
    for level, questions in of_level.items():
        for question in questions:
            root, bits = question.certificate.query[1], question.certificate.hidden_bits
            form = {0: None, 1: "described"}.get(level, "where")
            assert (None if isinstance(root, str) else root[0]) == form
            assert bits >= {2: 1, 3: 2, 4: 3}.get(level, 0)
            assert len(named_entities(hpo, question)) <= {3: 1, 4: 0}.get(level, 99)


def test_a_finding_leads_only_to_a_disease_of_the_same_field() -> None:
    linked = 0
    for seed in range(12):
        graph = random_graph(seed, diseases=14, findings=14, genes=6)
        fields = np.random.default_rng(seed).integers(0, 2, len(graph)).astype(np.int8)
        orders = [ordered(graph, seed, i)._replace(fields=fields) for i in range(30)]
        for question in chains_of(graph, orders, SHORT):
            path = [graph.number(question.topic.id)]
            path += [graph.number(hop.tail) for hop in question.certificate.path]
            for first, link, second in zip(path, path[1:], path[2:], strict=False):
                kinds = [graph.kind(node) for node in (first, link, second)]
                if kinds == ["disease", "phenotype", "disease"]:
                    linked += 1
                    assert fields[first] == fields[second]
    assert linked > 20


def test_guidance_masks_every_entity_and_reasoning_names_them(graph: Graph) -> None:
    orders = [ordered(graph, 0, i) for i in range(40)]
    questions = chains_of(graph, orders, SHORT)
    assert questions
    for question in questions:
        hops = question.certificate.path
        assert question.guidance == tuple(f"([MASK], {h.relation}, [MASK])" for h in hops)
        names = [graph.nodes.names[graph.number(hop.tail)] for hop in hops]
        assert all(name in question.reasoning for name in names)
        assert not mentions(" ".join(question.guidance), names)


def test_a_chain_that_is_too_short_is_rejected_with_a_reason(graph: Graph) -> None:
    order = ordered(graph, 0, 1)
    with pytest.raises(Rejected) as caught:
        draft_chain(Topology(graph), order, ChainConfig(min_hops=30, max_hops=30))
    assert caught.value.reason == Rejection.SHORT_CHAIN


def test_a_question_that_names_a_later_step_is_rejected(graph: Graph) -> None:
    query = ["walk", "TOY:D6", ["has_gene"]]
    draft = Draft(query, "Which gene, perhaps ZORI4, is associated with Night lake syndrome?", "t")
    with pytest.raises(Rejected) as caught:
        finish(Documents(graph), draft, "train", 80)
    assert caught.value.reason == Rejection.NAMED_STEP


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (["walk", "TOY:P01", ["phenotype_of"]], Rejection.NO_PASSAGE),  # of its subtype alone
        (["walk", "TOY:D5", ["has_gene"]], Rejection.NO_CERTAIN_ANSWER),
    ],
)
def test_a_question_that_cannot_be_proved_is_rejected(
    graph: Graph, query: list[Any], reason: Rejection
) -> None:
    with pytest.raises(Rejected) as caught:
        finish(Documents(graph), Draft(query, "What then?", "t"), "train", 80)
    assert caught.value.reason == reason


def test_a_question_with_a_shortcut_is_rejected(graph: Graph) -> None:
    enough = ["chain", "TOY:D6", [["has_gene", []], ["gene_of", [["has_phenotype", "TOY:P07"]]]]]
    with pytest.raises(Rejected) as caught:
        finish(Documents(graph), Draft(enough, "Night lake syndrome ...", "t"), "train", 80)
    assert caught.value.reason == Rejection.SHORTCUT


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_other_kind_is_proved_too(hpo: Graph, kind: str) -> None:
    questions, reasons = made(
        hpo,
        lambda order: MAKERS[kind](hpo, order),
        [ordered(hpo, 3, i) for i in range(80)],
    )
    assert len(questions) >= 8, reasons
    assert len(questions) + sum(reasons.values()) == 80
    for question in questions:
        assert verify(question, hpo) == []
        assert not re.search(r"[{}]", question.text)
    assert len({q.template for q in questions}) >= VOICES


def test_a_list_question_has_the_complete_list(hpo: Graph) -> None:
    orders = [ordered(hpo, 4, i) for i in range(30)]
    questions, _ = made(hpo, lambda order: MAKERS["list"](hpo, order), orders)
    for question in questions:
        assert len(question.answers) > 1
        short = msgspec.structs.replace(question, answers=question.answers[:-1])
        assert verify(short, hpo)


def test_the_same_order_makes_the_same_question(graph: Graph) -> None:
    first = [q for i in range(30) for q in chains_of(graph, [ordered(graph, 5, i)], SHORT)]
    again = [q for i in range(30) for q in chains_of(graph, [ordered(graph, 5, i)], SHORT)]
    assert first == again


def fits_as_recorded(graph: Graph, node: int, clue: list[Any]) -> bool:
    return graph.has_edge(node, clue[0], graph.number(clue[1]))


def fits_as_entailed(below: list[set[int]], graph: Graph, node: int, clue: list[Any]) -> bool:
    """Whether a clue holds when a finding is reported wherever a kind of it is."""

    def diseases(finding: int) -> set[int]:
        kinds = below[finding]
        return {int(d) for f in kinds for d in graph.step(f, "phenotype_of")}

    other = graph.number(clue[1])
    if clue[0] == "phenotype_of":
        return other in diseases(node)
    if clue[0] == "has_phenotype":
        return node in diseases(other)
    if clue[0] == "lacks_phenotype":
        return graph.has_edge(node, clue[0], other)
    if clue[0] == "is_a":
        return node in below[other] - {other}
    return graph.has_edge(node, clue[0], other)


def test_a_chain_has_one_way_as_recorded_and_as_the_ontology_entails_it() -> None:
    steps_seen = 0
    for seed in range(12):
        graph = random_graph(seed, diseases=14, findings=14, genes=6)
        tree = graph.to_networkx().edge_subgraph(
            e for e in graph.to_networkx().edges(keys=True) if e[2] == "is_a"
        )
        below = [
            {n, *(map(graph.number, nx.ancestors(tree, i)) if i in tree else ())}
            for n, i in enumerate(graph.nodes.ids)
        ]
        readings = (partial(fits_as_recorded, graph), partial(fits_as_entailed, below, graph))
        orders = [ordered(graph, seed, i) for i in range(30)]
        for question in chains_of(graph, orders, SHORT):
            path = [graph.number(question.topic.id)]
            for (relation, clues), hop in zip(
                question.certificate.query[2], question.certificate.path, strict=True
            ):
                recorded = set(graph.step(path[-1], relation).tolist()) - set(path)
                left = [{n for n in recorded if all(f(n, c) for c in clues)} for f in readings]
                # What the ontology entails is told as well: "an abnormality of the eye".
                assert left[1] == {graph.number(hop.tail)}
                assert left[0] <= left[1]
                path.append(graph.number(hop.tail))
                steps_seen += len(clues) > 0
    assert steps_seen > 60
