"""A child process with all that it starts: found by a mark in their environment, ended together.

Ray and vLLM start processes in sessions of their own, which outlive a dead driver. Each of them
inherits the mark, whatever its parent. The mark of a run is its folder, so that the next start in
that folder finds what a killed recipe left running.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from medenv.errors import UsageError
from medenv.io import FolderLock

MARK = "MEDENV_RUN_MARK"
"""Environment variable that all processes of one run share."""


def stop_on_signals() -> None:
    """Make SIGTERM stop this program as Ctrl-C does, and Ctrl-C work where a shell ignores it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def marked(mark: str) -> list[psutil.Process]:
    """Return all living processes that bear a mark, except this one.

    Args:
        mark: Value of `MARK` in their environment.
    """
    found = []
    for process in psutil.process_iter():
        try:
            bears = process.pid != os.getpid() and process.environ().get(MARK) == mark
            if bears and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:  # gone meanwhile, or another user's
            continue
    return found


def stop_marked(mark: str, grace: float = 10.0) -> int:
    """End all processes that bear a mark: ask each once, and kill what is left after a while.

    Args:
        mark: Value of `MARK` in their environment.
        grace: Seconds between asking and killing; processes that survive being killed for as long
            again are given up.

    Returns:
        Number of processes that had to be ended.
    """
    asked: set[int] = set()
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < 2 * grace and (found := marked(mark)):
        for process in found:
            try:
                if waited >= grace:
                    process.kill()
                elif process.pid not in asked:
                    process.terminate()
            except psutil.NoSuchProcess:
                continue
        asked |= {process.pid for process in found}
        psutil.wait_procs(found, timeout=0.5)
    return len(asked)


def mark_of(folder: Path) -> str:
    """Return the mark of the processes of a run.

    Args:
        folder: The run's folder.
    """
    return str(folder.resolve())


@contextmanager
def own_folder(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Lock a run's folder, and end the processes that a killed program left running in it.

    Args:
        folder: The run's folder; made where it is missing.
        say: Receives what is being done, in words.

    Raises:
        FolderInUseError: Another process holds the folder.
        UsageError: Processes of an earlier start cannot be ended.
    """
    with FolderLock(folder):
        mark = mark_of(folder)
        if left := marked(mark):
            what = "process" if len(left) == 1 else "processes"
            say(f"ending {len(left)} {what} that an earlier start left running")
            stop_marked(mark)
        if left := marked(mark):
            pids = ", ".join(str(process.pid) for process in left)
            raise UsageError(f"processes of an earlier start in {folder} do not end: {pids}")
        yield


class Tree:
    """A command and every process that descends from it.

    Args:
        command: Program and arguments.
        environment: Variables added to this process's own.
        log: File that receives standard output and error.
        mark: What the processes are found by; see `mark_of`.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, mark: str
    ) -> None:
        self.mark = mark
        with log.open("ab") as file:
            self._child = subprocess.Popen(
                list(command),
                env={**os.environ, **environment, MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """Return the command's exit status, or None while it runs."""
        return self._child.poll()

    def stop(self, grace: float = 10.0) -> int:
        """End everything: ask first, then kill.

        Args:
            grace: Seconds between asking and killing.

        Returns:
            Number of processes that had to be ended.
        """
        stopped = stop_marked(self.mark, grace)
        self._child.wait()
        return stopped
