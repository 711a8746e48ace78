"""How components make a reward: weights and gates as data, checked before anything is scored."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from medenv.errors import NoCertificateError, UnknownNameError, UsageError
from medenv.records import Part, Question, Record, RewardFn, Score, Trajectory
from medenv.reward.answers.names import EntityNames
from medenv.reward.components.catalogue import COMPONENTS
from medenv.reward.components.contract import Component, ComponentScore, Knowledge


class Gate(Record, frozen=True, kw_only=True):
    """A condition under which other components pay.

    Args:
        component: The component that decides, or "" for a gate that is always open.
        at_least: The raw value from which the gate is open.
        rationale: What it is for, one sentence.
    """

    component: str
    at_least: float = 1.0
    rationale: str


GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "correct": Gate(
            component="accuracy",
            rationale="Nothing but a right answer earns, so that no wrong answer outranks another.",
        ),
        "well_formed": Gate(
            component="format", rationale="Nothing earns that could not be read in full."
        ),
        "safe": Gate(
            component="safety",
            rationale="Nothing earns that names what the graph says is dangerous: for a veto.",
        ),
        "open": Gate(
            component="", at_least=0.0, rationale="Pays whatever the answer: for ablations."
        ),
    }
)
"""All gates by name."""

OUTCOMES = frozenset(
    ("accuracy", "list_f1", "differential", "kinship", "calibration", "abstention")
)
"""Components that judge the outcome itself: open by default, all others are behind `correct`."""


class Composition(Record, frozen=True, kw_only=True):
    """A reward as data.

    Args:
        weights: Component name to its weight, finite and not negative; 0 logs without paying.
        gates: Component name to its gate's name, where it is not the default: `OUTCOMES` are
            open and everything else is behind `correct`. Ungated shaping terms give groups in which
            every answer is wrong an advantage to learn from ("phantom advantage"), and GRPO then
            optimises the shape instead of the answer.
        vetoes: Names of gates without which nothing pays at all, e.g. ``("safe",)``.
        rationale: What it is for, in words.
    """

    weights: dict[str, float]
    gates: dict[str, str] = msgspec.field(default_factory=dict)
    vetoes: tuple[str, ...] = ()
    rationale: str = ""

    def gate_of(self, name: str) -> str:
        """Return the name of the gate that a component pays behind.

        Args:
            name: Component name.
        """
        return self.gates.get(name) or ("open" if name in OUTCOMES else "correct")

    def margin(self, components: Mapping[str, Component] = COMPONENTS, near: float = 1.0) -> float:
        """Return by how much the worst right answer outranks the best wrong one, from the ranges.

        Positive means that a wrong answer can never outrank a right one. An answer is right where
        `accuracy` is 1. What a component can be then, and what otherwise, its card says
        (`Component.worst_right`, `Component.best_wrong`); a gate or veto may be closed to a right
        answer where its component can be too low then, and open to a wrong one where it can be high
        enough.

        Args:
            components: All components by name.
            near: What a near miss pays (`Knowledge.near`); below 1 it is no right answer.
        """

        def ranges(name: str) -> tuple[float, float, float]:
            """Return the least value of a right answer, and the range of a wrong one's."""
            one = components[name]
            worst = one.low if one.worst_right is None else one.worst_right
            best = one.high if one.best_wrong is None else one.best_wrong
            if near < 1.0 and one.best_wrong is not None:
                best = max(best, near)
            return worst, one.low, best

        def opens(gate: str) -> tuple[bool, bool, bool]:
            """Return whether a right answer always opens a gate; a wrong one ever, and always."""
            least, decides = GATES[gate].at_least, GATES[gate].component
            if not decides:
                return True, True, True
            worst, low, best = ranges(decides)
            return worst >= least, best >= least, low >= least

        right = wrong = 0.0
        for name, weight in self.weights.items():
            worst, _, best = ranges(name)
            for_right, for_wrong, always = opens(self.gate_of(name))
            right += weight * (worst if for_right else min(worst, 0.0))
            wrong += weight * ((best if always else max(best, 0.0)) if for_wrong else 0.0)
        for for_right, for_wrong, always in map(opens, self.vetoes):
            right = right if for_right else min(right, 0.0)
            wrong = (wrong if always else max(wrong, 0.0)) if for_wrong else 0.0
        return right - wrong


PRESETS: Mapping[str, Composition] = MappingProxyType(
    {
        "answer_only": Composition(
            weights={"accuracy": 1.0},
            rationale="The answer alone: the baseline that every other reward must beat.",
        ),
        "composite": Composition(
            weights={"accuracy": 1.0, "format": 0.1, "efficiency": 0.2},
            rationale=(
                "Among right answers the readable and frugal ones are better; among wrong ones none"
                " is, so form and thrift pay behind `correct` alone and cannot be learnt instead of"
                " the answer."
            ),
        ),
        "paper": Composition(
            weights={"accuracy": 1.0, "efficiency": 0.1},
            rationale=(
                "alpha * task + beta * expert + gamma * efficiency with alpha 1.0, beta 0.2 and"
                " gamma 0.1. The expert's preference needs a judge; without one that term is"
                " left out and the weights of the others stay as they are."
            ),
        ),
        "evidence": Composition(
            weights={
                "accuracy": 1.0,
                "format": 0.1,
                "evidence_recall": 0.2,
                "citation_precision": 0.2,
            },
            rationale=(
                "Among right answers those are better that rest on passages which were read and"
                " cited: a right guess from memory earns 1.1 of 1.5."
            ),
        ),
        "process": Composition(
            weights={"accuracy": 1.0, "format": 0.1, "efficiency": 0.1, "process": 0.3},
            rationale=(
                "As `composite`, with most of the shaping on the turns that first showed a hop of"
                " the gold path; `turn_rewards` places it there."
            ),
        ),
    }
)
"""The compositions that have a name."""


_NOT_ASKED = ComponentScore(0.0, "not asked, since its gate is closed")


class Reward:
    """A composition ready to score; pure, picklable, and a `medenv.records.RewardFn`.

    `accuracy` is measured and logged whatever is weighted; without a weight it pays nothing. Of a
    question with a rubric it is what the component that grades rubrics says, behind no gate.

    Args:
        composition: Weights and gates.
        knowledge: What components may know besides the trajectory.
        components: All components by name, where there are more than the built-in ones.

    Attributes:
        asks: What the prompt has to ask of the policy's writing, a sentence for each component
            that needs it (`Component.asks`), in the order of their names.
        needs_certificate: The components that are measured against certificates, by name.
        outside: Whether a component calls an outside service, so that scoring may wait.
        grades_rubrics: Whether a component grades questions by their own rubric.

    Raises:
        UnknownNameError: A weight or gate names nothing that exists.
        UsageError: A weight is negative or no number.
    """

    def __init__(
        self,
        composition: Composition,
        knowledge: Knowledge,
        components: Mapping[str, Component] = COMPONENTS,
    ) -> None:
        check_composition(composition, components)
        self.composition = composition
        self.knowledge = knowledge
        weights = {**composition.weights}
        weights.setdefault("accuracy", 0.0)
        behind = {name: composition.gate_of(name) for name in weights}
        gates = {*behind.values(), *composition.vetoes} - {"open"}
        self._gates = tuple(
            (name, GATES[name].component, GATES[name].at_least) for name in sorted(gates)
        )
        self._vetoes = tuple(name for name in composition.vetoes if name in gates)
        self._plan = tuple(
            (name, weight, behind[name] if behind[name] in gates else None)
            for name, weight in weights.items()
        )
        measured = {*weights, *(decides for _, decides, _ in self._gates)}
        self._components = tuple(components[name] for name in sorted(measured))
        decide = {decides for _, decides, _ in self._gates}
        self._outside = tuple(
            (components[name], behind)
            for name, _, behind in self._plan
            if components[name].outside and name not in decide
        )
        late = {one.name for one, _ in self._outside}
        self._measures = tuple(
            (one, one.name, one.measure, one.low, one.high)
            for one in self._components
            if one.name not in late
        )
        self.asks = tuple(one.asks for one in self._components if one.asks)
        self.needs_certificate = tuple(
            one.name for one in self._components if one.needs_certificate
        )
        self.outside = any(one.outside for one in self._components)
        self._rubric = next((one for one in self._components if one.grades_rubrics), None)
        self.grades_rubrics = self._rubric is not None

    def reweighed(self, composition: Composition) -> Reward:
        """Return the reward with other weights of the same components.

        Args:
            composition: The other weights; components and gates are the same.
        """
        return Reward(composition, self.knowledge, {one.name: one for one in self._components})

    def highest(self, without: Collection[str] = ()) -> float:
        """Return the greatest total that a trajectory can get.

        Args:
            without: Components that cannot pay, e.g. those of evidence where there are no tools.
        """
        weights = self.composition.weights
        highs = {one.name: one.high for one in self._components}
        return sum(weight * highs[name] for name, weight in weights.items() if name not in without)

    def __call__(self, trajectory: Trajectory) -> Score:
        """Score a finished trajectory.

        Args:
            trajectory: A finished episode.

        Returns:
            The score; without total where the episode ended in an infrastructure failure.

        Raises:
            UsageError: The trajectory has not ended, or a component left its range.
        """
        if trajectory.ending is None:
            raise UsageError(
                f"the trajectory of question {trajectory.question.id!r} has not ended;"
                " score it when it has"
            )
        if trajectory.ending == "unavailable":
            return Score(total=None, parts={})
        knowledge = self.knowledge
        values: dict[str, ComponentScore] = {}
        for one, name, measure, low, high in self._measures:  # `measured`, without its call
            value = values[name] = measure(trajectory, knowledge)
            if not low <= value.raw <= high:
                raise _outside(one, trajectory, value)
        graded = self._rubric if trajectory.question.rubric else None
        if graded is not None:
            values[graded.name] = values["accuracy"] = measured(graded, trajectory, knowledge)
        gates: dict[str, bool] = {}
        for name, decides, least in self._gates:
            gates[name] = values[decides].raw >= least
        vetoed = bool(self._vetoes) and not all([gates[name] for name in self._vetoes])
        for one, behind in self._outside:
            if one is graded:
                continue
            closed = vetoed or (behind is not None and not gates[behind])
            values[one.name] = _NOT_ASKED if closed else measured(one, trajectory, knowledge)
        parts: dict[str, Part] = {}
        total = 0.0
        for name, weight, behind in self._plan:
            value = values[name]
            raw = value.raw
            shut = behind is not None and not gates[behind]
            gated = vetoed or (shut and (graded is None or name != graded.name))
            weighted = 0.0 if gated else raw * weight
            total += weighted
            parts[name] = Part(
                raw=raw, weight=weight, weighted=weighted, gated=gated, reason=value.reason
            )
        return Score(total=total, parts=parts, gates=gates)


def measured(one: Component, trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
    """Measure a trajectory by a component and hold the value against the component's range.

    Args:
        one: The component.
        trajectory: A finished episode.
        knowledge: What the component may know besides.

    Raises:
        UsageError: The value is no number or lies outside the declared range.
    """
    value = one.measure(trajectory, knowledge)
    if not one.low <= value.raw <= one.high:
        raise _outside(one, trajectory, value)
    return value


def _outside(one: Component, trajectory: Trajectory, value: ComponentScore) -> UsageError:
    return UsageError(
        f"reward component {one.name!r} gave {value.raw!r} for question"
        f" {trajectory.question.id!r}; expected a number in [{one.low:g}, {one.high:g}]"
    )


def check_composition(composition: Composition, components: Collection[str] = COMPONENTS) -> None:
    """Refuse a composition that names what does not exist or weighs with what is no weight.

    Args:
        composition: Weights and gates.
        components: All components by name.

    Raises:
        UnknownNameError: A weight or gate names nothing that exists.
        UsageError: There is no weight, one is negative or no number, or a gate is for a component
            without a weight.
    """
    if not composition.weights:
        raise UsageError("a composition without weights rewards nothing; give at least one weight")
    for name, weight in composition.weights.items():
        if name not in components:
            raise UnknownNameError("reward component", name, components)
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"the weight of {name!r} is {weight!r}; expected a finite number >= 0")
    for name, gate in composition.gates.items():
        if name not in composition.weights:
            raise UnknownNameError("weighted component behind a gate", name, composition.weights)
        if gate not in GATES:
            raise UnknownNameError("gate", gate, GATES)
    for veto in composition.vetoes:
        if veto not in GATES:
            raise UnknownNameError("veto", veto, GATES)


def check_questions(reward: RewardFn, questions: Iterable[Question]) -> None:
    """Refuse questions that a reward cannot score: without a certificate, or with a rubric.

    Args:
        reward: The reward; one of another package names its parts that need certificates in an
            attribute ``needs_certificate``.
        questions: The questions to be scored.

    Raises:
        NoCertificateError: A question has none; names the component and the first such question.
        UsageError: A question is graded by a rubric, and no component of the reward grades rubrics.
    """
    questions = tuple(questions)
    if not getattr(reward, "grades_rubrics", False):
        for question in questions:
            if question.rubric:
                raise UsageError(
                    f"question {question.id!r} is graded by its rubric, which needs a judge, and "
                    "the reward has none: set scoring=paper scoring.judge.url=URL "
                    "scoring.judge.model=NAME"
                )
    needs: Sequence[str] = getattr(reward, "needs_certificate", ())
    if needs:
        for question in questions:
            if question.certificate is None:
                raise NoCertificateError(question.id, f"the reward component {needs[0]!r}")


def compose(
    composition: str | Composition,
    known: EntityNames | Knowledge | None = None,
    components: Mapping[str, Component] = COMPONENTS,
) -> Reward:
    """Make a reward of a composition or of the preset of that name.

    Args:
        composition: A preset's name, or weights and gates.
        known: What components may know besides a trajectory, or only the index of all names, so
            that a misspelt answer can be told from another entity's.
        components: All components by name, where there are more than the built-in ones.

    Returns:
        A callable that scores finished trajectories.

    Raises:
        UnknownNameError: No preset, component or gate has that name.
        UsageError: A weight is negative or no number.
    """
    if isinstance(composition, str):
        if composition not in PRESETS:
            raise UnknownNameError("reward preset", composition, PRESETS)
        composition = PRESETS[composition]
    knowledge = known if isinstance(known, Knowledge) else Knowledge(names=known)
    return Reward(composition, knowledge, components)
