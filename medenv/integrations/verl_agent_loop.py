"""verl's agent loop on the same episode engine that every other face of medenv drives.

Tokens in, tokens out: what the policy sampled is kept as the token ids it sampled, and everything
else in the response (observations, chat markup, a closing token that the policy did not write) has
`response_mask` 0. An episode that the infrastructure broke yields no sample at all: it is left out
of its group instead of being scored, and `verl_sampler` counts it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import msgspec
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register

from medenv.episode import Episode
from medenv.errors import InfraError, PolicyUnavailableError
from medenv.integrations.config import plain
from medenv.integrations.verl_rows import AGENT_NAME
from medenv.integrations.world import World, load_world
from medenv.records import Message, Question, Score, Scored, ToolResult


@dataclass
class _Tokens:
    """The token stream of one episode; `response`, `mask` and `logprobs` have equal length."""

    prompt: list[int]
    response: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(
        default_factory=lambda: {"generate_sequences": 0.0, "tool_calls": 0.0}
    )

    def append(self, ids: list[int], *, policy: bool, logprobs: list[float] | None = None) -> None:
        self.response += ids
        self.mask += [int(policy)] * len(ids)
        self.logprobs += logprobs if logprobs is not None else [0.0] * len(ids)


@register(AGENT_NAME)
class MedEnvAgentLoop(AgentLoopBase):  # type: ignore[misc]  # verl is untyped to us
    """Plays one episode of `medenv` with verl's rollout server as the policy.

    The settings come from the `medenv` subtree of the trainer's config, the question from the
    row's `extra_info.question` (a `records.Question` as JSON); `extra_info.sampling` is "sampled"
    or "greedy", the latter meaning temperature 0.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.world: World = load_world(plain(self.config.medenv))

    async def run(
        self, sampling_params: dict[str, Any], **row: Any
    ) -> AgentLoopOutput | list[AgentLoopOutput]:
        """Play the row's question to its end.

        Args:
            sampling_params: What verl samples with in this phase.
            **row: The columns of the data row, with verl's `session_id` and `global_steps`.

        Returns:
            One scored sample, or an empty list where the infrastructure failed.
        """
        info = row["extra_info"]
        question = msgspec.json.decode(info["question"], type=Question)
        sample = int(row.get("session_id", 0))
        episode = self.world.episode(question, seed=sample)
        if info["sampling"] == "greedy":
            sampling_params = {**sampling_params, "temperature": 0.0, "top_p": 1.0, "top_k": -1}
        tokens = _Tokens(await self.ct_build_initial_tokens(list(episode.prompt())))
        try:
            await self._play(episode, tokens, sampling_params)
        except InfraError as error:
            episode.fail(str(error))
        trajectory, step = episode.trajectory(), int(row.get("global_steps", 0))
        score = self.world.reward_at(step)(trajectory)
        if score.total is None:
            return []
        scored = Scored(trajectory=trajectory, score=score, sample=sample, step=step)
        tokens.extra["sampling"] = info["sampling"]
        return self._output(tokens, scored)

    async def _play(
        self, episode: Episode, tokens: _Tokens, sampling_params: dict[str, Any]
    ) -> None:
        request = uuid4().hex
        while await self._turn(request, episode, tokens, sampling_params):
            pass

    async def _turn(
        self, request: str, episode: Episode, tokens: _Tokens, sampling_params: dict[str, Any]
    ) -> bool:
        """Play one turn; returns whether the policy is to write another one."""
        text, written = await self._write(request, tokens, sampling_params)
        calls = episode.advance(text, tokens=written)
        if episode.ended:
            return False
        before: list[Message] = list(episode.messages)
        started = time.monotonic()
        results: list[ToolResult] = [await self.world.toolbox.arun(call) for call in calls]
        tokens.seconds["tool_calls"] += time.monotonic() - started
        episode.observe(results)
        return await self._show(episode, tokens, before)

    async def _write(
        self, request: str, tokens: _Tokens, sampling_params: dict[str, Any]
    ) -> tuple[str, int]:
        """Let the policy write one turn; returns its text and the number of tokens it wrote."""
        room = self.rollout_config.response_length - len(tokens.response)
        started = time.monotonic()
        out = await self.server_manager.generate(
            request_id=request,
            prompt_ids=tokens.prompt + tokens.response,
            sampling_params={
                **sampling_params,
                "max_tokens": min(room, self.world.turn_tokens),
            },
        )
        tokens.seconds["generate_sequences"] += time.monotonic() - started
        if out.stop_reason == "aborted" or not out.token_ids:
            raise PolicyUnavailableError(f"the rollout server gave up (stop: {out.stop_reason})")
        tokens.extra.update(out.extra_fields or {})
        ids = list(out.token_ids)
        tokens.append(ids, policy=True, logprobs=list(out.log_probs) if out.log_probs else None)
        return self._text(ids), len(ids)

    def _text(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False)
        return text.removesuffix(self.tokenizer.eos_token)

    async def _show(self, episode: Episode, tokens: _Tokens, before: list[Message]) -> bool:
        """Append the new messages as context; returns whether the episode goes on.

        Where they do not fit into verl's response length, the episode ends for lack of tokens.
        """
        if episode.ended:
            return False
        appended: list[int] = []
        if tokens.response[-1] != self.tokenizer.eos_token_id:
            appended.append(self.tokenizer.eos_token_id)  # the turn was cut: close it
        stream = tokens.prompt + tokens.response + appended
        merged, _, _ = await self.ct_merge_context_msg(before, list(episode.messages), stream, [])
        appended += merged.token_ids[len(stream) :]
        if len(tokens.response) + len(appended) >= self.rollout_config.response_length:
            episode.exhaust("tokens")
            return False
        tokens.append(appended, policy=False)
        return True

    def _output(self, tokens: _Tokens, scored: Scored) -> AgentLoopOutput:
        turns = scored.trajectory.turns
        return AgentLoopOutput(
            prompt_ids=tokens.prompt,
            response_ids=tokens.response,
            response_mask=tokens.mask,
            response_logprobs=tokens.logprobs,
            reward_score=scored.score.total,
            num_turns=1 + len(turns) + sum(bool(turn.observation) for turn in turns),
            metrics=tokens.seconds,
            extra_fields={
                **tokens.extra,
                "reward_extra_info": flat(scored.score),
                "scored": msgspec.json.encode(scored).decode(),
            },
        )


def flat(score: Score) -> dict[str, float]:
    """Return a score's parts as numbers for verl's logs.

    Args:
        score: A score with a total.

    Returns:
        `reward/<component>/raw` and `/weighted` for each part, and `acc`, the name under which
        verl reports the main figure of a validation.
    """
    numbers: dict[str, float] = {}
    for name, part in score.parts.items():
        numbers[f"reward/{name}/raw"] = part.raw
        numbers[f"reward/{name}/weighted"] = part.weighted
    numbers["acc"] = score.parts["accuracy"].raw
    return numbers
