"""Separate a model's private thoughts from its visible text.

Text between ``<think>`` and ``</think>`` is thought. After a ``</think>`` without an opening tag,
everything before it is thought, including tags and labels: chat templates open the thought in the
prompt, and models quote the answer format while they think.
"""

from __future__ import annotations

import re

_END = "</think>"
_MARK = re.compile(r"</?think>")


def visible_start(text: str) -> int:
    """Return the position after the last ``</think>`` without an opening tag, or 0.

    Args:
        text: Text of a model.
    """
    start, thinking = 0, False
    for mark in _MARK.finditer(text) if _END in text else ():
        opens = mark.group() != _END
        if not opens and not thinking:
            start = mark.end()
        thinking = opens
    return start


def split_thoughts(text: str) -> tuple[str, str]:
    """Return the thoughts and the visible text; an unclosed thought extends to the end.

    Args:
        text: Text of a model.
    """
    if "think>" not in text:
        return "", text
    start = visible_start(text)
    thoughts, visible = [_MARK.sub("", text[:start])], [""]
    position, thinking = start, False
    for mark in _MARK.finditer(text, start):
        (thoughts if thinking else visible).append(text[position : mark.start()])
        position, thinking = mark.end(), mark.group() != _END
    (thoughts if thinking else visible).append(text[position:])
    return "".join(thoughts), "".join(visible)
