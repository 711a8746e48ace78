"""Questions as a Hugging Face dataset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from medenv.errors import UsageError
from medenv.records import Question

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]  # an optional dependency


def to_dataset(questions: Iterable[Question]) -> datasets.Dataset:
    """Return questions as a Hugging Face dataset: flat columns, and the whole record as JSON.

    Args:
        questions: The questions.

    Raises:
        UsageError: ``datasets`` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise UsageError("this needs the package datasets: pip install datasets") from error
    return datasets.Dataset.from_list([flat(question) for question in questions])


def flat(question: Question) -> dict[str, Any]:
    """Return a question as one row of plain columns.

    Args:
        question: The question.
    """
    return {
        "id": question.id,
        "question": question.text,
        "answers": [answer.name for answer in question.answers],
        "aliases": [list(answer.aliases) for answer in question.answers],
        "kind": question.kind,
        "specialty": question.specialty,
        "hops": len(question.path),
        "level": question.level,
        "difficulty": question.difficulty,
        "source": question.source,
        "world": question.world,
        "record": msgspec.json.encode(question).decode(),
    }
