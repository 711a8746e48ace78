"""One process at a time: a lock that the system releases with the process that holds it."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from medenv.errors import DataError, InUseError
from medenv.io.reading import Malformed, decode_json


class FileLock:
    """A lock on a file of its own, held until it is released or the process ends.

    The file stays when the lock is released, empty then; while it is held, and after a holder that
    was killed, it says who holds or held it.

    Args:
        path: The lock's file; its folder is made where it does not exist.
        about: What is locked, for messages.
        **note: Further facts that the file states while the lock is held.

    Attributes:
        left: What the last holder noted, where it ended without releasing the lock; else empty.

    Raises:
        InUseError: Another process holds the lock, or another part of this one.
        DataError: The file cannot be written.
    """

    def __init__(self, path: Path | str, about: Path | str, **note: str) -> None:
        import fcntl  # not on every system, and nothing else needs it

        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._number = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise DataError(self.path, f"cannot be written: {error.strerror}") from error
        self._close = weakref.finalize(self, os.close, self._number)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._read()
            self._close()
            raise InUseError(about, _described(holder)) from None
        except OSError as error:
            warnings.warn(
                f"{about}: the file system has no locks ({error.strerror}); start no second run",
                stacklevel=2,
            )
        self.left: Mapping[str, str] = self._read()
        self.note(**note)

    def note(self, **note: str) -> None:
        """State who holds the lock, and further facts.

        Args:
            **note: The facts, e.g. a mark that the holder's own processes bear.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        mine = {"pid": str(os.getpid()), "host": socket.gethostname(), "since": now}
        raw = msgspec.json.encode({**mine, **note}) + b"\n"
        os.ftruncate(self._number, 0)
        os.pwrite(self._number, raw, 0)

    def release(self) -> None:
        """Release the lock, also for processes forked meanwhile; once is enough."""
        import fcntl

        if self._close.alive:
            os.ftruncate(self._number, 0)
            with contextlib.suppress(OSError):  # where there are no locks
                fcntl.flock(self._number, fcntl.LOCK_UN)
            self._close()

    def _read(self) -> dict[str, str]:
        with contextlib.suppress(Malformed):
            return decode_json(os.pread(self._number, 1 << 16, 0) or b"{}", dict[str, str])
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class FolderLock(FileLock):
    """Exclusive use of a folder.

    Args:
        folder: The folder, made where it does not exist.
        **note: Further facts that the lock's file states while the lock is held.

    Raises:
        InUseError: Another process works in the folder.
        DataError: The folder cannot be written.
    """

    def __init__(self, folder: Path | str, **note: str) -> None:
        super().__init__(Path(folder) / ".lock", folder, **note)


def _described(holder: Mapping[str, str]) -> str:
    if "pid" not in holder:
        return ""
    where = "" if holder.get("host") == socket.gethostname() else f" on {holder.get('host')}"
    return f"process {holder['pid']}{where} (since {holder.get('since', 'an unknown time')})"
