"""The settings of a set of trajectories, as its recipe takes them and its folder keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from medenv.build.workspace import WorkspaceSettings
from medenv.dialects.base import PromptStyle
from medenv.errors import DataError, UsageError
from medenv.io import read_records
from medenv.kg.questions.synthesis import SynthesisSettings
from medenv.llm.endpoint import EndpointSettings
from medenv.records import Record
from medenv.trajectories.collector import Plan
from medenv.trajectories.filters import Limits
from medenv.trajectories.served import ToolRole

KINDS = ("oracle", "openai")
EXPORTS = ("chat", "datasets", "preferences")


class EnvOptions(Record, frozen=True, kw_only=True):
    """The environment in which is played; see `medenv.build.environment.EnvSettings`.

    Args:
        env_id: Versioned id.
        dialect: How policies write.
        prompt_style: How much the system message explains.
        retriever: Name of the retriever, or a mapping of it to options.
        tools: Tool name to its options.
        budget: What one episode may use up.
        turn_tokens: Most tokens of one turn, for trainers.
    """

    env_id: str = "medenv/Research-v0"
    dialect: str = "hermes"
    prompt_style: PromptStyle = "full"
    retriever: str | dict[str, dict[str, Any] | None] = "bm25"
    tools: dict[str, dict[str, Any] | None] = msgspec.field(
        default_factory=lambda: {"search": {"k": 5}, "read": {}}
    )
    budget: dict[str, Any] = msgspec.field(default_factory=dict)
    turn_tokens: int = 1024


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


class TrajectorySettings(Record, frozen=True, kw_only=True):
    """A set of trajectories.

    Args:
        folder: Where it is written.
        plan: What is played.
        limits: What an episode may be.
        env: The environment.
        teacher: Who teaches.
        questions: A set of proved questions; made where it is missing. Training questions alone
            are played.
        world: A workspace whose training questions are played instead, or None.
        workspaces: Folder of all workspaces.
        rewrite: The model that rewrites thoughts, or None.
        exports: Further forms to write, of `EXPORTS`.
    """

    folder: str
    plan: Plan = Plan()
    limits: Limits = Limits()
    env: EnvOptions = EnvOptions()
    teacher: TeacherSettings = TeacherSettings()
    questions: SynthesisSettings | None = None
    world: WorkspaceSettings | None = None
    workspaces: str = "outputs/workspaces"
    rewrite: EndpointSettings | None = None
    exports: tuple[str, ...] = ("chat", "preferences")

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in self.exports:
            if name not in EXPORTS:
                raise UsageError(f"unknown export {name!r} (known: {', '.join(EXPORTS)})")
        if (self.questions is None) == (self.world is None):
            raise UsageError("name either a set of questions or a world to take them from")


def read_settings(folder: Path | str) -> TrajectorySettings:
    """Return what a finished set was made with.

    Args:
        folder: The set's folder.

    Raises:
        DataError: It holds no finished set.
    """
    path = Path(folder) / "settings.json"
    if not path.exists():
        raise DataError(path, "expected a finished set of trajectories; make it first")
    return next(iter(read_records(path, TrajectorySettings)))
