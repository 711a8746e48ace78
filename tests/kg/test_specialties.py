from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from medenv.errors import UsageError
from medenv.kg import Documents, Graph, load_hpo
from medenv.kg.graph.specialties import SPECIALTIES, Specialties
from medenv.kg.graph.traversal import closure
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.kg.questions.production import produce
from medenv.kg.sources.hpo import bundled_folder

UNMAPPED = {"HP:0001197", "HP:0025142", "HP:0025354"}
"""Branches of no single specialty: prenatal development, constitutional symptoms, cells."""


@pytest.fixture(scope="module")
def hpo() -> Graph:
    try:
        bundled_folder()
    except UsageError as error:
        pytest.skip(str(error))
    return load_hpo()


def test_every_organ_system_is_mapped_to_one_specialty_or_said_not_to_be(hpo: Graph) -> None:
    systems = {hpo.nodes.ids[n] for n in hpo.step(hpo.number("HP:0000118"), "has_subtype")}
    mapped = [root for roots in SPECIALTIES.values() for root in roots]
    assert len([roots for roots in SPECIALTIES.values() if roots]) == 12
    assert len(mapped) == len(set(mapped))
    assert set(mapped) | UNMAPPED == systems
    assert not set(mapped) & UNMAPPED


def test_every_specialty_has_hundreds_of_diseases(hpo: Graph) -> None:
    numbers = Specialties(hpo).numbers[hpo.of_kind("disease")]
    counts = np.bincount(numbers[numbers >= 0], minlength=12)
    assert counts.min() > 200
    assert (numbers < 0).mean() < 0.01


@pytest.mark.parametrize(
    ("disease", "specialty"),
    [
        ("Marfan syndrome", "cardiology"),
        ("Huntington disease", "neurology"),
        ("Cystic fibrosis", "pulmonology"),
        ("Retinitis pigmentosa 1", "ophthalmology"),
        ("Psoriasis 1, susceptibility to", "dermatology"),
    ],
)
def test_well_known_diseases_are_where_a_clinician_looks(
    hpo: Graph, disease: str, specialty: str
) -> None:
    (node,) = [n for n in hpo.find(disease) if hpo.kind(n) == "disease"]
    assert Specialties(hpo).of([node]) == specialty


def test_the_excess_is_that_of_the_formula(hpo: Graph) -> None:
    found = Specialties(hpo)
    columns = list(SPECIALTIES)
    node = hpo.number("OMIM:154700")
    findings = hpo.step(node, "has_phenotype")
    all_findings = hpo.rows["has_phenotype"].tails
    for name, roots in SPECIALTIES.items():
        if not roots:  # told by classes of diseases alone
            assert found.excess[node, columns.index(name)] < 0
            continue
        nodes = np.array([hpo.number(root) for root in roots], dtype=np.int32)
        inside = set(closure(hpo, nodes, "has_subtype").tolist())
        k = sum(int(f) in inside for f in findings)
        p = sum(f in inside for f in all_findings.tolist()) / all_findings.size
        expected = findings.size * p
        value = found.excess[node, columns.index(name)]
        assert value == pytest.approx((k - expected) / expected**0.5)


def test_a_gene_has_the_specialty_of_its_diseases_and_a_finding_that_of_its_branch(
    hpo: Graph,
) -> None:
    found = Specialties(hpo)
    (gene,) = [n for n in hpo.find("FBN1") if hpo.kind(n) == "gene"]
    sums = found.excess[hpo.step(gene, "gene_of")].sum(axis=0)
    assert found.of([gene]) == list(SPECIALTIES)[int(sums.argmax())]
    assert found.of([hpo.number("HP:0001250")]) == "neurology"


def test_a_graph_without_the_ontology_has_no_specialties(graph: Graph) -> None:
    assert Specialties(graph).of(range(len(graph))) == ""


def test_only_the_specialties_asked_for_are_asked_about(hpo: Graph, tmp_path: Path) -> None:
    wanted = ("cardiology", "ophthalmology")
    workshop = QuestionGenerator(Documents(hpo), QuestionSpec(specialties=wanted), 0)
    made = produce(workshop, "train", 30, tmp_path / "j")
    counts = Counter(question.specialty for question in made.questions)
    assert set(counts) == set(wanted)
    assert min(counts.values()) >= 8
    for question in made.questions:
        answer = Specialties(hpo).of([hpo.number(question.answers[0].id)])
        assert question.specialty == answer
