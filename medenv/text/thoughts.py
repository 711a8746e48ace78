"""Where a model's thoughts end and what it says begins.

Text between ``<think>`` and ``</think>`` is thought. A ``</think>`` that nothing opened makes
thought of everything before it, tags and labels included: chat templates open the thought in the
prompt, and models quote the form of an answer while they think.
"""

from __future__ import annotations

import re

_END = "</think>"
_MARK = re.compile(r"</?think>")


def speech_start(text: str) -> int:
    """Return where the text goes on after the last ``</think>`` that nothing opened, or 0.

    Args:
        text: What a model wrote.
    """
    start, thinking = 0, False
    for mark in _MARK.finditer(text) if _END in text else ():
        opens = mark.group() != _END
        if not opens and not thinking:
            start = mark.end()
        thinking = opens
    return start


def separate(text: str) -> tuple[str, str]:
    """Return what a model thought and what it said; a thought that is never closed goes to the end.

    Args:
        text: What a model wrote.
    """
    if "think>" not in text:
        return "", text
    start = speech_start(text)
    thoughts, said = [_MARK.sub("", text[:start])], [""]
    position, thinking = start, False
    for mark in _MARK.finditer(text, start):
        (thoughts if thinking else said).append(text[position : mark.start()])
        position, thinking = mark.end(), mark.group() != _END
    (thoughts if thinking else said).append(text[position:])
    return "".join(thoughts), "".join(said)
