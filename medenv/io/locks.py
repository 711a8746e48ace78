"""A lock on a folder or a journal, held by one process at a time."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import sys
import time
import weakref
from pathlib import Path
from typing import Self

import msgspec

from medenv.errors import DataError, UsageError
from medenv.io.reading import Malformed, decode_json
from medenv.records import Record

LOCK_FILE = ".lock"


class Holder(Record, frozen=True, kw_only=True):
    """The process that holds a lock.

    Args:
        pid: Its number.
        host: The machine that it runs on.
        command: Its command line.
        since: When it took the lock, local time.
    """

    pid: int
    host: str
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since} ({self.command})"


class FolderInUseError(UsageError):
    """Another process works in the folder, or writes the journal.

    Args:
        folder: The folder, or the journal.
        holder: Who holds it, or None where the lock's file does not say.
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


class FileLock:
    """A lock on a file of its own, as a context manager.

    The kernel holds the lock for this process: it is gone when the process is, however that ended.
    The file itself stays, and says who held it last.

    Args:
        path: The lock's file; its folder is made where it is missing.
        about: What is locked, for messages.

    Raises:
        FolderInUseError: On entering, when another process holds the lock.
        DataError: On entering, when the file cannot be written.
        UsageError: On entering, when the file system has no locks.
    """

    def __init__(self, path: Path, about: Path) -> None:
        self.path, self.about = path, about
        self._number = -1
        self._close: weakref.finalize[[int], FileLock] | None = None

    def acquire(self) -> None:
        """Take the lock, or raise; see the class."""
        import fcntl  # not on every system, and nothing else needs it

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._number = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise DataError(self.path, f"cannot be written: {error.strerror}") from error
        close = self._close = weakref.finalize(self, os.close, self._number)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.pread(self._number, 1 << 16, 0))
            close()
            raise FolderInUseError(self.about, holder) from None
        except OSError as error:
            close()
            raise UsageError(
                f"{self.about} cannot be locked ({error.strerror}): put it on a file system that "
                "has locks"
            ) from error
        os.ftruncate(self._number, 0)
        os.pwrite(self._number, msgspec.json.encode(_myself()), 0)

    def release(self) -> None:
        """Release the lock, also for processes forked meanwhile; once is enough."""
        import fcntl

        if self._close is not None and self._close.alive:
            fcntl.flock(self._number, fcntl.LOCK_UN)
            self._close()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class FolderLock(FileLock):
    """Exclusive use of a folder, as a context manager.

    Args:
        folder: The folder; made where it is missing.

    Raises:
        FolderInUseError: On entering, when another process holds the folder.
        DataError: On entering, when the folder cannot be written.
        UsageError: On entering, when the file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / LOCK_FILE, folder)


def _myself() -> Holder:
    return Holder(
        pid=os.getpid(),
        host=platform.node(),
        command=shlex.join(sys.argv),
        since=time.strftime("%Y-%m-%d %H:%M:%S"),
    )


def _holder(raw: bytes) -> Holder | None:
    with contextlib.suppress(Malformed):
        return decode_json(raw, Holder)
    return None  # it has just taken the lock and not written its name yet
