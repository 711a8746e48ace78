"""Teachers behind an OpenAI-compatible endpoint, with or without masked guidance.

Only the request contains the guidance. The episode, used as training data, never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from medenv.dialects.base import Dialect
from medenv.llm.endpoint import Endpoint
from medenv.records import Message, Question, Record, Written
from medenv.trajectories.leaks import guidance_text

ToolRole = Literal["tool", "user"]
"""The role in which observations are sent: many endpoints refuse ``"tool"`` without a call id."""

MANNER = (
    "Before every call and before the answer, think in a few sentences between <think> and "
    "</think>: what has been shown, what is missing, what you do next. Write English."
)
"""Instructions to every teacher."""

GUIDANCE = (
    "For you alone: the answer is reached along the following path, of which you are given the "
    "relations but no entity.\n{path}\nLet it decide what you look up next. Never mention it, its "
    "notation, or that you were told anything: every thought rests on the question and on what "
    "tools have shown. Name no disease, gene or finding before a tool has shown it or the question "
    "has named it."
)
"""Further instructions to a guided teacher."""


class ServedSettings(Record, frozen=True, kw_only=True):
    """Request settings of a teacher.

    Args:
        tool_role: The role in which observations are sent.
        seeded: Whether each request has a seed, for servers that accept it.
        seed: Base of the request seeds, with the episode's number and turn.
        params: Further fields of every request.
    """

    tool_role: ToolRole = "user"
    seeded: bool = False
    seed: int = 0
    params: dict[str, Any] = msgspec.field(default_factory=dict)


class ServedTeacher:
    """A teacher behind a server.

    Args:
        endpoint: The server.
        dialect: Text format and stop strings.
        guided: Whether its prompt has the masked gold path.
        settings: The settings.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        *,
        guided: bool,
        settings: ServedSettings | None = None,
    ) -> None:
        self._endpoint, self._stop, self._guided = endpoint, list(dialect.stop), guided
        self._settings = settings or ServedSettings()

    def begin(self, question: Question, i: int = 0) -> ServedPolicy:
        """Return the policy for one episode.

        Args:
            question: The question.
            i: Number of the episode.
        """
        instructions = [MANNER]
        if self._guided:
            instructions.append(GUIDANCE.replace("{path}", guidance_text(question)))
        return ServedPolicy(
            self._endpoint, "\n\n".join(instructions), self._stop, self._settings, i
        )

    async def aclose(self) -> None:
        """Close the connections, in the event loop that used them."""
        await self._endpoint.aclose()


class ServedPolicy:
    """One episode of a served teacher.

    Args:
        endpoint: The server.
        instructions: End of the system message; may be empty.
        stop: Stop strings.
        settings: The settings.
        i: Number of the episode.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        instructions: str,
        stop: list[str],
        settings: ServedSettings,
        i: int,
    ) -> None:
        self._endpoint, self._instructions, self._stop = endpoint, instructions, stop
        self._settings, self._i = settings, i

    async def act(self, messages: Sequence[Message]) -> str:
        """Return the teacher's next text.

        Args:
            messages: The conversation so far.

        Raises:
            ModelUnavailableError: The server did not answer in any attempt.
        """
        return (await self.act_within(messages, None)).text

    async def act_within(self, messages: Sequence[Message], max_tokens: int | None) -> Written:
        """Return the teacher's next text with the tokens that the server counted.

        Args:
            messages: The conversation so far.
            max_tokens: Maximum tokens, or None for the limit of the settings.

        Raises:
            ModelUnavailableError: The server did not answer in any attempt.
        """
        params: dict[str, Any] = {"stop": self._stop, **self._settings.params}
        if max_tokens is not None:
            known = {**self._endpoint.settings.options, **params}
            name = "max_completion_tokens" if "max_completion_tokens" in known else "max_tokens"
            params[name] = min(known.get(name) or max_tokens, max_tokens)
        if self._settings.seeded:
            params["seed"] = (self._settings.seed * 1_000_003 + self._i) * 64 + len(messages)
        asked = with_instructions(messages, self._instructions, self._settings.tool_role)
        reply = await self._endpoint.aask(asked, **params)
        return Written(
            text=reply.text, tokens=reply.completion_tokens, tokens_read=reply.prompt_tokens
        )


def with_instructions(
    messages: Sequence[Message], instructions: str, tool_role: ToolRole
) -> list[Message]:
    """Return the conversation to send to a teacher.

    Args:
        messages: The conversation.
        instructions: End of the system message; may be empty.
        tool_role: The role in which observations are sent.
    """
    sent = [_observation(one) if one["role"] == "tool" else one for one in messages]
    if tool_role == "tool":
        sent = list(messages)
    if not instructions:
        return sent
    if sent and sent[0]["role"] == "system":
        first: Message = {"role": "system", "content": f"{sent[0]['content']}\n\n{instructions}"}
        return [first, *sent[1:]]
    return [{"role": "system", "content": instructions}, *sent]


def _observation(message: Message) -> Message:
    content = f"<tool_response>\n{message['content']}\n</tool_response>"
    return {"role": "user", "content": content}


def teacher_key(endpoint: Endpoint, settings: ServedSettings) -> str:
    """Return a key of the model and its sampling.

    Args:
        endpoint: The server.
        settings: The settings.
    """
    reached = endpoint.settings
    return msgspec.json.encode((reached.model, reached.options, settings)).decode()
