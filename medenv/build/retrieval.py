"""Corpus and retriever settings to a retriever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medenv.build.plugins import retriever_factory
from medenv.build.settings import CorpusSettings, RetrieverSettings
from medenv.kg import Graph
from medenv.records import Retriever


def prepare_corpus(
    corpus: CorpusSettings,
    retriever: RetrieverSettings,
    graph: Graph | None,
    index: Path | None,
    root: Path,
    say: Callable[[str], object],
) -> str | None:
    """Return what the retriever opens."""
    if corpus.source == "none":
        return None
    if corpus.path:
        return corpus.path
    return None if index is None else str(index)


def open_retriever(retriever: RetrieverSettings, corpus: str) -> Retriever:
    """Open a retriever over a prepared corpus."""
    factory, options = retriever_factory({retriever.name: retriever.options})
    opened: Retriever = factory(corpus, **options)
    return opened
