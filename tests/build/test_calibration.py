"""How often a model knows an answer by heart, as rewards judge it; outages are no answers."""

import json
import random
import threading

import msgspec
import pytest

from medenv.build.calibration import (
    calibrate,
    digest,
    is_guessed,
    is_right,
    kept,
    prompt,
    too_easy,
    unguessed,
)
from medenv.errors import ModelUnavailableError, UsageError
from medenv.kg import read_questions, toy_graph, toy_questions, verify, write_questions
from medenv.llm.batch import BatchClient, BatchLimits, open_journal
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.records import Entity, Guess
from medenv.reward import EntityNames, Knowledge

from ..chat_server import ChatServer, asked_by

QUESTIONS = toy_questions().train
BY_TEXT = {question.text: question for question in QUESTIONS}


def ask(server, path, questions=QUESTIONS, samples=4, attempts=6):
    settings = EndpointSettings(url=server.url, model="wise", attempts=attempts, backoff=0.001)
    journal = open_journal(path, digest(settings), "wise")
    with BatchClient(Endpoint(settings), journal, BatchLimits()) as asking:
        return calibrate(asking, questions, samples)


class Memory:
    """Knows the answer to question i in i of every four tries."""

    def __init__(self):
        self.tries, self.lock = {}, threading.Lock()

    def __call__(self, body):
        text = asked_by(body)
        with self.lock:
            tried = self.tries[text] = self.tries.get(text, -1) + 1
        knows = tried < list(BY_TEXT).index(text) % 5
        return BY_TEXT[text].answers[0].name if knows else "Glass tendon disease type 99"

    @staticmethod
    def names(body):
        """Answer every other question rightly."""
        place = list(BY_TEXT).index(asked_by(body))
        return "Glass tendon disease type 99" if place % 2 else QUESTIONS[place].answers[0].name


def test_the_share_of_right_answers_is_stored_with_each_question(tmp_path):
    with ChatServer(Memory()) as server:
        done = ask(server, tmp_path / "j")
    assert len(server.asked) == 4 * len(QUESTIONS)
    assert [q.calibration for q in done.questions] == [
        {"wise": (i % 5, 4)} for i in range(len(QUESTIONS))
    ]
    assert (done.missing, done.failure) == (0, None)
    write_questions(tmp_path / "q.jsonl", done.questions)
    assert read_questions(tmp_path / "q.jsonl") == done.questions


def test_the_first_answer_is_the_guess_that_the_certificate_records(tmp_path):
    with ChatServer(lambda body: f"<think>Hm.</think> {Memory.names(body)}") as server:
        done = ask(server, tmp_path / "j", samples=2)
    right = [question.id for question in QUESTIONS[::2]]
    for question, before in zip(done.questions, QUESTIONS, strict=True):
        known = question.id in right
        answer = before.answers[0].name if known else "Glass tendon disease type 99"
        assert question.proof.guess == Guess(model="wise", answer=answer, right=known)
        assert is_guessed(question) is known
        assert not is_guessed(before)
        assert verify(question, toy_graph()) == []
    assert [q.id for q in unguessed(done.questions)] == [q.id for q in QUESTIONS[1::2]]
    again = json.loads(msgspec.json.encode(QUESTIONS[0]))["certificate"]
    assert "guess" not in again, "what no model was asked is the same bytes as before"
    with pytest.raises(UsageError, match="got 16 questions without one; ask a model with"):
        unguessed(QUESTIONS)
    assert unguessed(()) == ()


def test_a_question_without_a_certificate_has_no_guess(tmp_path):
    own = [msgspec.structs.replace(question, certificate=None) for question in QUESTIONS[:2]]
    with ChatServer(Memory.names) as server:
        done = ask(server, tmp_path / "j", own, samples=1)
    assert [q.calibration for q in done.questions] == [{"wise": (1, 1)}, {"wise": (0, 1)}]
    assert [q.certificate for q in done.questions] == [None, None]


def test_what_is_answered_more_than_half_the_time_is_dropped_and_half_is_not(tmp_path):
    with ChatServer(Memory()) as server:
        done = ask(server, tmp_path / "j")
    hard, easy = kept(done.questions)
    assert [q.calibration["wise"][0] for q in hard] == [i % 5 for i in range(16) if i % 5 <= 2]
    assert len(hard) + len(easy) == len(QUESTIONS)
    assert not kept(done.questions, at_most=1.0)[1]
    assert {q.calibration["wise"][0] for q in kept(done.questions, at_most=0.0)[0]} == {0}


def test_the_strongest_of_several_models_decides():
    question = msgspec.structs.replace(QUESTIONS[0], calibration={"weak": (0, 8), "wise": (3, 4)})
    assert too_easy(question)
    assert not too_easy(question, at_most=0.75)
    assert not too_easy(QUESTIONS[0])


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("{name}", True),
        (" {name}.\n", True),
        ("<think>Is it {other}? No.</think>{name}", True),
        ("{other}", False),
        ("{name} or {other}", False),
        ("It may be {name}, but I would not rule out {other}.", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_answers_are_judged_as_the_reward_judges_them(reply, right):
    question = next(q for q in QUESTIONS if q.kind == "disease>gene")
    graph = toy_graph()
    names = EntityNames(graph.entity(node) for node in range(len(graph)))
    said = reply.format(name=question.answers[0].name, other="QUAB1")
    assert question.answers[0].name != "QUAB1"
    for knowledge in (Knowledge(), Knowledge(names=names)):
        assert is_right(question, said, knowledge) == right


def test_all_of_a_list_and_abstaining_where_there_is_no_answer_are_right():
    answers = (Entity(id="a", kind="gene", name="ABC1"), Entity(id="b", kind="gene", name="DEF2"))
    listed = msgspec.structs.replace(QUESTIONS[0], answers=answers)
    assert is_right(listed, "DEF2; ABC1", Knowledge())
    nothing = msgspec.structs.replace(QUESTIONS[0], answers=())
    assert is_right(nothing, "unknown", Knowledge())
    assert not is_right(nothing, "ABC1", Knowledge())


def test_the_model_sees_the_question_and_nothing_else(tmp_path):
    with ChatServer(Memory()) as server:
        ask(server, tmp_path / "j", samples=1)
    for body, question in zip(
        sorted(server.asked, key=asked_by), sorted(QUESTIONS, key=lambda q: q.text), strict=True
    ):
        assert body["messages"] == prompt(question)
        assert set(body) == {"model", "messages"}
        assert body["messages"][-1] == {"role": "user", "content": question.text}


def test_answers_that_never_came_are_no_wrong_answers(tmp_path):
    silent = {question.text for question in QUESTIONS[:3]}

    def but_three(body):
        return (503, b"") if asked_by(body) in silent else BY_TEXT[asked_by(body)].answers[0].name

    with ChatServer(but_three) as server:
        done = ask(server, tmp_path / "j", attempts=1, samples=1)
        assert done.missing == 3
        assert isinstance(done.failure, ModelUnavailableError)
        assert [q.calibration for q in done.questions[:3]] == [{}] * 3
        assert {q.calibration["wise"] for q in done.questions[3:]} == {(1, 1)}
        assert kept(done.questions)[0] == QUESTIONS[:3]
        server.answer = Memory()
        before = len(server.asked)
        again = ask(server, tmp_path / "j", samples=1)
    assert (again.missing, len(server.asked) - before) == (0, 3)


def test_a_server_that_fails_three_times_in_ten_changes_no_share(tmp_path):
    dice, lock, memory = random.Random(5), threading.Lock(), Memory()

    def flaky(body):
        with lock:
            thrown = dice.random()
        return (503, b"") if thrown < 0.3 else memory(body)

    with ChatServer(flaky) as server:
        done = ask(server, tmp_path / "j", attempts=12)
    assert [q.calibration["wise"][0] for q in done.questions] == [i % 5 for i in range(16)]


def test_more_samples_can_be_asked_for_later(tmp_path):
    with ChatServer(Memory()) as server:
        ask(server, tmp_path / "j", samples=2)
        assert len(server.asked) == 2 * 16
        done = ask(server, tmp_path / "j", samples=4)
    assert len(server.asked) == 4 * 16
    assert [q.calibration["wise"] for q in done.questions] == [(i % 5, 4) for i in range(16)]


def test_what_cannot_be_calibrated_is_refused(tmp_path):
    with ChatServer(Memory()) as server, pytest.raises(UsageError, match="at least 1 sample"):
        ask(server, tmp_path / "j", samples=0)
    with pytest.raises(UsageError, match=r"in \[0, 1\], got 2"):
        kept(QUESTIONS, at_most=2)
