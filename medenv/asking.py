"""Many requests to a model, some at a time, each reply kept as soon as it is there.

A journal is a file of one reply a line. Whoever asks again with the same journal is given what was
answered before and asks for the rest alone, so a run that was killed loses nothing. Replies are
kept as the model wrote them; what they mean is read anew each time.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from medenv.endpoint import Endpoint
from medenv.errors import DataError, ModelUnavailableError, UsageError
from medenv.records import Message, Record


class _Begun(Record, frozen=True, kw_only=True):
    """The first line of a journal."""

    run: str
    model: str
    date: str


class _Kept(Record, frozen=True, kw_only=True):
    """Every other line: what the model wrote to one request, the last reply last."""

    key: str
    replies: tuple[str, ...]


class Journal:
    """Replies on disk.

    Args:
        path: The file; made where it is missing.
        run: What tells this run from others, e.g. a hash of its settings and prompts.
        model: Name of the model that is asked.

    Raises:
        DataError: It belongs to another run or model, or is damaged before its last line.
    """

    def __init__(self, path: Path | str, run: str, model: str) -> None:
        self.path = Path(path)
        self.replies: dict[str, tuple[str, ...]] = {}
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            begun = msgspec.json.encode(_Begun(run=run, model=model, date=today)) + b"\n"
            scratch = self.path.with_name(f".{self.path.name}.new")
            scratch.write_bytes(begun)
            scratch.replace(self.path)
        self.date = self._read(run, model)

    def _read(self, run: str, model: str) -> str:
        """Read what is there, cutting off a last line that is not whole; return the first date."""
        raw = self.path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            with self.path.open("r+b") as file:
                file.truncate(whole)
        first, *rest = raw[:whole].splitlines() or [b""]
        try:
            begun = msgspec.json.decode(first, type=_Begun)
        except msgspec.MsgspecError as error:
            raise DataError(self.path, f"is no journal of replies ({error})", 1) from error
        if (begun.run, begun.model) != (run, model):
            raise DataError(
                self.path,
                f"belongs to another run, of the model {begun.model!r}; name a new folder",
            )
        for number, line in enumerate(rest, start=2):
            try:
                kept = msgspec.json.decode(line, type=_Kept)
            except msgspec.MsgspecError as error:
                raise DataError(self.path, f"is damaged ({error})", number) from error
            self.replies[kept.key] = kept.replies
        return begun.date

    def keep(self, key: str, replies: Sequence[str]) -> None:
        """Keep what the model wrote to a request.

        Args:
            key: The request's key.
            replies: What it wrote, the last reply last.
        """
        self.replies[key] = tuple(replies)
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(_Kept(key=key, replies=tuple(replies))) + b"\n")


class Patience(Record, frozen=True, kw_only=True):
    """How many are asked at a time, and how often.

    Args:
        at_once: Requests under way at a time, at least 1.
        readings: Replies asked for until one can be read, at least 1.
        failures: Requests that may fail one after the other, each after all its tries, before the
            endpoint is held to be gone.
    """

    at_once: int = 8
    readings: int = 2
    failures: int = 4

    def __post_init__(self) -> None:
        """Refuse what asks nothing."""
        if min(self.at_once, self.readings, self.failures) < 1:
            raise UsageError(
                "expected at_once, readings and failures of at least 1, got "
                f"{self.at_once}, {self.readings} and {self.failures}"
            )


Readable = Callable[[str, str], bool]
"""Whether a reply, to the request of a key, can be read; else it is asked for again."""


class Asking:
    """Asks for what a journal does not hold yet.

    Args:
        endpoint: The model.
        journal: Where replies are kept.
        patience: How many at a time, and how often.
    """

    def __init__(self, endpoint: Endpoint, journal: Journal, patience: Patience) -> None:
        self.endpoint, self.journal, self.patience = endpoint, journal, patience

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
            say: Told the number of replies that are there, after each.

        Raises:
            ModelUnavailableError: Some requests were not answered, however often they were made;
                all other replies are kept.
        """
        missing = [key for key in requests if key not in self.journal.replies]
        if missing:
            asyncio.run(self._ask_all(missing, requests, readable, say))
        return {key: self.journal.replies[key] for key in requests}

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
            self.journal.keep(key, await self._readings(key, requests[key], readable))
            done += 1
            say(done)

        async with self.endpoint:
            failed = await _each(missing, one, self.patience)
        if failed:
            raise ModelUnavailableError(
                f"{len(requests) - done:,} of {len(requests):,} requests are not answered "
                f"({failed[0]}); what was answered is kept, the same call goes on"
            )

    async def _readings(
        self, key: str, messages: Sequence[Message], readable: Readable
    ) -> list[str]:
        """Ask until a reply can be read."""
        replies: list[str] = []
        while len(replies) < self.patience.readings:
            replies.append(await self.endpoint.acomplete(messages))
            if readable(key, replies[-1]):
                break
        return replies


async def _each(
    keys: Iterable[str], one: Callable[[str], Awaitable[None]], patience: Patience
) -> list[ModelUnavailableError]:
    """Do one after the other, some at a time; return the failures, stop where all fail."""
    failed: list[ModelUnavailableError] = []
    left = iter(keys)
    in_a_row = 0

    async def work() -> None:
        nonlocal in_a_row
        for key in left:
            if in_a_row >= patience.failures:
                return
            try:
                await one(key)
                in_a_row = 0
            except ModelUnavailableError as error:
                failed.append(error)
                in_a_row += 1 if error.passing else patience.failures

    async with asyncio.TaskGroup() as group:
        for _ in range(patience.at_once):
            group.create_task(work())
    return failed
