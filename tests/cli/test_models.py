"""Commands and the recipe that ask a language model, against a real server on this machine."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from medenv.build.llm_stages import Improvement, LLMStageSettings, model_use
from medenv.build.prepare import prepare
from medenv.build.settings import RunSettings
from medenv.cli.main import app
from medenv.errors import DataError, InfraError, UsageError
from medenv.kg import read_questions, toy_graph, toy_questions, verify, write_questions
from medenv.kg.questions.card import read_card
from medenv.kg.questions.production import Produced
from medenv.kg.questions.sets import QuestionSet
from medenv.kg.questions.synthesis import QuestionsSettings, make_question_set
from medenv.kg.sources import GraphSettings
from medenv.records import Guess
from medenv.retrieval import BM25Retriever

from ..chat_server import ChatServer, asked_by
from ..kg.random_graphs import random_graph
from ..kg.test_growth import CORPUS, recorded
from ..toy import toy_questions_settings

ROOT = Path(__file__).parents[2]


def run(*arguments, **more):
    return CliRunner().invoke(app, [str(one) for one in arguments], **more)


def model(server, name="m"):
    return ["--base-url", server.url, "--model", name]


def politely(body):
    return json.dumps({"question": "Please tell me. " + json.loads(asked_by(body))["question"]})


@pytest.fixture
def toy(tmp_path):
    """A sealed file of the toy questions, and the name of their saved graph."""
    toy_graph().save(tmp_path / "graph")
    write_questions(tmp_path / "toy.jsonl", toy_questions().train, sealed=True)
    return tmp_path / "toy.jsonl", f"saved:{tmp_path / 'graph'}"


def test_a_graph_is_extracted_and_is_a_source_of_the_other_commands(tmp_path):
    BM25Retriever(CORPUS).save(tmp_path / "corpus")
    start = ["--start", "Marrow Bay syndrome", "--discovery", 0.2]
    with ChatServer(recorded) as server:
        done = run("kg", "extract", tmp_path / "corpus", tmp_path / "own", *model(server), *start)
    assert done.exit_code == 0
    assert "6 edges, 7 passages read" in done.output
    assert "left out, reply: no JSON: 1" in done.output
    assert "own graph, extracted by m" in done.output
    shown = run("kg", "info", "--graph", "extracted", "--path", tmp_path / "own")
    assert "own graph, extracted by m" in shown.output
    assert "passages read: 7" in shown.output


def test_questions_are_reworded_sealed_as_before_and_still_proved(toy):
    file, graph = toy
    with ChatServer(politely) as server:
        done = run("questions", "rewrite", file, *model(server), "--graph", graph)
        again = run("questions", "rewrite", file, *model(server), "--graph", graph)
    assert "16 of 16 questions reworded" in done.output
    assert (again.output, len(server.asked)) == (done.output, 16)
    out = file.with_suffix(".reworded.jsonl")
    assert out.read_bytes().startswith(b'{"sealed":')
    for question in read_questions(out):
        assert question.text.startswith("Please tell me. ")
        assert verify(question, toy_graph()) == []


def test_questions_are_calibrated_and_what_the_model_knows_is_dropped(toy, tmp_path):
    file, graph = toy
    questions = {q.text: q for q in read_questions(file)}
    known = set(list(questions)[:6])

    def half(body):
        text = asked_by(body)
        return questions[text].answers[0].name if text in known else "no idea"

    with ChatServer(half) as server:
        out = ["--out", tmp_path / "hard.jsonl", "--samples", 2, "--graph", graph]
        done = run("questions", "calibrate", file, *model(server), *out)
    assert "m answers 37.5% of 16 questions rightly from memory, 2 answers each" in done.output
    assert "10 questions; dropped 6 that are answered rightly more often than 50%" in done.output
    hard = read_questions(tmp_path / "hard.jsonl")
    assert {q.text for q in hard} == set(questions) - known
    assert {q.calibration["m"] for q in hard} == {(0, 2)}
    where = ["--file", tmp_path / "hard.jsonl", "--graph", "saved", "--path", tmp_path / "graph"]
    shown = run("questions", "show", hard[0].id, *where)
    assert "m 0/2" in shown.output
    assert "no idea (m, wrong)" in shown.output


def test_what_a_model_guesses_is_dropped_where_that_is_asked_for(toy, tmp_path):
    file, graph = toy
    questions = {q.text: q for q in read_questions(file)}
    known = list(questions)[:6]
    tries = Counter()

    def first_time_only(body):
        text = asked_by(body)
        tries[text] += 1
        knows = text in known and tries[text] == 1
        return questions[text].answers[0].name if knows else "no idea"

    with ChatServer(first_time_only) as server:
        common = [*model(server), "--samples", 2, "--concurrency", 1, "--graph", graph]
        out = tmp_path / "hard.jsonl"
        run("questions", "calibrate", file, *common, "--out", out)
        assert len(read_questions(out)) == 16, "one right answer of two is not more than half"
        done = run("questions", "calibrate", file, *common, "--out", out, "--drop-guessed")
    assert "10 questions; dropped 0 that are answered" in done.output
    assert "and 6 that are guessed" in " ".join(done.output.split())
    assert {q.text for q in read_questions(out)} == set(questions) - set(known)


def test_an_endpoint_that_fails_is_told_in_one_line_and_what_came_is_kept(toy):
    file, _ = toy
    with ChatServer(lambda _: (401, b"no key")) as server:
        done = run("questions", "calibrate", file, *model(server))
        assert isinstance(done.exception, InfraError)
        assert "the same call goes on" in str(done.exception)
        assert not file.with_suffix(".calibrated.jsonl").exists()
    wrong = run("questions", "rewrite", file, "--base-url", "host:1", "--model", "m")
    assert isinstance(wrong.exception, UsageError)
    assert "begins with http:// or https://" in str(wrong.exception)


def test_replies_of_another_model_are_not_taken_for_this_ones(toy):
    file, graph = toy
    with ChatServer(politely) as server:
        run("questions", "rewrite", file, *model(server), "--graph", graph)
        other = run("questions", "rewrite", file, *model(server, "n"), "--graph", graph)
    assert isinstance(other.exception, DataError)
    assert "belongs to another run (model 'm', now 'n'); name another folder" in str(
        other.exception
    )


def test_settings_of_a_model_are_checked_before_anything_is_made():
    assert model_use(None) is model_use({"url": None, "model": ""}) is None
    assert model_use({"url": "http://x/v1", "model": "m"}) == LLMStageSettings(
        url="http://x/v1", model="m"
    )
    with pytest.raises(UsageError, match=r"settings of a model: .*modl"):
        model_use({"url": "http://x", "model": "m", "modl": "n"})
    with pytest.raises(UsageError, match="and a model"):
        model_use({"url": "http://x", "model": ""})


def test_what_a_model_knows_by_heart_is_no_part_of_a_set_and_is_counted(tmp_path):
    train = toy_questions().train
    answers = {f"Please tell me. {q.text}": q.answers[0].name for q in train[:5]}

    def either(body):
        content = asked_by(body)
        return politely(body) if content.startswith("{") else answers.get(content, "no idea")

    made = {"train": Produced(train, {"a reason": 2}, 18), "test": Produced((), {}, 0)}
    with ChatServer(either) as server:
        use = LLMStageSettings(url=server.url, model="m", samples=2)
        improve = Improvement(tmp_path, rewrite=use, calibrate=use)
        improved = improve(toy_graph(), None, made)
        asked = len(server.asked)
        assert improve(toy_graph(), None, made) == improved
        assert len(server.asked) == asked == 16 + 32
    assert [q.id for q in improved["train"].questions] == [q.id for q in train[5:]]
    assert improved["train"].rejected == {"a reason": 2, "a model answers it from memory": 5}
    assert improved["test"] == made["test"]
    assert Improvement(tmp_path)(toy_graph(), None, made) == made


def synthesized(*arguments):
    command = [sys.executable, str(ROOT / "recipes" / "synthesize.py"), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_recipe_leaves_out_what_the_model_guesses_and_the_card_counts_it(tmp_path):
    first = make_question_set(
        tmp_path / "first", GraphSettings(source="toy"), toy_questions_settings()
    )
    common = first.questions("train")[0].answers[0].name
    settings = ["graph=toy", "questions=toy", f"questions.folder={tmp_path / 'set'}"]
    with ChatServer(lambda _: common) as server:
        wise = [f"calibrate.url={server.url}", "calibrate.model=wise", "calibrate.samples=1"]
        every = synthesized(*settings, *wise, "calibrate.at_most=1")
        assert every.returncode == 0, every.stdout + every.stderr
        made = QuestionSet.open(tmp_path / "set").questions()
        guessed = [q.id for q in made if q.proof.guess.right]
        assert guessed == [q.id for q in made if q.answers[0].name == common]
        assert 0 < len(guessed) < len(made)
        page = (tmp_path / "set" / "README.md").read_text()
        assert f"what wise guesses without tools: {len(guessed)} of {len(made)}" in page
        done = synthesized(*settings, *wise, "calibrate.at_most=1", "questions.drop_guessed=true")
        assert done.returncode == 0, done.stdout + done.stderr
    left = QuestionSet.open(tmp_path / "set").questions()
    assert [q.id for q in left] == [q.id for q in made if q.id not in guessed]
    card = read_card(tmp_path / "set")
    assert card.guessed == {"wise": (0, len(left))}
    assert card.rejected["a model guesses it from memory"] == len(guessed)
    refused = synthesized(*settings, "questions.drop_guessed=true")
    assert refused.returncode == 2
    told = " ".join(refused.stdout.split())
    assert "name the model with calibrate.url and calibrate.model" in told


def test_a_set_is_taken_without_what_a_model_guesses(tmp_path):
    folder = tmp_path / "set"
    taken = RunSettings(questions=QuestionsSettings(path=str(folder), drop_guessed=True))
    made = make_question_set(folder, GraphSettings(source="toy"), toy_questions_settings())
    with pytest.raises(UsageError, match="questions without one; ask a model with"):
        prepare(taken).asked("train")
    train = made.questions("train")
    guess = [Guess(model="m", answer="?", right=i < 3) for i in range(len(train))]
    write_questions(
        folder / "train.jsonl",
        [
            replace(q, certificate=replace(q.proof, guess=one))
            for q, one in zip(train, guess, strict=True)
        ],
    )
    assert [q.id for q in prepare(taken).asked("train")] == [q.id for q in train[3:]]
    assert len(prepare(taken, n=2).asked("train")) == 2
    with pytest.raises(UsageError, match=r"holds 5 train questions that no model guesses, 6 were"):
        prepare(taken, n=6).asked("train")


def test_the_recipe_rewords_calibrates_and_makes_worlds_of_what_is_left(tmp_path):
    random_graph(1, diseases=60, findings=60, genes=30, dense=0.3).save(tmp_path / "graph")

    def either(body):
        return politely(body) if asked_by(body).startswith("{") else "no idea"

    with ChatServer(either) as server:
        done = synthesized(
            *(f"graph={tmp_path / 'graph'}", f"questions.folder={tmp_path / 'set'}"),
            *("n=12", "questions.n_test=4", "questions.workers=1", "questions.levels=[0]"),
            "worlds=[renamed]",
            *("questions.rare_percent=100", "questions.chains.min_hops=2"),
            *(f"rewrite.url={server.url}", "rewrite.model=editor"),
            *(f"calibrate.url={server.url}", "calibrate.model=wise", "calibrate.samples=2"),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("train", "test"):
        made = read_questions(tmp_path / "set" / f"{name}.jsonl")
        assert {q.calibration["wise"] for q in made} == {(0, 2)}
        assert all(q.text.startswith("Please tell me. ") for q in made)
        assert all(q.template.endswith("reworded by editor") for q in made)
    renamed = read_questions(tmp_path / "set" / "worlds" / "renamed" / "train.jsonl")
    assert all(q.text.startswith("Please tell me. ") for q in renamed)
