"""Environments for verifiers 0.4: ``vf-eval verifiers-medenv`` plays episodes of medenv.

verifiers imports a package by its name and takes a taskset, an environment and a harness from its
``__all__``. Here a task is a question, the environment steps a `MedResearchEnv` with each reply of
the model, and the harness asks for that reply in the process itself, so that nothing is installed
for an episode. ``examples/verifiers_medenv`` is such a package, as verifiers' hub expects it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import httpx
import verifiers.v1 as vf
from pydantic import Field
from verifiers.v1.dialects.chat import message_to_wire

from medenv.build.environment import Parts, registered_parts
from medenv.errors import UsageError
from medenv.kg.questions.benchmarks import refuse_benchmarks
from medenv.records import Score

REWARD = "medenv"
"""Name of the reward in a trace."""


class MedEnvConfig(vf.TasksetConfig):  # type: ignore[misc]  # verifiers is not checked
    """Settings of the taskset, ``--env.taskset.*``."""

    env_id: str = "medenv/Research-v0"
    """Id of an environment of medenv."""
    split: str = "test"
    """Split of the questions."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Further fields of `medenv.build.environment.MakeSettings`."""


class MedEnvData(vf.TaskData):  # type: ignore[misc]
    """A question by its id; the answer stays in the environment."""

    question: str


class MedEnvTask(vf.Task[MedEnvData]):  # type: ignore[misc]
    """One question; `MedEnvEnv` records its reward."""


class MedEnvTaskset(vf.Taskset[MedEnvTask, MedEnvConfig]):  # type: ignore[misc]
    """The questions of one split."""

    @cached_property
    def parts(self) -> Parts:
        """The parts of the environment, made once.

        Raises:
            UsageError: The settings make no environment, or one whose dialect has no text; or a
                question of the split ``train`` is of a published benchmark.
        """
        config = self.config
        parts = registered_parts(config.env_id, **{"split": config.split} | config.settings)
        if parts.rules.dialect.name == "openai":
            raise UsageError("verifiers plays dialects in text: set another than openai")
        if config.split == "train":
            refuse_benchmarks(parts.questions)
        return parts

    def load(self) -> Iterator[MedEnvTask]:
        """Yield a task for each question."""
        env = self.parts.env()
        for number, question in enumerate(self.parts.questions):
            messages = env.reset(options={"question": number})[1]["messages"]
            data = MedEnvData(
                id=question.id,
                name=question.id,
                question=question.id,
                system_prompt=messages[0]["content"] if len(messages) == 2 else None,
                prompt=messages[-1]["content"],
            )
            yield MedEnvTask(data, self.config.task)


class MedEnvEnvConfig(vf.EnvConfig):  # type: ignore[misc]
    """Settings of the environment, ``--env.*``."""

    agent: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    """The policy; its harness is `MedEnvHarness` by default."""


class MedEnvEnv(vf.Env[MedEnvEnvConfig]):  # type: ignore[misc]
    """An episode of medenv, in which the environment is the user of the conversation."""

    async def run(self, task: MedEnvTask, agents: vf.Agents) -> None:
        """Play one episode and record its reward and the parts of its score.

        A failure of the infrastructure fails the episode, without a reward. An episode that a limit
        of verifiers ends has the reward 0.

        Args:
            task: The question.
            agents: The policy, as ``agent``.
        """
        env = self.taskset.parts.env()
        env.reset(options={"question": task.data.question})
        reward, score = 0.0, None
        async with agents.agent.interaction(task) as interaction:
            segment = await interaction.turn()
            while not segment.terminated:
                text = segment.messages[-1].content or ""
                shown, paid, ended, cut, info = await asyncio.to_thread(env.step, text)
                if ended or cut:
                    reward, score = float(paid), info["score"]
                    break
                segment = await interaction.turn(shown)
            trace = interaction.trace
            if score is not None or not trace.errors:
                trace.record_reward(REWARD, reward)
                trace.record_metrics(_metrics(score))


class MedEnvHarnessConfig(vf.HarnessConfig):  # type: ignore[misc]
    """Settings of the harness, ``--env.agent.harness.*``."""


class MedEnvHarness(vf.Harness[MedEnvHarnessConfig]):  # type: ignore[misc]
    """One request for each turn, without a program of its own."""

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(  # noqa: PLR0913 - verifiers' interface
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,  # noqa: ARG002
        runtime: vf.Runtime,  # noqa: ARG002
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],  # noqa: ARG002
        data: vf.TaskData,
    ) -> vf.ProgramResult:
        """Ask the model for its next turn; verifiers records request and reply.

        Args:
            ctx: Has the model.
            trace: Not used.
            runtime: Not used.
            endpoint: Address of verifiers' own proxy.
            secret: Its token.
            mcp_urls: Not used: the tools are those of the environment.
            data: The conversation so far.
        """
        system, prompt = self.resolve_prompt(data)
        messages = [] if system is None else [{"role": "system", "content": system}]
        if isinstance(prompt, str):
            messages.append({"role": "user", "content": prompt})
        else:
            messages.extend(message_to_wire(message) for message in prompt)
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
            reply = await client.post(
                f"{endpoint}/chat/completions",
                json={"model": ctx.model, "messages": messages},
                headers={"Authorization": f"Bearer {secret}"},
            )
        wrong = "" if reply.is_success else f"{reply.status_code} {reply.text}"
        return vf.ProgramResult(exit_code=int(bool(wrong)), stdout="", stderr=wrong)


def load_environment(
    env_id: str = "medenv/Research-v0",
    split: str = "test",
    package: str = "verifiers-medenv",
    **settings: Any,
) -> MedEnvEnv:
    """Return an environment of verifiers over questions of medenv.

    Args:
        env_id: Id of an environment of medenv.
        split: Split of the questions.
        package: Name of the installed package that exports the classes of this module.
        settings: Further fields of `medenv.build.environment.MakeSettings`, such as ``questions``.

    Raises:
        ModuleNotFoundError: The package is not installed.
        UsageError: The settings make no environment.
    """
    taskset = MedEnvConfig(id=package, env_id=env_id, split=split, settings=settings)
    env = MedEnvEnv(MedEnvEnvConfig(taskset=taskset))
    _ = env.taskset.parts
    return env


def _metrics(score: Score | None) -> dict[str, float]:
    """Return the components of a score, before weights and gates."""
    return {} if score is None else {name: part.raw for name, part in score.parts.items()}
