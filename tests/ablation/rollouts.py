"""Stored rollouts to score again: groups of one question, right and wrong, frugal and not."""

import msgspec
import numpy as np

from medenv.ablation.offline import RolloutStore
from medenv.records import Scored
from medenv.reward import EntityNames, Knowledge, compose
from medenv.reward.analysis.variants import leave_one_out, preset_arm, ungated

from ..reward.builder import DRAVET, SCN1A, SCN2A, answering, episode, malformed, question, search

KNOWLEDGE = Knowledge(names=EntityNames([SCN1A, SCN2A, DRAVET]))
COMPOSITE = preset_arm("composite")
ARMS = [preset_arm("answer_only"), COMPOSITE, ungated(COMPOSITE), *leave_one_out(COMPOSITE)]


def rollout(number, sample, *turns, step=0, ending="turns"):
    asked = msgspec.structs.replace(question(), id=f"train:{number}")
    trajectory = episode(*turns, asked=asked, ending=ending)
    return Scored(
        trajectory=trajectory, score=compose("composite")(trajectory), sample=sample, step=step
    )


def group(number, rights, *, step=0, seed=0):
    """A group of rollouts with 0 to 9 searches each, some malformed turns, right or not."""
    rng = np.random.default_rng([seed, number])
    made = []
    for sample, right in enumerate(rights):
        turns = [search(f"term {i}") for i in range(int(rng.integers(10)))]
        turns += [malformed()] * int(rng.random() < 0.3)
        answer = answering("SCN1A" if right else "SCN2A")
        made.append(rollout(number, sample, *turns, answer, step=step))
    return made


ROLLOUTS = [
    *group(0, [1, 0, 1, 0]),
    *group(1, [0, 0, 0, 0]),
    *group(2, [1, 1, 1, 1]),
    *group(2, [1, 0, 0, 0], step=1),
    *group(3, [0, 0, 0, 1]),
]


def bank_of(rollouts):
    bank = RolloutStore(KNOWLEDGE)
    for one in rollouts:
        bank.add(one)
    return bank
