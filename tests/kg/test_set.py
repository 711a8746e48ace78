"""A finished set: its card, exports, overlap with benchmarks, and the recipe that makes it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medenv.errors import DataError, UsageError
from medenv.io import FolderInUseError, FolderLock
from medenv.kg import Graph, load_hpo, read_questions, verify, write_questions
from medenv.kg.graph.archive import fingerprint
from medenv.kg.graph.specialties import SPECIALTIES
from medenv.kg.questions.card import data_card, write_card
from medenv.kg.questions.exports import flat, to_dataset
from medenv.kg.questions.generator import QuestionSpec
from medenv.kg.questions.overlap import ngrams, overlaps
from medenv.kg.questions.production import Produced
from medenv.kg.questions.sets import CONTENTS, QuestionSet
from medenv.kg.questions.synthesis import (
    Extras,
    Progress,
    QuestionsSettings,
    make_question_set,
)
from medenv.kg.sources import GraphSettings
from medenv.kg.sources.hpo import bundled_folder
from medenv.kg.sources.toy import ToyQuestions
from medenv.records import Entity

ROOT = Path(__file__).parents[2]


def test_a_card_counts_what_is_there_and_names_the_terms(
    graph: Graph, questions: ToyQuestions, tmp_path: Path
) -> None:
    graded = [
        msgspec.structs.replace(
            q,
            difficulty=i / 15,
            grades={"one_search": float(i < 4)},
            calibration={"a model": (2 * int(i < 4), 3)},
        )
        for i, q in enumerate(questions.train)
    ]
    made = {"train": Produced(tuple(graded), {"a reason": 3}, 19)}
    card = data_card(graph.info, made, 5, GraphSettings(source="toy"), {"answers": 0, "edges": 2})
    assert card.questions == {"train": 16}
    assert sum(card.kinds.values()) == sum(card.answers.values()) == 16
    assert (sum(card.difficulty), card.difficulty[-1], card.found_by_one_search) == (16, 1, 0.25)
    chains = [q for q in graded if ">" in q.kind]
    of = [f"{q.proof.effective_hops} of {len(q.proof.path)}" for q in chains]
    assert card.effective == {pair: of.count(pair) for pair in of}
    assert sum(card.recorded.values()) == sum(len(q.proof.path) for q in graded)
    assert card.remembered == {"a model": (4, 16)}
    write_card(tmp_path, card)
    page = (tmp_path / "README.md").read_text()
    assert graph.info.licence in page
    assert "| a reason | 3 |" in page
    assert "a model, asked without tools, answers 4 of 16 questions." in page
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


def test_a_dataset_has_one_flat_row_for_each_question(questions: ToyQuestions) -> None:
    pytest.importorskip("datasets")
    made = to_dataset(questions.train)
    assert made.num_rows == 16
    assert made[3] == flat(questions.train[3])


KINDS = QuestionSpec(
    kinds={"list": 1, "quantity": 1, "intersection": 1}, rare_percent=100, test_share=0.3
)
TOY = GraphSettings(source="toy")


def wanted(**changes: Any) -> QuestionsSettings:
    fields = {name: getattr(KINDS, name) for name in KINDS.__struct_fields__}
    return QuestionsSettings(**{**fields, "n": 4, "n_test": 1, **changes})


class Recorded(Progress):
    def __init__(self) -> None:
        self.steps: list[str] = []
        self.counts: list[tuple[str, int, int]] = []

    def say(self, step: str) -> None:
        self.steps.append(step)

    def made(self, split: str, wanted: int, so_far: int) -> None:
        self.counts.append((split, wanted, so_far))


def test_a_set_is_written_whole_and_continued(tmp_path: Path) -> None:
    folder, progress = tmp_path / "set", Recorded()
    benchmark = tmp_path / "bench.txt"
    benchmark.write_text("Marrow Bay syndrome and its like\n")
    extras = Extras(benchmarks=(str(benchmark),))
    made = make_question_set(folder, TOY, wanted(), progress, extras)
    assert made.contents.questions == {"train": 4, "test": 1}
    assert {path.name for path in folder.iterdir()} == {
        *("train.jsonl", "test.jsonl", "leakage.json", "card.json", "README.md", "overlap.json"),
        *("difficulty.svg", "contents.json", "graph", "corpus", "work"),
    }
    first = (folder / "train.jsonl").read_bytes()
    more = make_question_set(folder, TOY, wanted(n=5))
    assert more.contents.questions["train"] == 5
    assert (folder / "train.jsonl").read_bytes().startswith(first)
    assert "indexing the documents" in progress.steps
    assert make_question_set(folder, TOY, wanted(n=2)) == more


def test_progress_begins_with_what_an_earlier_run_made(tmp_path: Path) -> None:
    make_question_set(tmp_path, TOY, wanted())
    progress = Recorded()
    make_question_set(tmp_path, TOY, wanted(n=5), progress)
    assert (progress.counts[0], progress.counts[-1]) == (("train", 5, 4), ("test", 1, 1))
    assert ("train", 5, 5) in progress.counts


@pytest.mark.parametrize("changes", [{"n": -1}, {"n_test": -1}, {"workers": 0}])
def test_sizes_that_cannot_be_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        wanted(**changes)


def test_an_unfinished_set_is_no_set(tmp_path: Path) -> None:
    make_question_set(tmp_path, TOY, wanted())
    (tmp_path / CONTENTS).unlink()
    with pytest.raises(DataError, match="expected the folder of a question set"):
        QuestionSet.open(tmp_path)
    assert make_question_set(tmp_path, TOY, wanted()) == QuestionSet.open(tmp_path)


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
        *("questions=rare_chains", "n=120", "questions.n_test=24", "seed=7"),
        *("questions.workers=1", "questions.graded=false", f"questions.folder={out}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 train, 24 test questions" in done.stdout
    return out


def test_the_recipe_makes_proved_questions_over_all_specialties(made: Path) -> None:
    graph, train = load_hpo(), read_questions(made / "train.jsonl")
    assert [verify(one, graph) for one in train] == [[]] * 120
    assert [verify(one, graph) for one in read_questions(made / "test.jsonl")] == [[]] * 24
    assert {one.specialty for one in train} == {
        name for name, roots in SPECIALTIES.items() if roots
    }
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
        *("graph=toy", "n=3", "questions.n_test=1", "questions.workers=1"),
        *("questions.graded=false", f"questions.folder={out}"),
        *("questions.kinds.list=1", "questions.kinds.quantity=1", "questions.kinds.rare_chains=0"),
        "questions.rare_percent=100",
        *("questions.test_share=0.3", "questions.max_per_answer=3", "questions.levels=[0,1]"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = {q.kind.partition(":")[0] for q in read_questions(out / "train.jsonl")}
    assert kinds <= {"list", "quantity", "disease>onset"}


def test_the_options_of_a_source_are_set_on_the_command_line(made: Path, tmp_path: Path) -> None:
    del made  # skips where the source's files are not installed
    out = tmp_path / "set"
    done = recipe(
        *("graph=hpo", "n=4", "questions.n_test=0", "questions.workers=1"),
        *("questions.graded=false", f"questions.folder={out}"),
        "graph.options={namespaces:[ORPHA]}",
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
        *("question=rare_chains", "sed=1", "questions.kind={}", "questions.rare_percent=few"),
        *("questions.kinds={chain:1}", "questions.chains.max_hop=3", "exports=[csv]"),
    ],
)
def test_a_misspelt_setting_is_an_error(tmp_path: Path, override: str) -> None:
    done = recipe(override, "graph=toy", f"root={tmp_path}")
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_second_synthesis_in_a_folder_is_refused_before_it_builds_anything(
    tmp_path: Path,
) -> None:
    progress = Recorded()
    with FolderLock(tmp_path / "set" / "work"), pytest.raises(FolderInUseError) as caught:
        make_question_set(tmp_path / "set", TOY, wanted(), progress)
    assert caught.value.folder == tmp_path / "set" / "work"
    assert progress.steps == []
