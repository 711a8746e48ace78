"""The search tool: a query in, the best passages out, with the ids under which they can be read."""

from __future__ import annotations

from medenv.errors import UsageError
from medenv.records import Passage, Retriever
from medenv.tools.base import Tool, ToolOutput

_KEPT_LINES = 10_000


class Search(Tool):
    """Searches a corpus.

    Args:
        retriever: The corpus.
        k: Passages shown for a query.
        snippet_chars: Characters of each passage's text that are shown.
        show_ids: Whether passage ids are shown, which `Read` needs.

    Raises:
        UsageError: `k` or `snippet_chars` below 1.
    """

    name = "search"

    def __init__(
        self, retriever: Retriever, *, k: int = 3, snippet_chars: int = 400, show_ids: bool = True
    ) -> None:
        if k < 1 or snippet_chars < 1:
            raise UsageError(f"k and snippet_chars must be at least 1, got {k}, {snippet_chars}")
        super().__init__()
        self._retriever, self._k = retriever, k
        self._snippet_chars, self._show_ids = snippet_chars, show_ids
        self._lines: dict[str, tuple[Passage, str]] = {}

    def call(self, query: str) -> ToolOutput:
        """Search the medical corpus; returns the best passages.

        Args:
            query: Words to look for, such as the name of a disease, gene or symptom.
        """
        if not query.strip():
            return ToolOutput(text="the query is empty: write words to look for", status="bad_call")
        hits = self._retriever.search([query], self._k)[0]
        if not hits:
            return ToolOutput(text="No passage matches; try other words.", status="empty")
        return ToolOutput(
            text="\n".join([self._line(n, passage) for n, (passage, _) in enumerate(hits, 1)]),
            passages=tuple([passage.id for passage, _ in hits]),
        )

    def _line(self, number: int, passage: Passage) -> str:
        """Write one result on one line of its own; lines of passages shown before are kept."""
        known = self._lines.get(passage.id)
        if known is None or known[0] is not passage:
            if len(self._lines) >= _KEPT_LINES:
                self._lines.clear()
            known = self._lines[passage.id] = passage, self._written(passage)
        return f"[{number}]{known[1]}"

    def _written(self, passage: Passage) -> str:
        text = passage.text
        if len(text) > self._snippet_chars:
            text = text[: self._snippet_chars].rsplit(" ", 1)[0] + "…"
        if "\n" in text:
            text = " ".join(text.split())
        shown_id = f" ({passage.id})" if self._show_ids else ""
        return f"{shown_id} {passage.title}: {text}"
