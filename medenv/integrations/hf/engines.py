"""Policies that write token by token: an engine for all episodes, a policy for each.

Tokens in, tokens out: what a policy wrote in earlier turns is kept as the tokens that it wrote, as
in training, and only what stands between turns is encoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from medenv.build.settings import AUTO, PolicySettings, SamplingSettings
from medenv.errors import DataError, TokensExhaustedError, UsageError
from medenv.integrations.hf.chat_tokens import ChatTokens, open_tokenizer
from medenv.records import Message, Written


class GenerationRequest(NamedTuple):
    """A turn to be written.

    Attributes:
        ids: What stands before it.
        most: Most tokens.
        sampling: How it is written.
    """

    ids: list[int]
    most: int
    sampling: SamplingSettings


class Engine(Protocol):
    """Writes turns.

    Attributes:
        chat: The policy's tokenizer with its chat template.
        context: Most tokens that the model can hold.
    """

    chat: ChatTokens
    context: int

    def write(self, wanted: Sequence[GenerationRequest]) -> list[list[int]]:
        """Return what is written for each, the token that ends a turn included where it came."""
        ...


class TransformersEngine:
    """Writes with ``transformers``, many turns at a time.

    Args:
        policy: A Hugging Face folder or hub name.
        seed: Seed of the sampling.
        batch: Most turns at a time.
        device: Such as ``"cpu"`` or ``"cuda"``; what there is without.

    Raises:
        DataError: The policy cannot be loaded.
    """

    def __init__(self, policy: str, *, seed: int = 0, batch: int = 64, device: str = "") -> None:
        disable_progress_bar()
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.chat = ChatTokens(open_tokenizer(policy))
        try:
            model = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32)
        except (OSError, ValueError) as error:
            why = str(error).partition("\n")[0]
            raise DataError(policy, f"holds no policy that can be loaded: {why}") from error
        self._model: Any = model.to(self._device).eval()
        self.context = int(self._model.config.max_position_embeddings)
        self._seed, self._batch, self._batches = seed, batch, 0

    def write(self, wanted: Sequence[GenerationRequest]) -> list[list[int]]:
        """Return what is written for each."""
        out: dict[int, list[int]] = {}
        order = sorted(range(len(wanted)), key=lambda at: (wanted[at].sampling.temperature, at))
        groups: dict[tuple[float, float], list[int]] = {}
        for at in order:
            how = wanted[at].sampling
            groups.setdefault((how.temperature, how.top_p), []).append(at)
        for group in groups.values():
            for first in range(0, len(group), self._batch):
                part = group[first : first + self._batch]
                written = self._write([wanted[at] for at in part])
                out.update(zip(part, written, strict=True))
        return [out[at] for at in range(len(wanted))]

    def _write(self, wanted: Sequence[GenerationRequest]) -> list[list[int]]:
        """Write one batch, padded on the left."""
        longest = max(len(one.ids) for one in wanted)
        pad = self.chat.turn_end
        rows = [[pad] * (longest - len(one.ids)) + one.ids for one in wanted]
        seen = [[0] * (longest - len(one.ids)) + [1] * len(one.ids) for one in wanted]
        how = wanted[0].sampling
        sampled: dict[str, Any] = {"do_sample": False}
        if how.temperature > 0:
            sampled = {"do_sample": True, "temperature": how.temperature, "top_p": how.top_p}
        self._batches += 1
        devices = [self._device] if self._device != "cpu" else []
        with torch.random.fork_rng(devices), torch.inference_mode():
            torch.manual_seed(self._seed * 1_000_003 + self._batches)
            ids = self._model.generate(
                input_ids=torch.tensor(rows, device=self._device),
                attention_mask=torch.tensor(seen, device=self._device),
                max_new_tokens=max(one.most for one in wanted),
                eos_token_id=self.chat.turn_end,
                pad_token_id=pad,
                top_k=0,
                **sampled,
            )
        new = ids[:, longest:].tolist()
        return [
            cut(row, self.chat.turn_end, one.most) for row, one in zip(new, wanted, strict=True)
        ]


class VllmEngine:
    """Writes with vLLM, many turns at a time.

    Args:
        policy: A Hugging Face folder or hub name.
        seed: Seed of the sampling.
        options: Further arguments of ``vllm.LLM``, e.g. ``{"tensor_parallel_size": 8}``.
    """

    def __init__(
        self, policy: str, *, seed: int = 0, options: dict[str, Any] | None = None
    ) -> None:
        from vllm import LLM

        self.chat = ChatTokens(open_tokenizer(policy))
        self._model: Any = LLM(model=policy, seed=seed, **(options or {}))
        self.context = int(self._model.llm_engine.model_config.max_model_len)

    def write(self, wanted: Sequence[GenerationRequest]) -> list[list[int]]:
        """Return what is written for each."""
        from vllm import SamplingParams

        params = [
            SamplingParams(
                temperature=one.sampling.temperature,
                top_p=one.sampling.top_p,
                max_tokens=one.most,
                stop_token_ids=[self.chat.turn_end],
                skip_special_tokens=False,
            )
            for one in wanted
        ]
        prompts = [{"prompt_token_ids": one.ids} for one in wanted]
        made = self._model.generate(prompts, params, use_tqdm=False)
        return [
            cut(list(one.outputs[0].token_ids), self.chat.turn_end, turn.most)
            for one, turn in zip(made, wanted, strict=True)
        ]


def open_engine(policy: PolicySettings, seed: int) -> Engine:
    """Open the engine that runs a policy from a path.

    Args:
        policy: The policy.
        seed: Seed of the sampling.

    Raises:
        UsageError: vLLM is not installed, or the engine does not take its options.
        DataError: The policy cannot be loaded.
    """
    engine, options = policy.engine, policy.engine_options
    installed = find_spec("vllm") is not None
    if engine == "vllm" and not installed:
        raise UsageError(
            "policy.engine=vllm needs vLLM: pip install vllm, or set policy.engine=transformers"
        )
    if engine == "vllm" or (engine == AUTO and installed and torch.cuda.is_available()):
        return VllmEngine(policy.path, seed=seed, options=options)
    try:
        return TransformersEngine(policy.path, seed=seed, **options)
    except TypeError as error:
        raise UsageError(f"policy.engine_options {options}: {error}") from error


def cut(ids: list[int], end: int, most: int) -> list[int]:
    """Return what was written up to the token that ends a turn, and not more than was wanted.

    Args:
        ids: What an engine wrote.
        end: The token that ends a turn.
        most: Most tokens.
    """
    kept = ids[:most]
    return kept[: kept.index(end) + 1] if end in kept else kept


class BatchScheduler:
    """Collects what episodes want written, and lets the engine write it all at once.

    The engine writes when no episode has anything else to do, so that the same episodes meet in the
    same batches whenever they are played.

    Args:
        engine: Writes.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._waiting: list[tuple[GenerationRequest, asyncio.Future[list[int]]]] = []
        self._job: asyncio.Task[None] | None = None

    async def write(self, wanted: GenerationRequest) -> list[int]:
        """Return what is written.

        Args:
            wanted: The turn.
        """
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, future))
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._collect())
        return await future

    async def _collect(self) -> None:
        while self._waiting:
            before = -1
            while before != len(self._waiting):
                before = len(self._waiting)
                for _ in range(_ROUNDS):
                    await asyncio.sleep(0)
            batch, self._waiting = self._waiting, []
            try:
                written = self.engine.write([wanted for wanted, _ in batch])
            except (
                Exception
            ) as error:  # whatever it is, every episode that waits has to learn of it
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), ids in zip(batch, written, strict=True):
                future.set_result(ids)


_ROUNDS = 8
"""Turns of the event loop after which an episode that has anything to do has done it."""


class TokenPolicy:
    """Writes one episode token by token.

    Args:
        desk: Where turns are written.
        sampling: How.

    Attributes:
        tokens: Tokens that it wrote so far.
    """

    def __init__(self, desk: BatchScheduler, sampling: SamplingSettings) -> None:
        self._desk, self._sampling = desk, sampling
        self._ids: list[int] = []
        self._seen = 0
        self.tokens = 0

    async def act(self, messages: Sequence[Message]) -> str:
        """Return the next turn.

        Args:
            messages: The conversation so far.

        Raises:
            TokensExhaustedError: The context is full.
        """
        return (await self.act_within(messages, None)).text

    async def act_within(self, messages: Sequence[Message], max_tokens: int | None) -> Written:
        """Return the next turn with its tokens.

        Args:
            messages: The conversation so far.
            max_tokens: Most tokens of the turn, or None for what the sampling allows.

        Raises:
            TokensExhaustedError: The context is full, or no tokens are left.
        """
        chat = self._desk.engine.chat
        if not self._ids:
            self._ids = chat.prompt(messages)
        else:
            for message in messages[self._seen + 1 :]:
                self._ids += chat.context(message["content"], message["role"])
        self._seen = len(messages)
        limit = self._sampling.context or self._desk.engine.context
        most = min(self._sampling.turn_tokens or limit, limit - len(self._ids))
        if max_tokens is not None:
            most = min(most, max_tokens)
        if most < 1:
            raise TokensExhaustedError(
                f"no room for a turn: {len(self._ids)} of {limit} tokens of context are used"
            )
        read = len(self._ids)
        written = await self._desk.write(GenerationRequest(list(self._ids), most, self._sampling))
        self.tokens += len(written)
        ended = written[-1:] == [chat.turn_end]
        self._ids += written if ended else [*written, chat.turn_end]
        text: str = chat.tokenizer.decode(
            written[:-1] if ended else written, skip_special_tokens=False
        )
        return Written(text=text, tokens=len(written), tokens_read=read)
