"""Questions on disk, one JSON object per line, and the check that two sets share nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from medenv.errors import DataError
from medenv.io import DecodingError, decode_text, digest, raw_lines, read_json, write_bytes
from medenv.kg.graph.schema import ATTRIBUTES
from medenv.kg.questions.walks import WALKS
from medenv.records import Question, Record

NOTICE = "Test questions: do not train on them, and do not publish them decoded."


def write_questions(
    path: Path | str, questions: Iterable[Question], *, sealed: bool = False
) -> int:
    """Write questions as JSON lines, whole or not at all, and return their number.

    Args:
        path: The file; one that exists is replaced when all is written.
        questions: The questions.
        sealed: Whether to encode them, so that no answer stands in the file in plain text and a
            crawler that takes it in learns none.
    """
    lines = [encode(question, sealed=sealed) + b"\n" for question in questions]
    write_bytes(path, b"".join(lines))
    return len(lines)


class Sealed(Record, frozen=True, kw_only=True):
    """A question whose answer is not in plain text.

    Args:
        sealed: The whole question as JSON, XORed with a key stream of `key`, in base 64.
        key: What the key stream is made from.
        text: The wording, in plain text.
        notice: What to do with the file.
    """

    sealed: str
    key: str
    text: str
    notice: str = NOTICE


def encode(question: Question, *, sealed: bool = False) -> bytes:
    """Return a question as one line of JSON, without its end.

    Args:
        question: The question.
        sealed: Whether to seal it.
    """
    plain = msgspec.json.encode(question)
    if not sealed:
        return plain
    key = f"medenv/{question.id}"
    hidden = base64.b64encode(_xor(plain, key)).decode()
    return msgspec.json.encode(Sealed(sealed=hidden, key=key, text=question.text))


def decode(line: bytes) -> Question:
    """Return the question of a line, sealed or not.

    Args:
        line: What `encode` returned.

    Raises:
        msgspec.MsgspecError: It is no question.
    """
    if not line.startswith(b'{"sealed":'):
        return _question(line)
    record = _sealed(line)
    try:
        return _question(_xor(base64.b64decode(record.sealed, validate=True), record.key))
    except (ValueError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(f"a sealed question that cannot be opened ({error})") from error


def _xor(data: bytes, key: str) -> bytes:
    """Return data XORed with SHA-256 in counter mode: no secret, but not readable in passing."""
    blocks = range(0, len(data), 32)
    stream = b"".join(hashlib.sha256(f"{key}/{at}".encode()).digest() for at in blocks)
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))


_question = msgspec.json.Decoder(Question).decode
_sealed = msgspec.json.Decoder(Sealed).decode


def read_questions(path: Path | str) -> tuple[Question, ...]:
    """Read what `write_questions` wrote, sealed or not.

    Raises:
        DataError: The file is missing, or a line was cut short or is no question.
    """
    questions = []
    for number, line in raw_lines(path):
        if line:
            try:
                if not line.isascii():
                    decode_text(line)
                questions.append(decode(line))
            except (DecodingError, msgspec.MsgspecError, RecursionError) as error:
                problem = f"is not a question, or was cut short ({error})"
                raise DataError(path, problem, number) from error
    return tuple(questions)


def leakage(train: Iterable[Question], test: Iterable[Question]) -> dict[str, int]:
    """Count what two sets of questions share; all counts are 0 where the split is clean.

    Args:
        train: One set.
        test: The other.
    """
    first, second = list(train), list(test)
    return {name: len(_all(get, first) & _all(get, second)) for name, get in _PARTS.items()}


def _all(get: Callable[[Question], Iterable[object]], questions: list[Question]) -> set[object]:
    return {part for question in questions for part in get(question)}


def _topics(question: Question) -> tuple[str, ...]:
    """Return the topic where a question is about it, not where it is one clue of several."""
    proof = question.certificate
    return (question.subject.id,) if proof and proof.query[0] not in ("where", "most") else ()


def entities_of(question: Question) -> set[str]:
    """Return what a question is about and asks for, and all that its path leads through.

    A question that is no path names its clues or counts them; such as "Seizure", which a fifth of
    all diseases have, they give nothing away. Nor do answers that are values or attributes.

    Args:
        question: The question; without a certificate nothing of the kind is known.
    """
    question = _of_entities(question)
    if (proof := question.certificate) is None:
        return set()
    ordered = proof.query[0] in ("walk", "chain")
    on_the_way = {end for hop in proof.path for end in (hop.head, hop.tail)} if ordered else set()
    return {*on_the_way, *_topics(question), *proof.answers}


_PARTS: dict[str, Callable[[Question], Iterable[object]]] = {
    "answers": lambda q: q.certificate.answers if q.certificate else (),
    "edges": lambda q: (frozenset((hop.head, hop.tail)) for hop in q.path),
    "topics": _topics,
    "entities": entities_of,
    "texts": lambda q: (q.text,),
}


class LeakageCertificate(Record, frozen=True, kw_only=True):
    """What two sets of questions share, and of which files that was found.

    Args:
        train: SHA-256 over the lines of the one set.
        test: SHA-256 over the lines of the other.
        shared: Number of answers, gold edges, topics, entities, texts and templates in both.
        clean: Whether they share none, the templates of short walks aside.
    """

    train: str
    test: str
    shared: dict[str, int]
    clean: bool


def leakage_certificate(train: Iterable[Question], test: Iterable[Question]) -> LeakageCertificate:
    """Return what two sets share, wordings included.

    Numbers, frequencies and attributes such as an onset are answers to many questions; a set that
    shares them gives nothing away, and they are not counted. The templates of short walks are
    counted, but a set that shares them is clean: it is worded alike in both splits.

    Args:
        train: One set.
        test: The other.
    """
    first, second = list(train), list(test)
    shared = leakage(map(_of_entities, first), map(_of_entities, second))
    templates = ({q.template for q in first} & {q.template for q in second}) - {""}
    apart = all(template.partition("/")[0] in WALKS for template in templates)
    clean = apart and not any(shared.values())
    shared["templates"] = len(templates)
    hashes = [digest(b"\n".join(map(encode, qs))) for qs in (first, second)]
    return LeakageCertificate(train=hashes[0], test=hashes[1], shared=shared, clean=clean)


def read_leakage(path: Path | str) -> LeakageCertificate:
    """Read a leakage certificate.

    Args:
        path: The file.

    Raises:
        DataError: There is none, or it is damaged.
    """
    return read_json(path, LeakageCertificate, "a leakage certificate")


def _of_entities(question: Question) -> Question:
    """Return a question without answers that are values or attributes, and without their edges."""
    proof = question.certificate
    if proof is None or not question.answers or question.answers[0].kind not in _VALUES:
        return question
    path = proof.path if question.answers[0].kind == "value" else ()
    return msgspec.structs.replace(
        question, certificate=msgspec.structs.replace(proof, answers=(), path=path)
    )


_VALUES = {"value", "prevalence", *ATTRIBUTES} - {"phenotype"}
