"""verl's agent loop on the same episode engine and driver as every other face of medenv.

Tokens in, tokens out: what the policy sampled is kept as the token ids it sampled, and everything
else in the response (observations, chat markup, a closing token that the policy did not write) has
`response_mask` 0. An episode that the infrastructure or a bug broke yields no sample: it is left
out of its group instead of being scored, and `sampler` counts it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput

from medenv.build.prepare import load_environment
from medenv.build.settings import CurriculumSettings
from medenv.episodes.episode import Episode
from medenv.errors import PolicyUnavailableError, TokensExhaustedError, UsageError
from medenv.integrations.verl.unscored import Unscored, report
from medenv.records import Message, Question, Score, Scored, Written

_ADDED_UP = ("spec_num_draft_tokens", "spec_num_accepted_tokens", "spec_num_verify_steps")
"""Figures of a generation that add up over the turns of an episode."""


class MedEnvAgentLoop(AgentLoopBase):  # type: ignore[misc]  # verl is untyped to us
    """Plays one episode of `medenv` with verl's rollout server as the policy.

    The environment comes from an `environment.json`, the question from the row's
    `extra_info.question` (a `records.Question` as JSON); `extra_info.sampling` is "sampled" or
    "greedy", the latter meaning temperature 0.

    Args:
        environment: Path of the `environment.json`; see `rows.write_agent_loop`.
        turns: Most turns of a training question in the first step; see `CurriculumSettings`.
        turn_steps: Steps over which they grow.

    Raises:
        UsageError: No environment is named.
    """

    def __init__(
        self,
        *args: Any,
        environment: str = "",
        turns: int | None = None,
        turn_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not environment:
            raise UsageError(
                "no environment is named: set "
                "actor_rollout_ref.rollout.agent.agent_loop_config_path to the agent_loop.yaml "
                "that medenv wrote beside the rows"
            )
        self.env = load_environment(environment)
        self._horizon = CurriculumSettings(turns=turns, turn_steps=turn_steps)

    async def run(
        self, sampling_params: dict[str, Any], **row: Any
    ) -> AgentLoopOutput | list[AgentLoopOutput]:
        """Play the row's question to its end.

        Args:
            sampling_params: What verl samples with in this phase.
            **row: The columns of the data row, with verl's `uid`, `session_id` and `global_steps`.

        Returns:
            One scored sample, or an empty list where the episode has no score.
        """
        info, step = row["extra_info"], int(row.get("global_steps", 0))
        sample = int(row.get("session_id", 0))
        question = msgspec.json.decode(info["question"], type=Question)
        if info["sampling"] == "greedy":
            sampling_params = {**sampling_params, "temperature": 0.0, "top_p": 1.0, "top_k": -1}
        rules = self.env.parts.rules
        if question.split == "train":
            rules = rules.shortened(self._horizon.turns_at(step, rules.max_turns))
        episode = Episode(question, rules, sample)
        policy = _ServerPolicy(self, episode, sampling_params)
        played = await self.env.driver(step).play(policy, episode, contained=True)
        scored = msgspec.structs.replace(played, sample=sample, step=step)
        if scored.score.total is None:
            await report(row["uid"], Unscored(info["sampling"], scored))
            return []
        return policy.output(scored, info["sampling"])

    def _cap_text_prompt_length(self, prompt_ids: list[int]) -> list[int]:
        """Refuse a prompt that verl would cut from the left, system message first."""
        most = int(self.rollout_config.prompt_length)
        if len(prompt_ids) > most:
            raise UsageError(
                f"the prompt has {len(prompt_ids)} tokens and data.max_prompt_length is {most}: "
                "set it higher"
            )
        return prompt_ids


class _ServerPolicy:
    """Writes the turns of one episode with verl's rollout server and keeps its token stream.

    Args:
        loop: The agent loop; it has server, tokenizer and settings.
        episode: The episode.
        sampling_params: What verl samples with.

    Attributes:
        prompt: Token ids before the first turn.
        response: Token ids after them.
        mask: 1 where the policy wrote the token, of the length of `response`.
        ends: Length of `response` after each turn.
        logprobs: Log-probabilities of the sampled tokens, 0 where the mask is; None where the
            server does not compute any.
        extra: What the server says about its generations.
        seconds: Time spent in generations, seconds.
    """

    def __init__(
        self, loop: MedEnvAgentLoop, episode: Episode, sampling_params: dict[str, Any]
    ) -> None:
        self._loop, self._episode, config = loop, episode, loop.rollout_config
        self._response_length = int(config.response_length)
        self._max_model_len: int | None = config.max_model_len
        self._stop = episode.rules.dialect.stop
        self._params = dict(sampling_params)
        if self._stop and (config.name == "vllm" or not config.skip_tokenizer_init):
            # Without a tokenizer an engine cannot compare texts. Some of them are control tokens.
            self._params |= {"stop": list(self._stop), "skip_special_tokens": False}
        self._request, self._failures = uuid4().hex, 0
        self._shown: list[Message] = []
        self.prompt: list[int] = []
        self.response: list[int] = []
        self.mask: list[int] = []
        self.ends: list[int] = []
        self.logprobs: list[float] | None = [] if config.calculate_log_probs else None
        self.extra: dict[str, Any] = {}
        self.seconds = 0.0

    async def act(self, messages: Sequence[Message]) -> str:
        """Return the policy's next text; see `act_within`."""
        return (await self.act_within(messages, None)).text

    async def act_within(self, messages: Sequence[Message], max_tokens: int | None) -> Written:
        """Return the policy's next text with its tokens.

        Args:
            messages: The conversation so far.
            max_tokens: Most tokens of the text by the episode's budget, or None for no limit.

        Raises:
            TokensExhaustedError: What is new in the conversation leaves no room for a text.
            PolicyUnavailableError: The server failed.
            UsageError: The prompt is longer than verl's limit.
        """
        await self._show(list(messages))
        room = self._room()
        if room < 1 and not self.response:
            raise UsageError(
                f"a prompt of {len(self.prompt)} tokens leaves no room for an answer: set "
                "actor_rollout_ref.rollout.max_model_len higher"
            )
        if room < 1:
            raise TokensExhaustedError("the response has reached its length")
        most = min(room, self._loop.env.spec.env.turn_tokens)
        out = await self._generate(most if max_tokens is None else min(most, max_tokens))
        ids = list(out.token_ids)
        if self.logprobs is not None:
            if len(out.log_probs or ()) != len(ids):
                raise PolicyUnavailableError(
                    f"the rollout server gave {len(out.log_probs or ())} log-probabilities for "
                    f"{len(ids)} tokens"
                )
            self.logprobs += out.log_probs
        self.response += ids
        self.mask += [1] * len(ids)
        self.ends.append(len(self.response))
        self._note(out.extra_fields or {})
        return Written(text=self._text(ids), tokens=len(ids))

    def output(self, scored: Scored, sampling: str) -> TurnSample:
        """Return the episode as verl's sample, each turn's reward on the turn's last token.

        Args:
            scored: The episode, with a score.
            sampling: How the policy wrote.
        """
        turns = scored.trajectory.turns
        waited = sum(max((one.seconds for one in turn.results), default=0.0) for turn in turns)
        return TurnSample(
            turn_ends=self.ends,
            turn_rewards=self._loop.env.parts.scoring.turn_rewards(scored),
            prompt_ids=self.prompt,
            response_ids=self.response,
            response_mask=self.mask,
            response_logprobs=self.logprobs,
            reward_score=scored.score.total,
            num_turns=1 + len(turns) + sum(bool(turn.observation) for turn in turns),
            metrics={"generate_sequences": self.seconds, "tool_calls": waited},
            extra_fields={
                **self.extra,
                "sampling": sampling,
                "reward_extra_info": flat(scored.score),
                "scored": msgspec.json.encode(scored).decode(),
            },
        )

    async def _show(self, messages: list[Message]) -> None:
        """Append what is new in the conversation as context; once, however often it is tried."""
        if not self._shown:
            self.prompt = await self._loop.ct_build_initial_tokens(list(messages))
        elif len(messages) > len(self._shown):
            appended: list[int] = []
            if self.response[-1] != self._loop.tokenizer.eos_token_id:
                appended.append(self._loop.tokenizer.eos_token_id)  # the turn was cut: close it
            stream = self.prompt + self.response + appended
            # The policy's own text is the last of `before`, and is in the stream as its tokens.
            before = messages[: len(self._shown) + 1]
            merged, _, _ = await self._loop.ct_merge_context_msg(before, messages, stream, [])
            appended += merged.token_ids[len(stream) :]
            if len(appended) >= self._room():
                raise TokensExhaustedError("the last observation leaves no room for an answer")
            self.response += appended
            self.mask += [0] * len(appended)
            if self.logprobs is not None:
                self.logprobs += [0.0] * len(appended)
        self._shown = messages

    async def _generate(self, most: int) -> Any:
        """Return what the server writes next, at most `most` tokens."""
        failures = self._failures
        self._failures += 1  # until it succeeds; after a failure, any server will do
        started = time.monotonic()
        try:
            out = await self._loop.server_manager.generate(
                request_id=f"{self._request}-{failures}",
                prompt_ids=self.prompt + self.response,
                sampling_params={**self._params, "max_tokens": most},
            )
        except Exception as error:  # whatever it is, the policy is away
            raise PolicyUnavailableError(f"the rollout server failed: {error}") from error
        finally:
            self.seconds += time.monotonic() - started
        if out.stop_reason in ("aborted", "abort") or not out.token_ids:
            raise PolicyUnavailableError(f"the rollout server gave up (stop: {out.stop_reason})")
        self._failures = failures
        return out

    def _room(self) -> int:
        """Return how many tokens the response can still take."""
        room = self._response_length - len(self.response)
        if self._max_model_len is not None:
            room = min(room, self._max_model_len - len(self.prompt) - len(self.response))
        return room

    def _note(self, told: dict[str, Any]) -> None:
        """Merge what the server says about a generation into what it said about those before."""
        for name, value in told.items():
            if name in _ADDED_UP:
                self.extra[name] = self.extra.get(name, 0) + value
            elif name in ("global_steps", "max_global_steps"):
                self.extra[name] = value  # the last version of the weights
            else:
                self.extra.setdefault(name, value)  # the first, of `min_global_steps` above all

    def _text(self, ids: list[int]) -> str:
        text: str = self._loop.tokenizer.decode(ids, skip_special_tokens=False)
        for stop in (self._loop.tokenizer.eos_token, *self._stop):
            text = text.partition(stop)[0]
        return text


class TurnSample(AgentLoopOutput):  # type: ignore[misc]  # verl is untyped to us
    """A sample with a reward for each turn, on the last token that the policy wrote in it.

    verl puts a sample's `reward_score` on the last token of the response
    (verl/experimental/agent_loop/agent_loop.py:143-148), also where the policy did not write that
    token, and GAE then drops it (verl/trainer/ppo/core_algos.py:256). `AgentLoopWorkerTQ` calls
    `as_dict` on what an agent loop returned (verl/trainer/ppo/v1/agent_loop_tq.py:194), so that a
    sample can place its rewards itself.

    Args:
        turn_ends: Number of response tokens up to the end of each turn.
        turn_rewards: Reward of each turn; they add up to `reward_score`.
    """

    turn_ends: list[int]
    turn_rewards: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Return what verl stores of the sample; `rm_scores` are its token-level rewards."""
        output: dict[str, Any] = super().as_dict()
        scores = torch.zeros_like(output["rm_scores"])
        for end, reward in zip(output.pop("turn_ends"), output.pop("turn_rewards"), strict=True):
            scores[end - 1] += reward
        output["rm_scores"] = scores
        return output


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
