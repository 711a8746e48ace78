"""Questions in the forms that others read: verl's parquet rows and Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from medenv.errors import UsageError
from medenv.io import whole_path
from medenv.records import Question

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]  # an optional dependency

_PROMPT = "{text}\nResearch the question with the tools you have, then give the answer."


def verl_rows(questions: Iterable[Question], prompt: str = _PROMPT) -> list[dict[str, Any]]:
    """Return one row for each question in the columns that verl's trainers read.

    Args:
        questions: The questions.
        prompt: The user's message, with ``{text}`` where the question stands.

    Raises:
        UsageError: The prompt does not say where the question stands.
    """
    if "{text}" not in prompt:
        raise UsageError(f"expected a prompt that contains {{text}}, got {prompt!r}")
    return [
        {
            "data_source": f"medenv/{question.source}",
            "prompt": [{"role": "user", "content": prompt.replace("{text}", question.text)}],
            "ability": question.specialty or "medicine",
            "reward_model": {
                "style": "rule",
                "ground_truth": "; ".join(answer.name for answer in question.answers),
            },
            "extra_info": {
                "index": number,
                "split": question.split,
                "question": msgspec.json.encode(question).decode(),
            },
        }
        for number, question in enumerate(questions)
    ]


def write_verl(path: Path | str, questions: Iterable[Question], prompt: str = _PROMPT) -> int:
    """Write questions as a parquet file for verl, whole or not at all; return their number.

    Args:
        path: The file.
        questions: The questions.
        prompt: See `verl_rows`.

    Raises:
        UsageError: ``pyarrow`` is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError("parquet files need pyarrow: pip install 'medenv[verl]'") from error
    rows = verl_rows(questions, prompt)
    with whole_path(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows), partial)
    return len(rows)


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
