"""verl's replay buffer with medenv's eyes: logs every component, keeps every episode, counts losses.

verl 0.9.1 logs `reward_extra_info` in validation only. This sampler, named in
`trainer.v1.sampler.custom_sampler`, logs it for training batches as well, writes all scored
episodes of both phases to JSONL, and can replace rewards by a permutation within each group (the
control condition in which reward carries no information).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from medenv.records import Record, Scored
from medenv.report.summary import episode_metrics
from medenv.reward import shuffle_within_group


class SamplerSettings(Record, frozen=True, kw_only=True):
    """Settings of the sampler, `trainer.v1.sampler.sampler_kwargs` in the config.

    Args:
        rollout_dir: Folder that receives `train/<step>.jsonl` and `val/<step>.jsonl`.
        poll_interval: Seconds between looks at the queue; verl's own 2.0 dominates short steps.
        shuffle_seed: Seed of the control condition, or None for true rewards.
    """

    rollout_dir: str
    poll_interval: float = 0.1
    shuffle_seed: int | None = None


class MedEnvSampler(ReplayBuffer):  # type: ignore[misc]  # verl ships no type information
    """Samples as verl does, and reports what it sampled."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.settings = msgspec.convert(dict(kwargs["sampler_kwargs"]), SamplerSettings)
        kwargs["poll_interval"] = self.settings.poll_interval
        super().__init__(*args, **kwargs)

    def sample(
        self, global_steps: int, partition_id: str, batch_size: int
    ) -> tuple[Any, dict[str, float]]:
        """Return verl's batch and metrics, with medenv's metrics added for training batches.

        Args:
            global_steps: Step of the trainer.
            partition_id: "train" or "val".
            batch_size: Number of questions.
        """
        batch, metrics = super().sample(
            global_steps=global_steps, partition_id=partition_id, batch_size=batch_size
        )
        fields = tq.kv_batch_get(
            keys=batch.keys, partition_id=partition_id, select_fields=["extra_fields"]
        )
        scored = [
            msgspec.json.decode(_plain(row)["scored"], type=Scored)
            for row in fields["extra_fields"]
        ]
        _append(Path(self.settings.rollout_dir) / partition_id / f"{global_steps:06d}.jsonl", scored)
        if partition_id == "train":
            metrics |= episode_metrics(scored)
            metrics["episodes/questions"] = float(batch_size)
            if self.settings.shuffle_seed is not None:
                self._shuffle(batch, scored, global_steps)
        return batch, metrics

    def _shuffle(self, batch: Any, scored: Sequence[Scored], step: int) -> None:
        """Permute the rewards within each question's group, in place in the queue."""
        groups: dict[str, list[int]] = defaultdict(list)
        for row, key in enumerate(batch.keys):
            groups[key.split("_")[0]].append(row)
        totals = [item.score.total for item in scored]
        # Groups are numbered by their question, so that the permutation depends on nothing else.
        ordered = sorted(groups.values(), key=lambda rows: scored[rows[0]].trajectory.question.id)
        shuffled = list(totals)
        for number, rows in enumerate(ordered):
            rewards = [total for row in rows if (total := totals[row]) is not None]
            permuted = shuffle_within_group(
                rewards, seed=self.settings.shuffle_seed or 0, step=step, group=number
            )
            for row, value in zip(rows, permuted, strict=True):
                shuffled[row] = value
        scores = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["rm_scores"]
        )["rm_scores"]
        rows_out = []
        for row, value in zip(scores.unbind(), shuffled, strict=True):
            changed = torch.zeros_like(row)
            changed[-1] = value
            rows_out.append(changed)
        _put_scores(batch, torch.nested.as_nested_tensor(rows_out, layout=torch.jagged))


def _put_scores(batch: Any, scores: torch.Tensor) -> None:
    from tensordict import TensorDict

    tq.kv_batch_put(
        keys=batch.keys,
        partition_id=batch.partition_id,
        fields=TensorDict({"rm_scores": scores}, batch_size=len(batch.keys)),
    )


def _plain(row: Any) -> dict[str, Any]:
    """Unwrap a dictionary from tensordict's non-tensor container."""
    plain: dict[str, Any] = getattr(row, "data", row)
    return plain


def _append(path: Path, scored: Sequence[Scored]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.writelines(msgspec.json.encode(item) + b"\n" for item in scored)
