"""MedQuAD: answers to questions of patients, by institutes of the NIH.

Source: A. Ben Abacha, D. Demner-Fushman: A question-entailment approach to question answering (BMC
Bioinformatics, 2019). Reads the repository's archive, or JSON lines with ``focus``, ``source`` and
``qa``.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from medenv.errors import DataError
from medenv.io import read_records

_SPACES = re.compile(r"\s+")


class QA(msgspec.Struct):
    """A question with its answer, and the type of the question, e.g. ``"treatment"``."""

    question: str
    answer: str
    qtype: str = ""


class Document(msgspec.Struct):
    """What an institute tells patients about one thing.

    Args:
        id: Identifier.
        source: The institute.
        focus: The disease or drug, as the institute names it.
        qa: Questions and answers.
    """

    id: str | int
    source: str
    focus: str
    qa: list[QA]


def read_medquad(file: Path) -> Iterator[Document]:
    """Yield the documents that have answers.

    Args:
        file: The archive of the repository, or a JSONL file.

    Raises:
        DataError: The file is missing or malformed.
    """
    if file.suffix != ".zip":
        yield from read_records(file, Document, "a MedQuAD document")
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".xml"):
                    root = ElementTree.fromstring(archive.read(name))
                    pairs = [_qa(pair) for pair in root.iter("QAPair")]
                    if answered := [pair for pair in pairs if pair.answer]:
                        identity = "/".join(name.removesuffix(".xml").split("/")[1:])
                        focus = (root.findtext("Focus") or "").strip()
                        yield Document(identity, root.get("source", ""), focus, answered)
    except (OSError, zipfile.BadZipFile, ElementTree.ParseError) as error:
        raise DataError(file, f"expected MedQuAD's archive, got: {error}") from error


def _qa(pair: ElementTree.Element) -> QA:
    question = pair.find("Question")
    text = _SPACES.sub(" ", (question.text or "") if question is not None else "").strip()
    answer = _SPACES.sub(" ", pair.findtext("Answer") or "").strip()
    return QA(text, answer, question.get("qtype", "") if question is not None else "")
