"""verl's replay buffers with medenv's rules for groups, component logs and stored episodes.

verl 0.9.1 gives a custom sampler neither `algorithm.filter_groups` nor
`trainer.v1.sampler.sync_refill_failed_groups` (verl/trainer/ppo/v1/trainer_base.py:165), and logs
`reward_extra_info` in validation only. The sampler named in `trainer.v1.sampler.custom_sampler`
takes both settings from its own arguments and passes them on, for verl's synchronous and
asynchronous buffers alike. It leaves groups out that lost too many members to teach anything, logs
reward components for training batches too, writes all episodes of both phases to JSONL, can deal
out rewards at random (the control condition in which reward carries no information), and computes
the advantages of GDPO, for which verl keeps too little.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from medenv.errors import InfraError, UsageError
from medenv.evaluation.summary import batch_metrics
from medenv.integrations.hydra.config import plain
from medenv.integrations.verl.curriculum import Curriculum
from medenv.integrations.verl.estimators import GDPO, compares_within_groups
from medenv.integrations.verl.unscored import Unscored, take
from medenv.io import write_records
from medenv.records import Record, Scored
from medenv.reward import advantages_of_parts, shuffle_batch

TRAIN = "train"
"""verl's partition of training episodes; that of validation is "val"."""


class FilterGroups(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """verl's `algorithm.filter_groups`.

    Args:
        enable: Whether groups whose rollouts all have the same value are replaced.
        metric: Of what: "reward", or a name in the samples' `reward_extra_info`, such as "acc".
        max_num_gen_batches: Most batches of questions that may be replaced in one step; 0 for any
            number.
        max_inflight_gen_batches: Most batches of questions that are answered at the same time.
    """

    enable: bool = False
    metric: str | None = None
    max_num_gen_batches: int = 0
    max_inflight_gen_batches: int = 1


class SamplerSettings(Record, frozen=True, kw_only=True):
    """Settings of the sampler, `trainer.v1.sampler.sampler_kwargs` in the config.

    Args:
        rollout_dir: Folder that receives `<phase>/<step>.jsonl`, the phases being "train",
            "val-sampled" and "val-greedy".
        group_size: Rollouts of each training question.
        batch_size: Questions of each step.
        estimator: verl's name of the advantage estimator.
        filter_groups: Which groups are replaced by those of other questions.
        refill: Whether groups that lost too many members are replaced in synchronous training.
            Asynchronous training always replaces them.
        poll_interval: Seconds between looks at the queue; verl's own 2.0 dominates short steps.
        shuffle_seed: Seed of the control condition, or None for true rewards.
    """

    rollout_dir: str
    group_size: int
    batch_size: int
    estimator: str
    filter_groups: FilterGroups | None = None
    refill: bool = False
    poll_interval: float = 0.1
    shuffle_seed: int | None = None


def make_sampler(**given: Any) -> MedEnvSampler:
    """Return the sampler for verl's trainer mode.

    Args:
        given: The arguments that verl has for a custom sampler.
    """
    made = MedEnvSampler if given["trainer_mode"] == "sync" else MedEnvAsyncSampler
    return made(**given)


class MedEnvSampler(ReplayBuffer):  # type: ignore[misc]  # verl is untyped to us
    """Samples as verl does for trainers that sample and train in turns, by medenv's rules.

    Attributes:
        least: Members that a training group needs to teach anything.
        curriculum: What draws the questions and learns from their outcomes; None where each is
            asked once in an epoch.
    """

    curriculum: Curriculum | None = None

    def __init__(self, **given: Any) -> None:
        self.settings = msgspec.convert(plain(given["sampler_kwargs"]), SamplerSettings)
        filters = self.settings.filter_groups or FilterGroups()
        if filters.enable and not filters.metric:
            raise UsageError("algorithm.filter_groups.metric is not set: name one, e.g. reward")
        refill = self.settings.refill or filters.enable
        super().__init__(
            **given,
            poll_interval=self.settings.poll_interval,
            filter_groups_metric=filters.metric if filters.enable else None,
            train_batch_size=self.settings.batch_size,
            gen_batch_size=1 if refill else self.settings.batch_size,
            max_inflight_gen_batches=filters.max_inflight_gen_batches,
            sync_refill_failed_groups=refill,
        )
        self.least = 2 if compares_within_groups(self.settings.estimator) else 1
        self._limit = filters.max_num_gen_batches * self.settings.batch_size
        self._uniform = self._failed = 0  # groups replaced since the last batch
        self._evicted: list[Unscored] = []
        self._selected: list[str] = []
        self._stored: dict[str, list[Scored]] = defaultdict(list)
        self._stored_for: tuple[str, int] | None = None

    def sample(
        self, global_steps: int, partition_id: str, batch_size: int
    ) -> tuple[KVBatchMeta, dict[str, Any]]:
        """Return verl's batch and metrics, with medenv's metrics added for training batches.

        Args:
            global_steps: Step of the trainer.
            partition_id: "train" or "val".
            batch_size: Number of questions.

        Raises:
            InfraError: Too many episodes have no score.
            UsageError: Too many groups were replaced.
        """
        batch, metrics = super().sample(
            global_steps=global_steps, partition_id=partition_id, batch_size=batch_size
        )
        rows = [_unwrapped(row) for row in _get(batch, "extra_fields")]
        scored = [msgspec.json.decode(row["scored"], type=Scored) for row in rows]
        unscored = take(self._selected)
        if partition_id == TRAIN:
            unscored += self._evicted
        sampled = zip((row["sampling"] for row in rows), scored, strict=True)
        self._store(partition_id, global_steps, [*sampled, *unscored])
        if partition_id == TRAIN:
            missing = len(self._selected) * self.settings.group_size - len(scored)
            metrics["episodes/unavailable"] = float(missing + len(self._evicted))
            batch, scored = self._without_short_groups(batch, scored, metrics)
            metrics |= batch_metrics(scored)
            if compares_within_groups(self.settings.estimator):
                metrics["groups/dead"] = self._dead_share(batch, scored)
            if self.curriculum is not None:
                metrics |= self.curriculum.learn(scored)
            trained = [int(mask.sum()) for mask in _get(batch, "response_mask").unbind()]
            metrics["episodes/trained_tokens"] = sum(trained) / len(trained)
            if self.settings.shuffle_seed is not None:
                self._shuffle(batch, scored, global_steps, self.settings.shuffle_seed)
            if self.settings.estimator == GDPO:
                self._decouple(batch, scored)
            self._uniform, self._failed, self._evicted = 0, 0, []
        return batch, metrics

    def _sync_metadata_from_transfer_queue(self) -> None:
        """Look at the queue as verl does, a group with too few members being a failed one."""
        super()._sync_metadata_from_transfer_queue()
        members = Counter(map(_group, self.partitions[TRAIN]))
        finished = self.finished_keys[TRAIN]
        self._short = {uid for uid in finished if members[uid] < self.least}
        finished -= self._short
        self.failure_keys[TRAIN] |= self._short

    def _terminal_eviction_reasons(
        self, global_steps: int, partition_id: str
    ) -> tuple[set[str], set[str], set[str], Counter[float]]:
        """Replace groups with too few members, of which verl replaces those without any."""
        stale, uniform, failed, counts = super()._terminal_eviction_reasons(
            global_steps, partition_id
        )
        if partition_id == TRAIN and self.sync_refill_failed_groups:
            failed |= self._short
        return stale, uniform, failed, counts

    def _evict_terminal_groups(
        self,
        global_steps: int,
        partition_id: str,
        eviction_reasons: tuple[set[str], set[str], set[str], Counter[float]],
    ) -> Any:
        """Replace groups as verl does, but not for ever."""
        _, uniform, failed, _ = eviction_reasons
        if self.curriculum is not None and partition_id == TRAIN and uniform:
            self.curriculum.learn(self._episodes_of(uniform))
        evicted = super()._evict_terminal_groups(global_steps, partition_id, eviction_reasons)
        self._uniform, self._failed = self._uniform + len(uniform), self._failed + len(failed)
        if self._failed > 2 * self.settings.batch_size:
            raise InfraError(
                f"step {global_steps}: {self._failed} groups of rollouts have too few episodes with"
                f" a score{_first_reason(self._evicted)}"
            )
        if 0 < self._limit < self._uniform:
            raise UsageError(
                f"step {global_steps}: the members of each of {self._uniform} groups have the same "
                f"{self.filter_groups_metric}, which is more than "
                "algorithm.filter_groups.max_num_gen_batches batches: choose other questions, or "
                "set it higher"
            )
        return evicted

    def _episodes_of(self, uids: set[str]) -> list[Scored]:
        """Return the episodes with a score of some training groups that are in the queue."""
        keys = sorted(
            key for key in self.partitions[TRAIN] if key not in uids and _group(key) in uids
        )
        if not keys:
            return []
        batch = KVBatchMeta(partition_id=TRAIN, keys=keys, tags=[{} for _ in keys])
        extra = [_unwrapped(row) for row in _get(batch, "extra_fields")]
        return [msgspec.json.decode(row["scored"], type=Scored) for row in extra]

    def _clear_groups(self, partition_id: str, uids: set[str]) -> None:
        """Clear groups as verl does, but count their episodes without a score."""
        super()._clear_groups(partition_id, uids)
        self._evicted += take(uids)

    def _select_prompt_uids(
        self, partition_id: str, sampleable_keys: set[str], batch_size: int
    ) -> tuple[list[str], dict[str, dict[str, Any]], dict[str, int]]:
        """Select groups as verl does, at least one of them with enough members."""
        selected: tuple[list[str], dict[str, dict[str, Any]], dict[str, int]] = (
            super()._select_prompt_uids(partition_id, sampleable_keys, batch_size)
        )
        self._selected, snapshot, _ = selected
        members, least = Counter(map(_group, snapshot)), self.least if partition_id == TRAIN else 1
        if not any(members[uid] >= least for uid in self._selected):
            raise InfraError(
                f"no question of {len(self._selected)} has {least} or more episodes with a score"
                f"{_first_reason(take(self._selected))}"
            )
        return selected

    def _without_short_groups(
        self, batch: KVBatchMeta, scored: list[Scored], metrics: dict[str, Any]
    ) -> tuple[KVBatchMeta, list[Scored]]:
        """Leave out groups with too few members to be compared; their number is logged.

        verl's GRPO gives the only member of a group its reward as its advantage
        (verl/trainer/ppo/core_algos.py:315).
        """
        groups = [_group(key) for key in batch.keys]
        members = Counter(groups)
        metrics["groups/dropped"] = float(sum(members[uid] < self.least for uid in self._selected))
        kept = [row for row, uid in enumerate(groups) if members[uid] >= self.least]
        if len(kept) == len(groups):
            return batch, scored
        dropped = [key for key in batch.keys if members[_group(key)] < self.least]
        tq.kv_clear(keys=dropped, partition_id=batch.partition_id)
        left = KVBatchMeta(
            partition_id=batch.partition_id,
            keys=[batch.keys[row] for row in kept],
            tags=[batch.tags[row] for row in kept],
        )
        return left, [scored[row] for row in kept]

    def _dead_share(self, batch: KVBatchMeta, scored: Sequence[Scored]) -> float:
        """Return the share of groups whose members all have the same total, replaced ones too."""
        totals: dict[str, set[float | None]] = defaultdict(set)
        for key, one in zip(batch.keys, scored, strict=True):
            totals[_group(key)].add(one.score.total)
        dead = sum(len(own) == 1 for own in totals.values()) + self._uniform
        return dead / (len(totals) + self._uniform)

    def _store(self, phase: str, step: int, episodes: Iterable[tuple[str, Scored]]) -> None:
        """Write a phase's episodes, sampled and greedy ones of a validation apart.

        A step may come in several batches: what is stored of it is kept until the next.
        """
        if self._stored_for != (phase, step):
            self._stored_for, self._stored = (phase, step), defaultdict(list)
        for sampling, one in episodes:
            self._stored[phase if phase == TRAIN else f"{phase}-{sampling}"].append(one)
        for name, stored in self._stored.items():
            ordered = sorted(stored, key=lambda one: (one.trajectory.question.id, one.sample))
            write_records(Path(self.settings.rollout_dir) / name / f"{step:06d}.jsonl", ordered)

    def _shuffle(self, batch: KVBatchMeta, scored: Sequence[Scored], step: int, seed: int) -> None:
        """Deal the rewards of a batch out at random, in place in the queue."""
        # Rows come as they are finished: the order of questions and samples does not depend on it.
        rows = sorted(
            range(len(scored)),
            key=lambda row: (
                scored[row].trajectory.question.id,
                _group(batch.keys[row]),
                scored[row].sample,
            ),
        )
        groups = [_group(batch.keys[row]) for row in rows]
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        dealt = shuffle_batch(
            [scored[row].score.total for row in rows],
            [numbers[group] for group in groups],
            seed=seed,
            step=step,
        )
        totals = dict(zip(rows, dealt, strict=True))
        _put_rewards(batch, [totals[row] or 0.0 for row in range(len(rows))])

    def _decouple(self, batch: KVBatchMeta, scored: Sequence[Scored]) -> None:
        """Put GDPO's advantages where rewards lie, in place in the queue."""
        groups = [_group(key) for key in batch.keys]
        advantages = advantages_of_parts([one.score for one in scored], groups)
        _put_rewards(batch, advantages.tolist())


class MedEnvAsyncSampler(MedEnvSampler, ReplayBufferAsync):  # type: ignore[misc]  # as above
    """Samples as verl does for trainers that sample while they train, by medenv's rules."""


def _put_rewards(batch: KVBatchMeta, rewards: Sequence[float]) -> None:
    """Replace the rewards of a batch, each on the last token that the policy wrote."""
    scores = [torch.zeros_like(old) for old in _get(batch, "rm_scores").unbind()]
    masks = _get(batch, "response_mask").unbind()
    for score, mask, reward in zip(scores, masks, rewards, strict=True):
        score[mask.nonzero()[-1]] = float(reward)  # where TurnSample puts it
    nested = torch.nested.as_nested_tensor(scores, layout=torch.jagged)
    tq.kv_batch_put(
        keys=batch.keys,
        partition_id=batch.partition_id,
        fields=TensorDict({"rm_scores": nested}, batch_size=len(batch.keys)),
    )


def _group(key: str) -> str:
    """Return the uid of the group to which a sample of verl's queue belongs."""
    return key.split("_")[0]


def _first_reason(unscored: Sequence[Unscored]) -> str:
    """Return why the first of some episodes has no score, for a message."""
    if not unscored:
        return ""
    first = unscored[0].scored.trajectory
    return f"; {len(unscored)} failed, the first: {first.failure or 'the reward gave no total'}"


def _get(batch: KVBatchMeta, field: str) -> Any:
    return tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[field])[
        field
    ]


def _unwrapped(row: Any) -> dict[str, Any]:
    """Return a dictionary from tensordict's non-tensor container."""
    data: dict[str, Any] = getattr(row, "data", row)
    return data
