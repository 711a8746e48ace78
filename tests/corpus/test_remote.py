"""A corpus over HTTP: what the server says, and how clients live with its failures."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import uvicorn

from medenv.corpus import BM25Retriever
from medenv.corpus.remote import RemoteRetriever
from medenv.corpus.server import MAX_BODY, CorpusServer
from medenv.errors import CorpusUnavailableError, UsageError
from medenv.records import Passage, Retriever, Scored
from medenv.registry import make_parts
from medenv.rollout import Patience

from ..fakes import ANSWER, PASSAGES, SEARCH, Shelf, exact, question


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(retriever: Retriever, port: int, **options: int) -> Iterator[str]:
    """Serves a retriever from a thread of its own until the block ends."""
    config = uvicorn.Config(
        CorpusServer(retriever, **options), port=port, log_level="critical", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


BM25 = BM25Retriever(
    [*PASSAGES, Passage(id="odd/id #1?ü", title="Odd", text="an odd id β-blocker")]
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(BM25, free_port()) as url:
        yield url


@pytest.fixture
def client() -> Iterator[Any]:
    """Makes clients that are closed in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(RemoteRetriever(*args, **options))


def test_a_client_finds_what_the_corpus_finds(url: str, client: Any) -> None:
    remote = client(url)
    queries = ["marfan", "ectopia lentis", "nothing at all", "β-blocker"]
    assert remote.search(queries, 3) == BM25.search(queries, 3)
    assert remote.search([], 3) == []


@pytest.mark.parametrize("passage", [one.id for one in BM25.passages])
def test_a_client_reads_every_passage(url: str, passage: str, client: Any) -> None:
    remote = client(url)
    assert remote.get(passage) == BM25.get(passage)
    assert remote.get(passage + "x") is None


def test_a_client_can_be_sent_to_another_process(url: str, client: Any) -> None:
    with pickle.loads(pickle.dumps(client(url))) as remote:
        assert remote.get("D:1#0") == PASSAGES[0]


def test_the_server_says_that_it_is_well(url: str) -> None:
    state = httpx.get(f"{url}/health").json()
    assert (state["status"], state["waiting"]) == ("ok", 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b'{"queries": [], "k": 3}', 422),
        (b'{"queries": ["a"], "k": 0}', 422),
        (b'{"queries": ["a"], "k": 1001}', 422),
        (b'{"queries": [1], "k": 1}', 422),
        (b" " * (MAX_BODY + 1), 413),
    ],
    ids=["JSON", "none", "zero", "huge", "type", "long"],
)
def test_a_wrong_request_is_refused(url: str, body: bytes, status: int) -> None:
    answer = httpx.post(f"{url}/search", content=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert httpx.get(f"{url}/nothing").status_code == 404


def test_a_refused_request_is_the_callers_mistake(url: str, client: Any) -> None:
    with pytest.raises(UsageError, match=r"refused: .*k from 1 to 1000"):
        client(url).search(["a"], 5000)


class Slow(Shelf):
    """A corpus whose searches wait for a signal, and which knows how they were batched."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.batches: list[int] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        self.batches.append(len(queries))
        self.go.wait(5)
        return super().search(queries, k)


def test_what_waits_together_is_searched_together_and_too_much_is_refused(client: Any) -> None:
    slow = Slow()
    with serving(slow, free_port(), max_waiting=8) as url, ThreadPoolExecutor(16) as pool:
        busy = client(url, patience=0.0)
        waiting = [pool.submit(busy.search, ["a"], 1) for _ in range(8)]
        while httpx.get(f"{url}/health").json()["waiting"] < 8:
            time.sleep(0.005)
        with pytest.raises(CorpusUnavailableError, match="status 503"):
            busy.search(["one too many"], 1)
        slow.go.set()
        assert all(len(one.result()[0]) == 1 for one in waiting)
        assert sum(slow.batches) == 8
        assert len(slow.batches) < 8


def test_a_server_that_is_away_is_waited_for_and_no_episode_is_lost(client: Any) -> None:
    port = free_port()
    remote = client(f"http://127.0.0.1:{port}", patience=20.0)
    parts = make_parts(questions=[question()], corpus=remote, scoring=exact)

    class Thinker:
        """Answers when it has been shown something."""

        def act(self, messages: Sequence[Any]) -> str:
            return ANSWER if messages[-1]["role"] == "tool" else SEARCH

    async def played() -> list[Scored]:
        rollouts = parts.rollouts(Patience(timeout=30.0))
        return await rollouts.arun_all([(Thinker(), question(i)) for i in range(12)])

    with ThreadPoolExecutor(1) as pool:
        scored = pool.submit(asyncio.run, played())
        time.sleep(0.2)
        with serving(BM25, port):
            assert [one.score.total for one in scored.result(20)] == [1.0] * 12


def test_a_server_that_stays_away_is_a_failure_outside(client: Any) -> None:
    waits: list[float] = []
    away = client(f"http://127.0.0.1:{free_port()}", patience=0.3, sleep=waits.append)
    with pytest.raises(CorpusUnavailableError, match=r"corpus server http://127.*ConnectError"):
        away.search(["a"], 1)
    assert waits


@pytest.mark.parametrize("body", [b"<html>hello", b'{"results": "caf\xe9"}', b"[" * 100_000])
def test_an_answer_that_is_none_is_a_failure_outside(client: Any, body: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    with pytest.raises(CorpusUnavailableError, match="answered what no corpus server answers"):
        client("http://proxy", transport=transport).search(["a"], 1)


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(UsageError, match="must be at least 1, got 0, 256"):
        CorpusServer(BM25, max_waiting=0)
