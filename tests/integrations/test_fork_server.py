"""Ray's workers are forks of one process that has imported what they need."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from medenv.integrations.verl.fork_server import fork_server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `recorded` is a module that keeps the environment it was imported in."""
    (tmp_path / "recorded.py").write_text("import os\nseen = os.environ.get('WORKER')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def command(folder: Path) -> Iterator[list[str]]:
    with fork_server(early=["fractions", "numpy"], late=["recorded"]) as text:
        yield text.split()


def program(folder: Path, text: str) -> str:
    path = folder / f"program{len(list(folder.iterdir()))}.py"
    path.write_text(text)
    return str(path)


def ran(
    command: list[str], *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments], input=stdin, env=environment, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


def test_a_program_has_its_own_arguments_streams_environment_and_folder(
    command: list[str], folder: Path
) -> None:
    tell = program(
        folder,
        "import os, sys\n"
        "print(sys.argv[1:], sys.stdin.read(), os.environ['WORKER'], 'PYTHONPATH' in os.environ)\n"
        "print(os.getcwd(), sys.path[0])\n"
        "print(__name__, 'fractions' in sys.modules)\n"
        "print('to the other', file=sys.stderr)\n"
        "sys.exit(3)",
    )
    done = ran(command, tell, "a", "b c", stdin="given", WORKER="1")
    told = done.stdout.splitlines()
    assert told == ["['a', 'b c'] given 1 False", f"{Path.cwd()} {folder}", "__main__ True"]
    assert (done.stderr, done.returncode) == ("to the other\n", 3)


def test_the_rest_is_imported_once_in_the_first_ones_environment(
    command: list[str], folder: Path
) -> None:
    tell = program(
        folder,
        "import os, recorded, psutil\nprint(os.environ['WORKER'], recorded.seen, os.getppid())",
    )
    told = [ran(command, tell, WORKER=name).stdout.split() for name in ("first", "second")]
    assert [one[:2] for one in told] == [["first", "first"], ["second", "first"]]
    assert told[0][2] == told[1][2]
    assert "fork_server" in " ".join(psutil.Process(int(told[0][2])).cmdline())


def test_forks_draw_random_numbers_of_their_own(command: list[str], folder: Path) -> None:
    draw = program(folder, "import random, numpy\nprint(random.random(), numpy.random.rand())")
    drawn = [number for _ in range(3) for number in ran(command, draw).stdout.split()]
    assert len(set(drawn)) == 6


def test_an_error_is_told_as_python_tells_it(command: list[str], folder: Path) -> None:
    done = ran(command, program(folder, "raise KeyError('lost')"))
    assert done.stderr.splitlines()[-1] == "KeyError: 'lost'"
    assert done.returncode == 1
    done = ran(command, program(folder, "import sys\nsys.exit('no such file')"))
    assert (done.stderr, done.returncode) == ("no such file\n", 1)
    assert ran(command, program(folder, "import sys\nsys.exit()")).returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_client_and_its_fork_end_together(
    command: list[str], folder: Path, number: signal.Signals, status: int
) -> None:
    wait = program(folder, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    client = subprocess.Popen([*command, wait], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    fork = psutil.Process(int(client.stdout.readline()))
    client.send_signal(number)
    assert client.wait(timeout=30) == status
    gone, _ = psutil.wait_procs([fork], timeout=30)
    assert gone == [fork]
    client.stdout.close()


def test_a_fork_that_is_killed_ends_its_client(command: list[str], folder: Path) -> None:
    die = program(folder, "import os\nos.kill(os.getpid(), 9)")
    assert ran(command, die).returncode == 137


def test_without_a_server_the_program_runs_all_the_same(folder: Path) -> None:
    with fork_server(early=[], late=[]) as text:
        pass
    done = ran(text.split(), program(folder, "import sys\nprint(sys.argv[1:])"), "x")
    assert (done.stdout, done.returncode) == ("['x']\n", 0)
    assert "no fork server" in done.stderr


def test_a_module_that_cannot_be_imported_leaves_workers_to_import_for_themselves(
    folder: Path,
) -> None:
    (folder / "broken.py").write_text("raise OSError('broken')")
    with fork_server(early=[], late=["broken"]) as text:
        done = ran(text.split(), program(folder, "print('ran')"))
    assert (done.stdout, done.returncode) == ("ran\n", 0)


def test_the_server_ends_with_the_process_that_started_it(folder: Path) -> None:
    text = (
        "import time\n"
        "from medenv.integrations.verl.fork_server import fork_server\n"
        "with fork_server(early=[], late=[]):\n"
        "    print('started', flush=True)\n"
        "    time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    assert starter.stdout.readline() == "started\n"
    (server,) = psutil.Process(starter.pid).children()
    starter.kill()
    starter.wait()
    starter.stdout.close()
    gone, _ = psutil.wait_procs([server], timeout=30)
    assert gone == [server]


@pytest.mark.verl
def test_ray_starts_its_workers_so(folder: Path) -> None:
    text = """
import os, sys, psutil, ray
from medenv.integrations.verl.fork_server import fork_server
with fork_server(early=["fractions"], late=["ray", "recorded"]) as command:
    ray.init("local", num_cpus=2, include_dashboard=False, runtime_env={
        "py_executable": command, "env_vars": {"WORKER": "job"},
        "worker_process_setup_hook": "medenv.integrations.verl.imports.collect_rarely"})

    @ray.remote(num_cpus=1)
    class Worker:
        def tell(self):
            import gc, recorded
            parent = " ".join(psutil.Process(os.getppid()).cmdline())
            return ("fork_server" in parent, "fractions" in sys.modules, recorded.seen,
                    gc.get_threshold()[0], os.getpid())

        def die(self):
            os._exit(1)

    one, other = Worker.remote(), Worker.options(max_restarts=1, max_task_retries=1).remote()
    told = ray.get([one.tell.remote(), other.tell.remote()])
    assert [entry[:4] for entry in told] == [(True, True, "job", 100_000)] * 2, told
    try:
        ray.get(one.die.remote())
    except ray.exceptions.RayActorError:
        pass
    else:
        raise AssertionError("a dead worker was not noticed")
    os.kill(told[1][4], 9)
    assert ray.get(other.tell.remote())[4] != told[1][4]
    ray.shutdown()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    left = [one for one in psutil.process_iter(["cmdline"]) if str(folder) in str(one.info)]
    assert left == []
