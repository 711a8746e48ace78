"""Patients to diagnose, questions without an answer, and what the environments make of them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from medenv.build.diagnosis import disease_model
from medenv.build.resources import Resources
from medenv.diagnosis.cases import CIRCULAR, phenopacket_cases, simulated_cases
from medenv.diagnosis.model import Annotation, DiseaseModel, Weights
from medenv.envs.env import MedResearchEnv
from medenv.errors import DataError, UsageError
from medenv.kg import Documents, Graph, GraphBuilder, GraphInfo, load_hpo, toy_graph, toy_questions
from medenv.kg.documents.frequencies import share_of
from medenv.kg.graph.schema import HAS_PHENOTYPE, HAS_PREVALENCE, IS_A
from medenv.records import Entity
from medenv.retrieval import BM25Retriever
from medenv.retrieval.filtered import FilteredRetriever, withhold
from medenv.text import fold

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
    with pytest.raises(UsageError, match="got none in 50 draws"):
        simulated_cases(DiseaseModel(twins, [finding], annotations, {}), 1)


def packet(**changes: object) -> dict[str, object]:
    known = {"id": "a/1", "disease": "TOY:D1", "observed": [["TOY:P02", "x"], ["TOY:P08", "y"]]}
    return {**known, "excluded": [["TOY:P10", "z"]], "sex": "MALE", "age": "P6Y", **changes}


def write_packets(path: Path, *packets: dict[str, object]) -> Path:
    lines = "".join(json.dumps(one) + "\n" for one in packets)
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    return path


def case_id(source: str) -> str:
    return f"CASE:{hashlib.sha256(source.encode()).hexdigest()[:10]}"


def test_real_cases_are_read_from_a_folder(tmp_path: Path) -> None:
    write_packets(tmp_path / "cases.jsonl.gz", packet(pmids=["PMID:1", "2"]))
    write_packets(tmp_path / "more.jsonl", packet(id="b", excluded=[], age=None, sex=None))
    (patient, question), (other, _) = phenopacket_cases(MODEL, tmp_path)
    assert patient.id == question.topic.id == case_id("a/1")
    assert question.id == f"test:{patient.id}"
    assert (patient.present, patient.absent) == (("TOY:P02", "TOY:P08"), ("TOY:P10",))
    assert (patient.sex, patient.age) == ("male", "6 years old")
    assert question.text.startswith("A male, 6 years old, is seen with backward-leaning gait")
    assert f"In the records this is {patient.id}:" in question.text
    assert patient.articles == ("PMID:1", "PMID:2")
    assert (other.id, other.sex, other.age) == (case_id("b"), "", "")
    env = gymnasium.make("medenv:medenv/Diagnosis-v0", cases=tmp_path).unwrapped
    env.reset(seed=0)
    ask = env.rules.dialect.write_call(
        "ask", {"patient": patient.id, "finding": "Blue-banded nails"}
    )
    assert env.step(ask)[0] == "Blue-banded nails: not on record."


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("P3Y2M", "3 years and 2 months old"),
        ("P1Y", "1 year old"),
        ("P0Y11M3D", "11 months and 3 days old"),
        ("P2W", "2 weeks old"),
        ("P1.5Y", "1.5 years old"),
        ("P0D", "newborn"),
        ("PT4H", "newborn"),
        ("P", "P"),
        ("six years old", "six years old"),
        (None, ""),
    ],
)
def test_ages_are_words(tmp_path: Path, written: str | None, words: str) -> None:
    (case,) = phenopacket_cases(MODEL, write_packets(tmp_path / "c.jsonl", packet(age=written)))
    assert case.patient.age == words
    assert ("()" in case.question.text) is False


@pytest.mark.parametrize("sex", ["UNKNOWN_SEX", "OTHER_SEX", None])
def test_a_sex_that_is_not_known_is_not_told(tmp_path: Path, sex: str | None) -> None:
    path = write_packets(tmp_path / "c.jsonl", packet(sex=sex))
    (case,) = phenopacket_cases(MODEL, path)
    assert case.question.text.startswith("A patient, 6 years old, is seen with")


def test_cases_of_one_id_get_different_ids(tmp_path: Path) -> None:
    path = write_packets(tmp_path / "c.jsonl", packet(), packet(), packet(id="b"))
    ids = [case.patient.id for case in phenopacket_cases(MODEL, path)]
    assert ids == [case_id("a/1"), case_id("a/1#2"), case_id("b")]


def test_what_cannot_be_used_is_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_packets(
        tmp_path / "c.jsonl",
        packet(),
        packet(id="b", disease="NO:1"),
        packet(id="c", observed=[["NO:2", "?"]], excluded=[]),
        packet(id="d", excluded=[["NO:3", "?"], ["NO:4", "?"]]),
    )
    notes: dict[str, int] = {}
    assert len(phenopacket_cases(MODEL, path, notes)) == 2
    assert notes == {
        "cases": 4,
        "findings": 3 + 3 + 1 + 4,
        "cases of unknown diseases": 1,
        "cases without a known finding": 1,
        "unknown findings": 3,
    }
    (record,) = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "medenv.diagnosis.cases")
    for told in (str(path), "4 cases", "1 cases of unknown diseases", "3 unknown findings"):
        assert told in record.getMessage()


def test_where_all_can_be_used_nothing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    phenopacket_cases(MODEL, write_packets(tmp_path / "c.jsonl", packet()))
    assert caplog.records == []


def test_former_ids_and_cross_references_of_one_entity_are_known(tmp_path: Path) -> None:
    builder = GraphBuilder(GraphInfo(source="made", version="1"))
    builder.relation(HAS_PHENOTYPE, ("frequency",))
    builder.relation(IS_A)
    for finding in ("F:1", "F:2"):
        builder.node(finding, kind="phenotype", name=finding, xrefs=["SHARED:1", f"X:{finding}"])
    builder.node("D:1", kind="disease", name="D1", xrefs=["OMIM:1"])
    builder.edge("D:1", "has_phenotype", "F:1", ("",))
    graph = replace(builder.build(), replaced={"F:OLD": "F:2"})
    case = {"id": "a", "disease": "OMIM:1", "observed": [["X:F:1", ""], ["F:OLD", ""]]}
    path = write_packets(tmp_path / "c.jsonl", {**case, "excluded": [["SHARED:1", ""]]})
    notes: dict[str, int] = {}
    ((patient, question),) = phenopacket_cases(disease_model(graph), path, notes)
    assert patient.present == ("F:1", "F:2")
    assert [answer.id for answer in question.answers] == ["D:1"]
    assert notes["unknown findings"] == 1


@lru_cache(maxsize=64)  # the system message is the same in all cases
def words(text: str, *, folded: bool = False) -> str:
    """A text's words and numbers, each between spaces."""
    return f" {re.sub(r'[^0-9A-Za-z]+', ' ', fold(text) if folded else text).strip()} "


def names_told(env: MedResearchEnv, graph: Graph, packet: dict[str, Any]) -> list[str]:
    """Names of disease, gene, article and source file that stand in what a case shows first.

    Symbols of genes count as they are written, since some, such as WAS and REST, are also words.
    """
    _, info = env.reset(options={"question": packet["question"]})
    question = env.episode.question
    told = [message["content"] for message in info["messages"]]
    told += [info["question_id"], question.topic.id, question.topic.name]
    first = question.text.split("is seen with ")[1].split(". ")[0].split(" and ")[0]
    ask = {"patient": question.topic.id, "finding": first}
    observation, _, _, _, info = env.step(env.rules.dialect.write_call("ask", ask))
    told += [observation, *info["passages"]]
    told += [one for hop in question.certificate.path for one in hop.passages]
    disease = graph.number(question.answers[0].id)
    genes = graph.step(disease, "has_gene").tolist()
    symbols = [*packet.get("genes", ()), *(graph.nodes.names[gene] for gene in genes)]
    symbols += packet.get("id", "").split("/")
    names = [graph.nodes.ids[disease], graph.nodes.names[disease], *graph.nodes.aliases[disease]]
    names += [graph.nodes.ids[gene] for gene in genes]
    names += [*packet.get("pmids", ()), packet.get("disease_name", "")]
    names += [name.rpartition(":")[2] for name in names]
    found = []
    for given, folded in ((symbols, False), (names, True)):
        shown = [words(text, folded=folded) for text in told]
        wanted = {words(name, folded=folded) for name in given} - {"  "}
        found += [name for name in sorted(wanted) if any(name in text for text in shown)]
    return found


def test_no_simulated_case_tells_its_disease_or_gene_at_first() -> None:
    env = gymnasium.make("medenv/Diagnosis-v0").unwrapped
    assert len(env.questions) == 64
    for number in range(64):
        assert names_told(env, toy_graph(), {"question": number}) == []


def test_no_real_case_tells_its_disease_gene_or_article_at_first() -> None:
    path = Path(os.environ.get("MEDENV_DATA", "")) / "phenopackets.jsonl.gz"
    if not path.is_file():
        pytest.skip("MEDENV_DATA names no folder with phenopackets.jsonl.gz")
    try:
        graph = load_hpo()
    except UsageError as error:
        pytest.skip(str(error))
    env = gymnasium.make("medenv/Diagnosis-v0", graph=graph, cases=path).unwrapped
    with gzip.open(path) as file:
        packets = {case_id(one["id"]): one for one in map(json.loads, file)}
    for number, question in enumerate(env.questions):
        packet = {**packets[question.topic.id], "question": number}
        assert names_told(env, graph, packet) == [], packet["id"]
    assert len(env.questions) > 7_000


def test_files_without_a_usable_case_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(json.dumps(packet(disease="NO:1")), encoding="utf-8")
    with pytest.raises(DataError, match="expected cases"):
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
    retriever = FilteredRetriever(BM25Retriever(corpus), hidden)
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


def test_a_case_is_circular_where_its_article_is_a_source_of_its_disease(tmp_path: Path) -> None:
    builder = GraphBuilder(GraphInfo(source="made", version="1"))
    builder.relation(HAS_PHENOTYPE, ("frequency", "reference"))
    builder.relation(IS_A)
    for finding in ("F:1", "F:2"):
        builder.node(finding, kind="phenotype", name=finding)
    sources = {("D:1", "F:1"): "PMID:1;PMID:2", ("D:1", "F:2"): "OMIM:1", ("D:2", "F:1"): "PMID:3"}
    for disease in ("D:1", "D:2"):
        builder.node(disease, kind="disease", name=disease)
    for (disease, finding), source in sources.items():
        builder.edge(disease, "has_phenotype", finding, ("", source))
    builder.edge("D:1", "has_phenotype", "F:1", ("", "PMID:4"))  # a second row of the same edge
    expected = {
        "a": ("D:1", ["PMID:2"], True),
        "b": ("D:1", ["9", "PMID:4"], True),
        "c": ("D:1", ["PMID:3"], False),
        "d": ("D:1", ["PMID:20"], False),
        "e": ("D:2", ["PMID:3"], True),
        "f": ("D:2", [], False),
    }
    lines = [
        json.dumps({"id": one, "disease": disease, "observed": [["F:1", "x"]], "pmids": pmids})
        for one, (disease, pmids, _) in expected.items()
    ]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = phenopacket_cases(disease_model(builder.build()), tmp_path / "cases.jsonl")
    flagged = [case.question.template == CIRCULAR for case in found]
    assert flagged == [circular for _, _, circular in expected.values()]
