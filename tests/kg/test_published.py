"""Benchmarks in the shape in which they are published become questions for tests alone."""

import base64
import csv
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.errors import DataError, UnknownNameError
from medenv.kg.questions.benchmarks import TITLES, benchmark_of
from medenv.kg.questions.own import read_own_questions
from medenv.kg.questions.published import BENCHMARKS, convert
from medenv.records import Criterion
from medenv.reward.answers.ranking import is_patient


def hashed(password: str) -> bytes:
    """The key of BrowseComp's authors; xbench's take the canary itself."""
    return hashlib.sha256(password.encode()).digest()


def sealed(text: str, key: bytes) -> str:
    """What is published: XORed with the repeated key, base 64."""
    data = text.encode()
    mask = (key * (len(data) // len(key) + 1))[: len(data)]
    return base64.b64encode(bytes(a ^ b for a, b in zip(data, mask, strict=True))).decode()


def table(*rows: list[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


BIOASQ = {
    "questions": [
        {"id": "a", "type": "factoid", "body": "Which gene?", "exact_answer": [["FBN1", "fib-1"]]},
        {"id": "b", "type": "list", "body": "Which two?", "exact_answer": [["A"], ["B", "b2"]]},
        {"id": "c", "type": "yesno", "body": "Is it so?", "exact_answer": "Yes"},
        {"id": "d", "type": "summary", "body": "What is it?", "ideal_answer": ["It is."]},
    ]
}
PUBMEDQA = {
    "21645374": {
        "QUESTION": "Do mitochondria play a role?",
        "CONTEXTS": ["..."],
        "final_decision": "maybe",
    }
}
IMATINIB = {
    "directed": True,
    "graph": {
        "_id": "DB00619_MESH_D015464_1",
        "disease": "CML (ph+)",
        "disease_mesh": "MESH:D015464",
        "drug": "imatinib",
        "drug_mesh": "MESH:D000068877",
        "drugbank": "DB:DB00619",
    },
    "links": [
        {"key": "decreases activity of", "source": "MESH:D000068877", "target": "UniProt:P00519"},
        {"key": "causes", "source": "UniProt:P00519", "target": "MESH:D015464"},
    ],
    "multigraph": True,
    "nodes": [
        {"id": "MESH:D000068877", "label": "Drug", "name": "imatinib"},
        {"id": "UniProt:P00519", "label": "Protein", "name": "Tyrosine-protein kinase ABL1"},
        {"id": "MESH:D015464", "label": "Disease", "name": "CML (ph+)"},
    ],
    "reference": ["https://go.drugbank.com/drugs/DB00619#mechanism-of-action"],
}
PACKET = {
    "id": "PMID_1_FBN1_individual",
    "subject": {
        "id": "individual",
        "sex": "FEMALE",
        "timeAtLastEncounter": {"age": {"iso8601duration": "P6Y"}},
    },
    "phenotypicFeatures": [
        {"type": {"id": "HP:0001083", "label": "Ectopia lentis"}},
        {"type": {"id": "HP:0001166", "label": "Arachnodactyly"}},
        {"type": {"id": "HP:0000365", "label": "Hearing impairment"}, "excluded": True},
    ],
    "interpretations": [
        {
            "id": "individual",
            "progressStatus": "SOLVED",
            "diagnosis": {"disease": {"id": "OMIM:154700", "label": "Marfan syndrome"}},
        }
    ],
    "metaData": {"phenopacketSchemaVersion": "2.0"},
}
HEALTH = {
    "example_tags": ["theme:hedging"],
    "ideal_completions_data": {"ideal_completion": "See a doctor."},
    "prompt": [{"content": "My chest hurts, what now?", "role": "user"}],
    "prompt_id": "0001",
    "rubrics": [
        {"criterion": "Advises to call an ambulance", "points": 7, "tags": ["level:example"]},
        {"criterion": "Tells to wait a week", "points": -9, "tags": ["level:example"]},
    ],
    "canary": "healthbench:canary",
}
MAPPINGS = {
    "phenotype": {"HP:1": "Ectopia lentis", "HP:2": "Arachnodactyly"},
    "disease": {"ORPHA:558": "Marfan syndrome"},
}
SHAPES = {
    "bioasq": (json.dumps(BIOASQ), [["FBN1"], ["A", "B"], ["yes"]]),
    "pubmedqa": (json.dumps(PUBMEDQA), [["maybe"]]),
    "medqa": (
        lines(
            {
                "question": "Which drug?",
                "answer": "Nitrofurantoin",
                "options": {"A": "Ampicillin", "B": "Nitrofurantoin"},
                "answer_idx": "B",
            }
        ),
        [["Nitrofurantoin"]],
    ),
    "medmcqa": (
        lines(
            {
                "id": "x",
                "question": "Which?",
                "opa": "p",
                "opb": "q",
                "opc": "r",
                "opd": "s",
                "cop": 4,
                "choice_type": "single",
                "subject_name": "Anatomy",
            },
            {
                "id": "y",
                "question": "Which?",
                "opa": "p",
                "opb": "q",
                "opc": "r",
                "opd": "s",
                "cop": 1,
                "choice_type": "multi",
                "subject_name": "Anatomy",
            },
        ),
        [["s"]],
    ),
    "mmlu": (table(["Which bone?", "one", "two", "three", "four", "C"]), [["three"]]),
    "browsecomp": (
        table(
            ["problem", "answer", "canary"],
            [sealed("Who wrote it?", hashed("secret")), sealed("Rett", hashed("secret")), "secret"],
        ),
        [["Rett"]],
    ),
    "medbrowsecomp": (
        lines({"prompt": "Which trial led to it?", "answer": "NCT01234567", "id": 7}),
        [["NCT01234567"]],
    ),
    "xbench": (
        table(
            ["id", "prompt", "answer", "canary"],
            ["1", sealed("Wer war es?", b"key-1"), sealed("Rett", b"key-1"), "key-1"],
        ),
        [["Rett"]],
    ),
    "drugmechdb": (json.dumps([IMATINIB]), [["Tyrosine-protein kinase ABL1"]]),
    "phenopackets": (json.dumps(PACKET), [["Marfan syndrome"]]),
    "rarebench": (
        json.dumps({"Phenotype": ["HP:1", "HP:2", "HP:9"], "RareDisease": ["ORPHA:558"]}),
        [["Marfan syndrome"]],
    ),
    "healthbench": (json.dumps(HEALTH), [[]]),
    "gaia": (
        lines(
            {"task_id": "t", "Question": "How many?", "Level": 2, "Final answer": "3"},
            {"task_id": "v", "Question": "Who?", "Level": 1, "Final answer": "?"},
            {"task_id": "u", "Question": "See?", "Level": 1, "Final answer": "x", "file_name": "a"},
        ),
        [["3"]],
    ),
    "hle": (
        lines(
            {"id": "h", "question": "What?", "answer": "LMNA", "category": "Biology", "image": ""},
            {"id": "i", "question": "What?", "answer": "x", "image": "data:"},
        ),
        [["LMNA"]],
    ),
}


def test_every_benchmark_has_a_shape_here() -> None:
    assert set(SHAPES) == set(BENCHMARKS) == set(TITLES)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_benchmark_is_converted_by_the_command_and_read_as_ones_own_tests(
    name: str, tmp_path: Path
) -> None:
    text, expected = SHAPES[name]
    (tmp_path / "published").write_text(text, encoding="utf-8")
    for what, names in MAPPINGS.items():
        (tmp_path / f"{what}_mapping.json").write_text(json.dumps(names), encoding="utf-8")
    out = tmp_path / "mine.jsonl"
    arguments = ["questions", "convert", name, str(tmp_path / "published"), str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert f"{len(expected)} questions of {name}" in " ".join(done.output.split())
    questions = read_own_questions(out).questions
    assert [[answer.name for answer in one.answers] for one in questions] == expected
    assert {one.split for one in questions} == {"test"}
    assert {benchmark_of(one.kind) for one in questions} == {name}
    assert [one.asks_for_all for one in questions] == [len(names) > 1 for names in expected]


def test_synonyms_are_aliases_and_what_cannot_be_asked_is_counted(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps(BIOASQ), encoding="utf-8")
    found = convert("bioasq", tmp_path / "b.json")
    assert found.left_out == {"summary without an exact answer": 1}
    assert found.rows[0]["aliases"] == ["fib-1"]
    assert found.rows[1]["answers"][1] == {"name": "B", "aliases": ["b2"]}


def test_options_are_numbered_from_zero_where_any_is_zero(tmp_path: Path) -> None:
    record = {"question": "Which?", "opa": "p", "opb": "q", "opc": "r", "opd": "s"}
    rows = [{**record, "id": "x", "cop": 0}, {**record, "id": "y", "cop": 3}]
    (tmp_path / "m.jsonl").write_text(lines(*rows), encoding="utf-8")
    assert [row["answer"] for row in convert("medmcqa", tmp_path / "m.jsonl").rows] == ["A", "D"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("mmlu", "Which?,one,two,A\n", "expected a question of mmlu, got .*Which"),
        ("gaia", '{"task_id": "t"}\n', "expected a question of gaia"),
        ("pubmedqa", '{"a": 1}\n{"b"\n', "expected JSON"),
        ("drugmechdb", '{"question": "Which?"}\n', "expected records of drugmechdb .KeyError"),
        ("phenopackets", '{"id": "a"}\n', "expected a question of phenopackets, got"),
        ("healthbench", '{"prompt": "Hello"}\n', "expected a question of healthbench, got"),
        ("medqa", "x" * 200_000, "expected JSON, or a table: field larger"),
        ("bioasq", '{"questions": []}', "holds no question of bioasq"),
    ],
)
def test_a_file_of_another_form_is_named_with_its_place(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        convert(name, tmp_path / "f")


def test_an_unknown_benchmark_is_answered_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'pubmedqa'"):
        convert("pubmedq", tmp_path / "f")


@pytest.mark.parametrize(
    ("name", "file", "least"),
    [
        ("pubmedqa", "pubmedqa_dev500.jsonl.gz", 500),
        ("bioasq", "bioasq_7b-10b.jsonl.gz", 1500),
        ("drugmechdb", "drugmechdb_paths.jsonl.gz", 2600),
        ("phenopackets", "phenopackets.jsonl.gz", 7000),
    ],
)
def test_the_real_development_files_are_read(name: str, file: str, least: int) -> None:
    path = Path(os.environ.get("MEDENV_DATA", "")) / file
    if not path.is_file():
        pytest.skip(f"MEDENV_DATA names no folder with {file}")
    assert len(convert(name, path).rows) >= least


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_folder_is_read_file_by_file_and_an_id_that_comes_again_is_left_out(
    tmp_path: Path,
) -> None:
    other = {"questions": [{**BIOASQ["questions"][0], "id": "z"}, BIOASQ["questions"][0]]}
    written(tmp_path, "Task1/1B1_golden.json", BIOASQ)
    written(tmp_path, "Task2/2B1_golden.json", other)
    found = convert("bioasq", tmp_path)
    assert [one.id for one in found.questions] == ["a", "b", "c", "z"]
    assert found.left_out["an id that an earlier question has"] == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected files that end in \.json"):
        convert("bioasq", tmp_path / "empty")


def test_what_a_benchmark_brings_along_becomes_passages_each_once(tmp_path: Path) -> None:
    snippets = [{"text": "FBN1 is mutated.", "document": "x"}, {"text": "...", "document": "x"}]
    record = {**BIOASQ["questions"][0], "snippets": snippets * 2}
    found = convert("bioasq", written(tmp_path, "b.json", {"questions": [record]}))
    assert [one.text for one in found.passages] == ["FBN1 is mutated."]
    contexts = {"1": {**PUBMEDQA["21645374"], "CONTEXTS": ["Aims.", "Results."]}}
    (question,) = convert("pubmedqa", written(tmp_path, "p.json", contexts)).questions
    assert (question.id, question.options) == ("1", ("yes", "no", "maybe"))


def test_options_that_cannot_be_told_apart_leave_the_question_out(tmp_path: Path) -> None:
    rows = [
        ["Which bone?", "one", "One", "three", "four", "C"],
        ["Which?", "1", "2", "3", "4", "A"],
    ]
    found = convert("mmlu", written(tmp_path, "m.csv", table(*rows)))
    assert [one.id for one in found.questions] == ["mmlu:2"]
    assert found.left_out == {"options or answers that cannot be told apart, or none": 1}


def test_a_path_of_drugmechdb_asks_for_the_target_that_drug_and_disease_fix(
    tmp_path: Path,
) -> None:
    """Any target of several paths is right, the drug's own names tell none, and a path
    without a protein at its beginning asks nothing."""
    kit = {"id": "UniProt:P10721", "label": "Protein", "name": "Mast/stem cell receptor Kit"}
    link = {"key": "decreases activity of", "source": "MESH:D000068877", "target": kit["id"]}
    second = {**IMATINIB, "nodes": [*IMATINIB["nodes"], kit], "links": [link]}
    process = [{**IMATINIB["nodes"][1], "label": "BiologicalProcess"}]
    nodes = [IMATINIB["nodes"][0], *process, {**IMATINIB["nodes"][2], "id": "MESH:X"}]
    found = convert(
        "drugmechdb", written(tmp_path, "d.json", [IMATINIB, second, {**IMATINIB, "nodes": nodes}])
    )
    (question,) = found.questions
    assert "imatinib treats CML (ph+)" in question.text
    assert [(one.id, one.name) for one in question.answers] == [
        ("UniProt:P00519", "Tyrosine-protein kinase ABL1"),
        ("UniProt:P10721", "Mast/stem cell receptor Kit"),
    ]
    assert not question.asks_for_all
    assert found.left_out == {
        "a path whose drug acts on no protein directly": 1,
        "another path between the same drug and disease": 1,
    }


def test_the_paths_of_drugmechdb_are_read_from_yaml_and_from_its_archive(tmp_path: Path) -> None:
    listed = written(tmp_path, "indication_paths.yaml", yaml.safe_dump([IMATINIB]))
    path = {name: IMATINIB[name] for name in ("nodes", "links", "reference")}
    with zipfile.ZipFile(tmp_path / "repo.zip", "w") as archive:
        archive.writestr("repo/kb/paths/one.yaml", yaml.safe_dump(path))
    first, second = (convert("drugmechdb", one) for one in (listed, tmp_path / "repo.zip"))
    assert first.questions[0].text == second.questions[0].text
    assert first.questions[0].id == "drugmechdb:DB00619_MESH_D015464_1"


def test_a_phenopacket_tells_the_whole_case_and_no_name_of_gene_or_article(tmp_path: Path) -> None:
    slim = {
        "id": "PMID_1_FBN1_individual",
        "disease": "OMIM:154700",
        "disease_name": "Marfan syndrome",
        "observed": [["HP:0001083", "Ectopia lentis"], ["HP:0001166", "Arachnodactyly"]],
        "excluded": [["HP:0000365", "Hearing impairment"]],
        "sex": "FEMALE",
        "age": "P6Y",
    }
    (published,) = convert("phenopackets", written(tmp_path / "one", "p.json", PACKET)).questions
    (line,) = convert("phenopackets", written(tmp_path, "p.jsonl", slim)).questions
    assert published == line
    assert line.text.startswith(
        "A female patient, 6 years old, has ectopia lentis and arachnodactyly. Looked for and not "
        "found: hearing impairment. Give the diagnosis, or up to ten as a numbered list"
    )
    assert is_patient(line)
    assert line.answers[0].id == "OMIM:154700"
    assert line.id.startswith("CASE:")
    assert "FBN1" not in line.id


def test_rarebench_names_ids_by_its_mappings_and_joins_what_two_registries_call_a_disease(
    tmp_path: Path,
) -> None:
    names = {
        "ORPHA:101005": "Spastic paraplegia type 25/Spastic paraplegia 25, autosomal recessive",
        "OMIM:608220": "Spastic paraplegia type 25/Spastic paraplegia 25, autosomal recessive",
        "OMIM:1": "Split-Hand/foot malformation 6",
    }
    written(tmp_path, "mapping/disease_mapping.json", names)
    written(tmp_path, "mapping/phenotype_mapping.json", MAPPINGS["phenotype"])
    cases = [[["HP:1"], ["CCRD:93", "ORPHA:101005", "OMIM:608220"]], [["HP:2"], ["OMIM:1"]]]
    found = convert("rarebench", written(tmp_path, "data/RAMEDIS.json", [*cases, [["HP:9"], []]]))
    first, second = found.questions
    (gold,) = first.answers
    assert (gold.name, gold.aliases) == (
        "Spastic paraplegia type 25",
        ("Spastic paraplegia 25, autosomal recessive",),
    )
    assert second.answers[0].name == "Split-Hand/foot malformation 6"
    assert sum(found.left_out.values()) == 1
    with pytest.raises(DataError, match=r"expected RareBench's phenotype_mapping\.json beside it"):
        convert("rarebench", written(tmp_path, "else/where/x.json", cases))


def test_healthbench_has_a_rubric_in_place_of_an_answer_and_tells_the_conversation(
    tmp_path: Path,
) -> None:
    turns = [*HEALTH["prompt"], {"role": "assistant", "content": "Where?"}]
    longer = {**HEALTH, "prompt_id": "2", "prompt": [*turns, {"role": "user", "content": "Left."}]}
    cut = {**HEALTH, "prompt_id": "3", "prompt": turns}
    found = convert("healthbench", written(tmp_path, "h.jsonl", lines(HEALTH, longer, cut)))
    first, second = found.questions
    assert first.rubric == (
        Criterion(text="Advises to call an ambulance", points=7.0),
        Criterion(text="Tells to wait a week", points=-9.0),
    )
    assert first.answers == ()
    assert second.text.endswith("assistant: Where?\n\nuser: Left.")
    assert found.left_out == {"a conversation that does not end with the user": 1}


def test_a_benchmark_is_not_split_into_training_questions(tmp_path: Path) -> None:
    rows = convert("medqa", written(tmp_path, "m.jsonl", SHAPES["medqa"][0])).rows
    for changed in ({"split": "train"}, {"split": None}):
        path = written(tmp_path, "mine.jsonl", lines({**rows[0], **changed}))
        with pytest.raises(DataError, match="MedQA is never training data: set its split to test"):
            read_own_questions(path, n_test=1)
