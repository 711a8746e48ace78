"""Rewards: named pure components, gates and their composition."""

if __name__ != "medenv.reward":
    raise ImportError("`reward/` is the source of `medenv.reward`; import it by that name")

from medenv.reward.components import COMPONENTS
from medenv.reward.composition import GATES, PRESETS, Composition, Gate, Reward, compose
from medenv.reward.contract import Checked, Component, Knowledge, Value
from medenv.reward.equivalence import Match, judge_answer
from medenv.reward.groups import (
    advantage_shares,
    dead_group_rate,
    group_advantages,
    phantom_advantage_rate,
)
from medenv.reward.names import EntityNames, normalise
from medenv.reward.process import turn_rewards
from medenv.reward.schedule import Ramp, Schedule
from medenv.reward.shuffle import shuffle_batch, shuffle_within_group

__all__ = [
    "COMPONENTS",
    "GATES",
    "PRESETS",
    "Checked",
    "Component",
    "Composition",
    "EntityNames",
    "Gate",
    "Knowledge",
    "Match",
    "Ramp",
    "Reward",
    "Schedule",
    "Value",
    "advantage_shares",
    "compose",
    "dead_group_rate",
    "group_advantages",
    "judge_answer",
    "normalise",
    "phantom_advantage_rate",
    "shuffle_batch",
    "shuffle_within_group",
    "turn_rewards",
]
