"""Cassettes: what tools answered, kept on disk, so that a live run can be repeated to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from medenv.errors import DataError, ToolUnavailableError, UnknownNameError, UsageError
from medenv.io import DecodingError, decode_json, write_bytes
from medenv.records import Record
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.wrapper import Wrapper, content_key

Mode = Literal["record", "replay", "strict"]


class Recording(Record, frozen=True, kw_only=True):
    """One call and its answer, one file of a cassette.

    Args:
        tool: Name of the tool.
        arguments: The checked arguments in order.
        as_of: The date that the answer is of, or ``""``.
        output: What the tool gave back.
    """

    tool: str
    arguments: list[Any]
    as_of: str
    output: ToolOutput


class NotRecordedError(ToolUnavailableError, UsageError):
    """A strict cassette has no answer to a call: a reason to record it, and never to score it."""

    transient = False


class DamagedRecordingError(ToolUnavailableError, DataError):
    """A recording that cannot be read, which is no mistake of the policy."""

    transient = False


class Cassette(Wrapper):
    """A tool whose answers are kept in a folder, each in a file named by what was asked.

    Failures of the infrastructure are not kept.

    Args:
        inner: The tool.
        folder: Where answers are kept; made when the first one is.
        mode: ``"record"`` asks the tool and keeps the answer, ``"replay"`` asks only what is not
            kept yet, and ``"strict"`` asks nothing.
        as_of: A date that is part of every key, so that answers of different days stay apart.

    Raises:
        UnknownNameError: An unknown mode.
    """

    def __init__(
        self, inner: Tool, folder: Path | str, mode: str = "replay", as_of: str = ""
    ) -> None:
        if mode not in get_args(Mode):
            raise UnknownNameError("cassette mode", mode, get_args(Mode))
        super().__init__(inner)
        self._folder, self._mode, self._as_of = Path(folder), mode, as_of
        if mode == "strict":
            self.local, self.is_async = True, False

    def before(self, arguments: tuple[Any, ...]) -> ToolOutput | None:
        """Return the answer that is kept, if the mode lets it stand.

        Raises:
            NotRecordedError: There is none, and the mode is strict.
            DamagedRecordingError: The file is damaged.
        """
        if self._mode == "record":
            return None
        path = self._path(arguments)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            if self._mode == "replay":
                return None
            raise NotRecordedError(
                f"the cassette {self._folder} has no answer of {self.name!r} to {list(arguments)}"
                f"{f' as of {self._as_of}' if self._as_of else ''}: record it first"
            ) from None
        try:
            return decode_json(raw, Recording).output
        except DecodingError as error:
            raise DamagedRecordingError(path, f"expected a recorded answer: {error}") from error

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:
        """Keep the answer."""
        if output.status == "unavailable":
            return output
        recording = Recording(
            tool=self.name, arguments=list(arguments), as_of=self._as_of, output=output
        )
        path = self._path(arguments)
        write_bytes(path, msgspec.json.encode(recording, order="deterministic"))
        return output

    def _path(self, arguments: tuple[Any, ...]) -> Path:
        key = content_key(self.name, arguments, self._as_of)
        return self._folder / key[:2] / f"{key}.json"
