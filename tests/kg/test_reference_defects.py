"""What goes wrong in MedResearcher-R1's released code where it makes graphs and questions.

The numbers are those of a reading of that code. Defects 1, 7 and 8 are in its judge, its filter of
trajectories and its counts of tool calls; what answers them has its specs beside rewards and
trajectories.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import networkx as nx
import numpy as np
import pytest

from medenv.errors import CorpusUnavailableError, UsageError
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo, leakage, verify
from medenv.kg.certificates.certificate import leaks
from medenv.kg.certificates.proving import prove_all
from medenv.kg.graph.sampling import STRATEGIES, sample
from medenv.kg.graph.schema import IS_A
from medenv.kg.graph.traversal import closure
from medenv.kg.questions.generator import KINDS, QuestionGenerator, QuestionSpec
from medenv.kg.questions.production import Produced, produce
from medenv.kg.questions.rare_chains import ChainConfig
from medenv.records import Passage, Question

from .random_graphs import from_networkx, random_graph

CHAINS = QuestionSpec(
    rare_percent=100, test_share=0.4, chains=ChainConfig(min_hops=2, max_hops=6, budget=2_000)
)


@pytest.fixture(scope="module")
def big() -> Graph:
    return random_graph(1, diseases=60, findings=60, genes=30)


def made(graph: Graph, config: QuestionSpec, folder: Path, n: int = 20) -> Produced:
    workshop = QuestionGenerator(Documents(graph), config, 0, Fixed(graph))
    return produce(
        workshop, "train", n, folder / hashlib.sha256(msgspec.json.encode(config)).hexdigest()
    )


class Fixed:
    """Answers every search with the same passages."""

    def __init__(self, graph: Graph) -> None:
        self.passages = Documents(graph).passages[:10]

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        return [[(passage, 1.0) for passage in self.passages[:k]] for _ in queries]

    def get(self, passage_id: str) -> Passage | None:
        return next((p for p in self.passages if p.id == passage_id), None)


class Failing(Fixed):
    """Answers some searches and then no more."""

    def __init__(self, graph: Graph, answers: int) -> None:
        super().__init__(graph)
        self.left = answers

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        self.left -= len(queries)
        if self.left < 0:
            raise CorpusUnavailableError("the server did not answer")
        return super().search(queries, k)


def test_defect_2_transitive_edges_are_kept_whatever_order_they_are_told_in() -> None:
    def chain(order: Sequence[int]) -> Graph:
        builder = GraphBuilder(GraphInfo(source="a chain", version="1"))
        for node in order:
            builder.node(f"T:{node:02}", kind="term", name=f"term {node}")
        builder.relation(IS_A)
        for node in order:
            if node:
                builder.edge(f"T:{node:02}", IS_A.name, f"T:{node - 1:02}")
        return builder.build()

    first = chain(range(30))
    below = nx.ancestors(nx.path_graph(30, create_using=nx.DiGraph).reverse(), 0)
    for seed in range(5):
        other = chain(np.random.default_rng(seed).permutation(30).tolist())
        assert other.nodes == first.nodes
        root = np.array([0], dtype=np.int32)
        assert set(closure(other, root, IS_A.inverse).tolist()) == below | {0}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_defect_3_samples_keep_their_size_hold_together_and_chains_may_fill_them(
    strategy: str,
) -> None:
    path = from_networkx(nx.path_graph(30))
    for seed in range(20):
        taken = sample(path, strategy, 8, np.random.default_rng(seed))
        assert len(taken.nodes) <= 8
        assert nx.is_connected(nx.path_graph(30).subgraph(taken.nodes))
    longest = sample(path, "max_chain", 8, np.random.default_rng(0))
    assert len(longest.backbone) == 8


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"max_hops": 2}, lambda q: len(q.certificate.path) == 2),
        ({"min_hops": 4}, lambda q: len(q.certificate.path) >= 4),
        ({"max_clues": 1}, lambda q: all(len(step[1]) <= 1 for step in q.certificate.query[2])),
        ({"max_nodes": 4, "min_hops": 1}, lambda q: len(q.certificate.path) <= 3),
    ],
)
def test_defect_4_limits_reach_what_is_made(
    big: Graph, tmp_path: Path, changes: dict[str, int], holds: Callable[[Question], bool]
) -> None:
    chains = msgspec.structs.replace(CHAINS.chains, **changes)
    config = msgspec.structs.replace(CHAINS, chains=chains)
    questions = made(big, config, tmp_path, 10).questions
    assert len(questions) == 10
    assert all(holds(question) for question in questions)


def test_defect_5_a_search_that_fails_makes_no_question_and_is_tried_again(
    big: Graph, tmp_path: Path
) -> None:
    journal = tmp_path / "j"
    workshop = QuestionGenerator(Documents(big), CHAINS, 0, Failing(big, 50))
    with pytest.raises(CorpusUnavailableError):
        produce(workshop, "train", 60, journal)
    kept = journal.read_bytes()
    whole = QuestionGenerator(Documents(big), CHAINS, 0, Fixed(big))
    resumed = produce(whole, "train", 60, journal)
    assert journal.read_bytes().startswith(kept)
    assert resumed == produce(whole, "train", 60, tmp_path / "never failed")
    assert all(verify(question, big) == [] for question in resumed.questions)


def test_defect_6_the_leak_check_finds_what_is_planted(big: Graph, tmp_path: Path) -> None:
    questions = made(big, CHAINS, tmp_path).questions
    for question in questions:
        assert leaks(big, question.certificate, question.text) == ()
        for hop in question.certificate.path:
            name = big.nodes.names[big.number(hop.tail)]
            told = msgspec.structs.replace(question, text=f"{question.text} ({name.upper()})")
            assert leaks(big, told.certificate, told.text) == (name,)
            assert f"the text gives away {name!r}" in verify(told, big)
    assert leakage(questions[:12], questions[8:])["texts"] == 4


def test_defect_9_no_search_is_left_out_and_none_that_fails_counts_as_nothing_found(
    big: Graph, tmp_path: Path
) -> None:
    questions = made(big, CHAINS, tmp_path, 70).questions
    proofs = list(prove_all(questions, big, Fixed(big)))
    assert [question for question, _ in proofs] == list(questions)
    assert all(problems == [] for _, problems in proofs)
    with pytest.raises(CorpusUnavailableError):
        list(prove_all(questions, big, Failing(big, 65)))


SETTINGS: dict[str, object] = {
    "kinds": {"list": 1},
    "levels": (4,),
    "rarity": "prevalence",
    "rare_percent": 10.0,
    "sampling": "mixed",
    "min_degree": 22,
    "max_degree": 14,
    "max_subtypes": 0,
    "test_share": 0.2,
    "min_difficulty": 0.2,
    "max_difficulty": 0.1,
    "max_name_chars": 14,
}
ELSEWHERE = ("chains", "specialties", "max_per_answer", "sample_nodes")
"""Settings whose effect has a spec of its own."""

CHAIN_SETTINGS: dict[str, object] = {
    "min_hops": 5,
    "max_hops": 3,
    "radius": 1,
    "fan": 2,
    "max_nodes": 5,
    "budget": 3,
    "max_clues": 1,
    "every_hop": True,
    "avoid": ("gene",),
}


def test_no_setting_is_dead(big: Graph, tmp_path: Path) -> None:
    assert {*SETTINGS, *ELSEWHERE} == set(QuestionSpec.__struct_fields__)
    elsewhere = {"coherent"}  # the random graph has one field; see test_rare_chains.py
    assert set(CHAIN_SETTINGS) | elsewhere == set(ChainConfig.__struct_fields__)
    mixed = msgspec.structs.replace(CHAINS, kinds=dict.fromkeys(KINDS, 1) | {"rare_chains": 3})
    before = texts(big, mixed, tmp_path)
    for name, value in SETTINGS.items():
        config = msgspec.structs.replace(mixed, **{name: value})
        assert texts(big, config, tmp_path) != before, name
    plain = texts(big, CHAINS, tmp_path)
    for name, value in CHAIN_SETTINGS.items():
        chains = msgspec.structs.replace(CHAINS.chains, **{name: value})
        if name in ("max_nodes", "radius", "budget"):
            chains = msgspec.structs.replace(chains, min_hops=1)
        config = msgspec.structs.replace(CHAINS, chains=chains)
        assert texts(big, config, tmp_path) != plain, name


def texts(graph: Graph, config: QuestionSpec, folder: Path) -> list[str]:
    """What is made, or why nothing is."""
    try:
        return [question.text for question in made(graph, config, folder, 12).questions]
    except UsageError as error:
        return [str(error)]
