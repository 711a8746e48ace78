"""Patients to diagnose, questions without an answer, and what the environments make of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from medenv.cases import phenopacket_cases, simulated_cases
from medenv.corpus import BM25Retriever
from medenv.errors import DataError, UsageError
from medenv.kg import Documents, GraphBuilder, GraphInfo, toy_graph, toy_questions
from medenv.kg.schema import HAS_PHENOTYPE, HAS_PREVALENCE, IS_A
from medenv.records import Entity
from medenv.resources import Resources, disease_model, share_of
from medenv.tools.diagnosis import Annotation, DiseaseModel, Weights
from medenv.withheld import Withholding, withhold

MODEL = disease_model(toy_graph())


def test_a_simulated_case_fits_one_disease_alone() -> None:
    graph = toy_graph()
    for patient, question in simulated_cases(MODEL, 40):
        fits = [
            graph.nodes.ids[int(disease)]
            for disease in graph.of_kind("disease")
            if all(_shows(int(disease), finding) for finding in patient.present)
        ]
        assert fits == [patient.disease] == [answer.id for answer in question.answers]


def _shows(disease: int, finding: str) -> bool:
    graph = toy_graph()
    wanted = graph.number(finding)
    below, todo = set(), [wanted]
    while todo:
        node = todo.pop()
        below.add(node)
        todo.extend(graph.step(node, "has_subtype").tolist())
    return bool(below & set(graph.step(disease, "has_phenotype").tolist()))


def test_case_i_depends_on_seed_and_i_alone() -> None:
    assert simulated_cases(MODEL, 9)[:4] == simulated_cases(MODEL, 4)
    assert simulated_cases(MODEL, 9, seed=1) != simulated_cases(MODEL, 9)


def test_diseases_that_cannot_be_told_apart_are_refused() -> None:
    twins = [Entity(id=f"D:{i}", kind="disease", name=f"D{i}") for i in range(2)]
    finding = Entity(id="F:0", kind="phenotype", name="F")
    annotations = [Annotation(one.id, "F:0", 1.0) for one in twins]
    with pytest.raises(UsageError, match="none of 50 drawn patients had findings of one disease"):
        simulated_cases(DiseaseModel(twins, [finding], annotations, {}), 1)


def packet(**changes: object) -> dict[str, object]:
    known = {"id": "a/1", "disease": "TOY:D1", "observed": [["TOY:P02", "x"], ["TOY:P08", "y"]]}
    return {**known, "excluded": [["TOY:P10", "z"]], "sex": "MALE", "age": "P6Y", **changes}


def test_real_cases_are_read_from_a_folder(tmp_path: Path) -> None:
    lines = [packet(), packet(id="b", disease="NO:1"), packet(id="c", observed=[["NO:2", "?"]])]
    with gzip.open(tmp_path / "cases.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    ((patient, question),) = phenopacket_cases(MODEL, tmp_path)
    assert (patient.present, patient.absent) == (("TOY:P02", "TOY:P08"), ("TOY:P10",))
    assert question.text.startswith("Patient CASE:a/1 (male P6Y) comes with: Backward-leaning gait")
    env = gymnasium.make("medenv:medenv/Diagnosis-v0", cases=tmp_path).unwrapped
    env.reset(seed=0)
    ask = env.rules.dialect.write_call(
        "ask", {"patient": "CASE:a/1", "finding": "Blue-banded nails"}
    )
    assert env.step(ask)[0] == "Blue-banded nails: not on record."


def test_files_without_a_usable_case_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(json.dumps(packet(disease="NO:1")), encoding="utf-8")
    with pytest.raises(DataError, match="no case has a disease and findings that the graph knows"):
        phenopacket_cases(MODEL, tmp_path)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(packet()).encode())[:-9])
    with pytest.raises(DataError, match=r"cut\.jsonl\.gz: cannot be read"):
        phenopacket_cases(MODEL, tmp_path / "cut.jsonl.gz")


def test_a_doctor_who_asks_and_ranks_finds_the_disease() -> None:
    env = gymnasium.make("medenv:medenv/Diagnosis-v0").unwrapped
    write = env.rules.dialect
    right = 0
    for number in range(10):
        env.reset(options={"question": number})
        question = env.episode.question
        present = [MODEL.finding(one).name for one in question.certificate.query[1]]
        for finding in present:
            env.step(write.write_call("ask", {"patient": question.topic.id, "finding": finding}))
        ranked = env.step(write.write_call("diagnose", {"present": present}))[0]
        answer = ranked.split("\n")[0].removeprefix("[1] ").split(" (TOY")[0]
        right += env.step(write.write_answer(answer))[1] >= 1.0
    assert right >= 8


@pytest.mark.parametrize(
    ("frequency", "share"),
    [
        ("HP:0040281", 0.9),
        ("HP:0040285", 0.0),
        ("3/10", 3.5 / 11),
        ("45%", 0.45),
        ("30-40%", 0.35),
        ("3 of 10", 3.5 / 11),
        ("Very rare (<4-1%)", 0.03),
        ("", 0.5),
        ("often", 0.5),
        ("HP:0040283|3/4", 0.17),
    ],
)
def test_frequencies_become_shares(frequency: str, share: float) -> None:
    assert share_of(frequency) == pytest.approx(share)


def test_known_prevalence_is_a_prior_and_the_median_stands_for_what_is_not_known() -> None:
    builder = GraphBuilder(GraphInfo(source="made", version="1"))
    builder.relation(HAS_PHENOTYPE, ("frequency",))
    builder.relation(IS_A)
    builder.relation(HAS_PREVALENCE)
    classes = {"A": "1-9 / 1 000 000", "B": ">1 / 1000", "C": ""}
    builder.node("F", kind="phenotype", name="fever")
    for disease, text in classes.items():
        builder.node(disease, kind="disease", name=disease)
        builder.edge(disease, "has_phenotype", "F", ("",))
        if text:
            builder.node(text, kind="prevalence", name=text)
            builder.edge(disease, "has_prevalence", text)
    priors = np.array([9e-6, 0.01, (9e-6 + 0.01) / 2])
    posterior = disease_model(builder.build(), Weights(prior=1.0)).posterior(["F"])
    assert posterior.tolist() == pytest.approx((priors / priors.sum()).tolist())


def test_real_cases_may_lack_age_and_sex(tmp_path: Path) -> None:
    one, two = (finding.id for finding in MODEL.findings[:2])
    packet = {"id": "1", "disease": MODEL.diseases[0].id, "observed": [[one, ""], [two, ""]]}
    line = json.dumps({**packet, "age": None, "sex": None})
    (tmp_path / "cases.jsonl").write_text(line)
    (case,) = phenopacket_cases(MODEL, tmp_path)
    assert (case.patient.age, case.patient.sex) == ("", "")
    assert "comes with:" in case.question.text


def test_withheld_passages_decide_what_has_an_answer() -> None:
    asked = toy_questions().train
    questions, hidden = withhold(asked, 0.3)
    corpus = Documents(toy_graph()).passages
    left = {passage.id for passage in corpus} - hidden
    whole_paths = {question.id: question.certificate.path for question in asked}
    for question in questions:
        path = whole_paths[question.id]
        stated = all(set(hop.passages) & left for hop in path if hop.passages)
        assert bool(question.answers) == stated
        assert [set(hop.passages) for hop in question.certificate.path] == [
            set(hop.passages) & left for hop in path
        ]
        assert question.text.endswith("answer: unknown.")
    assert {bool(question.answers) for question in questions} == {True, False}
    retriever = Withholding(BM25Retriever(corpus), hidden)
    found = retriever.search(["syndrome disease fever finding"], 50)[0]
    assert not hidden & {passage.id for passage, _ in found}
    whole = BM25Retriever([p for p in corpus if p.id in left])
    assert len(retriever.search(["syndrome disease"], 3)[0]) == 3
    assert {p.id for p, _ in found} <= {p.id for p in whole.passages}
    assert retriever.get(sorted(hidden)[0]) is None
    assert retriever.get(sorted(left)[0]) is not None


def test_saying_that_it_is_unknown_is_right_where_it_is() -> None:
    env = gymnasium.make("medenv:medenv/Abstain-v0").unwrapped
    answer = env.rules.dialect.write_answer
    rewards = {}
    for number, question in enumerate(env.questions):
        env.reset(options={"question": number})
        rewards.setdefault(bool(question.answers), set()).add(env.step(answer("unknown"))[1])
    assert min(rewards[False]) > max(rewards[True]) > 0


def test_a_share_out_of_range_and_missing_patients_are_refused() -> None:
    with pytest.raises(UsageError, match=r"must be in \(0, 1\], got 1.5"):
        withhold(toy_questions().train, 1.5)
    with pytest.raises(UsageError, match="patients are needed: set cases to a number"):
        _ = Resources().patients


def test_lookup_shows_what_the_graph_states() -> None:
    env = gymnasium.make("medenv:medenv/Research-v0", tools=("lookup",)).unwrapped
    env.reset(seed=0)
    write = env.rules.dialect.write_call
    shown, _, _, _, info = env.step(write("lookup", {"name": "zori4"}))
    assert shown.splitlines()[0] == "ZORI4 (TOYGENE:ZORI4), a gene"
    assert "gene of: Glass tendon disease; Night lake syndrome" in shown
    assert info["passages"] == ("TOYGENE:ZORI4#0",)
    shown = env.step(write("lookup", {"name": "ZORI"}))[0]
    assert shown.startswith("no disease, gene or finding is named 'ZORI'; did you mean 'ZORI4'")
