"""Locks that give one process exclusive use of a folder or a file."""

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
from medenv.io.reading import DecodingError, decode_json
from medenv.records import Record

LOCK_FILE = ".lock"


class Holder(Record, frozen=True, kw_only=True):
    """The process that holds a lock.

    Args:
        pid: Process id.
        host: Host name.
        command: Command line.
        since: Local time at which the lock was acquired.
    """

    pid: int
    host: str
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since} ({self.command})"


class FolderInUseError(UsageError):
    """Another process holds the lock of a folder or a file.

    Args:
        folder: The folder or file.
        holder: The process that holds the lock, or None if unknown.
    """

    def __init__(self, folder: Path, holder: Holder | None) -> None:
        self.folder, self.holder = folder, holder
        super().__init__(
            f"{folder} is in use by {holder or 'another process'}: wait until it ends, or choose "
            "another folder"
        )

    def __reduce__(self) -> tuple[type[FolderInUseError], tuple[Path, Holder | None]]:
        """Pickle the constructor's arguments, so that the error can be sent between processes."""
        return type(self), (self.folder, self.holder)


class FileLock:
    """Context manager that locks a file.

    The kernel releases the lock when the process ends for any reason. The lock file remains and
    names its last holder.

    Args:
        path: The lock file; its folder is created if missing.
        target: The locked folder or file, for messages.

    Raises:
        FolderInUseError: On entering, if another process holds the lock.
        DataError: On entering, if the lock file cannot be written.
        UsageError: On entering, if the file system does not support locks.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self.path, self.target = path, target
        self._number = -1
        self._close: weakref.finalize[[int], FileLock] | None = None

    def acquire(self) -> None:
        """Acquire the lock without waiting; raises as described in the class."""
        import fcntl  # missing on some systems

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._number = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise DataError(self.path, f"cannot be written: {error.strerror}") from error
        close = self._close = weakref.finalize(self, os.close, self._number)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder: Holder | None = None  # the other process may not have written it yet
            with contextlib.suppress(DecodingError):
                holder = decode_json(os.pread(self._number, 1 << 16, 0), Holder)
            close()
            raise FolderInUseError(self.target, holder) from None
        except OSError as error:
            close()
            raise UsageError(
                f"{self.target} cannot be locked ({error.strerror}): use a file system that "
                "supports locks"
            ) from error
        os.ftruncate(self._number, 0)
        holder = Holder(
            pid=os.getpid(),
            host=platform.node(),
            command=shlex.join(sys.argv),
            since=time.strftime("%Y-%m-%d %H:%M:%S"),
        )
        os.pwrite(self._number, msgspec.json.encode(holder), 0)

    def release(self) -> None:
        """Release the lock, also in forked processes; further calls do nothing."""
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
    """Context manager that locks a folder.

    Args:
        folder: The folder; created if missing.

    Raises:
        FolderInUseError: On entering, if another process holds the lock.
        DataError: On entering, if the folder cannot be written.
        UsageError: On entering, if the file system does not support locks.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / LOCK_FILE, folder)
