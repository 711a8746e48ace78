"""The program that Ray starts in place of Python; it asks the fork server for a process.

`python -I -S fork_client.py SOCKET PROGRAM ...` lives as long as that process. It imports the
standard library alone and starts in milliseconds. Where no server answers, it becomes a Python that
runs the program.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main(path: str, *arguments: str) -> int:
    """Run a program in a fork of the server; return its exit status.

    Args:
        path: The server's socket.
        arguments: The program's file and its arguments.
    """
    folder = os.getcwd()  # noqa: PTH109 - pathlib takes as long to import as all the rest
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": folder}
    text = json.dumps(request).encode() + b"\n"
    try:
        server = socket.socket(socket.AF_UNIX)
        server.connect(path)
        sent = socket.send_fds(server, [text], [0, 1, 2])
        server.sendall(text[sent:])
        answers = server.makefile()
        fork = int(answers.readline())
    except (OSError, ValueError) as error:
        print(f"no fork server ({error}): importing anew", file=sys.stderr)  # noqa: T201 - Ray's log
        os.execv(sys.executable, [sys.executable, *arguments])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(fork, number))
    status = int(answers.readline() or 1)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
