"""The pages about worlds and models: their examples run and print what stands below them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.kg import toy_graph
from medenv.kg.sources import open_source

ROOT = Path(__file__).parents[1]
WORLDS, MODELS = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("worlds", "models"))
PORT = "http://127.0.0.1:8123/v1"


def commands(page):
    """The commands of a page with what they printed."""
    return re.findall(r"```\n\$ medenv (.*?)\n(.*?)```", page, flags=re.DOTALL)


def words(text):
    """What was printed, without line ends and the day on which it was."""
    return re.sub(r"\d{4}-\d\d-\d\d", "DAY", text).split()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stand_in():
    """The example's stand-in for a model, on a port of its own."""
    script = str(ROOT / "examples" / "stand_in_model.py")
    process = subprocess.Popen(
        [sys.executable, script, "0"], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait()
    process.stdout.close()


def test_the_commands_about_worlds_print_what_stands_below_them(folder):
    found = commands(WORLDS)
    assert len(found) == 2
    for command, printed in found:
        done = CliRunner().invoke(app, shlex.split(command))
        assert words(done.output) == words(printed), done.output


def test_the_program_about_worlds_prints_what_stands_below_it(folder):
    ((code, printed),) = re.findall(
        r"```python\n(.*?)```\n\nprints\n\n```\n(.*?)```", WORLDS, flags=re.DOTALL
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == printed


def test_the_commands_about_models_print_what_stands_below_them(folder, stand_in):
    (code,) = re.findall(r"```python\n(.*?)```", MODELS, flags=re.DOTALL)
    subprocess.run([sys.executable, "-c", code], check=True)
    found = commands(MODELS)
    assert [command.split()[1] for command, _ in found] == ["extract", "rewrite", "calibrate"]
    for command, printed in found:
        done = CliRunner().invoke(app, shlex.split(command.replace(PORT, stand_in)))
        assert words(done.output) == words(printed), done.output
    own, true = open_source("extracted", "own"), toy_graph()
    for relation in ("has_gene", "has_phenotype"):
        edges = [
            {
                (graph.nodes.names[head], graph.nodes.names[int(tail)])
                for head in range(len(graph))
                for tail in graph.step(head, relation)
            }
            for graph in (own, true)
        ]
        assert edges[0] == edges[1]
