"""Do the tokens of an episode survive being written down as messages and tokenised again?

A trainer that keeps messages and encodes them anew trains on what the chat template makes of them,
which need not be what the policy wrote: thoughts dropped, spaces trimmed, tokens merged across a
border. The report says for each template how many episodes differ, and where they first do.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from medenv.errors import UsageError
from medenv.integrations.hf.chat_tokens import ChatTokens
from medenv.records import Record
from medenv.trajectories.exports import Chat

Kind = Literal["same", "text", "tokens"]
"""Whether an episode survives, comes back as another text, or as other tokens of the same text."""

AROUND = 12
"""Tokens shown on both sides of the first difference."""


class Example(Record, frozen=True, kw_only=True):
    """An episode that does not survive.

    Args:
        question: Id of its question.
        kind: How it differs.
        at: Number of the first token that differs.
        generated: The text around it as it was generated.
        encoded: The text around it as it is encoded again.
    """

    question: str
    kind: Kind
    at: int
    generated: str
    encoded: str


class Drift(Record, frozen=True, kw_only=True):
    """What one chat template does to episodes.

    Args:
        template: Its name.
        episodes: Episodes that were tried.
        kinds: How many came back how.
        tokens: Tokens of all episodes as generated.
        lost: How many of them stand at other places or not at all when encoded again.
        examples: The first episodes that differ.
    """

    template: str
    episodes: int
    kinds: dict[Kind, int]
    tokens: int
    lost: int
    examples: tuple[Example, ...]

    @property
    def share(self) -> float:
        """Share of the episodes whose tokens differ."""
        return 1 - self.kinds.get("same", 0) / self.episodes


def drifts(tokenizer: Any, chats: Sequence[Chat], examples: int = 3) -> Iterator[Drift]:
    """Yield what each chat template of a tokenizer does to episodes.

    Args:
        tokenizer: A Hugging Face tokenizer.
        chats: Finished episodes.
        examples: Most examples of one template.

    Raises:
        UsageError: There is no episode or no template.
    """
    if not chats:
        raise UsageError("a drift report needs episodes, got none")
    found = getattr(tokenizer, "chat_template", None)
    templates = found if isinstance(found, dict) else {"default": found}
    for name, template in sorted(templates.items()):
        one = copy.copy(tokenizer)
        one.chat_template = template
        yield drift_of(name, ChatTokens(one), chats, examples)


def drift_of(name: str, chat: ChatTokens, chats: Sequence[Chat], examples: int = 3) -> Drift:
    """Return what a chat template does to episodes.

    Args:
        name: What the template is called.
        chat: The tokenizer with it.
        chats: Finished episodes.
        examples: Most examples.
    """
    kinds: Counter[Kind] = Counter()
    shown: list[Example] = []
    total = lost = 0
    for episode in chats:
        generated = chat.stream(episode.messages).input_ids
        encoded = chat.encode(chat.render(episode.messages, generation=False))
        at = _first_difference(generated, encoded)
        kind = _kind(chat, generated, encoded, at)
        kinds[kind] += 1
        total += len(generated)
        if kind != "same":
            lost += len(generated) - at
            if len(shown) < examples:
                shown.append(_example(chat, episode, kind, generated, encoded))
    return Drift(
        template=name,
        episodes=len(chats),
        kinds=dict(sorted(kinds.items())),
        tokens=total,
        lost=lost,
        examples=tuple(shown),
    )


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _kind(chat: ChatTokens, generated: list[int], encoded: list[int], at: int) -> Kind:
    """Return how an episode comes back; what a template adds behind the last turn is no drift."""
    if at == len(generated):
        return "same"
    whole, again = _text(chat, generated), _text(chat, encoded)
    return "tokens" if again.startswith(whole) else "text"


def _example(
    chat: ChatTokens,
    episode: Chat,
    kind: Kind,
    generated: list[int],
    encoded: list[int],
) -> Example:
    at = _first_difference(generated, encoded)
    window = slice(max(0, at - AROUND), at + AROUND)
    return Example(
        question=episode.question,
        kind=kind,
        at=at,
        generated=_text(chat, generated[window]),
        encoded=_text(chat, encoded[window]),
    )


def _text(chat: ChatTokens, ids: Sequence[int]) -> str:
    text: str = chat.tokenizer.decode(list(ids), skip_special_tokens=False)
    return text
