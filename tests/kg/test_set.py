"""A finished set: its card, exports, overlap with benchmarks, and the recipe that makes it."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from medenv.errors import DataError, UsageError
from medenv.io import FolderInUseError, FolderLock
from medenv.kg import Graph, load_hpo, read_questions, verify, write_questions
from medenv.kg.graph.archive import fingerprint
from medenv.kg.graph.specialties import SPECIALTIES
from medenv.kg.questions.card import Origin, data_card, write_card
from medenv.kg.questions.exports import flat, to_dataset, verl_rows, write_verl
from medenv.kg.questions.generator import QuestionSpec
from medenv.kg.questions.overlap import ngrams, overlaps
from medenv.kg.questions.production import Produced
from medenv.kg.questions.synthesis import SynthesisSettings, synthesize_set
from medenv.kg.sources.hpo import bundled_folder
from medenv.kg.sources.toy import ToyQuestions
from medenv.records import Entity, Question

ROOT = Path(__file__).parents[2]


def test_a_card_counts_what_is_there_and_names_the_terms(
    graph: Graph, questions: ToyQuestions, tmp_path: Path
) -> None:
    graded = [
        msgspec.structs.replace(q, difficulty=i / 15, grades={"one_search": float(i < 4)})
        for i, q in enumerate(questions.train)
    ]
    made = {"train": Produced(tuple(graded), {"a reason": 3}, 19)}
    card = data_card(graph.info, made, 5, Origin(source="toy"), {"answers": 0, "edges": 2})
    assert card.questions == {"train": 16}
    assert sum(card.kinds.values()) == sum(card.answers.values()) == 16
    assert (sum(card.difficulty), card.difficulty[-1], card.found_by_one_search) == (16, 1, 0.25)
    write_card(tmp_path, card)
    page = (tmp_path / "README.md").read_text()
    assert graph.info.licence in page
    assert "| a reason | 3 |" in page
    assert "Shared by training and test questions: 0 answers, 2 edges." in page
    figure = (tmp_path / "difficulty.svg").read_bytes()
    write_card(tmp_path, card)
    assert (tmp_path / "difficulty.svg").read_bytes() == figure
    written = json.loads((tmp_path / "card.json").read_text())
    assert (written["attempts"], written["origin"]["source"]) == ({"train": 19}, "toy")


def test_shared_wording_and_answers_are_found(questions: ToyQuestions, tmp_path: Path) -> None:
    question = questions.train[1]
    answer = question.answers[0].name
    (tmp_path / "bench.jsonl").write_text(
        json.dumps({"problem": f"So: {question.text.upper()} please", "n": 1}) + "\n"
    )
    (tmp_path / "bench.json").write_text(json.dumps({"a": [{"b": f"the {answer}, of course"}]}))
    (tmp_path / "bench.txt").write_text("nothing of that kind stands in here\n")
    (found,) = [o for o in overlaps([question], tmp_path / "bench.jsonl", n=6)]
    assert found.question == question.id
    assert found.ngrams == tuple(dict.fromkeys(ngrams(question.text, 6)))
    assert overlaps([question], tmp_path / "bench.json")[0].entities == (answer,)
    assert overlaps([question], tmp_path / "bench.txt", n=6) == ()


@pytest.mark.parametrize("spelled", ["Behçet disease", "Behcet disease", "BEHC\u0327ET disease"])
def test_what_is_shared_is_found_in_any_spelling(
    questions: ToyQuestions, tmp_path: Path, spelled: str
) -> None:
    named = Entity(id="D:1", kind="disease", name="Behçet disease")
    text = "Which of these findings is reported most often in Behçet disease of the young?"
    question = msgspec.structs.replace(questions.train[1], text=text, answers=(named,))
    for shared in (f"It was {spelled}.", text.replace("Behçet disease", spelled)):
        (tmp_path / "bench.txt").write_text(f"{shared}\n", encoding="utf-8")
        (found,) = overlaps([question], tmp_path / "bench.txt")
        assert found.entities == ("Behçet disease",)
    assert len(found.ngrams) == len(text.split()) - 7


def test_a_benchmark_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{"a"\n')
    with pytest.raises(DataError, match="expected JSON") as caught:
        overlaps([], tmp_path / "bad.jsonl")
    assert caught.value.line == 2
    with pytest.raises(DataError, match="cannot be read"):
        overlaps([], tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="has no text"):
        overlaps([], tmp_path / "empty.txt")
    with pytest.raises(UsageError, match="at least 1 word"):
        overlaps([], tmp_path / "empty.txt", n=0)


def test_verl_rows_carry_prompt_answer_and_the_whole_question(
    questions: ToyQuestions, tmp_path: Path
) -> None:
    assert write_verl(tmp_path / "train.parquet", questions.train) == 16
    rows = pq.read_table(tmp_path / "train.parquet").to_pylist()
    assert rows == verl_rows(questions.train)
    for row, question in zip(rows, questions.train, strict=True):
        assert question.text in row["prompt"][0]["content"]
        assert row["reward_model"]["ground_truth"] == question.answers[0].name
        assert msgspec.json.decode(row["extra_info"]["question"], type=Question) == question
    with pytest.raises(UsageError, match=r"contains \{text\}"):
        verl_rows(questions.train, prompt="no place")


def test_a_dataset_has_one_flat_row_for_each_question(questions: ToyQuestions) -> None:
    pytest.importorskip("datasets")
    made = to_dataset(questions.train)
    assert made.num_rows == 16
    assert made[3] == flat(questions.train[3])


def toy_settings(folder: Path, **changes: object) -> SynthesisSettings:
    config = QuestionSpec(
        kinds={"list": 1, "count": 1, "intersection": 1}, rare_percent=100, test_share=0.3
    )
    settings = SynthesisSettings(
        folder=str(folder), source="toy", n=4, n_test=1, questions=config, exports=("verl",)
    )
    return msgspec.structs.replace(settings, **changes)


def test_a_set_is_written_whole_and_gone_on_with(tmp_path: Path) -> None:
    told: list[str] = []
    benchmark = tmp_path / "bench.txt"
    benchmark.write_text("Marrow Bay syndrome and its like\n")
    settings = toy_settings(tmp_path / "set", benchmarks=(str(benchmark),))
    card = synthesize_set(settings, told.append)
    assert card.questions == {"train": 4, "test": 1}
    names = {path.name for path in (tmp_path / "set").iterdir()}
    assert names == {
        *("train.jsonl", "test.jsonl", "leakage.json", "card.json", "README.md", "overlap.json"),
        *("difficulty.svg", "train.parquet", "test.parquet", "work"),
    }
    first = (tmp_path / "set" / "train.jsonl").read_bytes()
    more = synthesize_set(msgspec.structs.replace(settings, n=5))
    assert more.questions["train"] == 5
    assert (tmp_path / "set" / "train.jsonl").read_bytes().startswith(first)
    assert "indexing the documents" in told


def test_progress_is_told_from_what_an_earlier_run_made(tmp_path: Path) -> None:
    settings = toy_settings(tmp_path / "set", exports=())
    synthesize_set(settings)
    told: list[tuple[str, int, int]] = []
    synthesize_set(msgspec.structs.replace(settings, n=5), made=lambda *one: told.append(one))
    assert (told[0], told[-1]) == (("train", 5, 4), ("test", 1, 1))
    assert ("train", 5, 5) in told


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for changes, problem in (
        ({"n": -1}, "expected n >= 0"),
        ({"workers": 0}, "at least 1 worker"),
        ({"exports": ("csv",)}, "unknown export 'csv'"),
    ):
        with pytest.raises(UsageError, match=problem):
            SynthesisSettings(folder=str(tmp_path), **changes)  # type: ignore[arg-type]  # the test


def test_a_fingerprint_tells_graphs_apart(graph: Graph, tmp_path: Path) -> None:
    from medenv.kg import toy_graph

    from .random_graphs import random_graph

    assert fingerprint(graph) == fingerprint(toy_graph())
    graph.save(tmp_path / "g")
    assert fingerprint(Graph.load(tmp_path / "g")) == fingerprint(graph)
    assert fingerprint(random_graph(1)) != fingerprint(random_graph(2))


def recipe(*overrides: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "recipes" / "synthesize.py"), *overrides]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        bundled_folder()
    except UsageError as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("made") / "set"
    done = recipe(
        *("questions=rare_chains", "n=120", "n_test=24", "seed=7", "workers=1", "graded=false"),
        f"folder={out}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 train, 24 test questions" in done.stdout
    return out


def test_the_recipe_makes_proved_questions_over_all_specialties(made: Path) -> None:
    graph, train = load_hpo(), read_questions(made / "train.jsonl")
    assert [verify(one, graph) for one in train] == [[]] * 120
    assert [verify(one, graph) for one in read_questions(made / "test.jsonl")] == [[]] * 24
    assert {one.specialty for one in train} == set(SPECIALTIES)
    assert json.loads((made / "leakage.json").read_text())["clean"] is True


def read_aloud(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "benchmarks" / "reading.py"), str(folder), "--n", "144"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_english_alone_leads_to_the_answer_in_the_raw_files(made: Path, tmp_path: Path) -> None:
    done = read_aloud(made)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "144 questions read, 0 lead elsewhere" in done.stdout
    train = read_questions(made / "train.jsonl")
    swapped = msgspec.structs.replace(train[0], answers=train[1].answers)
    write_questions(tmp_path / "train.jsonl", (swapped, *train[2:]))
    write_questions(tmp_path / "test.jsonl", ())
    again = read_aloud(tmp_path)
    assert again.returncode == 1
    assert "119 questions read, 1 lead elsewhere" in again.stdout


def test_every_setting_can_be_set_on_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "set"
    done = recipe(
        *("source=toy", "n=3", "n_test=1", "workers=1", "graded=false", f"folder={out}"),
        *("questions.kinds.list=1", "questions.kinds.count=1", "questions.kinds.rare_chains=0"),
        "questions.rare_percent=100",
        *("questions.test_share=0.3", "questions.max_per_answer=3", "questions.levels=[0,1]"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = {q.kind.partition(":")[0] for q in read_questions(out / "train.jsonl")}
    assert kinds <= {"list", "count"}


def test_the_options_of_a_source_are_set_on_the_command_line(made: Path, tmp_path: Path) -> None:
    del made  # skips where the source's files are not installed
    out = tmp_path / "set"
    done = recipe(
        *("n=4", "n_test=0", "workers=1", "graded=false", f"folder={out}"),
        "options={namespaces:[ORPHA]}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    diseases = {
        end
        for question in read_questions(out / "train.jsonl")
        for hop in question.certificate.path
        for end in (hop.head, hop.tail)
        if end.startswith(("OMIM:", "ORPHA:"))
    }
    assert diseases
    assert all(one.startswith("ORPHA:") for one in diseases)


@pytest.mark.parametrize(
    "override",
    [
        *("question=rare_chains", "+sed=1", "questions.kind={}", "questions.rare_percent=few"),
        *("questions.kinds={chain:1}", "questions.chains.max_hop=3", "optionz={}"),
    ],
)
def test_a_misspelt_setting_is_an_error(tmp_path: Path, override: str) -> None:
    done = recipe(override, "source=toy", f"folder={tmp_path}")
    assert done.returncode != 0
    assert not (tmp_path / "train.jsonl").exists()


def test_a_second_synthesis_in_a_folder_is_refused_before_it_builds_anything(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    settings = SynthesisSettings(folder=str(tmp_path / "set"), source="toy")
    with FolderLock(tmp_path / "set" / "work"), pytest.raises(FolderInUseError) as caught:
        synthesize_set(settings, said.append)
    assert caught.value.folder == tmp_path / "set" / "work"
    assert said == []
