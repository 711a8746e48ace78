"""The settings of a set of trajectories, as its recipe takes them and its folder keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from medenv.build.settings import RunSettings
from medenv.errors import UsageError
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.records import Record
from medenv.trajectories.collector import Plan
from medenv.trajectories.filters import Limits

KINDS = ("oracle", "openai")
EXPORTS = ("chat", "datasets", "preferences")


class TeacherSettings(Record, frozen=True, kw_only=True):
    """Who teaches.

    Args:
        kind: ``"oracle"`` for the scripted teachers, ``"openai"`` for a served model.
        seed: Decides, with an episode's number, what a teacher can decide.
        thoughts: Whether scripted teachers think aloud.
        base_url: Where a model is served, e.g. ``"http://localhost:8000/v1"``.
        model: Its name.
        key_variable: Environment variable that holds the API key.
        timeout: Longest wait for a reply, seconds.
        attempts: Tries of one request.
        backoff: Wait before the second try, seconds; doubled before each further one.
        options: Further fields of every request, e.g. ``{"temperature": 0.6}``.
        tool_role: The role in which observations are sent.
        seeded: Whether requests carry a seed.
    """

    kind: str = "oracle"
    seed: int = 0
    thoughts: bool = True
    base_url: str = ""
    model: str = ""
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    attempts: int = 8
    backoff: float = 0.5
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    tool_role: str = "user"
    seeded: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.kind not in KINDS:
            raise UsageError(f"unknown teacher {self.kind!r} (known: {', '.join(KINDS)})")
        if self.kind == "openai" and not (self.base_url and self.model):
            raise UsageError(
                "teacher=openai needs teacher.base_url=... and teacher.model=..., got "
                f"{self.base_url!r} and {self.model!r}"
            )

    def endpoint(self) -> Endpoint:
        """Return the client of the served model."""
        return Endpoint(
            EndpointSettings(
                url=self.base_url,
                model=self.model,
                key_variable=self.key_variable,
                attempts=self.attempts,
                backoff=self.backoff,
                timeout=self.timeout,
                options=self.options,
            )
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
