"""Cassettes: tool outputs recorded on disk, so that a live run can be replayed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from medenv.errors import DataError, ToolUnavailableError, UnknownNameError, UsageError
from medenv.io import DecodingError, decode_json, digest, write_bytes
from medenv.records import Record
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.wrapper import Wrapper

Mode = Literal["record", "replay", "strict"]


class Recording(Record, frozen=True, kw_only=True):
    """One recorded call, stored as one file of a cassette.

    Args:
        tool: Name of the tool.
        arguments: The validated arguments in order.
        as_of: Date of the output, or ``""``.
        output: The output of the tool.
    """

    tool: str
    arguments: list[Any]
    as_of: str
    output: ToolOutput


class NotRecordedError(ToolUnavailableError, UsageError):
    """A strict cassette has no recording of a call; record it, the episode has no score."""

    transient = False


class DamagedRecordingError(ToolUnavailableError, DataError):
    """A recording that cannot be read."""

    transient = False


class Cassette(Wrapper):
    """Wrapper that records a tool's outputs in a folder, one file per call.

    Infrastructure failures are not recorded.

    Args:
        inner: The tool.
        folder: Folder of the recordings; created with the first recording.
        mode: ``"record"`` calls the tool and records the output, ``"replay"`` calls the tool only
            without a recording, and ``"strict"`` never calls the tool.
        as_of: A date to include in every key, which separates the recordings of different days.

    Raises:
        UnknownNameError: Unknown mode.
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
        """Return the recorded output, or None to call the tool.

        Raises:
            NotRecordedError: The call is not recorded, and the mode is strict.
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
                f"the cassette {self._folder} has no recording of {self.name!r} with the arguments "
                f"{list(arguments)}{f' as of {self._as_of}' if self._as_of else ''}: record it "
                "first"
            ) from None
        try:
            return decode_json(raw, Recording).output
        except DecodingError as error:
            raise DamagedRecordingError(path, f"expected a recorded output: {error}") from error

    def after(self, arguments: tuple[Any, ...], output: ToolOutput) -> ToolOutput:
        """Record the output."""
        if output.status == "unavailable":
            return output
        recording = Recording(
            tool=self.name, arguments=list(arguments), as_of=self._as_of, output=output
        )
        path = self._path(arguments)
        write_bytes(path, msgspec.json.encode(recording, order="deterministic"))
        return output

    def _path(self, arguments: tuple[Any, ...]) -> Path:
        key = digest((self.name, arguments, self._as_of))
        return self._folder / key[:2] / f"{key}.json"
