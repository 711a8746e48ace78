"""Many requests to a model, some at a time, each reply kept as soon as it is there.

A journal is a file of one reply a line. Who asks again with the same journal is given what was
answered before and asks for the rest alone, so a run that was killed loses nothing. Replies are
kept as the model wrote them; what they mean is read anew each time.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from medenv.errors import ModelUnavailableError, TokensExhaustedError, UsageError
from medenv.io import Journal
from medenv.llm.endpoint import Endpoint
from medenv.records import Message, Record


class Kept(Record, frozen=True, kw_only=True):
    """One line of a journal: what the model wrote to one request.

    Args:
        key: The request's key.
        replies: What it wrote, the last reply last.
    """

    key: str
    replies: tuple[str, ...]


def open_journal(path: Path | str, run: str, model: str) -> Journal[Kept]:
    """Open a journal of replies.

    Args:
        path: The file; made where it is missing.
        run: What tells this run from others, e.g. a hash of its settings and prompts.
        model: Name of the model that is asked.

    Raises:
        FolderInUseError: Another process asks with the same journal.
        DataError: It belongs to another run or model, or is damaged before its last line.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Journal(path, {"run": run, "model": model}, Kept, {"date": today})


class BatchLimits(Record, frozen=True, kw_only=True):
    """How many are asked at a time, and how often.

    Args:
        concurrency: Requests under way at a time, at least 1.
        max_parse_attempts: Replies asked for until one can be read, at least 1.
        failures: Requests that may fail one after the other, each after all its tries, before the
            endpoint is held to be gone.
    """

    concurrency: int = 8
    max_parse_attempts: int = 2
    failures: int = 4

    def __post_init__(self) -> None:
        """Refuse what asks nothing."""
        if min(self.concurrency, self.max_parse_attempts, self.failures) < 1:
            raise UsageError(
                "expected concurrency, max_parse_attempts and failures of at least 1, got "
                f"{self.concurrency}, {self.max_parse_attempts} and {self.failures}"
            )


Readable = Callable[[str, str], bool]
"""Whether a reply, to the request of a key, can be read; else it is asked for again."""


class BatchClient:
    """Asks for what a journal does not hold yet; as a context manager, closes the journal.

    Args:
        endpoint: The model.
        journal: Where replies are kept, see `open_journal`.
        limits: How many at a time, and how often.

    Attributes:
        replies: What the model wrote, by the key of the request.
    """

    def __init__(self, endpoint: Endpoint, journal: Journal[Kept], limits: BatchLimits) -> None:
        self.endpoint, self.journal, self.limits = endpoint, journal, limits
        self.replies = {kept.key: kept.replies for kept in journal.known}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()

    def ask(
        self,
        requests: Mapping[str, Sequence[Message]],
        readable: Readable = lambda _, __: True,
        say: Callable[[int], None] = lambda _: None,
    ) -> dict[str, tuple[str, ...]]:
        """Return the replies to some requests by key, in the order of the requests.

        Args:
            requests: Key to conversation.
            readable: Whether a reply can be read.
            say: Progress callback; receives the number of completed replies.

        Raises:
            ModelUnavailableError: Some requests were not answered, however often they were made;
                all other replies are kept.
        """
        missing = [key for key in requests if key not in self.replies]
        if missing:
            asyncio.run(self._ask_all(missing, requests, readable, say))
        return {key: self.replies[key] for key in requests}

    async def _ask_all(
        self,
        missing: Sequence[str],
        requests: Mapping[str, Sequence[Message]],
        readable: Readable,
        say: Callable[[int], None],
    ) -> None:
        done = len(requests) - len(missing)

        async def one(key: str) -> None:
            nonlocal done
            replies = tuple(await self._readings(key, requests[key], readable))
            self.journal.append(Kept(key=key, replies=replies))
            self.replies[key] = replies
            done += 1
            say(done)

        async with self.endpoint:
            failed = await _each(missing, one, self.limits)
        if failed:
            raise ModelUnavailableError(
                f"{len(requests) - done:,} of {len(requests):,} requests are not answered "
                f"({failed[0]}); what was answered is kept, the same call goes on"
            )

    async def _readings(
        self, key: str, messages: Sequence[Message], readable: Readable
    ) -> list[str]:
        """Ask until a reply can be read; one for which the model has no room is an empty reply."""
        replies: list[str] = []
        while len(replies) < self.limits.max_parse_attempts:
            try:
                replies.append(await self.endpoint.acomplete(messages))
            except TokensExhaustedError:  # of this request alone, and of it for ever
                replies.append("")
            if readable(key, replies[-1]):
                break
        return replies


async def _each(
    keys: Iterable[str], one: Callable[[str], Awaitable[None]], limits: BatchLimits
) -> list[ModelUnavailableError]:
    """Do one after the other, some at a time; return the failures, stop where all fail."""
    failed: list[ModelUnavailableError] = []
    left = iter(keys)
    in_a_row = 0

    async def work() -> None:
        nonlocal in_a_row
        for key in left:
            if in_a_row >= limits.failures:
                return
            try:
                await one(key)
                in_a_row = 0
            except ModelUnavailableError as error:
                failed.append(error)
                in_a_row += 1 if error.transient else limits.failures

    async with asyncio.TaskGroup() as group:
        for _ in range(limits.concurrency):
            group.create_task(work())
    return failed
