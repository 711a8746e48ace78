"""What a corpus server and its clients say to each other, as JSON over HTTP."""

from __future__ import annotations

from medenv.records import Passage, Record


class SearchRequest(Record, frozen=True, kw_only=True):
    """Body of ``POST /search``.

    Args:
        queries: What is searched, at least one.
        k: Passages wanted for each.
    """

    queries: list[str]
    k: int


class SearchResponse(Record, frozen=True, kw_only=True):
    """Answer to ``POST /search``.

    Args:
        hits: For each query the passages with their scores, best first.
    """

    hits: list[list[tuple[Passage, float]]]
