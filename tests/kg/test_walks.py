"""Short walks, through the generator and `produce`; uniqueness recomputed with plain sets."""

import os
import subprocess
import sys
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import msgspec
import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import NoPassageError, UnknownNameError, UsageError
from medenv.kg import (
    Documents,
    Graph,
    GraphBuilder,
    GraphInfo,
    QuestionGenerator,
    QuestionSpec,
    Relation,
    certify,
    leakage,
    load_hpo,
    produce,
    toy_graph,
    toy_questions,
    verify,
)
from medenv.kg.graph.schema import HAS_GENE, HAS_PHENOTYPE, IS_A
from medenv.kg.graph.traversal import unique_paths, walk
from medenv.kg.questions.drafts import Rejected, Rejection
from medenv.kg.questions.production import GenerationSpec, workers
from medenv.kg.questions.store import leakage_certificate
from medenv.kg.questions.walks import WALKS, draft_walk, plan_walks, walk_paths
from medenv.kg.sources.hpo import bundled_folder
from medenv.kg.sources.toy import ToyQuestions
from medenv.records import Question
from medenv.retrieval import BM25Retriever

DISEASES = [f"D{n}" for n in range(5)]
GENES = [f"G{n}" for n in range(4)]
FINDINGS = [f"P{n}" for n in range(6)]

ALL = QuestionSpec(kinds=dict.fromkeys(WALKS, 1), test_share=0.35)
GENES_OF_DISEASES = QuestionSpec(kinds={"disease>gene": 1})

PRINT_HASH = (
    "import hashlib, msgspec; from medenv.kg import toy_questions;"
    "print(hashlib.sha256(msgspec.json.encode(toy_questions(seed=3))).hexdigest())"
)


def some(pairs: list[tuple[str, str]]) -> st.SearchStrategy[set[tuple[str, str]]]:
    return st.sets(st.sampled_from(pairs), max_size=12)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    builder = GraphBuilder(GraphInfo(source="random", version="0"))
    for ids, kind in ((DISEASES, "disease"), (GENES, "gene"), (FINDINGS, "phenotype")):
        for entity_id in ids:
            builder.node(entity_id, kind=kind, name=f"{kind} {entity_id}")
    pairs = {
        HAS_GENE: [(d, g) for d in DISEASES for g in GENES],
        HAS_PHENOTYPE: [(d, p) for d in DISEASES for p in FINDINGS],
        IS_A: [(low, high) for high, low in combinations(FINDINGS, 2)],
    }
    for relation, possible in pairs.items():
        builder.relation(relation)
        for head, tail in sorted(draw(some(possible))):
            builder.edge(head, relation.name, tail)
    return builder.build()


def edges(graph: Graph, relation: str) -> set[tuple[str, str]]:
    return {(h, t) for h, t, key in graph.to_networkx().edges(keys=True) if key == relation}


def brute_force(graph: Graph, kind: str) -> set[tuple[str, ...]]:
    """Every topic whose each step has one outcome, from sets of pairs alone."""
    genes, findings = edges(graph, "has_gene"), edges(graph, "has_phenotype")
    hierarchy = nx.DiGraph(edges(graph, "is_a"))

    def reported(finding: str) -> set[str]:
        kinds = {finding}
        if finding in hierarchy:
            kinds |= nx.ancestors(hierarchy, finding)
        return {disease for disease, p in findings if p in kinds}

    steps = {
        "disease>gene": lambda d: {g for head, g in genes if head == d},
        "gene>disease": lambda g: {d for d, tail in genes if tail == g},
        "phenotype>disease": reported,
    }
    direct = genes | {(g, d) for d, g in genes} | {(p, d) for d, p in findings}
    kinds = kind.split(">")
    topics = {"disease": DISEASES, "gene": GENES, "phenotype": FINDINGS}[kinds[0]]
    paths: list[tuple[str, ...]] = [(topic,) for topic in topics]
    for head, tail in pairwise(kinds):
        step = steps[f"{head}>{tail}"]
        paths = [(*p, *step(p[-1])) for p in paths if len(step(p[-1])) == 1]
    return {p for p in paths if all(pair in direct for pair in pairwise(p))}


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_unique_paths_are_those_that_plain_sets_find(graph: Graph) -> None:
    for kind in WALKS:
        found = {tuple(graph.nodes.ids[n] for n in path) for path in walk_paths(graph, kind)}
        assert found == brute_force(graph, kind)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_every_unique_path_is_certified_and_every_other_topic_is_refused(graph: Graph) -> None:
    documents = Documents(graph)
    facts = nx.Graph(edges(graph, "has_gene") | edges(graph, "has_phenotype"))
    for kind, (relations, _) in WALKS.items():
        paths = {int(path[0]): path for path in walk_paths(graph, kind)}
        for topic in graph.of_kind(kind.split(">")[0]).tolist():
            if topic not in paths:
                with pytest.raises(UsageError) as caught:
                    certify(documents, topic, relations)
                stated = not isinstance(caught.value, NoPassageError)
                assert stated is ("expected exactly 1" in str(caught.value))
                continue
            proof = certify(documents, topic, relations)
            ends = graph.nodes.ids[topic], graph.nodes.ids[paths[topic][-1]]
            assert proof.answers == ends[1:]
            assert proof.min_hops == nx.shortest_path_length(facts, *ends)


def test_the_toy_graph_has_the_hard_cases() -> None:
    graph = toy_graph()
    names = {
        kind: {graph.nodes.names[path[0]] for path in walk_paths(graph, kind)} for kind in WALKS
    }
    assert "Persistent tiredness" not in names["phenotype>disease"], "a hub"
    assert "Abnormal nail colour" not in names["phenotype>disease"], "subtypes reported elsewhere"
    assert "Glass tendon disease" not in names["disease>gene"], "two genes"
    assert "ZORI4" not in names["gene>disease"], "two diseases"
    assert "Metallic taste on waking" in names["phenotype>disease"]
    assert "Metallic taste on waking" not in names["phenotype>disease>gene"], "two genes in the end"


def test_a_walk_follows_every_entity_of_a_step(graph: Graph) -> None:
    topic = graph.number("TOY:P12")
    diseases, genes = walk(graph, topic, ["phenotype_of", "has_gene"])
    assert {graph.nodes.names[n] for n in diseases} == {
        "Alder fever, familial, 2",
        "Tolman-Reyes disease",
    }
    assert {graph.nodes.names[n] for n in genes} == {"TREV3", "FENA1"}


def test_a_graph_without_the_relations_has_no_walks() -> None:
    builder = GraphBuilder(GraphInfo(source="empty", version="0"))
    builder.node("D", kind="disease", name="Lonely disease")
    graph = builder.build()
    assert unique_paths(graph, "disease", ("has_gene",)).shape == (0, 2)
    generator = QuestionGenerator(Documents(graph), ALL)
    assert (generator.capacity("train"), generator.capacity("test")) == (0, 0)
    with pytest.raises(UsageError, match="the graph holds 0"):
        produce(generator, "train", 1)


def ids(question: Question) -> set[str]:
    return {question.topic.id, *(hop.tail for hop in question.certificate.path)}


@pytest.mark.parametrize("seed", range(8))
def test_the_splits_share_no_entity_of_a_gold_path(seed: int) -> None:
    made = toy_questions(seed=seed)
    assert not set().union(*map(ids, made.train)) & set().union(*map(ids, made.test))
    assert set(leakage(made.train, made.test).values()) == {0}
    certificate = leakage_certificate(made.train, made.test)
    assert (certificate.clean, certificate.shared["templates"] > 0) == (True, True)


def test_the_families_of_paths_lose_none(graph: Graph) -> None:
    generator = QuestionGenerator(Documents(graph), ALL)
    train, test = generator.split
    assert (train ^ test).all()
    paths = [path for kind in WALKS for path in walk_paths(graph, kind)]
    assert {(train[path].all(), test[path].all()) for path in paths} == {(1, 0), (0, 1)}
    rejected = sum((generator.unfair(split) for split in ("train", "test")), Counter())
    asked = [generator.capacity(split) or 0 for split in ("train", "test")]
    topics = sum(graph.of_kind(kind.split(">")[0]).size for kind in WALKS)
    assert sum(asked) + rejected.total() == topics
    assert rejected[Rejection.OTHER_SPLIT] == 0


def test_the_kinds_take_turns(questions: ToyQuestions) -> None:
    assert [q.kind for q in questions.train[:8]] == [*WALKS] * 2
    assert set(Counter(q.kind for q in questions.train).values()) == {4}


def test_a_weight_is_the_number_of_walks_in_a_turn(graph: Graph) -> None:
    spec = msgspec.structs.replace(ALL, kinds={"phenotype>disease": 1, "disease>gene": 2})
    made = produce(QuestionGenerator(Documents(graph), spec), "train", 6)
    assert [q.kind for q in made.questions] == [
        *("disease>gene", "disease>gene", "phenotype>disease") * 2
    ]


def test_questions_are_numbered_and_say_where_they_come_from(questions: ToyQuestions) -> None:
    assert [q.id for q in questions.train] == [f"train:{i}" for i in range(16)]
    assert [q.id for q in questions.test] == [f"test:{i}" for i in range(6)]
    assert {(q.source, q.level, q.rare) for q in questions.train} == {("medenv toy 1", 0, "")}
    assert all(q.template.startswith(f"{q.kind}/") for q in questions.train)
    assert all(q.topic.name in q.text for q in questions.train)
    assert len({(q.kind, q.topic.id) for q in questions.train}) == 16
    assert {len(q.guidance) for q in questions.train if q.kind.count(">") == 2} == {2}


def test_the_questions_that_tiny_policies_are_trained_on_stay_the_same(
    questions: ToyQuestions,
) -> None:
    asked = [(q.text, q.answers[0].name) for q in (questions.train[2], questions.test[0])]
    assert asked == [
        (
            'The finding "Backward-leaning gait" is reported in one disease. Which one is it?',
            "Marrow Bay syndrome",
        ),
        ("One gene is associated with Pale harbour anaemia. Which one is it?", "PLYX9"),
    ]


def test_a_shorter_set_is_the_beginning_of_a_longer_one() -> None:
    short, long = toy_questions(n_train=5, n_test=2), toy_questions(n_train=16, n_test=6)
    assert short.train == long.train[:5]
    assert short.test == long.test[:2]


def test_another_seed_makes_other_questions() -> None:
    assert toy_questions(seed=0).train != toy_questions(seed=1).train


def test_the_same_seed_makes_the_same_bytes_under_any_hash_seed() -> None:
    hashes = {
        subprocess.run(
            [sys.executable, "-c", PRINT_HASH],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(hashes) == 1


def test_a_journal_and_workers_make_the_same_and_are_gone_on_with(
    graph: Graph, questions: ToyQuestions, tmp_path: Path
) -> None:
    graph.save(tmp_path / "graph")
    generator = QuestionGenerator(Documents(graph), ALL)
    assert produce(generator, "train", 9, tmp_path / "j").questions == questions.train[:9]
    with workers(GenerationSpec(tmp_path / "graph", ALL, 0), 1) as attempts:
        made = produce(generator, "train", 16, tmp_path / "j", attempts)
    assert made.questions == questions.train
    assert made == produce(generator, "train", 16)
    assert made.attempts == 16 + sum(made.rejected.values())


def test_graded_walks_have_the_rank_of_a_search_and_a_difficulty(
    graph: Graph, questions: ToyQuestions
) -> None:
    documents = Documents(graph)
    retriever = BM25Retriever(documents.passages)
    made = produce(QuestionGenerator(documents, ALL, 0, retriever), "train", 16).questions
    assert [q.text for q in made] == [q.text for q in questions.train]
    assert [verify(q, graph, retriever) for q in made] == [[]] * 16
    assert 1 in {q.certificate.search_rank for q in made}
    assert {q.difficulty for q in made} == {0.0}, "following the relations is enough"
    hard = msgspec.structs.replace(ALL, min_difficulty=0.1)
    with pytest.raises(Rejected) as caught:
        QuestionGenerator(documents, hard, 0, retriever).attempt("train", 0)
    assert caught.value.reason == Rejection.DIFFICULTY


def named(*diseases: tuple[str, str]) -> Graph:
    """A graph of diseases with one gene each."""
    builder = GraphBuilder(GraphInfo(source="named", version="0"))
    builder.relation(HAS_GENE)
    for number, (disease, gene) in enumerate(diseases):
        builder.node(f"D{number}", kind="disease", name=disease)
        if f"G:{gene}" not in builder:
            builder.node(f"G:{gene}", kind="gene", name=gene)
        builder.edge(f"D{number}", HAS_GENE.name, f"G:{gene}")
    return builder.build()


@pytest.mark.parametrize(
    ("disease", "gene", "reason"),
    [
        ("{Fever, susceptibility to}", "AAA1", Rejection.NOTATION),
        ("F" * 81, "AAA1", Rejection.LONG_NAME),
        ("AAA1-related fever", "AAA1", Rejection.NAMED_STEP),
        ("Odd fever", "patient", Rejection.NAMED_STEP),
        ("good FEVER", "AAA1", Rejection.SHARED_NAME),
        ("Odd fever", "odd fever gene", Rejection.TELLING_NAME),
    ],
)
def test_an_unfair_topic_is_left_out_and_counted(
    disease: str, gene: str, reason: Rejection
) -> None:
    graph = named(("Good fever", "BBB1"), (disease, gene))
    generator = QuestionGenerator(Documents(graph), GENES_OF_DISEASES)
    most = generator.capacity("train") or 0
    made = produce(generator, "train", most)
    assert made.rejected[reason] in (1, 2)
    assert most + sum(made.rejected.values()) == made.attempts == 2


@pytest.mark.parametrize("kind", ["gene>disease", "phenotype>disease>gene"])
def test_a_walk_with_another_edge_to_its_answer_is_left_out(kind: str) -> None:
    builder = GraphBuilder(GraphInfo(source="short", version="0"))
    other = Relation(name="linked_to", inverse="linked_from")
    for relation in (HAS_GENE, HAS_PHENOTYPE, other):
        builder.relation(relation)
    for node, name in (("disease", "Good fever"), ("gene", "AAA1"), ("phenotype", "Blue nails")):
        builder.node(node, kind=node, name=name)
    builder.edge("disease", HAS_GENE.name, "gene")
    builder.edge("disease", HAS_PHENOTYPE.name, "phenotype")
    kinds = kind.split(">")
    builder.edge(kinds[0], other.name, kinds[-1])
    generator = QuestionGenerator(Documents(builder.build()), QuestionSpec(kinds={kind: 1}))
    assert produce(generator, "train", 0).rejected == {Rejection.SHORTCUT: 1}


def test_an_answer_is_asked_for_only_so_often() -> None:
    graph = named(*((f"Fever {number}", "AAA1") for number in range(7)))
    spec = msgspec.structs.replace(GENES_OF_DISEASES, max_per_answer=3)
    made = produce(QuestionGenerator(Documents(graph), spec), "train", 3)
    assert made.rejected == {Rejection.ANSWER_REPEATED: 4}
    assert len({q.topic.id for q in made.questions}) == 3


def test_asking_for_more_than_there_is_says_how_many_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"asked for 1,000 train questions, the graph holds \d\d;"):
        toy_questions(n_train=1_000)
    generator = QuestionGenerator(Documents(toy_graph()), ALL)
    with pytest.raises(Rejected) as caught:
        generator.attempt("train", generator.capacity("train") or 0)
    assert caught.value.reason == Rejection.NO_WALK_LEFT
    with pytest.raises(UsageError):
        produce(generator, "train", 1_000, tmp_path / "j")
    assert not (tmp_path / "j").exists()


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'disease>gene'"):
        QuestionSpec(kinds={"disease>genes": 1})
    with pytest.raises(UsageError, match="0 < test_share < 1, got 1"):
        QuestionSpec(kinds={"disease>gene": 1}, test_share=1.0)


@pytest.fixture(scope="module")
def hpo() -> Graph:
    try:
        bundled_folder()
    except UsageError as error:
        pytest.skip(str(error))
    return load_hpo()


def test_walks_among_other_kinds_lie_in_a_region(hpo: Graph) -> None:
    spec = QuestionSpec(kinds={"rare_chains": 2, "list": 1, "phenotype>disease>gene": 3})
    generator = QuestionGenerator(Documents(hpo), spec)
    assert generator.capacity("train") is None
    made = {split: produce(generator, split, 60) for split in ("train", "test")}
    voices = {"train": {"0", "1", "2"}, "test": {"3"}}
    for split, produced in made.items():
        short = [q for q in produced.questions if q.template.startswith("phenotype>")]
        assert len(short) >= 20
        assert {q.template[-1] for q in short} == voices[split]
        for question in short:
            nodes = [hpo.number(one) for one in ids(question)]
            assert generator.split.nodes(split)[nodes].all()
            assert verify(question, hpo) == []
        assert produced.attempts == 60 + sum(produced.rejected.values())
        assert produced.rejected[Rejection.OTHER_SPLIT] > 0
    shared = leakage_certificate(made["train"].questions, made["test"].questions).shared
    assert set(shared.values()) == {0}
    alone = msgspec.structs.replace(spec, kinds={"rare_chains": 2, "list": 1})
    others = QuestionGenerator(Documents(hpo), alone)
    assert (others.split.test == generator.split.test).all()
    assert others.attempt("train", 3).text in {q.text for q in made["train"].questions}


def test_the_bundled_hpo_gives_thousands_of_proved_questions(hpo: Graph) -> None:
    spec = QuestionSpec(kinds={"disease>gene": 1, "phenotype>disease>gene": 1})
    generator = QuestionGenerator(Documents(hpo), spec)
    train = produce(generator, "train", 3_000).questions
    test = produce(generator, "test", 400).questions
    kinds = Counter(q.kind for q in train)
    assert kinds == {"disease>gene": 1_500, "phenotype>disease>gene": 1_500}
    assert set(leakage(train, test).values()) == {0}
    assert [verify(q, hpo) for q in train[::20] + test[::20]] == [[]] * 170


def test_every_wording_names_the_topic_and_claims_no_cause(graph: Graph) -> None:
    for kind, (_, wordings) in WALKS.items():
        assert len(set(wordings)) == 4
        for text in wordings:
            assert text.count("{topic}") == 1
            assert "caus" not in text
            assert "mutat" not in text
        (first, *_), _ = plan_walks(graph, {kind: 1}, graph.degrees("has_gene") >= 0, (0, 0), 80, 4)
        drafts = {draft_walk(graph, first, voice).text for voice in range(4)}
        assert len(drafts) == 4
