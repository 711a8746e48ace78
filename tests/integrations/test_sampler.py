"""The samplers over verl's own replay buffers and a real TransferQueue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import NonTensorStack, TensorDict

from medenv.build.settings import CurriculumSettings
from medenv.errors import InfraError, UsageError
from medenv.evaluation.summary import read_scored, summarise
from medenv.integrations.verl.unscored import PARTITION, Unscored, report
from medenv.records import Part, Score, Scored, Trajectory
from medenv.reward import group_advantages

from ..fakes import question

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore"),  # of Ray and verl, as they are imported and started
]

ray = pytest.importorskip("ray")
tq = pytest.importorskip("transfer_queue")


@pytest.fixture(scope="module")
def queue() -> Iterator[None]:
    for last in (False, False, True):
        try:
            ray.init(
                "local",
                num_cpus=4,
                include_dashboard=False,
                object_store_memory=80_000_000,
                log_to_driver=False,
                configure_logging=False,
            )
            break
        except Exception:  # Ray gives its own processes half a minute, on a busy machine too
            ray.shutdown()
            if last:
                raise
    tq.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    yield
    tq.close()
    ray.shutdown()


@pytest.fixture(autouse=True)
def empty(queue: None) -> Iterator[None]:
    yield
    for partition, keys in tq.kv_list().items():
        if keys:
            tq.kv_clear(keys=list(keys), partition_id=partition)


def episode(number: int, sample: int, total: float | None, failure: str = "") -> Scored:
    parts = {"accuracy": Part(raw=total, weight=1.0, weighted=total)} if total is not None else {}
    return Scored(
        trajectory=Trajectory(
            question=question(number),
            turns=(),
            ending="answered" if total is not None else "unavailable",
            answer="X" if total is not None else None,
            failure=failure,
        ),
        score=Score(total=total, parts=parts),
        sample=sample,
        step=3,
    )


def group(
    number: int, totals: Sequence[float | None], partition: str = "train", sampling: str = "sampled"
) -> None:
    """Put a finished group into the queue; a total of None is an episode without a score."""
    uid = f"uid{number}"
    tag = {"is_prompt": True, "status": "finished", "global_steps": 3}
    tq.kv_batch_put(keys=[uid], partition_id=partition, tags=[tag])
    for sample, total in enumerate(totals):
        if total is None:
            lost = Unscored(sampling, episode(number, sample, None, "the tool was away"))  # type: ignore[arg-type]
            asyncio.run(report(uid, lost))
            continue
        length = 2 + sample
        scores = torch.zeros(length)
        mask = torch.ones(length, dtype=torch.int64)
        mask[-1] = 0  # an observation that left no room for a turn after it
        scores[-2] = total
        scored = msgspec.json.encode(episode(number, sample, total)).decode()
        extra = {"sampling": sampling, "scored": scored, "reward_extra_info": {"acc": total}}
        fields = {
            "rm_scores": torch.nested.as_nested_tensor([scores], layout=torch.jagged),
            "response_mask": torch.nested.as_nested_tensor([mask], layout=torch.jagged),
            "extra_fields": NonTensorStack(extra),
        }
        tq.kv_batch_put(
            keys=[f"{uid}_{sample}_0"],
            partition_id=partition,
            fields=TensorDict(fields, batch_size=1),
            tags=[{"status": "success", "global_steps": 3}],
        )


Make = Callable[..., Any]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    from medenv.integrations.verl.sampler import make_sampler

    def made(mode: str = "sync", refill_fn: Any = None, **settings: Any) -> Any:
        kwargs = {
            "rollout_dir": str(tmp_path),
            "group_size": 3,
            "batch_size": 2,
            "estimator": "grpo",
            "poll_interval": 0.01,
            **settings,
        }
        return make_sampler(
            trainer_mode=mode,
            trainer_config=OmegaConf.create({}),
            max_off_policy_threshold=None,
            max_off_policy_strategy="drop",
            sampler_kwargs=OmegaConf.create(kwargs),
            refill_fn=refill_fn or (lambda count: pytest.fail(f"asked for {count} more groups")),
        )

    return made


def filtering(**changes: Any) -> dict[str, Any]:
    """verl's `algorithm.filter_groups`, as its config has it."""
    return {
        "_target_": "verl.trainer.config.FilterGroupsConfig",
        "enable": True,
        "metric": "reward",
        "max_num_gen_batches": 0,
        "max_inflight_gen_batches": 1,
        **changes,
    }


def groups_of(batch: Any) -> Counter[str]:
    return Counter(key.split("_")[0] for key in batch.keys)


def rewards_of(batch: Any) -> dict[str, float]:
    data = tq.kv_batch_get(
        keys=batch.keys,
        partition_id=batch.partition_id,
        select_fields=["rm_scores", "response_mask"],
    )
    for row, mask in zip(data["rm_scores"].unbind(), data["response_mask"].unbind(), strict=True):
        assert not row[mask == 0].any()  # where GAE would drop it
    scores = [float(row.sum()) for row in data["rm_scores"].unbind()]
    return dict(zip(batch.keys, scores, strict=True))


def stored(folder: Path, phase: str = "train") -> list[Scored]:
    return read_scored(folder / phase / "000003.jsonl")


class Refill:
    """Answers more questions when verl's buffer asks for them, as the trainer does."""

    def __init__(self, *following: Sequence[float | None]) -> None:
        self.following, self.asked = list(following), 0

    def __call__(self, count: int) -> None:
        self.asked += count
        for _ in range(count):
            group(100 + len(self.following), self.following.pop(0))


@pytest.mark.parametrize("metric", ["reward", "acc"])
@pytest.mark.parametrize("mode", ["sync", "colocate_async"])
def test_groups_whose_rewards_are_equal_are_replaced(make: Make, mode: str, metric: str) -> None:
    group(0, [1.0, 1.0, 1.0])
    group(1, [0.0, 0.0, 0.0])
    group(2, [1.0, 0.0, 1.0])
    refill = Refill([0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0])
    sampler = make(mode, refill, filter_groups=filtering(metric=metric))
    batch, metrics = sampler.sample(global_steps=3, partition_id="train", batch_size=2)
    assert len(groups_of(batch)) == 2
    for uid in groups_of(batch):
        own = [total for key, total in rewards_of(batch).items() if key.startswith(f"{uid}_")]
        assert len(set(own)) == 2
    assert metrics["training/filter_groups/evicted_samples"] >= 3
    assert refill.asked >= 2
    assert metrics["groups/dropped"] == 0.0
    assert 1 / 3 <= metrics["groups/dead"] < 1.0  # the replaced ones


def test_without_the_filter_equal_groups_stay(make: Make) -> None:
    group(0, [1.0, 1.0, 1.0])
    group(1, [0.0, 0.0, 0.0])
    batch, metrics = make().sample(global_steps=3, partition_id="train", batch_size=2)
    assert groups_of(batch) == {"uid0": 3, "uid1": 3}
    assert metrics["groups/dead"] == 1.0


@pytest.mark.parametrize("mode", ["sync", "colocate_async"])
def test_a_curriculum_learns_from_groups_that_are_replaced_too(make: Make, mode: str) -> None:
    from medenv.integrations.verl.curriculum import Curriculum

    group(0, [1.0, 1.0, 1.0])
    group(1, [1.0, 0.0, 0.0])
    group(2, [0.0, 1.0, 1.0])
    sampler = make(mode, Refill([0.0, 1.0, 0.0]), filter_groups=filtering())
    asked = [question(number) for number in range(4)]
    sampler.curriculum = Curriculum(asked, CurriculumSettings(by="success"), 0, 0)
    batch, metrics = sampler.sample(global_steps=3, partition_id="train", batch_size=2)
    learned = {"uid0"} | (groups_of(batch).keys() & {"uid1", "uid2"})  # verl chooses the order
    expected = {"uid0": 3.5 / 4, "uid1": 1.5 / 4, "uid2": 2.5 / 4}
    for number, (uid, success) in enumerate(expected.items()):
        assert sampler.curriculum.success[number] == (success if uid in learned else 0.5)
    assert metrics["curriculum/seen"] == len(learned) / 4
    mean = sum(expected[uid] for uid in learned) / len(learned)
    assert metrics["curriculum/success"] == pytest.approx(mean)


def test_a_filter_that_never_finds_a_group_ends_the_run(make: Make) -> None:
    class Endless(Refill):
        def __call__(self, count: int) -> None:
            self.following += [[1.0, 1.0, 1.0]] * count
            super().__call__(count)

    group(0, [1.0, 1.0, 1.0])
    group(1, [1.0, 1.0, 1.0])
    sampler = make(refill_fn=Endless(), filter_groups=filtering(max_num_gen_batches=3))
    with pytest.raises(UsageError, match="max_num_gen_batches"):
        sampler.sample(global_steps=3, partition_id="train", batch_size=2)


@pytest.mark.parametrize("survivors", [0, 1])
def test_a_group_with_nothing_to_compare_teaches_nothing_and_is_told(
    make: Make, tmp_path: Path, survivors: int
) -> None:
    group(0, [*[1.0] * survivors, *[None] * (3 - survivors)])
    group(1, [1.0, None, 0.0])
    batch, metrics = make().sample(global_steps=3, partition_id="train", batch_size=2)
    assert groups_of(batch) == {"uid1": 2}
    assert metrics["groups/dropped"] == 1.0
    assert metrics["episodes/unavailable"] == 4.0 - survivors
    assert metrics["reward/total"] == 0.5  # of what is trained on
    assert set(tq.kv_list("train")["train"]) == set(batch.keys)
    lost = [one for one in stored(tmp_path) if one.score.total is None]
    assert len(lost) == 4 - survivors
    assert {one.trajectory.failure for one in lost} == {"the tool was away"}
    assert not tq.kv_list(PARTITION).get(PARTITION)


def test_verl_itself_would_teach_the_raw_reward_of_a_group_of_one() -> None:
    core_algos = pytest.importorskip("verl.trainer.ppo.core_algos")
    rewards = torch.tensor([[0.0, 0.7]])
    theirs, _ = core_algos.compute_grpo_outcome_advantage(
        rewards, torch.ones_like(rewards), ["uid0"]
    )
    assert theirs[0, 1] == pytest.approx(0.7, abs=1e-5)
    assert group_advantages([0.7], [0]).tolist() == [0.0]


@pytest.mark.parametrize("estimator", ["gae", "reinforce_plus_plus"])
def test_where_members_are_not_compared_one_is_enough(make: Make, estimator: str) -> None:
    group(0, [None, None, 1.0])
    group(1, [None, None, None])
    sampler = make(estimator=estimator)
    batch, metrics = sampler.sample(global_steps=3, partition_id="train", batch_size=2)
    assert groups_of(batch) == {"uid0": 1}
    assert metrics["groups/dropped"] == 1.0


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        ("sync", {"refill": True}),
        ("sync", {"filter_groups": filtering()}),
        ("colocate_async", {}),
    ],
)
def test_groups_that_lost_too_many_members_are_replaced(
    make: Make, tmp_path: Path, mode: str, settings: dict[str, Any]
) -> None:
    group(0, [1.0, None, None])
    group(1, [None, None, None])
    refill = Refill([1.0, 0.0, 0.0], [0.0, None, 1.0])
    sampler = make(mode, refill, **settings)
    batch, metrics = sampler.sample(global_steps=3, partition_id="train", batch_size=2)
    assert sorted(groups_of(batch).values()) == [2, 3]
    assert not groups_of(batch).keys() & {"uid0", "uid1"}
    assert refill.asked == 2
    assert metrics["episodes/unavailable"] == 6.0
    assert sum(one.score.total is None for one in stored(tmp_path)) == 6


@pytest.mark.parametrize("phase", ["train", "val"])
def test_a_batch_without_any_score_ends_with_the_reason(make: Make, phase: str) -> None:
    group(0, [None, None, None], phase)
    group(1, [None, None, None], phase)
    with pytest.raises(InfraError, match="6 failed, the first: the tool was away"):
        make().sample(global_steps=3, partition_id=phase, batch_size=2)


def test_replacing_groups_ends_where_everything_fails(make: Make) -> None:
    class Failing(Refill):
        def __call__(self, count: int) -> None:
            self.following += [[None, None, None]] * count
            super().__call__(count)

    group(0, [None, None, None])
    group(1, [None, None, None])
    with pytest.raises(InfraError, match="the tool was away"):
        make(refill_fn=Failing(), refill=True).sample(
            global_steps=3, partition_id="train", batch_size=2
        )


def test_validation_counts_the_episodes_that_have_no_score(make: Make, tmp_path: Path) -> None:
    group(0, [1.0, None, 0.0], "val")
    group(1, [None], "val", "greedy")
    batch, _ = make().sample(global_steps=3, partition_id="val", batch_size=2)
    assert groups_of(batch) == {"uid0": 2}
    summary = summarise(stored(tmp_path, "val-sampled"))
    assert (summary.episodes, summary.missing) == (2, 1)
    assert [one.score.total for one in stored(tmp_path, "val-greedy")] == [None]


def test_a_step_that_comes_in_several_batches_is_stored_whole(make: Make, tmp_path: Path) -> None:
    sampler = make()
    for number in range(3):
        group(number, [1.0, 0.0, 1.0])
        batch, _ = sampler.sample(global_steps=3, partition_id="train", batch_size=1)
        tq.kv_clear(keys=batch.keys, partition_id="train")
    assert Counter(one.trajectory.question.id for one in stored(tmp_path)) == {
        f"train:{number}": 3 for number in range(3)
    }


def test_the_control_deals_rewards_out_within_groups(make: Make, tmp_path: Path) -> None:
    totals = {number: [0.1 * number, 0.5 + 0.1 * number, 1.0] for number in range(8)}
    for number, own in totals.items():
        group(number, own)
    sampler = make(batch_size=8, shuffle_seed=0)
    batch, metrics = sampler.sample(global_steps=3, partition_id="train", batch_size=8)
    dealt = rewards_of(batch)
    for number, own in totals.items():
        members = sorted(t for key, t in dealt.items() if key.startswith(f"uid{number}_"))
        assert members == pytest.approx(sorted(own))
    true = {f"uid{n}_{s}_0": t for n, own in totals.items() for s, t in enumerate(own)}
    assert any(abs(dealt[key] - true[key]) > 0.01 for key in true)
    assert metrics["reward/total"] == pytest.approx(sum(true.values()) / len(true))
    kept = {(one.trajectory.question.id, one.sample): one.score.total for one in stored(tmp_path)}
    assert kept[("train:3", 1)] == pytest.approx(0.8)  # what is stored is true


def test_the_control_deals_rewards_out_across_the_batch_where_groups_have_one_member(
    make: Make,
) -> None:
    totals = [0.1 * number for number in range(12)]
    for number, total in enumerate(totals):
        group(number, [total])
    sampler = make(batch_size=12, group_size=1, estimator="gae", shuffle_seed=0)
    batch, _ = sampler.sample(global_steps=3, partition_id="train", batch_size=12)
    dealt = rewards_of(batch)
    assert sorted(dealt.values()) == pytest.approx(totals)
    moved = [abs(dealt[f"uid{n}_0_0"] - total) > 0.01 for n, total in enumerate(totals)]
    assert sum(moved) >= 6
    again = {key: dealt[key] for key in sorted(dealt)}
    tq.kv_clear(keys=batch.keys, partition_id="train")
    for number in reversed(range(12)):  # in whatever order they are finished
        group(number, [totals[number]])
    batch, _ = make(batch_size=12, group_size=1, estimator="gae", shuffle_seed=0).sample(
        global_steps=3, partition_id="train", batch_size=12
    )
    assert rewards_of(batch) == again


def test_a_filter_needs_a_metric(make: Make) -> None:
    with pytest.raises(UsageError, match=r"filter_groups\.metric"):
        make(filter_groups=filtering(metric=None))


def test_the_asynchronous_trainers_get_the_buffer_that_they_need(make: Make) -> None:
    for mode in ("colocate_async", "separate_async"):
        sampler = make(mode)
        group(0, [1.0, 0.0, 1.0])
        assert sampler.get_sampleable_count(3, "train") == 1
        uids, _ = sampler.wait_for_sampleable(3, "train", 1)
        assert uids == {"uid0"}
