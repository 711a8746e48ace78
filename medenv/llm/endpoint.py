"""A language model behind any OpenAI-compatible chat endpoint: one small client for all uses.

Failures that may pass (no connection, 408, 409, 425, 429, 5xx, a reply that is no completion) are
tried again with growing waits; what remains is raised as `ModelUnavailableError`, an infrastructure
failure. A conversation too long for the model's context, and a reply cut before its text began, are
`TokensExhaustedError`: trying again does not help, and an episode ends by it as by any budget.
Redirects are not followed. The API key is read from the environment at each request, and is never
stored nor shown.
"""

from __future__ import annotations

import asyncio
import codecs
import itertools
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from medenv.errors import ModelUnavailableError, TokensExhaustedError, UsageError
from medenv.io import DecodingError, RetryPolicy, Waits, aretrying, decode_json, retrying
from medenv.io.network import route_to
from medenv.records import Message, Record
from medenv.text.thoughts import split_thoughts

if TYPE_CHECKING:
    import httpx

_AGAIN = frozenset((408, 409, 425, 429))
_SHOWN = 200
_JITTER = 0.25
_POOLS = 32
"""Number of pools of connections. For each request httpx looks several times through all of a
pool, which takes longer than the request where there are hundreds of connections."""
_OVERFLOW_CODES = frozenset(("context_length_exceeded", "exceed_context_size_error"))
_OVERFLOW_STATUSES = frozenset((400, 413, 422))
_OVERFLOW = re.compile(
    r"maximum model length|context (?:length|size|window)"
    r"|longer than the (?:model|maximum)|maximum allowed length|prompt is too long"
    r"|max_new_tokens` must be|input token count",
    re.IGNORECASE,
)
"""What servers say that give no code: vLLM, SGLang, text-generation-inference and others."""

_FENCE = re.compile(r"```(?:json)?(?![a-z])(.*)```", re.DOTALL | re.IGNORECASE)


class EndpointSettings(RetryPolicy, frozen=True, kw_only=True):
    """How a model is reached, and how often each request is tried.

    Args:
        url: Base URL, e.g. ``"http://localhost:8000/v1"``.
        model: Model name.
        key_variable: Environment variable that holds the API key; unset for none.
        attempts: Tries of one request in all.
        timeout: Longest wait for a reply, seconds.
        options: Further fields of every request, e.g. ``{"temperature": 0.6}``.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    attempts: int = 5
    timeout: float = 120.0
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the settings."""
        if not (self.url.startswith(("http://", "https://")) and self.model):
            raise UsageError(
                "a model endpoint needs a url that begins with http:// or https:// and a model,"
                f" got {self.url!r} and {self.model!r}"
            )
        if "@" in self.url.split("/")[2]:
            raise UsageError(
                "the url of a model endpoint carries a password; put the key into the"
                f" environment variable {self.key_variable} instead"
            )
        super().__post_init__()


class Reply(Record, frozen=True, kw_only=True):
    """What a model wrote.

    Args:
        text: The text.
        finish: Why it ended, e.g. ``"stop"``, or ``"length"`` where it was cut short.
        prompt_tokens: Tokens read, where the endpoint says so.
        completion_tokens: Tokens written, where the endpoint says so.
    """

    text: str
    finish: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Usage(msgspec.Struct):
    """What has been asked of an endpoint so far.

    Args:
        replies: Completions received.
        retries: Tries that failed and were made again.
        prompt_tokens: Tokens read, where the endpoint says so.
        completion_tokens: Tokens written, where the endpoint says so.
    """

    replies: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Pools(NamedTuple):
    """The connections of one event loop.

    Attributes:
        loop: The event loop.
        clients: A client for each pool.
        in_turn: The clients, one after the other without end.
    """

    loop: asyncio.AbstractEventLoop
    clients: list[httpx.AsyncClient]
    in_turn: Iterator[httpx.AsyncClient]


class Endpoint:
    """Asks a model; safe to share between threads, and to pickle.

    Args:
        settings: How it is reached.
        sleep: Waits, in seconds; for tests.
        sleep_async: The same for asynchronous callers.
    """

    _sync: httpx.Client | None
    _pools: _Pools | None

    def __init__(
        self,
        settings: EndpointSettings,
        sleep: Callable[[float], None] = time.sleep,
        sleep_async: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings, self.usage = settings, Usage()
        self._sleep, self._sleep_async = sleep, sleep_async
        self._open()

    def complete(self, messages: Sequence[Message], **params: Any) -> str:
        """Return the text that the model writes next.

        Args:
            messages: The conversation so far.
            **params: Further fields of the request, before those of the settings.

        Raises:
            ModelUnavailableError: It did not answer, however often it was asked.
            TokensExhaustedError: It has no room left to write in.
        """
        return self.ask(messages, **params).text

    async def acomplete(self, messages: Sequence[Message], **params: Any) -> str:
        """Do what `complete` does, without blocking the event loop."""
        return (await self.aask(messages, **params)).text

    def ask(self, messages: Sequence[Message], **params: Any) -> Reply:
        """Return the model's text with how it ended and what it cost.

        Args:
            messages: The conversation so far.
            **params: Further fields of the request, before those of the settings.

        Raises:
            ModelUnavailableError: It did not answer, however often it was asked.
            TokensExhaustedError: It has no room left to write in.
        """

        def attempt() -> Reply:
            return self._read(self._client().post(**self._request(messages, params)))

        def sleep(seconds: float) -> None:
            self._count_retry()
            self._sleep(seconds)

        failures = self._failures()
        try:
            return retrying(attempt, Waits(self.settings, _JITTER), failures, sleep)
        except failures as error:
            raise self._unavailable(error) from error

    async def aask(self, messages: Sequence[Message], **params: Any) -> Reply:
        """Do what `ask` does, without blocking the event loop."""

        async def attempt() -> Reply:
            client = self._client_async()
            return self._read(await client.post(**self._request(messages, params)))

        async def sleep(seconds: float) -> None:
            self._count_retry()
            await self._sleep_async(seconds)

        failures = self._failures()
        try:
            return await aretrying(attempt, Waits(self.settings, _JITTER), failures, sleep)
        except failures as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the connections of synchronous use."""
        if self._sync is not None:
            self._sync.close()
        self._sync = None

    async def aclose(self) -> None:
        """Close the connections of asynchronous use, in the event loop that used them."""
        if self._pools is not None and self._pools.loop is asyncio.get_running_loop():
            for client in self._pools.clients:
                await client.aclose()
        self._pools = None

    def _request(self, messages: Sequence[Message], params: dict[str, Any]) -> dict[str, Any]:
        key = os.environ.get(self.settings.key_variable, "")
        body = {"model": self.settings.model, **self.settings.options, **params}
        return {
            "url": f"{self.settings.url.rstrip('/')}/chat/completions",
            "json": {**body, "messages": list(messages)},
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
        }

    def _read(self, response: httpx.Response) -> Reply:
        """Return the completion, or raise what the response says instead."""
        body = response.content.removeprefix(codecs.BOM_UTF8)
        if response.status_code != 200:
            key = os.environ.get(self.settings.key_variable, "")
            shown = body.decode("utf-8", "replace")[:_SHOWN]
            shown = shown.replace(key, "***") if key else shown
            problem = f"answered {response.status_code}: {shown}"
            if _overflows(response.status_code, body):
                raise TokensExhaustedError(f"{self._where}: {problem}")
            raise _FailedError(
                problem,
                response.status_code in _AGAIN or response.status_code >= 500,
                _seconds(response.headers.get("retry-after", "")),
            )
        reply = _read_completion(body)
        with self._lock:
            self.usage.replies += 1
            self.usage.prompt_tokens += reply.prompt_tokens
            self.usage.completion_tokens += reply.completion_tokens
        if reply.finish == "length" and not reply.text.strip():
            raise TokensExhaustedError(f"{self._where}: the reply was cut before its text began")
        return reply

    def _unavailable(self, error: Exception) -> ModelUnavailableError:
        problem = str(error) or type(error).__name__
        transient = getattr(error, "transient", True)
        return ModelUnavailableError(f"{self._where}{self._route}: {problem}", transient)

    def _count_retry(self) -> None:
        with self._lock:
            self.usage.retries += 1

    def _client(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._sync is None:
                self._sync = httpx.Client(
                    timeout=self.settings.timeout, transport=self._route.transport()
                )
            return self._sync

    def _client_async(self) -> httpx.AsyncClient:
        import httpx

        loop = asyncio.get_running_loop()
        if self._pools is None or self._pools.loop is not loop:
            # Callers bound how much is asked at once. By default httpx keeps 20 connections and
            # opens a new one for each request beyond.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
            context = httpx.create_ssl_context()
            clients = [
                httpx.AsyncClient(
                    timeout=self.settings.timeout,
                    transport=self._route.async_transport(limits=limits, verify=context),
                )
                for _ in range(_POOLS)
            ]
            self._pools = _Pools(loop, clients, itertools.cycle(clients))
        return next(self._pools.in_turn)

    @staticmethod
    def _failures() -> tuple[type[Exception], ...]:
        import httpx

        return httpx.RequestError, httpx.InvalidURL, _FailedError

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._sync = self._pools = None
        self._route = route_to(self.settings.url)

    @property
    def _where(self) -> str:
        return f"the model {self.settings.model} at {self.settings.url}"

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __getstate__(self) -> dict[str, Any]:
        kept = ("settings", "usage", "_sleep", "_sleep_async")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


class _FailedError(Exception):
    """One try failed; whether another may help, and after how many seconds."""

    def __init__(self, problem: str, transient: bool = True, after: float = 0.0) -> None:
        super().__init__(problem)
        self.transient, self.after = transient, after


class _ContentPart(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    content: str | list[_ContentPart] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Tokens(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Tokens | None = None


def _read_completion(body: bytes) -> Reply:
    """Return the first choice of a chat completion; one that ended without a text is empty."""
    try:
        completion = decode_json(body, _Completion)
    except DecodingError as error:
        raise _FailedError(f"gave no completion ({error})") from error
    if not completion.choices:
        raise _FailedError("gave no choice")
    choice, tokens = completion.choices[0], completion.usage or _Tokens()
    content = choice.message.content
    if content is None and not choice.finish_reason:
        raise _FailedError("gave no completion (neither a text nor a reason why there is none)")
    return Reply(
        text="".join(part.text for part in content) if isinstance(content, list) else content or "",
        finish=choice.finish_reason or "",
        prompt_tokens=tokens.prompt_tokens or 0,
        completion_tokens=tokens.completion_tokens or 0,
    )


def _overflows(status: int, body: bytes) -> bool:
    """Return whether an endpoint refused a conversation because it is too long for the model."""
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        said = body.decode("utf-8", "replace")
    if isinstance(said, dict):  # OpenAI and vLLM put it below "error", SGLang does not
        said = said.get("error", said)
    if isinstance(said, dict):
        if not _OVERFLOW_CODES.isdisjoint((str(said.get("code")), str(said.get("type")))):
            return True
        said = said.get("message", "")
    return status in _OVERFLOW_STATUSES and bool(_OVERFLOW.search(str(said)[:10_000]))


def json_in(text: str) -> str:
    """Return the JSON that a model was asked for, without thoughts before it and a fence around.

    Nothing is looked for in prose, nor inside the JSON itself: a text that is neither is returned
    as it is, and will not decode.

    Args:
        text: What the model wrote; thoughts end in ``</think>``.
    """
    said = _unfenced(text)
    if "</think>" in said:
        try:
            msgspec.json.decode(said)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return _unfenced(split_thoughts(text)[1])
    return said


def _unfenced(text: str) -> str:
    """Return a text without white space, a byte-order mark and a code fence around it."""
    said = text.strip("\ufeff \t\r\n")
    fenced = _FENCE.fullmatch(said)
    return fenced[1].strip() if fenced else said


def _seconds(header: str) -> float:
    """Return how long a Retry-After header asks to wait; dates are not waited for."""
    return float(header) if header.isascii() and header.isdigit() else 0.0
