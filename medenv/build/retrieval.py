"""From passages to a retriever: an index that is built once, and opened in any process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medenv.build.plugins import retriever_factory
from medenv.build.settings import CorpusSettings, RetrieverSettings
from medenv.errors import UsageError
from medenv.io import atomic_folder, digest, file_digest
from medenv.kg import Documents, Graph
from medenv.kg.graph.archive import fingerprint
from medenv.records import Passage, Retriever
from medenv.retrieval.bm25 import ANALYSIS, save_bm25, saved_analysis
from medenv.retrieval.dense import ENCODER, save_dense, save_hybrid
from medenv.retrieval.disk import PASSAGES, read_passages, stored
from medenv.retrieval.loaders import open_passages
from medenv.text import analysis_of

FORMAT = 1
"""Raised when a saved index changes its form."""

INDEXERS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {"bm25": save_bm25, "dense": save_dense, "hybrid": save_hybrid}
)
"""Retrievers that open a folder, to what writes it: ``(passages, folder, **options) -> None``."""

NOTES = {"bm25": (ANALYSIS,), "dense": (ENCODER,), "hybrid": (ANALYSIS, ENCODER)}
"""Files that an index has which the retriever opens."""

SERVED = ("milvus", "remote")
"""Retrievers that ask a server, which has passages of its own."""


def prepare_corpus(
    corpus: CorpusSettings,
    retriever: RetrieverSettings,
    graph: Graph | None,
    index: Path | None,
    root: Path,
    say: Callable[[str], object] = lambda _: None,
) -> str | None:
    """Return what the retriever opens, building its index where there is none yet.

    An index is written to ``<root>/corpora/<fingerprint>``, and every run with the same passages
    and options uses it again. A retriever of another package opens a JSONL file of passages, or the
    path of the settings as it is.

    Args:
        corpus: Where the passages come from.
        retriever: How they are searched.
        graph: The graph whose documents they may be, or None.
        index: The saved index of the questions, or None; used as it is where it fits.
        root: Folder of all runs.
        say: Progress callback; receives what is done now.

    Returns:
        A folder, a file or a URL; None where there is no corpus.

    Raises:
        UsageError: The retriever cannot be opened on this corpus, or has an unknown name or option.
        DataError: A file is missing or malformed.
    """
    retriever_factory({retriever.name: retriever.options})  # an unknown name or option
    if corpus.source == "none":
        return None
    path = corpus.path
    notes = (PASSAGES, *NOTES.get(retriever.name, ()))
    if path is not None and (
        retriever.name not in INDEXERS or all((Path(path) / one).is_file() for one in notes)
    ):
        if retriever.name in (*INDEXERS, *SERVED):
            open_retriever(retriever, path)  # another analysis or encoder, a dead server
        return path
    if retriever.name in SERVED:
        raise UsageError(
            f"retriever {retriever.name} needs the address of its server: set corpus.source=files "
            "and corpus.path=URL"
        )
    auto = corpus.source == "auto" and index is not None
    if auto and index is not None and retriever.name == "bm25" and _fits(index, retriever):
        return str(index)
    source, passages = _passages(corpus, graph, index if auto else None)
    save = INDEXERS.get(retriever.name)
    taken = inspect.signature(save).parameters if save else {}
    given = retriever.options.items()
    options = {name: value for name, value in given if name in taken and value is not None}
    identity = {
        "format": FORMAT,
        "retriever": retriever.name if save else PASSAGES,
        "options": options,
        "encoder": _files(Path(str(options.get("encoder", "")))),
        "passages": source,
    }
    folder = root / "corpora" / digest(identity, 16)
    if not folder.is_dir():
        say(f"indexing passages for retriever {retriever.name}")
        with atomic_folder(folder, existing="keep") as built:
            if save is None:
                stored(passages()).save(built / PASSAGES)
            else:
                save(passages(), built, **options)
    return str(folder if save else folder / PASSAGES)


def open_retriever(retriever: RetrieverSettings, corpus: str) -> Retriever:
    """Open a prepared corpus, in any process.

    Args:
        retriever: How it is searched.
        corpus: What `prepare_corpus` returned.

    Raises:
        UsageError: An unknown name or option, or an index made with other options.
        DataError: A file is missing or malformed.
        CorpusUnavailableError: A server did not answer.
    """
    factory, options = retriever_factory({retriever.name: retriever.options})
    opened: Retriever = factory(corpus, **options)
    return opened


def _fits(index: Path, retriever: RetrieverSettings) -> bool:
    """Return whether a BM25 index is of the analysis that is asked for."""
    wanted = retriever.options.get("analysis")
    return wanted is None or saved_analysis(index) == analysis_of(wanted)


def _passages(
    corpus: CorpusSettings, graph: Graph | None, index: Path | None
) -> tuple[Any, Callable[[], Iterable[Passage]]]:
    """Return what identifies the passages, and a function that reads them."""
    if corpus.path is not None:
        path = Path(corpus.path)
        if not path.exists():
            raise UsageError(
                f"corpus.path={corpus.path!r} does not exist: expected a file or a folder of "
                "passages; the address of a server needs retriever=remote or retriever=milvus"
            )
        index = path if (path / PASSAGES).is_file() else None
        if index is None:
            return ["files", _files(path)], lambda: open_passages(path)
    if index is not None:
        store, sha = read_passages(index)
        return ["index", sha], lambda: store
    if graph is None:
        raise UsageError(
            f"corpus.source={corpus.source} needs a graph whose documents are searched: set graph, "
            "corpus.path, or corpus.source=none"
        )
    return ["documents", fingerprint(graph)], lambda: Documents(graph).passages


def _files(path: Path) -> list[list[str]]:
    """Return the names and digests of a file, or of all files in a folder."""
    if path.is_dir() and path != Path():
        return [
            [str(one.relative_to(path)), file_digest(one)]
            for one in sorted(path.rglob("*"))
            if one.is_file()
        ]
    return [[path.name, file_digest(path)]] if path.is_file() else []
