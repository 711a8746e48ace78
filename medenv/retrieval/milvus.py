"""A corpus in Milvus: embedded in a folder for small ones, a cluster for those of many machines."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from medenv.errors import CorpusUnavailableError, DataError, UsageError, describe, require
from medenv.io.network import route_to
from medenv.records import Passage
from medenv.text import (
    Analyse,
    Analysis,
    AnalysisLike,
    analyser,
    analysis_of,
    read_analysis,
    write_analysis,
)

COLLECTION = "passages"
MAX_K = 16_384
"""Most passages that Milvus finds for one query."""

_TEXT = 65_535
_ANALYSIS = "medenv.analysis"  # property of a collection
_BATCH = 500
_FILL_TIMEOUT = 60.0  # of each step of filling a collection, seconds
_T = TypeVar("_T")
_decode = msgspec.json.Decoder(Passage).decode


class MilvusRetriever:
    """Ranks the passages of a Milvus collection by BM25, best first, equal scores by passage id.

    Passages and queries become terms here, as for `BM25Retriever`, by the analysis that the
    collection was made by; Milvus weighs them. Safe to call from many threads; another process
    connects anew.

    Args:
        uri: Where `fill_milvus` put the passages: a path, or the address of a server, e.g.
            ``"http://milvus:19530"``.
        collection: Name of the collection.
        analysis: The analysis that the collection has to be of, or None for any.
        token: What the server asks for, ``"user:password"`` or a key; by default the environment
            variable ``MILVUS_TOKEN``.
        timeout: Longest wait for an answer, seconds.

    Raises:
        UsageError: No `pymilvus`, no such collection, or one of another analysis.
        DataError: Nothing is at the path, or the collection was made by another release.
        CorpusUnavailableError: The server did not answer.
    """

    local = False

    def __init__(
        self,
        uri: str,
        *,
        collection: str = COLLECTION,
        analysis: AnalysisLike | None = None,
        token: str = "",
        timeout: float = 10.0,
    ) -> None:
        self.uri, self.collection, self._timeout = str(uri), collection, timeout
        self._token = token or os.environ.get("MILVUS_TOKEN", "")
        self._client: tuple[int, Any] | None = None
        if "://" not in self.uri and not Path(self.uri).exists():
            raise DataError(self.uri, "no Milvus folder is there: make it with fill_milvus")
        if not self._ask(lambda client: client.has_collection(collection, timeout=timeout)):
            raise UsageError(f"{uri} has no collection {collection!r}: make it with fill_milvus")
        described = self._ask(
            lambda client: client.describe_collection(collection, timeout=timeout)
        )
        note = described["properties"].get(_ANALYSIS, "")
        self.analysis = read_analysis(note, f"{self.uri}, {collection}", analysis)
        self._ask(lambda client: client.load_collection(collection, timeout=timeout))

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query up to `k` passages with their scores, best first.

        Args:
            queries: Plain words, no operators.
            k: How many, from 1 to `MAX_K`.

        Raises:
            UsageError: `k` out of range.
            CorpusUnavailableError: The server did not answer.
        """
        if not 1 <= k <= MAX_K:
            raise UsageError(f"k must be from 1 to {MAX_K}, got {k}")
        analyse = analyser(self.analysis)
        words = [_words(analyse(query)) for query in queries]
        asked = [text for text in words if text]
        answers = self._ask(lambda client: self._search(client, asked, k)) if asked else []
        if len(answers) != len(asked):
            raise CorpusUnavailableError(
                f"Milvus at {self.uri} answered {len(answers)} of {len(asked)} queries"
            )
        found = iter(answers)
        return [_hits(next(found)) if text else [] for text in words]

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None where there is none.

        Raises:
            CorpusUnavailableError: The server did not answer.
        """
        found = self._ask(
            lambda client: client.get(
                self.collection,
                [_key(passage_id)],
                output_fields=["passage"],
                timeout=self._timeout,
            )
        )
        return _decode(found[0]["passage"]) if found else None

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None and self._client[0] == os.getpid():
            self._client[1].close()
        self._client = None

    def __enter__(self) -> MilvusRetriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _search(self, client: Any, asked: list[str], k: int) -> list[Any]:
        found: list[Any] = client.search(
            self.collection,
            asked,
            anns_field="sparse",
            limit=k,
            output_fields=["passage"],
            search_params={"metric_type": "BM25"},
            timeout=self._timeout,
        )
        return found

    def _ask(self, question: Callable[[Any], _T]) -> _T:
        """Ask the server, connecting where this process has not yet."""
        if self._client is None or self._client[0] != os.getpid():
            self._client = os.getpid(), _connect(self.uri, self._token, self._timeout)
        return _answered(self.uri, lambda: question(self._client[1] if self._client else None))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}


def fill_milvus(  # noqa: PLR0913 - what, where to, and what decides on the ranking
    passages: Iterable[Passage],
    uri: str,
    *,
    collection: str = COLLECTION,
    analysis: AnalysisLike = "plain",
    token: str = "",
    k1: float = 1.5,
    b: float = 0.75,
) -> int:
    """Make a collection of passages, some hundred at a time, so that they need not fit in memory.

    Args:
        passages: Passages of different ids, none longer than 64 kB.
        uri: A path, or the address of a server.
        collection: Name of the collection.
        analysis: How passages and queries become terms, see `medenv.text.Analysis`.
        token: What the server asks for; by default the environment variable ``MILVUS_TOKEN``.
        k1: How slowly repeated words saturate.
        b: How much long passages are discounted.

    Returns:
        How many passages it holds.

    Raises:
        UsageError: No `pymilvus`, a collection of that name, or a passage that is too long.
        CorpusUnavailableError: The server did not answer.
    """
    analysis = analysis_of(analysis)
    client = _connect(uri, token or os.environ.get("MILVUS_TOKEN", ""), _FILL_TIMEOUT)
    with contextlib.ExitStack() as undone:
        undone.callback(client.close)
        if _answered(uri, lambda: client.has_collection(collection, timeout=_FILL_TIMEOUT)):
            raise UsageError(f"{uri} has a collection {collection!r} already: name another one")
        undone.callback(client.drop_collection, collection)
        _answered(uri, lambda: _create(client, collection, analysis, k1, b))
        count, rows = 0, map(functools.partial(_row, analyser(analysis)), passages)
        while batch := list(itertools.islice(rows, _BATCH)):
            insert = functools.partial(client.insert, collection, batch, timeout=_FILL_TIMEOUT)
            _answered(uri, insert)
            count += len(batch)
        undone.pop_all()
        client.close()
        return count


def _create(client: Any, collection: str, analysis: Analysis, k1: float, b: float) -> None:
    from pymilvus import DataType, Function, FunctionType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("passage", DataType.VARCHAR, max_length=_TEXT)
    schema.add_field(
        "words",
        DataType.VARCHAR,
        max_length=_TEXT,
        enable_analyzer=True,
        analyzer_params={"tokenizer": "standard"},
    )
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    weigh = Function(
        name="bm25",
        function_type=FunctionType.BM25,
        input_field_names=["words"],
        output_field_names=["sparse"],
    )
    schema.add_function(weigh)
    index = client.prepare_index_params()
    index.add_index(
        field_name="sparse",
        index_type="SPARSE_INVERTED_INDEX",
        metric_type="BM25",
        params={"bm25_k1": k1, "bm25_b": b},
    )
    client.create_collection(
        collection,
        schema=schema,
        index_params=index,
        consistency_level="Strong",
        properties={_ANALYSIS: write_analysis(analysis).decode()},
        timeout=_FILL_TIMEOUT,
    )


def _words(terms: Iterable[str]) -> str:
    """Return terms as the words of a text; an underscore would part them on a server."""
    return " ".join(terms).replace("_", "ꞏ")


def _row(analyse: Analyse, passage: Passage) -> dict[str, str]:
    encoded = msgspec.json.encode(passage)
    words = _words(analyse(passage.title) + analyse(passage.text))
    size = max(len(encoded), len(words.encode()))
    if size > _TEXT:
        raise UsageError(f"passage {passage.id!r} has {size} bytes, Milvus takes {_TEXT}")
    return {"key": _key(passage.id), "passage": encoded.decode(), "words": words}


def _key(passage_id: str) -> str:
    """Return a passage's key: letters and digits, since keys become part of a filter's text."""
    return hashlib.sha256(passage_id.encode("utf-8", "replace")).hexdigest()


def _hits(found: Iterable[Any]) -> list[tuple[Passage, float]]:
    """Return passages with scores; the embedded Milvus negates them, a server does not."""
    hits = [(_decode(one["entity"]["passage"]), abs(float(one["distance"]))) for one in found]
    return sorted((hit for hit in hits if hit[1] > 0), key=lambda hit: (-hit[1], hit[0].id))


def _connect(uri: str, token: str, timeout: float) -> Any:
    require("pymilvus", "milvus", "corpora in Milvus")
    from pymilvus import MilvusClient

    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what it logs, it also raises
    # gRPC reads the environment's proxies too; a server nearby is reached without them.
    options = {} if route_to(uri).proxy else {"grpc_options": {"grpc.enable_http_proxy": 0}}
    return _answered(uri, lambda: MilvusClient(str(uri), token=token, timeout=timeout, **options))


def _answered(uri: str, ask: Callable[[], _T]) -> _T:
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        return ask()
    except (MilvusException, OSError, grpc.RpcError, grpc.FutureTimeoutError) as error:
        # pymilvus passes a deadline of gRPC on as it is; its own timeouts are MilvusExceptions.
        raise CorpusUnavailableError(
            f"Milvus at {uri}{route_to(uri)}: {describe(error)}"
        ) from error
