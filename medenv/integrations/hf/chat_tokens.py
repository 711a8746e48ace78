"""Episodes as token ids, exactly as they come about: the prompt, then turn by turn.

Chat templates are no functions of text alone: some drop the thoughts of earlier turns, or trim what
was written. What a policy sees in a rollout is none of that. It sees the tokens it wrote, and what
was put between them. So a turn is the encoding of its own text and the token that ends it, and an
observation is what the template puts between a turn and the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.trajectories.sft import SFTExample

_MARK = "medenv marks this place"
_OPENED = "<think>"


def open_tokenizer(policy: str, *, trust_remote_code: bool = False) -> Any:
    """Return a policy's tokenizer.

    Args:
        policy: A Hugging Face folder or hub name.
        trust_remote_code: Whether Python code in that folder may be run.

    Raises:
        DataError: It cannot be loaded.
    """
    from transformers import AutoTokenizer  # imports torch, which takes seconds

    try:
        return AutoTokenizer.from_pretrained(
            policy, local_files_only=Path(policy).is_dir(), trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise DataError(policy, f"holds no tokenizer that can be opened: {why}") from error


class ChatTokens:
    """A tokenizer with its chat template, for episodes.

    Args:
        tokenizer: A Hugging Face tokenizer.
        options: Further arguments of the template, e.g. ``{"enable_thinking": True}``.

    Attributes:
        turn_end: The token that ends a policy's turn, which the policy writes itself.

    Raises:
        UsageError: There is no chat template, or it closes no turn with a control token.
    """

    def __init__(self, tokenizer: Any, options: Mapping[str, Any] | None = None) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise UsageError("the tokenizer has no chat template: name a policy that can chat")
        self.tokenizer, self.options = tokenizer, dict(options or {})
        self.turn_end = self._tail([{"role": "user", "content": "x"}])[0]
        control = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        if self.turn_end not in control:
            found = tokenizer.decode([self.turn_end])
            raise UsageError(
                "the chat template closes an assistant's turn with no control token, but with "
                f"{found!r}: its turns cannot be told from what follows"
            )
        opening = self.render([{"role": "user", "content": "x"}], generation=True)
        self._thought_is_open = opening.rstrip().endswith(_OPENED)
        self._context = lru_cache(maxsize=1024)(self._between)

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return what the policy sees before its first turn.

        Args:
            messages: System message where there is one, and the question.
        """
        return self.encode(self.render(messages, generation=True))

    def prompt_lengths(self, prompts: Sequence[Sequence[Mapping[str, Any]]]) -> list[int]:
        """Return how many tokens each of many prompts has.

        Args:
            prompts: What `prompt` takes, each.
        """
        texts = [self.render(messages, generation=True) for messages in prompts]
        encoded = self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        return [len(ids) for ids in encoded]

    def written(self, text: str, *, ends: bool = True) -> list[int]:
        """Return what the policy writes in one turn.

        Args:
            text: The turn's text.
            ends: Whether the token that ends the turn is written too.
        """
        if self._thought_is_open:
            text = text.removeprefix(_OPENED)
        return [*self.encode(text), *([self.turn_end] if ends else [])]

    def context(self, observation: str, role: str = "tool") -> list[int]:
        """Return what stands between a turn's end and the next turn.

        Args:
            observation: What the tools gave back.
            role: The role in which it is shown.
        """
        return list(self._context(observation, role))

    def render(self, messages: Sequence[Mapping[str, Any]], *, generation: bool) -> str:
        """Return a conversation as the template writes it.

        Args:
            messages: The conversation.
            generation: Whether the next turn of the policy is opened.
        """
        text: str = self.tokenizer.apply_chat_template(
            [_message(one) for one in messages],
            tokenize=False,
            add_generation_prompt=generation,
            **self.options,
        )
        return text

    def encode(self, text: str) -> list[int]:
        """Return a text as token ids, control tokens recognised and none added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def stream(
        self,
        messages: Sequence[Mapping[str, Any]],
        learn: Sequence[bool] | None = None,
        teacher: str = "",
    ) -> SFTExample:
        """Return an episode as token ids with its exact loss mask.

        Args:
            messages: A whole episode: a prompt, then turns of the policy and observations.
            learn: For each message whether it is learned from; without it, all the policy's turns.
            teacher: Name of who wrote it.

        Returns:
            All tokens, and a mask of 1 on those that the policy wrote and should learn.

        Raises:
            UsageError: The policy wrote nothing, or something else than a turn is to be learned.
        """
        roles = [message["role"] for message in messages]
        wanted = list(learn) if learn is not None else [role == "assistant" for role in roles]
        if "assistant" not in roles or len(wanted) != len(roles):
            raise UsageError(f"expected turns of an assistant and a mark for each, got {roles}")
        start = roles.index("assistant")
        if any(mark and role != "assistant" for mark, role in zip(wanted, roles, strict=True)):
            raise UsageError(f"only an assistant's turns can be learned from, got {wanted}")
        ids = self.prompt(messages[:start])
        mask = [0] * len(ids)
        for at in range(start, len(messages)):
            text = messages[at]["content"]
            new = self.written(text) if roles[at] == "assistant" else self.context(text, roles[at])
            ids += new
            mask += [int(wanted[at])] * len(new)
        return SFTExample(input_ids=ids, loss_mask=mask, teacher=teacher)

    def _between(self, text: str, role: str) -> tuple[int, ...]:
        return tuple(self._tail([_message({"role": role, "content": text})])[1:])

    def _tail(self, following: list[dict[str, str]]) -> list[int]:
        """Return the tokens between an assistant's text and its next turn."""
        messages: list[dict[str, str]] = [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": _MARK},
            *following,
        ]
        rendered = self.render(messages, generation=True)
        before, mark, tail = rendered.partition(_MARK)
        if not mark or not tail:
            raise UsageError(
                "the chat template leaves an assistant's text out: expected it between "
                f"{before[-40:]!r} and what follows"
            )
        return self.encode(tail)


ROLES = ("assistant", "system", "tool", "user")
"""Roles that a conversation has."""


def _message(given: Mapping[str, Any]) -> dict[str, str]:
    """Return a message as chat templates take it, its role checked."""
    if given["role"] not in ROLES:
        raise UnknownNameError("role", given["role"], ROLES)
    return {"role": given["role"], "content": given["content"]}
