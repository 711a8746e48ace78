"""A model's wording is taken only where it says all that the certificate asks, and no more."""

import json
import random
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medenv.kg import Documents, Graph, toy_graph, toy_questions, verify
from medenv.kg.certificates.queries import evaluate
from medenv.kg.questions.difficulty import SOLVERS
from medenv.kg.questions.generator import QuestionGenerator
from medenv.kg.questions.production import produce
from medenv.kg.questions.rewriting import digest, phrases, prompt, read_wording, rewrite
from medenv.llm.batch import BatchClient, BatchLimits, open_journal
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.records import Question
from medenv.retrieval import BM25Retriever

from ..chat_server import ChatServer, asked_by
from .random_graphs import random_graph
from .test_production import CONFIG


@pytest.fixture(scope="module")
def big() -> Graph:
    return random_graph(1, diseases=60, findings=60, genes=30, dense=0.3)


@pytest.fixture(scope="module")
def asked(big: Graph, tmp_path_factory: pytest.TempPathFactory) -> tuple[Question, ...]:
    journal = tmp_path_factory.mktemp("journals") / "train"
    return produce(QuestionGenerator(Documents(big), CONFIG), "train", 150, journal).questions


def run(server, path, graph, questions, retriever=None, max_parse_attempts=1):
    endpoint = Endpoint(EndpointSettings(url=server.url, model="editor", attempts=2, backoff=0.001))
    journal = open_journal(path, digest(), "editor")
    made = BatchClient(endpoint, journal, BatchLimits(max_parse_attempts=max_parse_attempts))
    return rewrite(made, graph, questions, retriever)


def text_of(body):
    return json.loads(asked_by(body))["question"]


def politely(text):
    """A faithful wording: the same sentences with a few words before them."""
    return json.dumps({"question": f"A colleague would like to know this. {text}"})


def test_a_faithful_wording_is_taken_and_every_question_is_still_proved(big, asked, tmp_path):
    with ChatServer(lambda body: politely(text_of(body))) as server:
        done = run(server, tmp_path / "j", big, asked)
    assert (done.accepted, done.rejected) == (len(asked), {})
    for before, after in zip(asked, done.questions, strict=True):
        assert after.text == f"A colleague would like to know this. {before.text}"
        assert after.template == f"{before.template}, reworded by editor"
        assert verify(after, big) == []


def test_what_belongs_to_a_wording_is_found_out_again_or_left_out(big, asked, tmp_path):
    retriever = BM25Retriever(Documents(big).passages)
    with ChatServer(lambda body: politely(text_of(body))) as server:
        done = run(server, tmp_path / "j", big, asked[:20], retriever)
        bare = run(server, tmp_path / "j", big, asked[:20])
    for question in done.questions:
        assert verify(question, big, retriever) == []
        ordered = question.certificate.query[0] in ("walk", "chain")
        assert set(question.grades) == set(SOLVERS if ordered else SOLVERS[:4])
    assert {q.difficulty for q in bare.questions} == {None}
    assert len(server.asked) == 20


TOY = {q.id: q for q in (*toy_questions().train, *toy_questions().test)}
TWO_HOPS = next(q for q in TOY.values() if len(q.certificate.path) == 2)
NAME = TWO_HOPS.topic.name
MIDDLE = toy_graph().entity(toy_graph().number(TWO_HOPS.certificate.path[0].tail)).name
GOOD = f'Someone shows "{NAME}", reported in a single disease: which gene goes with that disease?'


def read(text, question=TWO_HOPS, graph=None):
    graph = graph or toy_graph()
    outcome = evaluate(graph, question.certificate.query)
    return read_wording(graph, question, outcome, text)


def refused(text, question=TWO_HOPS, graph=None):
    found = read(text, question, graph)
    return str(found) if type(found) is not str else ""


def test_a_wording_in_the_models_own_words_is_taken():
    assert read(json.dumps({"question": GOOD})) == GOOD
    assert read(f"```json\n{json.dumps({'question': GOOD})}\n```") == GOOD


@pytest.mark.parametrize(
    ("wording", "reason"),
    [
        (TWO_HOPS.text, "the same words"),
        ("", "the same words"),
        (GOOD * 9, "too long"),
        (GOOD.replace(NAME, "this finding"), "an entity of the question is missing"),
        (GOOD.replace(NAME, NAME[:-1]), "an entity of the question is missing"),
        (f"{GOOD} It is not {TWO_HOPS.answers[0].name}.", "it gives a later step or the answer"),
        (f"{GOOD} Think of {MIDDLE}.", "it gives a later step or the answer"),
        (f"{GOOD} Call it [MASK].", "a placeholder"),
        (f"{GOOD} Start at Entity_A.", "a placeholder"),
        (f"{GOOD} Its name is {{answer}}.", "a placeholder"),
        (f"{GOOD} There are 3 candidates.", "a number that the question does not have"),
        (f'In which disease is "{NAME}" reported?', "a step is missing"),
        (f'Which gene goes with "{NAME}"?', "a step is missing"),
        (f"{GOOD} It is unlike Pale harbour anaemia.", "an entity that the question does not name"),
        (f"{GOOD} Do not say QUAB1.", "a number that the question does not have"),
    ],
)
def test_a_wording_that_loses_or_tells_something_is_refused_with_the_reason(wording, reason):
    assert refused(json.dumps({"question": wording})).startswith(reason)


@pytest.mark.parametrize("text", [GOOD, "", "{", '{"text": "x"}', '{"question": 1}', "[]", "null"])
def test_a_reply_that_is_no_object_with_a_question_is_refused(text):
    assert refused(text) == "reply: no JSON object with a question"


def without(pattern):
    """A change that takes words out of a question."""
    return lambda text: re.sub(pattern, "", text)


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("negation", without(r"\b(not|no|without|lacks?|excluded)\b"), "a negation is missing"),
        (
            "list",
            without(r"(?i)\b(every|all|list|complete|each)\b"),
            "what is asked for is missing",
        ),
        ("comparison", without(r"\b(most|largest|often|frequent\w*)\b"), "what is asked for"),
    ],
)
def test_what_a_form_of_question_asks_for_has_to_stay(kind, change, reason, tmp_path):
    graph = random_graph(1, diseases=60, findings=60, genes=30, dense=0.5)
    config = msgspec.structs.replace(CONFIG, kinds={kind: 1})
    made = produce(QuestionGenerator(Documents(graph), config), "train", 2, tmp_path / "journal")
    for question in made.questions:
        assert refused(politely(question.text), question, graph) == ""
        proposed = json.dumps({"question": change(question.text)})
        assert refused(proposed, question, graph).startswith(reason), question.text


def test_that_steps_differ_has_to_stay(big, asked):
    twice = [q for q in asked if q.kind.count("disease") > 1 and ">" in q.kind]
    assert twice
    words = r"(?i)\b(other|another|differs?|twice|again|new|distinct|different|same|once|back)\b"
    for question in twice:
        changed = json.dumps({"question": re.sub(words, "", question.text)})
        assert refused(changed, question, big) == "that steps differ is missing"


def test_the_model_is_told_what_stays_and_not_the_answer(big, asked):
    for question in asked:
        outcome = evaluate(big, question.certificate.query)
        messages = prompt(big, question, outcome)
        told = json.loads(messages[-1]["content"])
        assert told["question"] == question.text
        assert all(phrase in question.text for phrase in told["phrases_that_stay"])
        assert told["phrases_that_stay"] == phrases(big, question, outcome)
        hidden = {a.name for a in question.answers} - set(told["phrases_that_stay"])
        assert not [name for name in hidden if f'"{name}"' in messages[-1]["content"]]


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=200), number=st.integers(0, len(TOY) - 1))
def test_whatever_the_model_writes_the_question_is_still_proved(text, number):
    graph, question = toy_graph(), list(TOY.values())[number]
    for proposed in (text, json.dumps({"question": text}), json.dumps({"question": GOOD + text})):
        found = read(proposed, question, graph)
        if type(found) is str:
            assert verify(msgspec.structs.replace(question, text=found), graph) == []


def test_refused_wordings_keep_the_template_and_are_counted(tmp_path: Path):
    dice = random.Random(3)
    questions = list(TOY.values())
    good = {q.text: dice.random() < 0.5 for q in questions}

    def half(body):
        text = text_of(body)
        return politely(text) if good[text] else "I would rather not."

    with ChatServer(half) as server:
        done = run(server, tmp_path / "j", toy_graph(), questions)
        assert len(server.asked) == len(questions)
        again = run(server, tmp_path / "j", toy_graph(), questions)
        assert len(server.asked) == len(questions)
    assert again == done
    assert done.accepted == sum(good.values())
    assert done.rejected == {"reply: no JSON object with a question": 22 - done.accepted}
    for before, after in zip(questions, done.questions, strict=True):
        assert (after == before) == (not good[before.text])


def test_a_wording_that_is_refused_is_asked_for_once_more(tmp_path: Path):
    seen: set[str] = set()

    def at_second(body):
        text = text_of(body)
        first = text not in seen
        seen.add(text)
        return "No." if first else politely(text)

    with ChatServer(at_second) as server:
        done = run(
            server, tmp_path / "j", toy_graph(), list(TOY.values())[:5], max_parse_attempts=2
        )
    assert (done.accepted, len(server.asked)) == (5, 10)
