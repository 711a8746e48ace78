"""What rewards learn from a graph: hierarchy and contraindications, through the registry."""

import pytest

from medenv.build.environment import make_env
from medenv.build.knowledge import CONTRAINDICATIONS, knowledge_of
from medenv.kg import GraphBuilder, GraphInfo, toy_graph
from medenv.kg.graph.schema import IS_A, Relation
from medenv.kg.sources.tsv import load_tsv
from medenv.records import Certificate, Entity, Question
from medenv.reward import Composition

NODES = [
    ("D:1", "disease", "Dravet syndrome"),
    ("D:2", "disease", "Focal epilepsy"),
    ("D:3", "disease", "Epilepsy"),
    ("M:1", "drug", "Stiripentol"),
    ("M:2", "drug", "Carbamazepine"),
]
TREATMENT = Question(
    id="train:0",
    text="Which drug is used in Dravet syndrome?",
    kind="disease>drug",
    split="train",
    topic=Entity(id="D:1", kind="disease", name="Dravet syndrome"),
    answers=(Entity(id="M:1", kind="drug", name="Stiripentol"),),
    certificate=Certificate(
        query=[], answers=("M:1",), path=(), min_hops=1, min_calls=1, chance=0.5
    ),
)


def graph(contraindication="contraindicated_in"):
    builder = GraphBuilder(GraphInfo(source="test", version="1"))
    builder.relation(IS_A)
    builder.relation(Relation(name=contraindication, inverse=f"inverse_{contraindication}"))
    for entity, kind, name in NODES:
        builder.node(entity, kind=kind, name=name)
    builder.edge("D:1", "is_a", "D:3")
    builder.edge("D:2", "is_a", "D:3")
    builder.edge("M:2", contraindication, "D:1")
    return builder.build()


@pytest.mark.parametrize("name", CONTRAINDICATIONS)
def test_a_contraindication_forbids_either_end_where_a_question_is_about_the_other(name):
    assert knowledge_of(graph(name)).forbidden == {"D:1": ("M:2",), "M:2": ("D:1",)}


def test_another_relation_forbids_nothing():
    assert knowledge_of(graph("treats")).forbidden == {}


def test_parents_are_the_direct_ones_of_the_hierarchy():
    assert knowledge_of(graph()).parents == {"D:1": ("D:3",), "D:2": ("D:3",)}
    toy = toy_graph()
    ids = toy.nodes.ids
    by_hand = {
        ids[node]: tuple(ids[tail] for tail in toy.step(node, "is_a"))
        for node in range(len(toy))
        if toy.step(node, "is_a").size
    }
    assert by_hand
    assert knowledge_of(toy).parents == by_hand


def score(answer, scoring, asked=TREATMENT):
    env = make_env(questions=[asked], graph=graph(), corpus=None, tools=(), scoring=scoring)
    env.reset(seed=0)
    return env.step(f"<answer>{answer}</answer>")[4]["score"]


@pytest.mark.parametrize(
    ("answer", "total"), [("Stiripentol", 1.5), ("Carbamazepine", 0.0), ("Valproate", 0.5)]
)
def test_a_veto_of_the_graph_reaches_the_environments_reward(answer, total):
    vetoed = Composition(
        weights={"accuracy": 1.0, "format": 0.5}, gates={"format": "open"}, vetoes=("safe",)
    )
    assert score(answer, vetoed).total == total


@pytest.mark.parametrize(
    ("answer", "credit"),
    [("Dravet syndrome", 1.0), ("Epilepsy", 0.25), ("Focal epilepsy", 0.0), ("Ataxia", 0.0)],
)
def test_the_graphs_hierarchy_gives_declared_credit_to_the_parent(answer, credit):
    gold = Entity(id="D:1", kind="disease", name="Dravet syndrome")
    asked = Question(
        id="train:1",
        text="Which disease is treated by Stiripentol?",
        kind="drug>disease",
        split="train",
        topic=Entity(id="M:1", kind="drug", name="Stiripentol"),
        answers=(gold,),
        certificate=TREATMENT.certificate,
    )
    assert score(answer, {"accuracy": 1.0, "kinship": 0.4}, asked).parts["kinship"].raw == credit


def test_a_table_that_states_contraindications_brings_the_veto_with_it(tmp_path):
    rows = "".join(f"{entity}\t{name}\t{kind}\n" for entity, kind, name in NODES)
    (tmp_path / "nodes.tsv").write_text("id\tname\tkind\n" + rows)
    edges = "head\trelation\ttail\nM:2\tContraindicated in\tD:1\nM:1\ttreats\tD:1\n"
    (tmp_path / "edges.tsv").write_text(edges)
    assert knowledge_of(load_tsv(tmp_path)).forbidden["D:1"] == ("M:2",)
