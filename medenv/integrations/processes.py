"""A child process with all that it starts: found by a mark in their environment, stopped together.

Ray and vLLM start processes in sessions of their own, which outlive a dead driver. Each of them
inherits the mark, whatever its parent.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import psutil

MARK = "MEDENV_RUN_MARK"
"""Environment variable that all processes of one run share."""


def stop_on_signals() -> None:
    """Make SIGTERM stop this program as Ctrl-C does, and Ctrl-C work where a shell ignores it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


class Tree:
    """A command and every process that descends from it.

    Args:
        command: Program and arguments.
        environment: Variables added to this process's own.
        log: File that receives standard output and error.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.mark = uuid4().hex
        with log.open("ab") as file:
            self._child = subprocess.Popen(
                list(command),
                env={**os.environ, **environment, MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """Return the command's exit status, or None while it runs."""
        return self._child.poll()

    def members(self) -> list[psutil.Process]:
        """Return all living processes that bear the mark."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get(MARK) == self.mark
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:  # gone meanwhile, or somebody else's
                continue
        return found

    def stop(self, grace: float = 10.0) -> int:
        """Stop everything: ask first, then insist.

        Args:
            grace: Seconds between asking and insisting.

        Returns:
            Number of processes that had to be stopped.
        """
        members = self.members()
        for how in (signal.SIGTERM, signal.SIGKILL):
            for process in self.members():
                try:
                    process.send_signal(how)
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(members, timeout=grace)
        self._child.wait()
        return len(members)
