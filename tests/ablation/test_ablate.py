"""Stored rollouts under other rewards: figures recomputed by hand and by verl."""

import msgspec
import numpy as np
import pytest

from medenv.ablation.offline import ablate
from medenv.reward import compose

from ..reward.builder import answering, search
from .rollouts import ARMS, COMPOSITE, KNOWLEDGE, ROLLOUTS, bank_of, group, rollout


def totals_of(arm):
    reward = compose(arm.composition, KNOWLEDGE.names)
    return [reward(one.trajectory) for one in ROLLOUTS]


def labels():
    return [f"{one.trajectory.question.id}@{one.step}" for one in ROLLOUTS]


def test_counts_are_those_of_the_rollouts(found):
    assert (found.episodes, found.questions, found.groups) == (20, 4, 5)
    assert (found.single, found.empty, found.unscored, found.disagreeing) == (0, 0, 0, 0)
    assert found.raws["accuracy"].mean == pytest.approx(8 / 20)


def test_means_and_rates_are_recomputed_by_hand(found):
    for arm, result in zip(ARMS, found.arms, strict=True):
        totals = [score.total for score in totals_of(arm)]
        groups = [totals[i : i + 4] for i in range(0, 20, 4)]
        assert result.reward.mean == pytest.approx(np.mean(totals))
        assert result.dead.mean == pytest.approx(np.mean([np.ptp(g) < 1e-9 for g in groups]))
        assert result.phantom.mean == float(np.ptp(groups[1]) > 1e-9)


def test_gates_keep_phantom_advantages_out_and_open_gates_let_them_in(found):
    phantom = {result.name: result.phantom.mean for result in found.arms}
    assert phantom["composite"] == 0
    assert phantom["composite ungated"] == 1


def test_accuracy_ranks_like_itself_and_shaping_among_right_answers_lowers_that(found):
    rank = {result.name: result.rank.mean for result in found.arms}
    assert rank["answer_only"] == pytest.approx(1)
    assert 0 < rank["composite ungated"] < rank["answer_only"]


def test_shares_sum_to_one_under_every_arm(found):
    for result in found.arms:
        assert sum(share.mean for share in result.shares.values()) == pytest.approx(1)


def test_the_first_arm_differs_from_itself_by_nothing(found):
    for difference in found.arms[0].differences.values():
        assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
    more = found.arms[2].differences["reward"]
    assert more.mean == pytest.approx(found.arms[2].reward.mean - found.arms[0].reward.mean)
    assert more.low <= more.mean <= more.high


@pytest.mark.verl
def test_shares_are_those_of_verls_own_advantages(found):
    core_algos = pytest.importorskip("verl.trainer.ppo.core_algos")
    torch = pytest.importorskip("torch")
    index = np.array(labels(), dtype=object)
    for arm, result in zip(ARMS, found.arms, strict=True):
        scores = totals_of(arm)
        rewards = torch.zeros(len(scores), 5, dtype=torch.float64)
        rewards[:, -1] = torch.tensor([score.total for score in scores], dtype=torch.float64)
        advantage, _ = core_algos.compute_grpo_outcome_advantage(
            rewards, torch.ones_like(rewards), index
        )
        advantages = advantage[:, 0].numpy()
        for name, share in result.shares.items():
            weighted = np.array([score.parts[name].weighted for score in scores])
            total = np.array([score.total for score in scores])
            shares = []
            for label in sorted(set(labels())):
                ours = index == label
                whole = float(np.sum(total[ours] * advantages[ours]))
                if abs(whole) > 1e-6:
                    shares.append(float(np.sum(weighted[ours] * advantages[ours])) / whole)
            assert share.mean == pytest.approx(np.mean(shares), abs=1e-6)


def test_what_a_cheater_earns_is_asked_of_every_arm():
    asked = []

    def exploit(composition):
        asked.append(composition)
        return 0.25

    result = ablate(bank_of(ROLLOUTS), ARMS, exploit=exploit, draws=10)
    assert [one.exploit for one in result.arms] == [0.25] * len(ARMS)
    assert asked == [arm.composition for arm in ARMS]


def test_a_group_of_one_is_counted_and_teaches_nothing():
    result = ablate(bank_of([*group(0, [1, 0]), *group(1, [1])]), [COMPOSITE], draws=10)
    assert (result.groups, result.single) == (1, 1)
    assert result.arms[0].dead.n == 1


def test_failed_episodes_are_left_out_and_a_group_of_them_is_empty():
    failed = [rollout(9, i, search("x"), ending="unavailable") for i in range(3)]
    result = ablate(bank_of([*group(0, [1, 0]), *failed]), [COMPOSITE], draws=10)
    assert (result.episodes, result.unscored, result.empty) == (2, 3, 1)
    assert result.questions == 1


def test_where_all_groups_are_dead_there_are_no_shares_rather_than_zeros():
    same = [rollout(0, i, answering("SCN1A")) for i in range(4)]
    (arm,) = ablate(bank_of(same), [COMPOSITE], draws=10).arms
    assert arm.shares == {}
    assert arm.dead.mean == 1
    assert arm.phantom is None
    assert arm.rank is None


def test_a_stored_accuracy_that_is_not_the_present_one_is_counted():
    (one,) = group(0, [1])
    part = msgspec.structs.replace(one.score.parts["accuracy"], raw=0.0)
    parts = {**one.score.parts, "accuracy": part}
    other = msgspec.structs.replace(one, score=msgspec.structs.replace(one.score, parts=parts))
    assert ablate(bank_of([one, other]), [COMPOSITE], draws=10).disagreeing == 1
