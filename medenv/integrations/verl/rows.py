"""Questions as the rows that verl reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig

from medenv.episodes.episode import Episode, EpisodeRules
from medenv.errors import UsageError
from medenv.integrations.hf.chat_tokens import ChatTokens, open_tokenizer
from medenv.io import atomic_path
from medenv.records import Question
from medenv.retrieval.filtered import answer_name

AGENT_NAME = "medenv"
"""Value of the column `agent_name` that selects our agent loop."""

Sampling = Literal["sampled", "greedy"]
"""How the policy writes: at the trainer's temperature, or at temperature 0."""


def rows(
    questions: Iterable[Question], rules: EpisodeRules, sampling: Sampling, n: int | None = None
) -> list[dict[str, Any]]:
    """Return one row for each question.

    Args:
        questions: What is asked.
        rules: Starts the episode that gives the prompt.
        sampling: How the policy writes.
        n: Rollouts of each question, where it is not the trainer's own number.
    """
    return [
        {
            "prompt": [dict(message) for message in Episode(question, rules).prompt()],
            "data_source": f"medenv/{sampling}",
            "agent_name": AGENT_NAME,
            "reward_model": {"style": "rule", "ground_truth": answer_name(question)},
            "extra_info": {
                "index": number,
                "sampling": sampling,
                "question": msgspec.json.encode(question).decode(),
            },
            **({"__rollout_n__": n} if n is not None else {}),
        }
        for number, question in enumerate(questions)
    ]


def fitting(
    table: Sequence[dict[str, Any]], tokens: ChatTokens, most: int, *, leave_out: bool
) -> list[dict[str, Any]]:
    """Return the rows whose prompts verl takes whole; it would cut longer ones from the left.

    Args:
        table: The rows.
        tokens: The policy's chat format.
        most: Most tokens of a prompt, verl's `data.max_prompt_length`.
        leave_out: Whether longer prompts are left out instead of being refused, verl's
            `data.filter_overlong_prompts`.

    Raises:
        UsageError: A prompt is longer, and is not to be left out; or all are.
    """
    lengths = tokens.prompt_lengths([row["prompt"] for row in table])
    fits = [row for row, length in zip(table, lengths, strict=True) if length <= most]
    if len(fits) < len(table) and not (leave_out and fits):
        hint = ", or data.filter_overlong_prompts=true to leave them out" if fits else ""
        raise UsageError(
            f"{len(table) - len(fits):,} of {len(table):,} prompts are longer than "
            f"data.max_prompt_length={most} tokens: set it to {max(lengths)}{hint}"
        )
    return fits


def write_rows(
    config: DictConfig, tables: Mapping[Path, Sequence[dict[str, Any]]], say: Callable[[str], None]
) -> None:
    """Write rows as parquet, all of them or, where a prompt is refused, none.

    Args:
        config: The composed config; names the policy and the longest prompt.
        tables: File to rows; a file is replaced only when all its rows are written.
        say: Receives how many rows are left out, in words.

    Raises:
        UsageError: As `fitting`.
    """
    model, most = config.actor_rollout_ref.model, int(config.data.max_prompt_length)
    tokenizer = open_tokenizer(
        model.tokenizer_path or model.path, trust_remote_code=bool(model.trust_remote_code)
    )
    tokenizer.chat_template = model.custom_chat_template or tokenizer.chat_template
    tokens = ChatTokens(tokenizer, config.data.apply_chat_template_kwargs)
    leave_out = bool(config.data.filter_overlong_prompts)
    fits = {
        path: fitting(table, tokens, most, leave_out=leave_out) for path, table in tables.items()
    }
    for path, kept in fits.items():
        left_out = len(tables[path]) - len(kept)
        if left_out:
            say(
                f"leaving out {left_out:,} of {len(tables[path]):,} prompts in {path.name}, longer "
                f"than {most} tokens"
            )
        with atomic_path(path) as partial:
            pq.write_table(pa.Table.from_pylist(kept), partial)


def count_rows(path: Path) -> int:
    """Return the number of rows in a file of `write_rows`.

    Args:
        path: The file.
    """
    return int(pq.read_metadata(path).num_rows)
