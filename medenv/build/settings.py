"""The settings of a run: one record for each config group, and what every recipe composes from.

graph × corpus × retriever × questions × env × scoring × policy × hardware. Hydra's schema is
generated from these records, so a field that is added here is a config key. See docs/pipeline.md.
"""

from __future__ import annotations

from typing import Any

import msgspec

from medenv.errors import UnknownNameError, UsageError
from medenv.records import Record

AUTO = "auto"
"""What follows from the questions: their own graph and corpus, or else the defaults."""

CORPORA = (AUTO, "documents", "files", "none")
"""Where a corpus can come from."""


class CorpusSettings(Record, frozen=True, kw_only=True):
    """The config group `corpus`.

    Args:
        source: ``"auto"`` for the corpus that the questions came with, ``"documents"`` for the
            documents of the graph, ``"files"`` for passages of one's own, or ``"none"``.
        path: Own passages: a JSONL file of passages, a folder of text, Markdown and HTML files,
            a saved index, or the URL of a corpus server or of Milvus.

    Raises:
        UnknownNameError: An unknown source.
        UsageError: Files without a path, or a path beside another source.
    """

    source: str = AUTO
    path: str | None = None

    def __post_init__(self) -> None:
        """Validate the settings."""
        if self.source not in CORPORA:
            raise UnknownNameError("corpus", self.source, CORPORA)
        if self.source != AUTO and (self.source == "files") != (self.path is not None):
            raise UsageError(
                "expected corpus.path with corpus.source=files and no other source, got "
                f"source={self.source!r}, path={self.path!r}"
            )


class RetrieverSettings(Record, frozen=True, kw_only=True):
    """The config group `retriever`.

    Args:
        name: Name of a retriever: ``"bm25"``, ``"dense"``, ``"hybrid"``, ``"milvus"``,
            ``"remote"``, or one that a package offers.
        options: Its own options, e.g. ``{"analysis": "english"}``.
    """

    name: str = "bm25"
    options: dict[str, Any] = msgspec.field(default_factory=dict)
