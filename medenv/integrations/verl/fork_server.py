"""Ray's workers as forks of one process that has imported what all of them import.

Torch, transformers, vLLM and verl take seven seconds of a core to import, and in the smallest run
seven of Ray's workers import them, most of its first minute. Here Ray starts its workers by
`fork_client.py` (`runtime_env.py_executable`), which hands its arguments, environment and streams
to a server; the server imports once and forks for each. It is what `multiprocessing` calls a fork
server, for Ray.

A fork has none of its parent's threads and cannot use an accelerator that its parent has touched,
so this is for `trainer.device=cpu`, where Ray is started by the run itself.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, NoReturn

from medenv.integrations.verl import fork_client
from medenv.integrations.verl.imports import collect_rarely

EARLY = ("torch", "transformers", "tensordict")
"""Modules to import at once."""

LATE = (
    "verl.trainer.main_ppo",
    "verl.workers.engine_workers",
    "verl.experimental.agent_loop",
    "verl.workers.rollout.vllm_rollout.vllm_async_server",
    "medenv.integrations.verl.agent_loop",
    "medenv.integrations.verl.watch",
)
"""Modules to import in the first worker's environment: when Ray is imported, it reads from there of
which job and raylet it is."""

_LARGEST = 1 << 20


@contextmanager
def fork_server(early: Sequence[str] = EARLY, late: Sequence[str] = LATE) -> Iterator[str]:
    """Yield the command by which Ray is to start workers; the server ends with the context.

    Args:
        early: Modules to import at once.
        late: Modules to import when the first worker is asked for.
    """
    with TemporaryDirectory(prefix="medenv-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "forks"
        listener.bind(str(path))
        listener.listen(64)
        ours, its = socket.socketpair()
        numbers = (listener.fileno(), its.fileno())
        command = [sys.executable, "-m", __name__, *map(str, numbers), *early, "--", *late]
        server = subprocess.Popen(command, pass_fds=numbers)
        its.close()
        listener.close()
        try:
            yield shlex.join([sys.executable, "-I", "-S", fork_client.__file__, str(path)])
        finally:
            ours.close()
            server.wait()


class Asked(NamedTuple):
    """A process that a client asks for: what to run, in which environment and folder."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str


class _Server:
    """Forks for each client, tells it of its fork's end, and ends a fork whose client is gone."""

    def __init__(self, listener: socket.socket, starter: socket.socket) -> None:
        self._listener, self._starter = listener, starter
        self._woken, self._wake = socket.socketpair()
        self._forks: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        for one in (listener, starter, self._woken):
            self._selector.register(one, selectors.EVENT_READ)

    def run(self, late: Sequence[str]) -> None:
        """Serve until the process that started the server is gone."""
        self._wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno())
        while True:
            ready = [key.fileobj for key, _ in self._selector.select()]
            if self._starter in ready:
                return
            if self._woken in ready:
                self._woken.recv(4096)
                self._tell_ends()
            for pid, client in list(self._forks.items()):
                if client in ready:  # which sends nothing more: it is gone
                    self._selector.unregister(client)
                    os.kill(pid, signal.SIGKILL)
            if self._listener in ready:
                client, _ = self._listener.accept()
                late = self._serve(client, late)

    def _serve(self, client: socket.socket, late: Sequence[str]) -> Sequence[str]:
        """Fork for a client, before the first one import the rest; return what is left of that."""
        text, streams, _, _ = socket.recv_fds(client, _LARGEST, 3)
        while text and not text.endswith(b"\n"):
            text += client.recv(_LARGEST)
        if not text:  # gone before it asked
            client.close()
            return late
        asked = Asked(**json.loads(text))
        if late:
            os.environ.update(asked.environment)
            for name in late:
                importlib.import_module(name)
            gc.collect()
            gc.freeze()
        fork = os.fork()
        if fork == 0:
            self._forget()
            client.close()
            _become(asked, streams)
        for stream in streams:
            os.close(stream)
        self._forks[fork] = client
        self._selector.register(client, selectors.EVENT_READ)
        _tell(client, fork)
        return ()

    def _tell_ends(self) -> None:
        """Collect the forks that have ended, and tell each one's client its status."""
        for pid in list(self._forks):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            with self._forks.pop(pid) as client:
                if client in self._selector.get_map():
                    self._selector.unregister(client)
                    _tell(client, os.waitstatus_to_exitcode(status))

    def _forget(self) -> None:
        """Close in a fork what is the server's alone."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for one in (self._listener, self._starter, self._woken, self._wake, *self._forks.values()):
            one.close()


def _tell(client: socket.socket, number: int) -> None:
    with suppress(OSError):  # it was killed meanwhile, which the selector tells, too
        client.sendall(b"%d\n" % number)


def _become(asked: Asked, streams: Sequence[int]) -> NoReturn:
    """Run in this fork the program that was asked for, as a Python of its own would."""
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        for signal_number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(signal_number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(asked.environment)
        os.chdir(asked.folder)
        _renew()
        sys.argv = asked.arguments
        sys.path[0] = str(Path(sys.argv[0]).parent)
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        if isinstance(end.code, int | None):
            status = end.code or 0
        else:
            print(end.code, file=sys.stderr)  # noqa: T201 - as Python does
    except BaseException:  # as Python does with what nobody caught
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _renew() -> None:
    """Give a fork random states of its own, and as many threads as its environment says."""
    random.seed()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads and (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(int(threads))


def main(listener: str, starter: str, *modules: str) -> None:
    """Import modules and serve; ends when the starter's end of its socket is closed.

    Args:
        listener: Number of the socket's file.
        starter: Number of the file of a socket to the process that started this one.
        modules: Modules to import at once, ``--``, and those to import for the first client.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_rarely()
    between = modules.index("--")
    for name in modules[:between]:
        importlib.import_module(name)
    sockets = (socket.socket(fileno=int(number)) for number in (listener, starter))
    _Server(*sockets).run(modules[between + 1 :])


if __name__ == "__main__":
    main(*sys.argv[1:])
