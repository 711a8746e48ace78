"""A corpus over HTTP: what the server says, and how clients live with its failures."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import httpx
import msgspec
import pytest
import uvicorn

from medenv.build.environment import make_parts
from medenv.errors import CorpusUnavailableError, UsageError
from medenv.records import Passage, Retriever, Scored
from medenv.retrieval import BM25Retriever
from medenv.retrieval.remote import RemoteRetriever
from medenv.rollouts.driver import RolloutRetryPolicy
from medenv.serving.corpus import MAX_BODY, CorpusServer

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
        rollouts = parts.rollouts(RolloutRetryPolicy(timeout=30.0))
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
    with pytest.raises(CorpusUnavailableError, match="invalid response"):
        client("http://proxy", transport=transport).search(["a"], 1)


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(UsageError, match="must be at least 1, got 0, 256"):
        CorpusServer(BM25, max_waiting=0)


class Fragile(Shelf):
    """A corpus that fails on some queries, each in a way of its own."""

    ways: ClassVar[dict[str, Callable[[], BaseException]]] = {
        "bug": lambda: ValueError("a bug"),
        "stop": lambda: StopIteration(),
        "exit": lambda: SystemExit(3),
        "away": lambda: CorpusUnavailableError("the disk is gone"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.go, self.batches = threading.Event(), list[int]()

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        self.batches.append(len(queries))
        if "first" in queries:
            self.go.wait(5)
        for query in queries:
            if query in self.ways:
                raise self.ways[query]()
        found = super().search(queries, k)
        return found[:-1] if "short" in queries else found

    def get(self, passage_id: str) -> Passage | None:
        if passage_id in self.ways:
            raise self.ways[passage_id]()
        return super().get(passage_id)


def asked(url: str, query: str) -> int:
    """The status of a search."""
    body = {"queries": [query], "k": 1}
    return httpx.post(f"{url}/search", json=body, timeout=10.0).status_code


@pytest.mark.parametrize(
    ("query", "status"), [("bug", 500), ("stop", 500), ("exit", 500), ("short", 500), ("away", 503)]
)
def test_whatever_a_retriever_raises_every_request_is_answered(query: str, status: int) -> None:
    fragile = Fragile()
    with serving(fragile, free_port()) as url, ThreadPoolExecutor(8) as pool:
        first = pool.submit(asked, url, "first")
        while not fragile.batches:
            time.sleep(0.005)
        others = [pool.submit(asked, url, one) for one in ("good", query, "good")]
        while httpx.get(f"{url}/health").json()["waiting"] < 4:
            time.sleep(0.005)
        fragile.go.set()
        assert first.result() == 200
        # A bug is of one query; a backend that is away is away for all that were searched with it.
        expected = [200, status, 200] if status == 500 else [503] * 3
        assert [one.result() for one in others] == expected
        assert fragile.batches[1] == 3  # they were searched together
        assert asked(url, "good") == 200
        state = httpx.get(f"{url}/health").json()
        assert (state["waiting"], state["served"]) == (0, 5)


@pytest.mark.parametrize("way", Fragile.ways)
def test_reading_is_answered_too(way: str) -> None:
    with serving(Fragile(), free_port()) as url:
        status = httpx.get(f"{url}/passages/{way}").status_code
        assert status == (503 if way == "away" else 500)
        assert httpx.get(f"{url}/passages/D:1%230").status_code == 200


def test_a_client_that_went_away_leaves_nobody_else_without_an_answer() -> None:
    async def ask(app: CorpusServer, query: str) -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            body = msgspec.json.encode({"queries": [query], "k": 1})
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await app({"type": "http", "method": "POST", "path": "/search"}, receive, send)
        return int(sent[0]["status"])

    async def played() -> list[int]:
        fragile = Fragile()
        app = CorpusServer(fragile)
        first = asyncio.create_task(ask(app, "first"))
        while not fragile.batches:
            await asyncio.sleep(0.005)
        gone = asyncio.create_task(ask(app, "away"))
        good = asyncio.create_task(ask(app, "good"))
        await asyncio.sleep(0.01)
        gone.cancel()
        fragile.go.set()
        return [await asyncio.wait_for(one, 5) for one in (first, good)]

    assert asyncio.run(played()) == [200, 503]


def test_a_bug_of_a_served_retriever_is_a_failure_outside_at_once(client: Any) -> None:
    waits: list[float] = []
    with serving(Fragile(), free_port()) as url:
        remote = client(url, patience=30.0, sleep=waits.append)
        with pytest.raises(CorpusUnavailableError, match="ValueError: a bug"):
            remote.search(["bug"], 1)
    assert waits == []


def test_more_queries_than_can_ever_wait_are_refused_and_not_put_off(client: Any) -> None:
    with (
        serving(Shelf(), free_port(), max_waiting=8) as url,
        pytest.raises(UsageError, match="expected 1 to 8 queries"),
    ):
        client(url, patience=30.0).search(["a"] * 9, 1)
