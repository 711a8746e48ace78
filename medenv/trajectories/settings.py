"""The settings of a set of trajectories, as its recipe takes them and its folder keeps them."""

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
        seed: Decides, with an episode's number, what a teacher can decide.
        thoughts: Whether scripted teachers think aloud.
        endpoint: The served model, for ``"openai"``.
        tool_role: The role in which a served model is sent observations.
        seeded: Whether requests to a served model carry a seed.
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
    """What `recipes/trajectories.py` composes from.

    Args:
        folder: Where the set is written; empty for ``<root>/<run>``.
        plan: What is played; `n` replaces its number of episodes.
        limits: What an episode may be.
        teacher: Who teaches.
        rewrite: The model that rewrites thoughts, or None.
        exports: Further forms to write, of `EXPORTS`.
        tokenizer: A policy whose tokenizer writes the set as token ids, or None.
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
        """The plan, of `n` episodes where that is given."""
        return self.plan if self.n is None else msgspec.structs.replace(self.plan, n=self.n)

    @property
    def target(self) -> Path:
        """The folder of the set."""
        return Path(self.folder or f"{self.root}/{self.run}")
