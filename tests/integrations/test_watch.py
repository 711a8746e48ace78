"""A dead actor or engine is noticed within seconds, by verl's own process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore:Ray state API:DeprecationWarning"),  # imported by verl 0.9.1
    pytest.mark.filterwarnings("ignore::UserWarning"),  # verl tells of engines it does not find
]

ACTORS = """
import os, signal, time
import ray
from medenv.integrations.verl.watch import Actors

@ray.remote
class Worker:
    def pid(self):
        return os.getpid()

    def work(self):
        time.sleep(600)

options = {"object_store_memory": 80_000_000, "log_to_driver": False}
ray.init("local", num_cpus=4, include_dashboard=False, **options)
idle, busy, doomed = (Worker.remote() for _ in range(3))
pid = ray.get(doomed.pid.remote())
actors = Actors([("idle", idle), ("busy", busy), ("doomed", doomed)])
for handle in (busy, doomed):
    handle.work.remote()
for _ in range(3):
    print("dead:", actors.dead())
    time.sleep(0.5)
os.kill(pid, signal.SIGKILL)
end = time.monotonic() + 30.0
while not (found := actors.dead()) and time.monotonic() < end:
    time.sleep(0.5)
print("dead:", found)
"""


def test_a_killed_actor_is_named_though_it_was_busy_and_no_other_is() -> None:
    """In a process of its own: Ray leaves files and processes for the end of its driver's."""
    done = subprocess.run(
        [sys.executable, "-c", ACTORS], capture_output=True, text=True, check=True, timeout=300
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("dead:")]
    assert told[:3] == ["dead: "] * 3
    assert told[3].startswith("dead: doomed (")
    assert len(told) == 4


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, int]]]:
    """What vLLM's server answers to /health: 200, or 503 when its engine is dead."""
    answer = {"status": 200}

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/health"
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Health) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"127.0.0.1:{httpd.server_address[1]}", answer
        httpd.shutdown()
        thread.join()


def test_a_dead_engine_behind_a_living_server_is_named(
    server: tuple[str, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from medenv.integrations.verl.watch import dead_engine

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # our own servers are behind no proxy
    address, answer = server
    assert dead_engine([address]) == ""
    answer["status"] = 503
    assert address in dead_engine([address])
    assert "127.0.0.1:9 " in dead_engine(["127.0.0.1:9"])  # nothing listens there


def test_episodes_that_ended_with_a_score_are_counted_and_nothing_else() -> None:
    from medenv.integrations.verl.watch import finished

    queue = {
        "train": {
            "a": {"is_prompt": True, "status": "finished"},
            "a_0_0": {"status": "success", "prompt_len": 3},
            "a_1_0": {"status": "success"},
            "b": {"is_prompt": True, "status": "running"},
        },
        "val": {"a_0_0": {"status": "success"}},
    }
    assert finished(queue) == {("train", "a_0_0"), ("train", "a_1_0"), ("val", "a_0_0")}
    assert json.dumps(queue)  # as the queue gives it
