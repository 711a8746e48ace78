"""All components by name, each with its card: what it is for and how it is abused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from medenv.reward.components.confidence import (
    ABSTENTION_UTILITY,
    abstention,
    calibration,
)
from medenv.reward.components.contract import Component
from medenv.reward.components.cost import efficiency
from medenv.reward.components.differential import differential, gene
from medenv.reward.components.evidence import citation_precision, evidence_recall
from medenv.reward.components.outcome import (
    CHILD_CREDIT,
    accuracy,
    format_,
    kinship,
    list_f1,
)
from medenv.reward.components.process import process
from medenv.reward.components.safety import safety

_ALL = (
    Component(
        name="accuracy",
        measure=accuracy,
        rationale="Whether the answer names the gold entity: what the policy is trained for.",
        exploit="Naming many candidates; an answer must be one name and nothing else.",
        worst_right=1.0,
        best_wrong=0.0,
    ),
    Component(
        name="format",
        measure=format_,
        rationale="Whether every turn could be read, so that no turn is lost on syntax.",
        exploit="Good form around a wrong answer; gated by correctness.",
    ),
    Component(
        name="efficiency",
        measure=efficiency,
        rationale="Whether calls and tokens were needed, so that research stays affordable.",
        exploit="Answering at once; gated by correctness, capped at the fewest calls needed.",
    ),
    Component(
        name="list_f1",
        measure=list_f1,
        rationale="How much of a list was found, where all of its answers are asked for.",
        exploit="Listing everything; wrong items cost precision, long lists pay nothing.",
        worst_right=1.0,
    ),
    Component(
        name="kinship",
        measure=kinship,
        rationale="Whether a wrong answer is at least the gold entity's direct parent or child.",
        exploit="Naming a general class; only the direct parent pays, and a quarter.",
        worst_right=1.0,
        best_wrong=CHILD_CREDIT,
    ),
    Component(
        name="differential",
        measure=differential,
        rationale="How high the right disease ranks among the diagnoses of a patient.",
        exploit="Listing many; the tenth pays a tenth, and an eleventh forfeits all.",
        worst_right=0.0,
        best_wrong=0.5,
    ),
    Component(
        name="gene",
        measure=gene,
        rationale="Whether the gene of the right disease is named, which decides the next test.",
        exploit="Naming one every time; gated by correctness, and only one name counts.",
    ),
    Component(
        name="evidence_recall",
        measure=evidence_recall,
        rationale="Whether the gold path was seen, so that answers rest on what was read.",
        exploit="Fetching everything; gated by correctness, and pays less the more was shown.",
        needs_certificate=True,
    ),
    Component(
        name="citation_precision",
        measure=citation_precision,
        rationale="Whether what is cited was shown in this episode and supports the answer.",
        exploit="Citing one safe passage; gated by correctness, paired with evidence_recall.",
        asks="Cite {note} the passages that support your answer, in square brackets: each by its"
        " id, or by its number in the last list that was shown, as in [2].",
        needs_certificate=True,
    ),
    Component(
        name="process",
        measure=process,
        rationale="What each turn brought, so that credit can go to the turn that earned it.",
        exploit="Fetching everything at once; gated by correctness, pays less the more was shown.",
        needs_certificate=True,
    ),
    Component(
        name="calibration",
        measure=calibration,
        rationale="Whether the confidence stated is the share of answers that are right.",
        exploit="A wrong answer with confidence 0; must weigh less than accuracy.",
        asks="State {note} how likely your answer is to be right, as in"
        " <confidence>0.8</confidence>.",
    ),
    Component(
        name="abstention",
        measure=abstention,
        rationale="Whether the policy says so when it does not know, rather than guess.",
        exploit="Abstaining every time; a right answer pays more than three times as much.",
        asks="Where the answer cannot be found, answer: unknown.",
        worst_right=1.0,
        best_wrong=ABSTENTION_UTILITY,
    ),
    Component(
        name="safety",
        measure=safety,
        rationale="Whether nothing is named that the graph says is dangerous here: for a veto.",
        exploit="Any harmless answer; as a veto it pays nothing, as a weight only if right.",
        worst_right=1.0,
    ),
)

COMPONENTS: Mapping[str, Component] = MappingProxyType({one.name: one for one in _ALL})
"""All components by name."""
