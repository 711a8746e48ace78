"""Define the arms of an ablation: named compositions, their variations and their syntax."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import permutations

import msgspec

from medenv.errors import UnknownNameError, UsageError
from medenv.records import Record
from medenv.reward.components.catalogue import COMPONENTS
from medenv.reward.composition import PRESETS, Composition, check_composition

OPEN_GATES = "open gates"
"""Label of the difference between an arm and its copy with all gates open."""

_WEIGHT = re.compile(r"([\w-]+)=([^@,]+)(?:@([\w-]+))?")


class RewardVariant(Record, frozen=True, kw_only=True):
    """One arm of a reward comparison.

    Args:
        name: Name of the arm.
        composition: Weights and gates.
    """

    name: str
    composition: Composition


def check_arms(arms: Sequence[RewardVariant], components: Collection[str] = COMPONENTS) -> None:
    """Validate names, weights and gates of arms.

    Args:
        arms: The arms.
        components: Names of all measured components.

    Raises:
        UnknownNameError: A weight or gate names nothing that exists.
        UsageError: There is no arm, two have the same name, or a weight is invalid.
    """
    if not arms:
        raise UsageError("an ablation needs at least one arm, got none")
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two arms are called {name!r}; give each a name of its own")
    for arm in arms:
        try:
            check_composition(arm.composition, components)
        except UnknownNameError as error:
            kind = f"{error.kind} in arm {arm.name!r}"
            raise UnknownNameError(kind, error.name, error.known) from error
        except UsageError as error:
            raise UsageError(f"arm {arm.name!r}: {error}") from error


def preset_arm(name: str) -> RewardVariant:
    """Return the preset of that name as an arm.

    Args:
        name: A preset.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name not in PRESETS:
        raise UnknownNameError("reward preset", name, PRESETS)
    return RewardVariant(name=name, composition=PRESETS[name])


def read_arm(text: str) -> RewardVariant:
    """Parse an arm from its command-line form.

    Args:
        text: ``"name:component=weight,component=weight@gate"``; a component without a gate pays
            behind its default gate.

    Raises:
        UsageError: The text is malformed; `check_arms` checks names and weights.
    """
    name, colon, weights = text.partition(":")
    shape = f"expected an arm as name:component=weight,component=weight@gate, got {text!r}"
    if not (name.strip() and colon):
        raise UsageError(shape)
    found: dict[str, float] = {}
    gates: dict[str, str] = {}
    for one in weights.split(","):
        match = _WEIGHT.fullmatch(one.strip())
        if match is None:
            raise UsageError(shape)
        component, number, gate = match.groups()
        if component in found:
            raise UsageError(f"arm {name!r} weighs {component!r} twice")
        try:
            found[component] = float(number)
        except ValueError:
            raise UsageError(
                f"arm {name!r}: the weight of {component!r} is {number!r}; expected a number"
            ) from None
        if gate:
            gates[component] = gate
    return RewardVariant(name=name.strip(), composition=Composition(weights=found, gates=gates))


def leave_one_out(arm: RewardVariant) -> list[RewardVariant]:
    """Return one arm per component other than accuracy, with that component removed.

    Args:
        arm: The whole.
    """
    return [
        _variation(arm, f"{arm.name} without {name}", {*arm.composition.weights} - {name})
        for name in arm.composition.weights
        if name != "accuracy"
    ]


def one_at_a_time(arm: RewardVariant) -> list[RewardVariant]:
    """Return one arm per component other than accuracy, with only accuracy and that component.

    Args:
        arm: The whole.
    """
    return [
        _variation(arm, f"{arm.name}, only {name}", {"accuracy", name})
        for name in arm.composition.weights
        if name != "accuracy"
    ]


def taken_apart(arm: RewardVariant) -> list[RewardVariant]:
    """Return an arm with its leave-one-out, one-at-a-time and ungated variants.

    Args:
        arm: The whole.
    """
    return [arm, *leave_one_out(arm), *one_at_a_time(arm), ungated(arm)]


def distinct(arms: Iterable[RewardVariant]) -> list[RewardVariant]:
    """Return the arms without those that pay the same as an earlier one.

    With two shaping components, "without the first" equals "only the second"; training both would
    waste a run.

    Args:
        arms: The arms.
    """
    found: dict[tuple[object, ...], RewardVariant] = {}
    for arm in arms:
        found.setdefault(_payment(arm.composition), arm)
    return list(found.values())


class Contrast(Record, frozen=True, kw_only=True):
    """Two arms that differ in exactly one component or in their gates.

    Args:
        what: The component that only the second arm weighs, or `OPEN_GATES`.
        before: Name of the arm without it.
        after: Name of the arm with it.
    """

    what: str
    before: str
    after: str


def contrasts(arms: Sequence[RewardVariant]) -> list[Contrast]:
    """Return all pairs of arms whose second arm adds one component or opens the gates.

    Args:
        arms: The arms.
    """
    found = []
    for before, after in permutations(distinct(arms), 2):
        what = _added(before.composition, after.composition)
        if what is not None:
            found.append(Contrast(what=what, before=before.name, after=after.name))
    order = {arm.name: number for number, arm in enumerate(arms)}
    return sorted(found, key=lambda one: (one.what == OPEN_GATES, one.what, order[one.before]))


def _added(before: Composition, after: Composition) -> str | None:
    """Return the single addition of one composition over another, or None."""
    pays = {name for name, weight in before.weights.items() if weight}
    more = [name for name, weight in after.weights.items() if weight and name not in pays]
    if len(more) == 1 and _payment(_only(after, pays)) == _payment(before):
        return more[0]
    opened = msgspec.structs.replace(before, gates=dict.fromkeys(before.weights, "open"))
    return OPEN_GATES if _payment(opened) == _payment(after) else None


def _payment(composition: Composition) -> tuple[object, ...]:
    """Return a key of a composition's payment."""
    weights = composition.weights.items()
    paid = sorted((name, weight, composition.gate_of(name)) for name, weight in weights if weight)
    return tuple(paid), tuple(sorted(composition.vetoes))


def ungated(arm: RewardVariant) -> RewardVariant:
    """Return an arm with all gates open, to measure the effect of the gates.

    Args:
        arm: The arm.
    """
    gates = dict.fromkeys(arm.composition.weights, "open")
    composition = msgspec.structs.replace(arm.composition, gates=gates)
    return RewardVariant(name=f"{arm.name} ungated", composition=composition)


def _variation(arm: RewardVariant, name: str, kept: Collection[str]) -> RewardVariant:
    """Return an arm with some of its components."""
    return RewardVariant(name=name, composition=_only(arm.composition, kept))


def _only(composition: Composition, kept: Collection[str]) -> Composition:
    """Return a composition with some of its components."""
    return msgspec.structs.replace(
        composition,
        weights={one: weight for one, weight in composition.weights.items() if one in kept},
        gates={one: gate for one, gate in composition.gates.items() if one in kept},
    )
