"""The read tool: shows a window of a passage's document."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator

from medenv.errors import UsageError
from medenv.records import Passage, Retriever
from medenv.text import fold
from medenv.tools.base import Tool, ToolOutput

MAX_FIND = 500
"""Maximum length of the text to find, characters."""
SHOWN_CHARS = 100
"""Minimum number of a passage's characters in the window for it to count as shown."""
_WORD = re.compile(r"\S+")


class Read(Tool):
    """Tool that reads a document from a given passage.

    Passages of one document have ids ``"<document>#0"``, ``"<document>#1"``, ... A passage counts
    as shown if the window contains `SHOWN_CHARS` of its characters, or all of a shorter passage.

    Args:
        retriever: The corpus.
        window_chars: Number of characters to show per call.

    Raises:
        UsageError: `window_chars` below 1.
    """

    name = "read"

    def __init__(self, retriever: Retriever, *, window_chars: int = 2000) -> None:
        if window_chars < 1:
            raise UsageError(f"window_chars must be at least 1, got {window_chars}")
        super().__init__()
        self.local = getattr(retriever, "local", True)
        self._retriever, self._window = retriever, window_chars

    def call(self, passage_id: str, start: int = 0, find: str = "") -> ToolOutput:
        """Read the text of a document, beginning at a passage that search has shown.

        Args:
            passage_id: Id of the passage as search shows it, without brackets.
            start: Character to begin at, to read on where an earlier window ended.
            find: Words to find at or after `start`; the window is then laid around them.
        """
        first = self._retriever.get(passage_id)
        if first is None:
            text = f"there is no passage {passage_id[:80]!r}: use an id that search has shown"
            return ToolOutput(text=text, status="bad_call")
        if start < 0:
            return ToolOutput(text=f"start must be 0 or more, got {start}", status="bad_call")
        if len(find) > MAX_FIND:
            text = f"find takes at most {MAX_FIND} characters, got {len(find)}"
            return ToolOutput(text=text, status="bad_call")
        if find.strip():
            position = self._find(first, start, find)
            if position is None:
                text = f"{find[:80]!r} does not occur at or after character {start}"
                return ToolOutput(text=text, status="empty")
            start = max(start, position - self._window // 4)
        return self._window_from(first, start)

    def _window_from(self, first: Passage, start: int) -> ToolOutput:
        """Return the window of the document that starts at a character."""
        pieces, shown, begin, end = [], [], 0, start + self._window
        more = False
        for passage in self._document(first):
            if begin >= end:
                more = True
                break
            piece = passage.text[max(0, start - begin) : end - begin]
            if piece:
                pieces.append(piece)
                if len(piece) >= min(SHOWN_CHARS, len(passage.text)):
                    shown.append(passage.id)
            more = begin + len(passage.text) > end
            begin += len(passage.text) + 1
        if not pieces:
            return ToolOutput(text=f"the document ends before character {start}", status="empty")
        tail = f"\n… (it goes on: start={end})" if more else ""
        text = f"{first.title}: " + "\n".join(pieces) + tail
        return ToolOutput(text=text, passages=tuple(shown), numbered=False)

    def _find(self, first: Passage, start: int, words: str) -> int | None:
        """Return the position of words in any spelling and spacing, or None.

        The position is approximate if folding changes the length of a word.
        """
        text = "\n".join(passage.text for passage in self._document(first))[start:]
        target, folded = " ".join(fold(words).split()), fold(text)
        if not target:
            return None
        if len(folded) == len(text) and "  " not in folded:
            offset = folded.find(target)
            return None if offset < 0 else start + offset
        matches = ((word.start(), " ".join(fold(word[0]).split())) for word in _WORD.finditer(text))
        visible = [(begin, word) for begin, word in matches if word]
        offset = " ".join(word for _, word in visible).find(target)
        if offset < 0:
            return None
        ends = list(itertools.accumulate(len(word) + 1 for _, word in visible))
        number = bisect.bisect_right(ends, offset)
        begin, word = visible[number]
        return start + begin + offset - (ends[number] - len(word) - 1)

    def _document(self, passage: Passage) -> Iterator[Passage]:
        """Yield the passage and the following passages of its document."""
        yield passage
        document, _, number = passage.id.rpartition("#")
        if not document or not number.isdecimal():
            return
        for following in itertools.count(int(number) + 1):
            found = self._retriever.get(f"{document}#{following}")
            if found is None:
                return
            yield found
