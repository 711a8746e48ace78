"""Differential diagnoses in free text: ranked lists of diseases, and a gene behind them."""

from __future__ import annotations

import re

from medenv.records import Question

MOST_RANKED = 10
"""Most diagnoses of a differential; a longer list pays nothing."""

_GENE = re.compile(r"(?im)[;\n,]?\s*\bgene\s*:\s*([^\n;,]+)")
_ITEM = re.compile(r"(?:^|\n|;)\s*(?:\(?\d{1,2}[.)]\s+|[-*•]\s+)?|\s+\(?\d{1,2}[.)]\s+")


def is_patient(question: Question) -> bool:
    """Return whether a question asks for a patient's disease, of which several may be ranked."""
    return question.kind == "patient>disease"


def ranked(answer: str) -> list[str]:
    """Return the diagnoses of an answer, the likeliest first, without the gene.

    They are numbered, bulleted, one on a line, or separated by semicolons.

    Args:
        answer: The answer that the policy wrote.
    """
    parts = _ITEM.split(_GENE.sub("", answer))
    return [part.strip() for part in parts if part.strip()]


def genes_in(answer: str) -> list[str]:
    """Return what an answer gives as gene: ``"Gene: FBN1"``.

    Args:
        answer: The answer that the policy wrote.
    """
    return [found.strip() for found in _GENE.findall(answer)]
