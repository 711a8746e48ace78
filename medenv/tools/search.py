"""The search tool: shows the best passages for a query, with ids for the read tool."""

from __future__ import annotations

from collections.abc import Iterable

from medenv.errors import UsageError
from medenv.records import Passage, Retriever, Status
from medenv.tools.base import Tool, ToolOutput

MAX_QUERIES = 8
"""Maximum number of queries per call."""

MAX_QUERY_CHARS = 2_000
"""Maximum length of a query; the time of a search, which blocks the event loop, grows with it."""

_QUERY_CHARS = 200  # of a query, shown above its results
_CACHED_LINES = 4_000  # per rank
_NOTHING = "No passage matches; try other words."


class Search(Tool):
    """Tool that searches a corpus.

    Args:
        retriever: The corpus.
        k: Number of passages to show per query.
        snippet_chars: Number of characters to show of each passage's text.
        show_ids: Whether to show passage ids, which `Read` needs.

    Raises:
        UsageError: `k` or `snippet_chars` below 1.
    """

    name = "search"
    clean = True

    def __init__(
        self, retriever: Retriever, *, k: int = 3, snippet_chars: int = 400, show_ids: bool = True
    ) -> None:
        if k < 1 or snippet_chars < 1:
            raise UsageError(f"k and snippet_chars must be at least 1, got {k}, {snippet_chars}")
        super().__init__()
        self.local = getattr(retriever, "local", True)
        self._retriever, self._k = retriever, k
        self._snippet_chars, self._show_ids = snippet_chars, show_ids
        self._shown: list[dict[str, tuple[Passage, str]]] = [{} for _ in range(k)]

    def call(self, query: str | list[str]) -> ToolOutput:
        """Search the medical corpus; returns the best passages.

        Args:
            query: Words to look for, such as the name of a disease, gene or symptom; or a list.
        """
        queries = [query] if isinstance(query, str) else query
        if len(queries) == 1 and 0 < len(queries[0].strip()) <= MAX_QUERY_CHARS:  # the usual case
            return self._output(self._retriever.search(queries, self._k)[0])
        if problem := problem_of(queries):
            return ToolOutput(text=problem, status="bad_call")
        found = self._retriever.search(queries, self._k)
        numbers: dict[str, int] = {}  # one numbering for all queries, so that [n] is one passage
        parts = []
        for text, hits in zip(queries, found, strict=True):
            lines = [
                f"[{numbers.setdefault(passage.id, len(numbers) + 1)}]"
                + write_line(passage, self._snippet_chars, show_id=self._show_ids)
                for passage, _ in hits[: self._k]
            ]
            shown = text if len(text) <= _QUERY_CHARS else text[:_QUERY_CHARS] + "…"
            parts.append(f'"{shown}":\n' + ("\n".join(lines) or _NOTHING))
        status: Status = "ok" if numbers else "empty"
        return ToolOutput(text="\n\n".join(parts), status=status, passages=tuple(numbers))

    def _output(self, hits: list[tuple[Passage, float]]) -> ToolOutput:
        if not hits:
            return ToolOutput(text=_NOTHING, status="empty")
        ids: list[str] = []
        lines, shown = [], self._shown
        for passage, _ in hits if len(hits) <= self._k else hits[: self._k]:
            name = passage.id
            known = shown[len(ids)].get(name)
            if known is None or known[0] is not passage:
                known = self._line(passage, len(ids))
            ids.append(name)
            lines.append(known[1])
        return ToolOutput(text="\n".join(lines), passages=tuple(ids))

    def _line(self, passage: Passage, rank: int) -> tuple[Passage, str]:
        """Return the line of a result at a rank, from 0, and cache it."""
        cache = self._shown[rank]
        if len(cache) >= _CACHED_LINES:
            cache.clear()
        line = write_line(passage, self._snippet_chars, show_id=self._show_ids)
        line = line.encode("utf-8", "replace").decode()  # required by `clean`
        known = cache[passage.id] = passage, f"[{rank + 1}]{line}"
        return known


def show_hits(
    passages: Iterable[Passage], snippet_chars: int = 400, *, graded: bool = False
) -> str:
    """Return passages as numbered lines with their ids.

    Args:
        passages: The passages, best first.
        snippet_chars: Number of characters to show of each passage's text.
        graded: Whether to show source, kind and date of passages that have a kind or date.
    """
    lines = (
        f"[{n}]{write_line(hit, snippet_chars)}{_grade(hit) if graded else ''}"
        for n, hit in enumerate(passages, 1)
    )
    return "\n".join(lines)


def _grade(passage: Passage) -> str:
    if not passage.evidence and not passage.date:
        return ""
    return f" [{', '.join(filter(None, (passage.source, passage.evidence, passage.date)))}]"


def write_line(passage: Passage, snippet_chars: int, *, show_id: bool = True) -> str:
    """Return a passage as one line without its number: id, title, and the beginning of its text.

    Args:
        passage: The passage.
        snippet_chars: Number of characters to show of its text.
        show_id: Whether to show its id.
    """
    text = passage.text
    if len(text) > snippet_chars:
        text = text[:snippet_chars].rsplit(" ", 1)[0] + "…"
    if "\n" in text:
        text = " ".join(text.split())
    return f"{f' ({passage.id})' if show_id else ''} {passage.title}: {text}"


def problem_of(queries: list[str]) -> str:
    """Validate the queries of a call; return a description of the problem, or ``""``.

    Args:
        queries: The queries.
    """
    if len(queries) > MAX_QUERIES:
        return f"at most {MAX_QUERIES} queries at once, got {len(queries)}"
    if not queries or not all(map(str.strip, queries)):
        return "the query is empty: write words to look for"
    longest = max(len(query.strip()) for query in queries)
    if longest > MAX_QUERY_CHARS:
        return f"a query has at most {MAX_QUERY_CHARS} characters, got {longest}"
    return ""
