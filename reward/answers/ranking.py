"""Differential diagnoses in free text: ranked lists of diseases, and a gene behind them."""

from __future__ import annotations

import re

from medenv.records import PATIENT, Question

MOST_RANKED = 10
"""Most diagnoses of a differential; a longer list pays nothing."""

_GENE = re.compile(r"(?i)(?:^|[\n;,])\s*gene\s*:\s*([^\n;,:]+?)\s*$")
_NUMBER = re.compile(r"(?:^|(?<=\s))\(?(\d{1,2})[.)]\s+")


def is_patient(question: Question) -> bool:
    """Return whether a question asks for a patient's disease, of which several may be ranked."""
    return question.kind.partition(":")[0] == PATIENT


def ranked(answer: str) -> list[str]:
    """Return the diagnoses of an answer, the likeliest first, without the gene behind them.

    Several are a list that is numbered from 1 on; anything else is one diagnosis, so that a list
    without ranks is no differential but hedging.

    Args:
        answer: The answer that the policy wrote.
    """
    told = _GENE.sub("", answer).strip()
    marks = list(_NUMBER.finditer(told))
    if not marks or marks[0].start() or [int(mark[1]) for mark in marks] != _upto(len(marks)):
        return [told]
    ends = [*(mark.start() for mark in marks[1:]), len(told)]
    return [told[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]


def _upto(last: int) -> list[int]:
    return list(range(1, last + 1))


def gene_in(answer: str) -> str:
    """Return what stands as gene at the end of an answer, ``"Gene: FBN1"``, or ``""``.

    Args:
        answer: The answer that the policy wrote.
    """
    found = _GENE.search(answer.rstrip())
    return found[1] if found else ""
