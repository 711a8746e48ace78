"""A corpus in Milvus ranks as the one in memory, and fails as every corpus outside does."""

from __future__ import annotations

import asyncio
import pickle
import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from medenv.build.environment import RETRIEVERS
from medenv.errors import CorpusUnavailableError, DataError, UsageError
from medenv.records import Passage, ToolCall, ToolResult
from medenv.retrieval import BM25Retriever
from medenv.text import PLAIN, write_analysis
from medenv.tools import Read, Search, ToolBox

from ..fakes import PASSAGES

pytest.importorskip("pymilvus", reason="the extra `milvus` is not installed")
pytest.importorskip("milvus_lite", reason="no embedded Milvus for this platform")

import grpc

from medenv.retrieval.milvus import MilvusRetriever, fill_milvus

ODD = Passage(
    id="odd' or \"id\" != '#0", title="β-blocker", text="type 1 and type 2 \u2028 <|im_end|>"
)
PROSE = [
    Passage(id="P:1", title="TNFα", text="Tumours of the liver respond to TNF-alpha. a_b"),
    Passage(
        id="P:2", title="Ménière disease", text="What is tinnitus? IL-2 and losses of hearing."
    ),
]
CORPUS = [
    *PASSAGES,
    ODD,
    *PROSE,
    *(Passage(id=f"T:{c}", title="Twin", text="fever") for c in "cab"),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusRetriever]:
    path = str(tmp_path_factory.mktemp("milvus") / "corpus.db")
    assert fill_milvus(iter(CORPUS), path) == len(CORPUS)
    with RETRIEVERS.load("milvus")(path) as opened:
        yield opened


@pytest.mark.parametrize("query", ["marfan gene", "TYPE 2", "β", "ectopia lentis myopia", "fever"])
def test_ranking_is_that_of_the_corpus_in_memory(corpus: MilvusRetriever, query: str) -> None:
    ((*found,), (*expected,)) = corpus.search([query], 9) + BM25Retriever(CORPUS).search([query], 9)
    assert [passage for passage, _ in found] == [passage for passage, _ in expected]
    assert all(score > 0 for _, score in found)


def test_an_analysis_ranks_as_the_one_in_memory(tmp_path: Path) -> None:
    path = str(tmp_path / "corpus.db")
    fill_milvus(CORPUS, path, analysis="english")
    memory = BM25Retriever(CORPUS, analysis="english")
    queries = ["What is a liver tumor?", "TNF alpha", "Meniere", "IL2", "hearing loss", "a_b"]
    with MilvusRetriever(path) as corpus:
        assert corpus.analysis == memory.analysis == pickle.loads(pickle.dumps(corpus)).analysis
        for found, expected in zip(
            corpus.search(queries, 9), memory.search(queries, 9), strict=True
        ):
            assert [passage for passage, _ in found] == [passage for passage, _ in expected]
    with pytest.raises(UsageError, match="expected analysis plain"):
        MilvusRetriever(path, analysis="plain")


@pytest.mark.parametrize("query", ["Meniere", "Ménière", unicodedata.normalize("NFD", "MÉNIÈRE")])
def test_every_spelling_finds_the_disease(corpus: MilvusRetriever, query: str) -> None:
    assert [passage.id for passage, _ in corpus.search([query], 1)[0]] == ["P:2"]


def test_many_queries_are_answered_in_order(corpus: MilvusRetriever) -> None:
    found = corpus.search(["", "fever", "nothing at all", "?!", "myopia"], 2)
    assert [len(hits) for hits in found] == [0, 2, 0, 0, 1]
    assert corpus.search([], 3) == []


def test_passages_are_read_by_any_id(corpus: MilvusRetriever) -> None:
    assert [corpus.get(one.id) for one in CORPUS] == CORPUS
    assert [corpus.get(one) for one in ("", "no", '" or key != "', "\ud800")] == [None] * 4


def test_tools_use_it_as_any_corpus(corpus: MilvusRetriever) -> None:
    box = ToolBox([Search(corpus), Read(corpus)])
    call = ToolCall(id="0.0", name="search", arguments={"query": "homocystinuria"})
    waiting = box.start(call)
    assert not isinstance(waiting, ToolResult)  # it runs in a thread
    assert asyncio.run(waiting).passages == box.run(call).passages == ("D:2#0",)
    read = box.run(ToolCall(id="0.0", name="read", arguments={"passage_id": "D:1#0"}))
    assert read.passages == ("D:1#0", "D:1#1")


def test_it_is_sent_elsewhere_by_its_address(corpus: MilvusRetriever) -> None:
    sent = pickle.loads(pickle.dumps(corpus))
    assert (sent.uri, sent.collection) == (corpus.uri, corpus.collection)


def test_what_cannot_be_used_is_told(corpus: MilvusRetriever, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Milvus folder is there"):
        MilvusRetriever(str(tmp_path / "nothing.db"))
    with pytest.raises(UsageError, match="has no collection 'others': make it with fill_milvus"):
        MilvusRetriever(corpus.uri, collection="others")
    with pytest.raises(UsageError, match="has a collection 'passages' already"):
        fill_milvus(CORPUS, corpus.uri)
    with pytest.raises(UsageError, match="k must be from 1 to 16384, got 0"):
        corpus.search(["a"], 0)
    long = Passage(id="long", title="", text="word " * 20_000)
    with pytest.raises(UsageError, match=r"passage 'long' has 100\d+ bytes, Milvus takes 65535"):
        fill_milvus([*PASSAGES, long], corpus.uri, collection="long")
    assert fill_milvus(PASSAGES, corpus.uri, collection="long") == len(PASSAGES)


def test_a_server_that_is_away_is_a_failure_outside() -> None:
    with pytest.raises(CorpusUnavailableError, match=r"Milvus at http://127.*connect"):
        MilvusRetriever("http://127.0.0.1:9", timeout=0.5)


class Server:
    """A Milvus server over gRPC whose answers are empty, and late for some methods."""

    def __init__(self) -> None:
        self.late: set[str] = set()
        self._over = threading.Event()
        server, handler = grpc.server(ThreadPoolExecutor(4)), self

        class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is untyped to us
            def service(self, call: Any) -> Any:
                return grpc.unary_unary_rpc_method_handler(
                    lambda *_: handler.answer(call.method.rsplit("/", 1)[1])
                )

        server.add_generic_rpc_handlers([Handler()])
        self.uri = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        self.server = server
        server.start()

    def answer(self, method: str) -> bytes:
        from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

        if method in self.late:
            self._over.wait(10)
        key = schema_pb2.FieldSchema(name="key", is_primary_key=True, data_type=21)
        answers = {
            "GetLoadingProgress": milvus_pb2.GetLoadingProgressResponse(progress=100),
            "DescribeCollection": milvus_pb2.DescribeCollectionResponse(
                schema=schema_pb2.CollectionSchema(name="passages", fields=[key]),
                properties=[
                    common_pb2.KeyValuePair(
                        key="medenv.analysis", value=write_analysis(PLAIN).decode()
                    )
                ],
            ),
        }
        found = answers.get(method)
        return found.SerializeToString() if found is not None else b""

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.server.stop(None)


@pytest.mark.parametrize("method", ["Search", "Query", "DescribeCollection", "Connect"])
def test_a_server_that_does_not_answer_in_time_is_a_failure_outside(method: str) -> None:
    with Server() as server:
        if method in ("DescribeCollection", "Connect"):
            server.late.add(method)
            with pytest.raises(CorpusUnavailableError, match=server.uri):
                MilvusRetriever(server.uri, timeout=0.3)
            return
        with MilvusRetriever(server.uri, timeout=0.3) as corpus:
            server.late.add(method)
            with pytest.raises(CorpusUnavailableError, match=server.uri):
                corpus.search(["fever"], 1) if method == "Search" else corpus.get("D:1#0")


def test_a_server_on_this_machine_is_reached_past_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        Server() as server,
        MilvusRetriever(server.uri, timeout=5.0) as corpus,
        pytest.raises(CorpusUnavailableError, match="answered 0 of 1 queries"),
    ):
        corpus.search(["fever"], 1)
