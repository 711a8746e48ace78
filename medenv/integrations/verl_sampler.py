"""verl's replay buffer with medenv's eyes: logs components, keeps episodes, counts losses.

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
from tensordict import TensorDict
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from medenv.io import write_records
from medenv.records import Record, Scored
from medenv.report.summary import batch_metrics
from medenv.reward import shuffle_within_group


class SamplerSettings(Record, frozen=True, kw_only=True):
    """Settings of the sampler, `trainer.v1.sampler.sampler_kwargs` in the config.

    Args:
        rollout_dir: Folder that receives `<phase>/<step>.jsonl`, the phases being "train",
            "val-sampled" and "val-greedy".
        group_size: Rollouts of each training question, to count those that are missing.
        poll_interval: Seconds between looks at the queue; verl's own 2.0 dominates short steps.
        shuffle_seed: Seed of the control condition, or None for true rewards.
    """

    rollout_dir: str
    group_size: int
    poll_interval: float = 0.1
    shuffle_seed: int | None = None


class MedEnvSampler(ReplayBuffer):  # type: ignore[misc]  # verl is untyped to us
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
        fields = [_plain(row) for row in _get(batch, "extra_fields")]
        scored = [msgspec.json.decode(row["scored"], type=Scored) for row in fields]
        self._keep(partition_id, global_steps, [row["sampling"] for row in fields], scored)
        if partition_id == "train":
            metrics |= batch_metrics(scored)
            expected = batch_size * self.settings.group_size
            metrics["episodes/unavailable"] = float(expected - len(scored))
            trained = [int(mask.sum()) for mask in _get(batch, "response_mask").unbind()]
            metrics["episodes/trained_tokens"] = sum(trained) / len(trained)
            if self.settings.shuffle_seed is not None:
                self._shuffle(batch, scored, global_steps)
        return batch, metrics

    def _keep(self, phase: str, step: int, sampling: list[str], scored: list[Scored]) -> None:
        """Write a phase's episodes, sampled and greedy ones of a validation apart."""
        by_file: dict[str, list[Scored]] = defaultdict(list)
        for how, one in zip(sampling, scored, strict=True):
            by_file[phase if phase == "train" else f"{phase}-{how}"].append(one)
        for name, episodes in by_file.items():
            ordered = sorted(episodes, key=lambda one: (one.trajectory.question.id, one.sample))
            write_records(Path(self.settings.rollout_dir) / name / f"{step:06d}.jsonl", ordered)

    def _shuffle(self, batch: Any, scored: Sequence[Scored], step: int) -> None:
        """Permute the rewards within each question's group, in place in the queue."""
        groups: dict[str, list[int]] = defaultdict(list)
        for row, key in enumerate(batch.keys):
            groups[key.split("_")[0]].append(row)
        # Groups are numbered by their question, so that the permutation depends on nothing else.
        ordered = sorted(groups.values(), key=lambda rows: scored[rows[0]].trajectory.question.id)
        totals = [one.score.total for one in scored]
        for number, rows in enumerate(ordered):
            shuffled = shuffle_within_group(
                [totals[row] for row in rows],
                seed=self.settings.shuffle_seed or 0,
                step=step,
                group=number,
            )
            for row, value in zip(rows, shuffled, strict=True):
                totals[row] = value
        scores = []
        for old, total in zip(_get(batch, "rm_scores").unbind(), totals, strict=True):
            new = torch.zeros_like(old)
            new[-1] = float(total or 0.0)
            scores.append(new)
        nested = torch.nested.as_nested_tensor(scores, layout=torch.jagged)
        tq.kv_batch_put(
            keys=batch.keys,
            partition_id=batch.partition_id,
            fields=TensorDict({"rm_scores": nested}, batch_size=len(batch.keys)),
        )


def _get(batch: Any, field: str) -> Any:
    return tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[field])[
        field
    ]


def _plain(row: Any) -> dict[str, Any]:
    """Unwrap a dictionary from tensordict's non-tensor container."""
    plain: dict[str, Any] = getattr(row, "data", row)
    return plain
