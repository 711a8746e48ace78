"""A running episode as a record: kept, sent elsewhere, and gone on with more than once."""

from __future__ import annotations

from typing import Literal

from medenv.records import Ending, Message, Parsed, Question, Record, ToolCall, Turn

Pending = tuple[str, Parsed, tuple[ToolCall, ...], tuple[str, ...], int]
"""A turn whose results are awaited: text, what was read, calls, problems, tokens."""

LastWord = Literal["tokens", "seconds"] | None
"""The budget that ran out before the policy was granted its last word, if it was."""


class Snapshot(Record, frozen=True, kw_only=True):
    """All that an episode is besides its rules; goes through JSON and back unchanged.

    Args:
        question: What was asked.
        seed: Seed of the episode.
        config_hash: Hash of the rules that it was played by.
        messages: The conversation so far.
        turns: The finished turns.
        pending: The turn whose results are awaited, or None.
        calls: Tool calls made.
        tokens: Tokens that the policy wrote.
        seconds: Wall-clock time used up.
        ending: Why it ended, or None while it runs.
        answer: The policy's answer, or None.
        failure: What failed, or ``""``.
        final_turn: The budget that had run out when the policy was granted a last word, if it was.
    """

    question: Question
    seed: int
    config_hash: str
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    pending: Pending | None
    calls: int
    tokens: int
    seconds: float
    ending: Ending | None
    answer: str | None
    failure: str
    final_turn: LastWord = None
