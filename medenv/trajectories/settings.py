"""Settings of a trajectory set, for its recipe and its folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from medenv.build.settings import RunSettings
from medenv.errors import UsageError
from medenv.llm.endpoint import EndpointSettings
from medenv.records import Record
from medenv.trajectories.collector import Plan
from medenv.trajectories.filters import Limits
from medenv.trajectories.served import ToolRole

KINDS = ("oracle", "openai")
EXPORTS = ("chat", "datasets", "preferences")


class TeacherSettings(Record, frozen=True, kw_only=True):
    """The teachers of a set.

    Args:
        kind: ``"oracle"`` for the scripted teachers, ``"openai"`` for a served model.
        seed: Seed of the choices, with an episode's number.
        thoughts: Whether scripted teachers think aloud.
        endpoint: The served model, for ``"openai"``.
        tool_role: Role of observations sent to a served model.
        seeded: Whether requests to a served model have a seed.
    """

    kind: str = "oracle"
    seed: int = 0
    thoughts: bool = True
    endpoint: EndpointSettings | None = None
    tool_role: ToolRole = "user"
    seeded: bool = False

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.kind not in KINDS:
            raise UsageError(f"unknown teacher {self.kind!r} (known: {', '.join(KINDS)})")
        if (self.kind == "openai") != (self.endpoint is not None):
            raise UsageError(
                "teacher=openai needs teacher.endpoint.url=... and teacher.endpoint.model=..., and "
                f"no other teacher has an endpoint; got {self.kind!r} and {self.endpoint}"
            )


class TrajectorySettings(RunSettings, frozen=True, kw_only=True):
    """Settings of `recipes/trajectories.py`.

    Args:
        folder: Output folder; empty for ``<root>/<run>``.
        plan: Episode plan; `n` overrides its number of episodes.
        limits: Filter limits.
        teacher: Teachers.
        rewrite: The model that rewrites thoughts, or None.
        exports: Further exports, of `EXPORTS`.
        tokenizer: Policy whose tokenizer encodes the set, or None.
    """

    folder: str = ""
    plan: Plan = Plan()
    limits: Limits = Limits()
    teacher: TeacherSettings = TeacherSettings()
    rewrite: EndpointSettings | None = None
    exports: tuple[str, ...] = ("chat", "preferences")
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        """Validate the settings."""
        for name in self.exports:
            if name not in EXPORTS:
                raise UsageError(f"unknown export {name!r} (known: {', '.join(EXPORTS)})")

    @property
    def played(self) -> Plan:
        """The plan, with `n` episodes if given."""
        return self.plan if self.n is None else msgspec.structs.replace(self.plan, n=self.n)

    @property
    def target(self) -> Path:
        """The folder of the set."""
        return Path(self.folder or f"{self.root}/{self.run}")
