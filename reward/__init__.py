"""Define rewards: named pure components, gates and their composition."""

if __name__ != "medenv.reward":
    raise ImportError("`reward/` is the source of `medenv.reward`; import it by that name")

from medenv.reward.analysis.groups import (
    advantage_shares,
    advantages_of_parts,
    dead_group_rate,
    decoupled_advantages,
    group_advantages,
    phantom_advantage_rate,
)
from medenv.reward.analysis.shuffle import shuffle_batch, shuffle_within_group
from medenv.reward.answers.equivalence import Match, judge_answer
from medenv.reward.answers.names import EntityNames, normalise
from medenv.reward.components.catalogue import COMPONENTS
from medenv.reward.components.contract import Component, ComponentScore, Knowledge
from medenv.reward.components.process import turn_rewards
from medenv.reward.composition import (
    GATES,
    PRESETS,
    Composition,
    Gate,
    Reward,
    check_questions,
    compose,
)
from medenv.reward.custom import Checked
from medenv.reward.schedule import Ramp, Schedule

__all__ = [
    "COMPONENTS",
    "GATES",
    "PRESETS",
    "Checked",
    "Component",
    "ComponentScore",
    "Composition",
    "EntityNames",
    "Gate",
    "Knowledge",
    "Match",
    "Ramp",
    "Reward",
    "Schedule",
    "advantage_shares",
    "advantages_of_parts",
    "check_questions",
    "compose",
    "dead_group_rate",
    "decoupled_advantages",
    "group_advantages",
    "judge_answer",
    "normalise",
    "phantom_advantage_rate",
    "shuffle_batch",
    "shuffle_within_group",
    "turn_rewards",
]
