"""Alarms: a policy that collapses is noticed from what a training logs, step by step.

Each alarm compares one logged measure with a bound. It goes off when the measure has been beyond
the bound in `AlarmSettings.steps` training steps in a row, and again only after it has recovered.
State is what the run logged, so that a resumed run counts on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from medenv.build.settings import AlarmSettings
from medenv.errors import MedEnvError
from medenv.records import Record

FILE = "alarms.jsonl"
"""Name of the file of alarms in a run's folder."""


class TrainingCollapsedError(MedEnvError):
    """A training was ended by an alarm, after a checkpoint was saved."""


class Alarm(Record, frozen=True, kw_only=True):
    """One measure beyond its bound for several steps in a row.

    Args:
        step: The last of these steps.
        setting: Name of the bound in `AlarmSettings`.
        measure: Name under which the measure is logged.
        value: The measure in this step.
        bound: The bound.
        steps: Number of steps in a row.
    """

    step: int
    setting: str
    measure: str
    value: float
    bound: float
    steps: int

    def __str__(self) -> str:
        """Return the alarm in one line that names the setting."""
        side = "below" if self.setting.endswith("_below") else "above"
        return (
            f"alarm at step {self.step}: {self.measure} is {self.value:.4g}, {side} "
            f"alarms.{self.setting}={self.bound:g} for {self.steps} steps in a row"
        )


MEASURES = {
    "entropy_below": "actor/entropy",
    "length_below": "episodes/trained_tokens",
    "length_above": "episodes/trained_tokens",
    "well_formed_below": "episodes/well_formed",
    "dead_groups_above": "groups/dead",
}
"""Setting to the logged measure that it bounds."""


def active(
    metrics: Mapping[int, Mapping[str, float]], settings: AlarmSettings, step: int
) -> Iterator[tuple[Alarm, bool]]:
    """Yield the alarms that hold at a step, each with whether it goes off in this very step.

    Args:
        metrics: What was logged, by training step.
        settings: The bounds.
        step: The step; later ones are not looked at.
    """
    for setting, measure in MEASURES.items():
        bound = getattr(settings, setting)
        if bound is None:
            continue
        values = [
            metrics.get(one, {}).get(measure) for one in range(step - settings.steps, step + 1)
        ]
        beyond = [
            value is not None
            # A measure that is not a number is beyond each bound.
            and not (value >= bound if setting.endswith("_below") else value <= bound)
            for value in values
        ]
        value = values[-1]
        if value is not None and all(beyond[1:]):
            alarm = Alarm(
                step=step,
                setting=setting,
                measure=measure,
                value=value,
                bound=bound,
                steps=settings.steps,
            )
            yield alarm, not beyond[0]


def alarms_in(metrics: Mapping[int, Mapping[str, float]], settings: AlarmSettings) -> list[Alarm]:
    """Return all alarms that went off in a run, in order of their steps.

    Args:
        metrics: What was logged, by training step.
        settings: The bounds.
    """
    return [
        alarm
        for step in sorted(metrics)
        for alarm, is_new in active(metrics, settings, step)
        if is_new
    ]
