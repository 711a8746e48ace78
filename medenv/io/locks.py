"""A lock on a folder, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from medenv.errors import UsageError
from medenv.records import Record

LOCK_FILE = ".lock"


class Holder(Record, frozen=True, kw_only=True):
    """The process that holds a folder.

    Args:
        pid: Its number.
        host: The machine that it runs on.
        command: Its command line.
        since: When it took the folder, local time.
    """

    pid: int
    host: str
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since} ({self.command})"


class FolderInUseError(UsageError):
    """Another process holds the folder.

    Args:
        folder: The folder.
        holder: Who holds it, or None where the lock file does not say.
    """

    def __init__(self, folder: Path, holder: Holder | None) -> None:
        self.folder, self.holder = folder, holder
        super().__init__(
            f"{folder} is in use by {holder or 'another process'}: wait until it has ended, or "
            "choose another folder"
        )

    def __reduce__(self) -> tuple[type[FolderInUseError], tuple[Path, Holder | None]]:
        """Pickle by the constructor's own arguments, so the error crosses process borders."""
        return type(self), (self.folder, self.holder)


class FolderLock:
    """Exclusive use of a folder, as a context manager.

    The kernel holds the lock on `<folder>/.lock` for this process: it is gone when the process is,
    however that ended, and child processes do not inherit it. The file itself stays.

    Args:
        folder: The folder; made where it is missing.

    Raises:
        FolderInUseError: On entering, when another process holds the folder.
        UsageError: On entering, when the file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[str] | None = None

    def __enter__(self) -> FolderLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / LOCK_FILE).open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = _holder(file.read())
            file.close()
            raise FolderInUseError(self.folder, holder) from None
        except OSError as error:
            file.close()
            raise UsageError(
                f"{self.folder} cannot be locked ({error.strerror}): put it on a file system that "
                "has locks"
            ) from error
        file.truncate(0)
        file.write(msgspec.json.encode(_myself()).decode())
        file.flush()
        self._file = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _myself() -> Holder:
    return Holder(
        pid=os.getpid(),
        host=platform.node(),
        command=shlex.join(sys.argv),
        since=time.strftime("%Y-%m-%d %H:%M:%S"),
    )


def _holder(text: str) -> Holder | None:
    try:
        return msgspec.json.decode(text, type=Holder)
    except msgspec.MsgspecError:
        return None  # it has just taken the lock and not written its name yet
