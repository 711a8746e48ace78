"""Altered worlds: the same structure, other names or other facts, every question proved anew."""

import json
from pathlib import Path
from typing import Any

import msgspec
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.kg import Documents, Graph, read_questions, toy_graph, toy_questions, verify
from medenv.kg.documents.naming import mentions
from medenv.kg.questions.drafts import Rejected, Rejection
from medenv.kg.questions.generator import QuestionGenerator
from medenv.kg.questions.production import produce
from medenv.kg.worlds.unanswerable import both_ends
from medenv.kg.worlds.worlds import (
    VARIANTS,
    CounterfactualWorld,
    WorldSettings,
    check_world,
    make_world,
    read_world,
    read_world_file,
    write_world,
)
from medenv.records import Question
from medenv.retrieval import BM25Retriever
from medenv.retrieval.filtered import ABSTAIN

from .brute import brute
from .random_graphs import random_graph
from .test_production import CONFIG
from .test_queries import plain

ALTERED = VARIANTS[1:]


@pytest.fixture(scope="module")
def big() -> Graph:
    return random_graph(1, diseases=90, findings=90, genes=45, dense=0.2)


@pytest.fixture(scope="module")
def asked(big: Graph, tmp_path_factory: pytest.TempPathFactory) -> tuple[Question, ...]:
    """Questions of every kind and level, with their reasoning."""
    made = QuestionGenerator(Documents(big), CONFIG)
    folder = tmp_path_factory.mktemp("journals")
    splits = (("train", 150), ("test", 50))
    return tuple(
        q for split, n in splits for q in produce(made, split, n, folder / split).questions
    )


@pytest.fixture(scope="module")
def worlds(big: Graph, asked: tuple[Question, ...]) -> dict[str, CounterfactualWorld]:
    return {name: make_world(big, asked, how(name)) for name in VARIANTS}


def how(variant: str, seed: int = 5) -> WorldSettings:
    return WorldSettings(variant=variant, seed=seed, share=0.15)


def toy_world(variant: str, seed: int = 0, **changes: Any) -> CounterfactualWorld:
    made = toy_questions()
    altered = WorldSettings(variant=variant, seed=seed, **changes)
    return make_world(toy_graph(), (*made.train, *made.test), altered)


@pytest.mark.parametrize("variant", ALTERED)
def test_every_question_of_an_altered_world_has_the_answers_that_brute_force_finds(
    worlds: dict[str, CounterfactualWorld], variant: str
) -> None:
    world = worlds[variant]
    sets = plain(world.graph)
    assert len(world.questions) >= 20
    assert check_world(world) == []
    for question in world.questions:
        proof = question.certificate
        assert brute(world.graph, sets, proof.query) == set(proof.answers), question.text
        assert question.answers == () or {a.id for a in question.answers} == set(proof.answers)


@pytest.mark.parametrize("variant", ALTERED)
def test_an_altered_world_says_everywhere_that_it_is_fiction(
    worlds: dict[str, CounterfactualWorld], variant: str, tmp_path: Path
) -> None:
    world = worlds[variant]
    label = f"FICTION ({variant} world, seed 5) after random 1"
    assert world.graph.info.label == label
    assert world.graph.info.world == variant
    assert "do not pass it on" in world.graph.info.licence
    assert {passage.source for passage in world.documents.passages} == {label}
    assert {(q.source, q.world) for q in world.questions} == {(label, variant)}
    told = write_world(tmp_path / "w", world, grade=False)
    assert told.fiction
    assert json.loads((tmp_path / "w" / "world.json").read_text())["fiction"] is True
    assert (tmp_path / "w" / "README.md").read_text().startswith(f"# FICTION: the {variant} world")
    assert Graph.load(tmp_path / "w" / "graph").info.world == variant


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_world_depends_on_its_seed_alone(
    big: Graph, asked: tuple[Question, ...], worlds: dict[str, CounterfactualWorld], variant: str
) -> None:
    again = make_world(big, asked, how(variant))
    assert msgspec.json.encode(again.questions) == msgspec.json.encode(worlds[variant].questions)
    assert again.documents.passages == worlds[variant].documents.passages
    other = make_world(big, asked, how(variant, 6))
    assert (other.questions == again.questions) == (variant == "true")


@pytest.mark.parametrize("variant", ALTERED)
def test_train_and_test_share_nothing_in_an_altered_world_either(
    worlds: dict[str, CounterfactualWorld], variant: str
) -> None:
    def shared(world: CounterfactualWorld) -> set[str]:
        splits: dict[str, set[str]] = {"train": set(), "test": set()}
        for question in world.questions:
            ends = {end for hop in question.certificate.path for end in (hop.head, hop.tail)}
            splits[question.split] |= ends
        both = splits["train"] & splits["test"]
        return {e for e in both if world.graph.kind(world.graph.number(e)) != "inheritance"}

    assert not shared(worlds["true"])
    assert not shared(worlds[variant])


def test_a_renamed_graph_is_the_true_one_up_to_names(
    big: Graph, worlds: dict[str, CounterfactualWorld]
) -> None:
    renamed = worlds["renamed"].graph
    names = dict(zip(big.nodes.ids, renamed.nodes.ids, strict=True))
    relabelled = nx.relabel_nodes(big.to_networkx(), names)
    other = renamed.to_networkx()
    assert nx.utils.edges_equal(relabelled.edges(keys=True), other.edges(keys=True), directed=True)
    kinds = nx.get_node_attributes(relabelled, "kind")
    assert kinds == nx.get_node_attributes(other, "kind")
    for question, before in zip(worlds["renamed"].questions, worlds["true"].questions, strict=True):
        path = [(h.head, h.relation, h.tail) for h in question.certificate.path]
        assert path == [(names[h.head], h.relation, names[h.tail]) for h in before.certificate.path]


@pytest.mark.parametrize("source", ["toy", "random"])
def test_no_original_name_is_left_anywhere_in_a_renamed_world(
    big: Graph, worlds: dict[str, CounterfactualWorld], source: str
) -> None:
    true = toy_graph() if source == "toy" else big
    world = toy_world("renamed") if source == "toy" else worlds["renamed"]
    assert world.questions
    nodes = true.nodes
    english = {"phenotype", "inheritance", "onset"}
    changed = [node for node in range(len(true)) if true.kind(node) not in english]
    names = [name for node in changed for name in (nodes.names[node], *nodes.aliases[node])]
    assert {true.kind(node) for node in changed} == {"disease", "gene"}
    for node in set(range(len(true))) - set(changed):
        assert world.graph.nodes.names[node] == nodes.names[node]
        assert world.graph.nodes.texts[node] == nodes.texts[node]
    written = [f"{p.id} {p.title} {p.text} {p.entity}" for p in world.documents.passages]
    written += [
        msgspec.json.encode(msgspec.structs.replace(q, source="", template="")).decode()
        for q in world.questions
    ]
    for text in written:
        assert mentions(text, names) == ()
        assert not [entity for entity in nodes.ids if entity in text]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 300), world_seed=st.integers(0, 9))
def test_rewiring_keeps_every_degree_and_changes_only_what_decides_questions(
    seed: int, world_seed: int
) -> None:
    true = random_graph(seed)
    made = QuestionGenerator(Documents(true), CONFIG, seed)
    questions = []
    for i in range(12):
        try:
            questions.append(msgspec.structs.replace(made.attempt("train", i), id=f"train:{i}"))
        except (Rejected, UsageError):
            continue
    world = make_world(true, questions, WorldSettings(variant="rewired", seed=world_seed))
    for relation in true.rows:
        assert np.array_equal(true.degrees(relation), world.graph.degrees(relation))
    edges = [set(g.to_networkx().edges(keys=True)) for g in (true, world.graph)]
    assert len(edges[0]) == len(edges[1])
    assert {r for *_, r in edges[0] ^ edges[1]} <= {"has_gene", "has_phenotype"}
    before = {question.text: question for question in questions}
    for question in world.questions:
        old = before[question.text].certificate
        assert not set(old.answers) & set(question.certificate.answers)
        assert verify(question, world.graph) == []
    assert check_world(world) == []


def test_in_a_rewired_world_memory_is_wrong_and_reading_is_right() -> None:
    world = toy_world("rewired")
    true = {q.text: q for q in (*toy_questions().train, *toy_questions().test)}
    retriever = BM25Retriever(world.documents.passages)
    assert len(world.questions) >= 15
    for question in world.questions:
        (answer,), (remembered,) = question.answers, true[question.text].answers
        assert answer.id != remembered.id
        last = question.certificate.path[-1]
        for passage_id in last.passages:
            passage = retriever.get(passage_id)
            assert passage is not None
            assert answer.name in f"{passage.title} {passage.text}"
        stated = Documents(world.graph).supporting(last.head, last.relation, remembered.id)
        assert stated == ()


def test_what_no_swap_changes_is_left_out_with_its_reason(
    worlds: dict[str, CounterfactualWorld],
) -> None:
    rejected = worlds["rewired"].rejected
    kinds = {q.certificate.query[0] for q in worlds["rewired"].questions}
    assert {"chain", "where"} <= kinds <= {"walk", "chain", "where"}
    assert rejected[Rejection.UNDECIDED] > 0
    assert len(worlds["rewired"].questions) + sum(rejected.values()) == 200


def test_altered_edges_have_no_evidence_and_no_references(big: Graph) -> None:
    true = toy_graph()
    assert {
        true.qualifiers(n, "has_phenotype", int(t)).get("evidence")
        for n in true.of_kind("disease")
        for t in true.step(n, "has_phenotype")
    } == {"TAS"}
    for variant in ("renamed", "rewired"):
        graph = toy_world(variant).graph
        for node in graph.of_kind("disease"):
            for tail in graph.step(node, "has_phenotype"):
                known = graph.qualifiers(node, "has_phenotype", int(tail))
                assert set(known) == {"frequency"}


def test_the_gold_passages_of_an_unanswerable_question_are_gone(
    worlds: dict[str, CounterfactualWorld], big: Graph
) -> None:
    world = worlds["unanswerable"]
    left = {passage.id: passage for passage in world.documents.passages}
    whole = Documents(big)
    lost = [question for question in world.questions if not question.answers]
    assert 0.1 <= len(lost) / len(world.questions) <= 0.9
    for question in world.questions:
        assert question.text.endswith(ABSTAIN)
        hops = question.certificate.path
        assert all(set(hop.passages) <= left.keys() for hop in hops)
        assert all(hop.passages for hop in hops) == bool(question.answers)
    for question in lost:
        for hop in question.certificate.path:
            if not hop.passages:
                stated = whole.supporting(hop.head, hop.relation, hop.tail)
                assert stated
                assert not set(stated) & left.keys()
                names = [big.nodes.names[big.number(end)] for end in (hop.head, hop.tail)]
                for passage in left.values():
                    text = f"{passage.title} {passage.text}"
                    assert len(mentions(text, names)) < 2


def test_a_passage_that_mentions_both_ends_by_an_alias_shows_the_hop_too() -> None:
    graph = toy_graph()
    passages = Documents(graph).passages
    one = msgspec.structs.replace(
        passages[0], id="X#0", entity="", text="Many with a LEANING WALK had Marrow Bay syndrome."
    )
    other = msgspec.structs.replace(one, id="Y#0", text="Leaning walks near Marrow Bay.")
    assert both_ends(graph, [one, other], [("TOY:D1", "TOY:P02")]) == {"X#0"}


def test_the_share_decides_how_many_questions_lose_their_answer() -> None:
    lost = [
        sum(not q.answers for q in toy_world("unanswerable", share=share).questions)
        for share in (0.05, 0.5, 1.0)
    ]
    assert lost[0] < lost[1] < lost[2] == 22


def test_a_question_that_was_tampered_with_is_not_proved(
    worlds: dict[str, CounterfactualWorld],
) -> None:
    world = worlds["unanswerable"]
    lost = next(q for q in world.questions if not q.answers)
    kept = next(q for q in world.questions if q.answers)
    wrong = [
        msgspec.structs.replace(lost, world=""),
        msgspec.structs.replace(lost, certificate=kept.certificate),
        msgspec.structs.replace(kept, answers=()),
    ]
    found = check_world(world._replace(questions=tuple(wrong)))
    assert {line.split(":")[0] for line in found} == {q.split for q in wrong}
    assert any("is not labelled" in line for line in found)
    assert any("every hop of its path is still stated" in line for line in found)


def test_a_world_goes_to_disk_and_back_graded_and_playable(tmp_path: Path) -> None:
    for variant in VARIANTS:
        world = toy_world(variant)
        told = write_world(tmp_path / variant, world)
        assert sum(told.questions.values()) == len(world.questions)
        back = read_world(tmp_path / variant)
        assert check_world(back) == []
        assert [q.text for q in back.questions] == [q.text for q in world.questions]
        assert all((q.difficulty is not None) == bool(q.answers) for q in back.questions)
        assert read_world_file(tmp_path / variant) == told
        assert "answers" not in (tmp_path / variant / "test.jsonl").read_text()
    assert {q.world for q in read_questions(tmp_path / "renamed" / "test.jsonl")} == {"renamed"}


def test_an_environment_plays_in_a_world_and_abstaining_is_right_there(tmp_path: Path) -> None:
    import gymnasium

    write_world(tmp_path / "w", toy_world("unanswerable", share=1.0))
    env = gymnasium.make("medenv:medenv/Research-v0", questions=str(tmp_path / "w"))
    assert "lookup" not in env.unwrapped.toolbox.tools  # the graph would tell
    env.reset(seed=0)
    dialect = env.unwrapped.rules.dialect
    _, reward, ended, _, _ = env.step(dialect.write_answer("unknown"))
    assert ended
    assert reward > 0.9
    env.reset(seed=0)
    assert env.step(dialect.write_answer("FENA1"))[1] < 0.2


def test_what_is_no_world_is_refused(tmp_path: Path) -> None:
    made = toy_questions()
    with pytest.raises(UnknownNameError, match="did you mean 'renamed'"):
        WorldSettings(variant="rename")
    assert WorldSettings(variant="True").variant == "true"
    with pytest.raises(UsageError, match=r"a share in \(0, 1\], got 1.5"):
        WorldSettings(variant="unanswerable", share=1.5)
    renamed = toy_world("renamed")
    with pytest.raises(UsageError, match="expected an unaltered graph"):
        make_world(renamed.graph, renamed.questions, WorldSettings(variant="rewired"))
    with pytest.raises(UsageError, match="train:0 is about 'medenv toy 1', expected 'random 1'"):
        make_world(random_graph(1), made.train, WorldSettings(variant="renamed"))
    write_world(tmp_path / "w", renamed, grade=False)
    with pytest.raises(DataError, match="already exists; choose a new folder"):
        write_world(tmp_path / "w", renamed)
    (tmp_path / "w" / "world.json").write_text("{}")
    with pytest.raises(DataError, match="expected a world"):
        read_world(tmp_path / "w")
    with pytest.raises(DataError, match="expected a world: cannot be read"):
        read_world_file(tmp_path / "nowhere")
