"""Families of questions: drugs, enzymes, variants and treatments, each proved and worded."""

import numpy as np
import pytest

from medenv.errors import UsageError
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo, toy_graph, verify
from medenv.kg.graph import Prose
from medenv.kg.graph.mechanisms import MECHANISMS
from medenv.kg.graph.mentions import mark_stated, with_treatments
from medenv.kg.graph.schema import (
    HAS_ACTIVITY,
    HAS_GENE,
    HAS_ROLE,
    HAS_VARIANT,
    IN_CLASS,
    IN_FAMILY,
    IN_PATHWAY,
    INHIBITS,
    RESPONSE_DEPENDS_ON,
    VARIANT_IN,
)
from medenv.kg.questions.drafts import Rejected
from medenv.kg.questions.families import FAMILIES, has_data
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.kg.questions.phrases import recorded, sources
from medenv.kg.questions.rare_chains import ChainConfig
from medenv.records import Question

SIZE = 24
KINDS = {
    "D": "disease",
    "G": "gene",
    "R": "drug",
    "P": "protein",
    "B": "biological_process",
    "E": "enzyme",
    "W": "pathway",
    "F": "gene_family",
    "V": "variant",
    "C": "disease_class",
    "X": "drug_role",
}
LINKS = (
    ("D", HAS_GENE, "G", 1.2),
    ("R", RESPONSE_DEPENDS_ON, "G", 1.2),
    ("G", IN_PATHWAY, "W", 1.3),
    ("G", IN_FAMILY, "F", 1.0),
    ("G", HAS_ACTIVITY, "E", 1.0),
    ("R", INHIBITS, "E", 1.2),
    ("G", HAS_VARIANT, "V", 1.2),
    ("V", VARIANT_IN, "D", 1.0),
    ("D", IN_CLASS, "C", 1.0),
    ("R", HAS_ROLE, "X", 1.5),
    ("R", MECHANISMS["decreases_activity_of"].relation, "P", 1.2),
    ("P", MECHANISMS["positively_regulates"].relation, "B", 1.2),
    ("B", MECHANISMS["causes"].relation, "D", 1.2),
)
"""Heads, relation, tails and mean number of edges from a head."""


@pytest.fixture(scope="module")
def graph() -> Graph:
    """A graph of invented entities with the kinds of all families, and texts on treatment."""
    rng = np.random.default_rng(7)
    builder = GraphBuilder(GraphInfo(source="invented", version="1", rendering="sentences"))
    for code, kind in KINDS.items():
        for i in range(SIZE):
            name = f"{kind.replace('_', ' ')} {code}{i}x"
            name = {"R": f"zoladrug{chr(97 + i)}", "X": f"agent number {i}"}.get(code, name)
            builder.node(f"{code}:{i:02}", kind=kind, name=name)
    for head, relation, tail, mean in LINKS:
        builder.relation(relation, ("level",) if relation is RESPONSE_DEPENDS_ON else ())
        for i in range(SIZE):
            for j in rng.permutation(SIZE)[: max(1, int(rng.poisson(mean)))].tolist():
                values = ("A",) if relation is RESPONSE_DEPENDS_ON else ()
                builder.edge(f"{head}:{i:02}", relation.name, f"{tail}:{j:02}", values)
    for i in range(SIZE):
        drug = f"zoladrug{chr(97 + int(rng.integers(SIZE)))}"
        text = f"Patients are given {drug} and sugar for some weeks."
        builder.prose(Prose(entity=f"D:{i:02}", source="Leaflet", text=text, heading="Treatment"))
    treated, counts = with_treatments(builder.build())
    assert counts["drugs that texts on treatment name"] == SIZE
    return mark_stated(treated)[0]


def made(graph: Graph, family: str, tries: int = 400) -> list[Question]:
    spec = QuestionSpec(
        kinds={family: 1}, rare_percent=100, test_share=0.1, min_degree=1, levels=(0, 2)
    )
    generator, questions = QuestionGenerator(Documents(graph), spec), []
    for i in range(tries):
        try:
            questions.append(generator.attempt("train", i))
        except Rejected:
            continue
    return questions


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"literature"}))
def test_a_family_is_proved_and_takes_one_of_its_ways(graph: Graph, family: str) -> None:
    ways = {">".join(way) for way in FAMILIES[family].ways}
    if family == "treatment":
        ways |= {"gene>disease>drug", "drug>disease>gene"}
    questions = made(graph, family)
    assert len(questions) >= 5
    for question in questions:
        assert question.template.partition("/")[0] == family
        assert question.kind in ways
        assert verify(question, graph) == []
        for hop in question.path:
            relation = hop.relation
            forward = relation if relation in graph.relations else graph.inverses[relation]
            assert forward in FAMILIES[family].relations
            # Worded by hand: no predicate stands in the text as the graph writes it.
            assert "_" not in question.text
            assert 'the relation "' not in question.text
            assert "is linked by" not in question.text
            assert recorded(relation).partition(" ")[0] == forward


def test_a_drug_of_a_text_on_treatment_stands_in_no_other_document(graph: Graph) -> None:
    documents = Documents(graph)
    for question in made(graph, "treatment"):
        for hop in question.path:
            if "treatment" in hop.relation:
                assert all("#leaflet" in passage for passage in hop.passages)
                texts = {p.id: p.text for p in documents.passages}
                drug = hop.head if hop.head.startswith("R:") else hop.tail
                name = graph.nodes.names[graph.number(drug)]
                assert all(name in texts[passage] for passage in hop.passages)


def test_the_sources_of_a_question_are_named(graph: Graph) -> None:
    assert sources(graph, [IN_PATHWAY.name, "gene_of"]) == "Reactome and invented"
    assert sources(graph, ["inhibited_by", "causes"]) == "ChEBI and DrugMechDB"


def test_a_family_without_data_is_refused_and_left_out_beside_others() -> None:
    toy = toy_graph()
    assert not has_data(toy, "mechanism")
    alone = QuestionSpec(kinds={"mechanism": 1}, rare_percent=100, test_share=0.3)
    with pytest.raises(UsageError, match=r"no data for the family 'mechanism': .*graph=atlas"):
        QuestionGenerator(Documents(toy), alone).attempt("train", 0)
    beside = QuestionSpec(
        kinds={"mechanism": 5, "rare_chains": 1},
        rare_percent=100,
        test_share=0.3,
        chains=ChainConfig(min_hops=2),
    )
    generator = QuestionGenerator(Documents(toy), beside)
    assert set(generator.seeded_kinds) == {"rare_chains"}
