"""How often a model answers a question from memory, by the project's own equivalence of answers.

The first answer is the guess that the question's certificate records.

A question that a strong model answers more often than not asks for no research. Only answers that
came count: where the endpoint failed there is no answer, which is not a wrong one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from medenv.errors import ModelUnavailableError, UsageError
from medenv.llm.batch import BatchClient
from medenv.llm.endpoint import EndpointSettings
from medenv.records import Guess, Message, Parsed, PolicyText, Question, Trajectory, Turn
from medenv.reward import COMPONENTS, EntityNames, Knowledge

AT_MOST = 0.5
"""Share of right answers up to which a question is kept; the reference drops what is above."""

_SYSTEM = """\
Answer a medical question from memory. Reply with the answer alone: a name, a number, or, where \
several are asked for, names parted by semicolons; no sentence and no explanation. If you do not \
know, give your best guess."""


class Calibrated(NamedTuple):
    """Questions after a model was asked to answer them from memory.

    Args:
        questions: All questions, in their order; those answered in full say how often rightly.
        missing: Number of questions without all of their answers, because the endpoint failed.
        failure: Why, or None where none is missing.
    """

    questions: tuple[Question, ...]
    missing: int
    failure: ModelUnavailableError | None


def calibrate(
    asking: BatchClient,
    questions: Sequence[Question],
    samples: int = 4,
    names: EntityNames | None = None,
    say: Callable[[int], None] = lambda _: None,
) -> Calibrated:
    """Return questions that say how often a model answers them rightly from memory.

    Args:
        asking: Asks the model, and keeps its answers; more samples can be asked for later.
        questions: The questions.
        samples: Answers to each, at least 1.
        names: Index of all names, which a near miss is held against.
        say: Progress callback; receives the number of completed answers.

    Raises:
        UsageError: `samples` is below 1.
    """
    if samples < 1:
        raise UsageError(f"expected at least 1 sample of each question, got {samples}")
    keys = {question.id: _keys(question, samples) for question in questions}
    requests = {key: prompt(one) for one in questions for key in keys[one.id]}
    failure = None
    try:
        asking.ask(requests, say=say)
    except ModelUnavailableError as error:
        failure = error
    knowledge = Knowledge(names=names)
    model = asking.endpoint.settings.model
    out, missing = [], 0
    for question in questions:
        answers = [asking.replies.get(key) for key in keys[question.id]]
        there = [replies[-1] for replies in answers if replies is not None]
        if len(there) < samples:
            missing += 1
            out.append(question)
            continue
        right = [is_right(question, answer, knowledge) for answer in there]
        measured = question.calibration | {model: (sum(right), samples)}
        guess = Guess(model=model, answer=_without_thoughts(there[0]), right=right[0])
        out.append(_guessed(msgspec.structs.replace(question, calibration=measured), guess))
    return Calibrated(tuple(out), missing, failure)


def _guessed(question: Question, guess: Guess) -> Question:
    """Return a question whose certificate, where it has one, records a model's guess."""
    if question.certificate is None:
        return question
    certificate = msgspec.structs.replace(question.certificate, guess=guess)
    return msgspec.structs.replace(question, certificate=certificate)


def _keys(question: Question, samples: int) -> list[str]:
    text = hashlib.sha256(question.text.encode()).hexdigest()[:12]
    return [f"{question.id} {text} {number}" for number in range(samples)]


def prompt(question: Question) -> list[Message]:
    """Return what a model is asked.

    Args:
        question: The question.
    """
    return [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": question.text},
    ]


def digest(settings: EndpointSettings) -> str:
    """Return a cache key for the prompt and the request options."""
    asked = msgspec.json.encode([_SYSTEM, settings.options], order="deterministic")
    return hashlib.sha256(asked).hexdigest()[:16]


def is_right(question: Question, reply: str, knowledge: Knowledge) -> bool:
    """Return whether a reply is right as the reward would judge it.

    Args:
        question: What was asked.
        reply: What the model wrote; thoughts that end in ``</think>`` are no part of its answer.
        knowledge: The index of names.
    """
    answer = _without_thoughts(reply)
    turn = Turn(text=PolicyText(answer), parsed=Parsed(answer=answer))
    said = Trajectory(question=question, turns=(turn,), ending="answered", answer=answer)
    return COMPONENTS["accuracy"].measure(said, knowledge).raw == 1.0


def _without_thoughts(reply: str) -> str:
    return reply.rpartition("</think>")[2].strip()


def is_guessed(question: Question) -> bool:
    """Return whether the guess in a question's certificate is right.

    Args:
        question: The question; without a guess it is not.
    """
    guess = question.certificate.guess if question.certificate is not None else UNSET
    return guess is not UNSET and guess.right


def unguessed(questions: Sequence[Question]) -> tuple[Question, ...]:
    """Return the questions that a model does not guess.

    Args:
        questions: The questions.

    Raises:
        UsageError: No certificate among them records a guess.
    """
    if questions and all(
        question.certificate is None or question.certificate.guess is UNSET
        for question in questions
    ):
        raise UsageError(
            f"expected certificates with a model's guess, got {len(questions):,} questions without"
            " one; ask a model with `medenv questions calibrate` or with calibrate.url and"
            " calibrate.model of recipes/synthesize.py"
        )
    return tuple(question for question in questions if not is_guessed(question))


def too_easy(question: Question, at_most: float = AT_MOST) -> bool:
    """Return whether some model answers a question from memory more often than is allowed.

    Args:
        question: The question.
        at_most: Greatest share of right answers, in [0, 1].
    """
    return any(right > at_most * asked for right, asked in question.calibration.values())


def kept(
    questions: Iterable[Question], at_most: float = AT_MOST
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Return the questions that are hard enough, and those that are not.

    Args:
        questions: The questions; those without a calibration are kept.
        at_most: Greatest share of right answers, in [0, 1].

    Raises:
        UsageError: The share is outside [0, 1].
    """
    if not 0 <= at_most <= 1:
        raise UsageError(f"expected a share of right answers in [0, 1], got {at_most}")
    every = list(questions)
    easy = tuple(question for question in every if too_easy(question, at_most))
    return tuple(question for question in every if not too_easy(question, at_most)), easy
