"""A corpus that a server serves, used like one in memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from medenv.errors import CorpusUnavailableError, UsageError, describe
from medenv.io import DecodingError, RetryPolicy, Waits, decode_json, retrying
from medenv.io.network import TOKEN_VARIABLE, route_to
from medenv.records import Passage
from medenv.retrieval.wire import SearchRequest, SearchResponse

_RETRIED = frozenset((429, 502, 503, 504))  # 500 is a retriever's bug, which stays
_RETRIES = RetryPolicy(attempts=sys.maxsize, backoff=0.05, longest_wait=5.0)
"""Time alone ends the tries."""


class RemoteRetriever:
    """Searches a corpus server; waits for one that is away or busy, within its patience.

    Sends the token of the environment variable ``MEDENV_TOKEN``, if it is set. Safe to call from
    many threads.

    Args:
        url: Address of the server, e.g. ``"http://127.0.0.1:8400"``.
        patience: Seconds for which a failing request is tried again.
        timeout: Seconds for one try.
        transport: Sends the requests; for tests and special networks.
        sleep: Waits, in seconds; for tests.
    """

    local = False

    def __init__(
        self,
        url: str,
        *,
        patience: float = 60.0,
        timeout: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self._patience, self._timeout = url.rstrip("/"), patience, timeout
        self._transport, self._sleep = transport, sleep
        self._open()

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query up to `k` passages with their scores, best first.

        Args:
            queries: What is searched.
            k: How many, at least 1.

        Raises:
            CorpusUnavailableError: The server did not answer within the patience.
            UsageError: It refused the request.
        """
        if not queries:
            return []
        body = msgspec.json.encode(SearchRequest(queries=list(queries), k=k))
        response = self._send("POST", "/search", body)
        found: SearchResponse = self._decoded(response, SearchResponse)
        return found.hits

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None where there is none.

        Raises:
            CorpusUnavailableError: The server did not answer within the patience.
        """
        response = self._send("GET", f"/passages/{quote(passage_id, safe='')}")
        return None if response.status_code == 404 else self._decoded(response, Passage)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> RemoteRetriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, method: str, path: str, body: bytes = b"") -> httpx.Response:
        """Send a request until it is answered or patience is at its end."""

        def attempt() -> httpx.Response:
            response = self._client.request(method, path, content=body)
            if response.status_code in _RETRIED:
                raise _BusyError(f"status {response.status_code}: {_beginning(response)}")
            return response

        waits = Waits(_RETRIES, jitter=0.5, seconds=self._patience)
        try:
            response = retrying(attempt, waits, (_BusyError, httpx.RequestError), self._sleep)
        except (_BusyError, httpx.RequestError) as error:
            problem = str(error) if isinstance(error, _BusyError) else describe(error)
            raise CorpusUnavailableError(
                f"corpus server {self.url}{self._route}: {problem}"
            ) from error
        if response.status_code >= 500:
            raise CorpusUnavailableError(f"corpus server {self.url}: {_beginning(response)}")
        if response.status_code not in (200, 404):
            raise UsageError(f"corpus server {self.url} refused: {_beginning(response)}")
        return response

    def _decoded(self, response: httpx.Response, type_: Any) -> Any:
        try:
            return decode_json(response.content, type_)
        except DecodingError as error:
            raise CorpusUnavailableError(
                f"{self.url} returned an invalid response: {error}"
            ) from error

    def _open(self) -> None:
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
        self._route = route_to(self.url)
        token = os.environ.get(TOKEN_VARIABLE)
        self._client = httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {token}"} if token else None,
            timeout=self._timeout,
            transport=self._transport or self._route.transport(limits=limits),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_client"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


class _BusyError(Exception):
    """The server is away or busy."""


def _beginning(response: httpx.Response) -> str:
    """Return the beginning of an answer, whatever charset it claims."""
    return response.content.decode("utf-8", "replace")[:200]
