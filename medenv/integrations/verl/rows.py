"""Questions as the rows that verl reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from medenv.build.prepare import ENVIRONMENT, Prepared, open_environment, write_environment
from medenv.build.settings import CurriculumSettings
from medenv.episodes.episode import Episode, EpisodeRules
from medenv.errors import UsageError
from medenv.integrations.hf.chat_tokens import ChatTokens, open_tokenizer
from medenv.io import atomic_path, write_text
from medenv.kg.questions.benchmarks import refuse_benchmarks
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
    config: DictConfig,
    tables: Mapping[Path, Sequence[dict[str, Any]]],
    say: Callable[[str], object],
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


def write_agent_loop(
    path: Path, environment: Path, curriculum: CurriculumSettings | None = None
) -> Path:
    """Write the file in which verl finds the class that plays episodes, and its environment.

    Args:
        path: The file, for `actor_rollout_ref.rollout.agent.agent_loop_config_path`.
        environment: An `environment.json`.
        curriculum: How many turns training episodes may have; the environment's budget by default.

    Returns:
        The file's absolute path.
    """
    loop: dict[str, Any] = {
        "name": AGENT_NAME,
        "_target_": "medenv.integrations.verl.agent_loop.MedEnvAgentLoop",
        "environment": str(environment.absolute()),
    }
    if curriculum is not None and curriculum.turns is not None:
        loop |= {"turns": curriculum.turns, "turn_steps": curriculum.turn_steps}
    write_text(path, OmegaConf.to_yaml(OmegaConf.create([loop])))
    return path.absolute()


def export_launch(folder: Path, prepared: Prepared) -> Path:
    """Write all that a stock launch of verl needs: rows, agent loop, environment, instructions.

    Args:
        folder: Where to.
        prepared: The question set and the environment.

    Returns:
        The file with the instructions.
    """
    rules = open_environment(prepared.spec, prepared.asked("test")).parts.rules
    folder.mkdir(parents=True, exist_ok=True)
    refuse_benchmarks(prepared.asked("train"))
    for split in ("train", "test"):
        with atomic_path(folder / f"{split}.parquet") as partial:
            made = rows(prepared.asked(split), rules, "sampled")
            pq.write_table(pa.Table.from_pylist(made), partial)
    write_environment(folder / ENVIRONMENT, prepared.spec)
    loop = write_agent_loop(folder / "agent_loop.yaml", folder / ENVIRONMENT)
    path = folder / "README.md"
    write_text(path, _LAUNCH.format(folder=folder.absolute(), loop=loop))
    return path


_LAUNCH = """# A stock launch of verl

`train.parquet` and `test.parquet` are complete rows for verl 0.9; `agent_loop.yaml` names the class
that plays an episode and the environment that it plays in. medenv has to be installed where verl's
workers run.

```
python -m verl.trainer.main_ppo \\
  data.train_files={folder}/train.parquet data.val_files={folder}/test.parquet \\
  data.return_raw_chat=true data.max_prompt_length=2048 data.max_response_length=8192 \\
  actor_rollout_ref.rollout.agent.agent_loop_config_path={loop} \\
  actor_rollout_ref.rollout.n=8 algorithm.adv_estimator=grpo \\
  actor_rollout_ref.model.path=MODEL
```

Rewards are computed in the agent loop. Other settings are verl's own; medenv's recipe
(`python recipes/train.py`) adds per-component logs, stored episodes, validation and a report.
"""


def count_rows(path: Path) -> int:
    """Return the number of rows in a file of `write_rows`.

    Args:
        path: The file.
    """
    return int(pq.read_metadata(path).num_rows)
