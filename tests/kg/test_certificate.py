import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import msgspec
import pytest

from medenv.kg import Documents, Graph, certify, search_rank, verify
from medenv.kg.sources.toy import ToyQuestions
from medenv.records import Certificate, Entity, Passage, Question

replace = msgspec.structs.replace


class FixedRetriever:
    """Answers every search with the same passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        return [[(passage, 1.0) for passage in self.passages[:k]] for _ in queries]

    def get(self, passage_id: str) -> Passage | None:
        return next((p for p in self.passages if p.id == passage_id), None)


@pytest.fixture
def two_hop(questions: ToyQuestions) -> Question:
    return next(q for q in questions.train if q.kind == "phenotype>disease>gene")


def test_a_certificate_names_every_hop_with_the_passages_that_state_it(
    documents: Documents,
) -> None:
    proof = certify(documents, documents.graph.number("TOY:P02"), ["phenotype_of", "has_gene"])
    assert proof.query == ["walk", "TOY:P02", ["phenotype_of", "has_gene"]]
    assert proof.answers == ("TOYGENE:QUAB1",)
    assert [(h.head, h.relation, h.tail, h.passages) for h in proof.path] == [
        ("TOY:P02", "phenotype_of", "TOY:D1", ("TOY:D1#1", "TOY:P02#0")),
        ("TOY:D1", "has_gene", "TOYGENE:QUAB1", ("TOY:D1#0", "TOYGENE:QUAB1#0")),
    ]
    assert (proof.min_hops, proof.min_calls, proof.shortcuts) == (2, 2, ())


def test_the_chance_is_the_share_of_the_best_constant_answer(documents: Documents) -> None:
    graph = documents.graph
    ends = Counter()
    for topic in graph.of_kind("disease").tolist():
        genes = graph.step(topic, "has_gene").tolist()
        ends.update(genes if len(genes) == 1 else ())
    share = max(ends.values()) / ends.total()
    for topic in ("TOY:D1", "TOY:D6"):
        assert certify(documents, graph.number(topic), ["has_gene"]).chance == pytest.approx(share)


def test_the_fewest_calls_are_the_smallest_set_of_passages_that_states_all_hops(
    questions: ToyQuestions,
) -> None:
    for question in questions.train + questions.test:
        hops = [set(hop.passages) for hop in question.certificate.path]
        known = sorted(set().union(*hops))
        covers = [
            size
            for size in range(1, len(known) + 1)
            if any(all(hop & set(c) for hop in hops) for c in combinations(known, size))
        ]
        assert question.certificate.min_calls == min(covers)


def test_every_question_that_is_made_is_proved(graph: Graph, questions: ToyQuestions) -> None:
    assert [verify(q, graph) for q in questions.train + questions.test] == [[]] * 22


def tampered(question: Question, **changes: Any) -> Question:
    return replace(question, certificate=replace(question.certificate, **changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"answers": ("TOYGENE:ZORI4",)}, "answers is .* the graph says"),
        ({"min_hops": 7}, "min_hops is 7, the graph says 2"),
        ({"min_calls": 0}, "min_calls is 0, the graph says 2"),
        ({"chance": 0.5}, "chance is 0.5, the graph says 0.14"),
        ({"shortcuts": ("is_a",)}, "shortcuts is"),
        ({"path": ()}, "path is"),
        ({"query": []}, "expected the query"),
        ({"query": ["walk", "TOY:P08", ["phenotype_of"]]}, "leads to 8 entities, expected exactly"),
        ({"query": ["walk", "TOY:P99", ["phenotype_of"]]}, "no entity 'TOY:P99'"),
        ({"query": ["walk", "TOY:P02", ["cures"]]}, "unknown relation 'cures'"),
        ({"query": ["walk", "TOY:P02", []]}, "expected the query"),
    ],
)
def test_a_changed_certificate_is_found_out(
    graph: Graph, two_hop: Question, changes: dict[str, Any], problem: str
) -> None:
    problems = verify(tampered(two_hop, **changes), graph)
    assert any(re.search(problem, found) for found in problems), problems


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "disease>gene"}, "kind is 'disease>gene', the path has 'phenotype>disease>gene'"),
        ({"source": "HPO 1999"}, "source is 'HPO 1999'"),
        ({"text": "Which gene?"}, "the text does not name"),
        ({"answers": ()}, "answers differ"),
        ({"topic": Entity(id="TOY:P08", kind="phenotype", name="x")}, "topic is 'TOY:P08'"),
    ],
)
def test_a_changed_question_is_found_out(
    graph: Graph, two_hop: Question, changes: dict[str, Any], problem: str
) -> None:
    problems = verify(replace(two_hop, **changes), graph)
    assert any(problem in found for found in problems), problems


def test_a_question_that_names_its_answer_or_a_step_is_found_out(
    graph: Graph, two_hop: Question
) -> None:
    answer = two_hop.answers[0].name
    step = graph.entity(graph.number(two_hop.certificate.path[0].tail)).name
    text = f"{two_hop.text} Is it {answer.lower()}-like, as in {step.upper()}?"
    assert verify(replace(two_hop, text=text), graph) == [
        f"the text gives away {step!r}",
        f"the text gives away {answer!r}",
    ]


def test_the_search_rank_is_that_of_the_first_passage_that_states_the_last_hop(
    graph: Graph, documents: Documents, two_hop: Question
) -> None:
    last = two_hop.certificate.path[-1].passages
    good = [p for p in documents.passages if p.id in last]
    bad = [p for p in documents.passages if p.id not in last]
    for passages, rank in (([*bad[:3], *good], 4), (good, 1), (bad, None), (bad[:10] + good, None)):
        retriever = FixedRetriever(passages)
        assert search_rank(two_hop.certificate, two_hop.text, retriever) == rank
        ranked = tampered(two_hop, search_rank=rank)
        assert verify(ranked, graph, retriever) == []
        problems = verify(tampered(two_hop, search_rank=9), graph, retriever)
        assert problems == [f"search_rank is 9, the graph says {rank!r}"]


def test_a_certificate_survives_json(questions: ToyQuestions) -> None:
    proof = questions.train[0].certificate
    assert msgspec.json.decode(msgspec.json.encode(proof), type=Certificate) == proof
