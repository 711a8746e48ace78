"""A sweep of training runs, with a stand-in for the trainer behind the border of its process."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from omegaconf import OmegaConf

from medenv.build.settings import AblationSettings
from medenv.errors import UnknownNameError, UsageError
from medenv.evaluation.summary import read_scored
from medenv.integrations.verl.sweep import Plan

ROOT = Path(__file__).parents[2]
FORMAL = "formal:accuracy=1,format=0.5@open"
RUNS = [f"{arm}-seed{seed}" for arm in ("answer_only", "formal") for seed in (0, 1)]


def sweep(root, *overrides):
    command = [
        *(sys.executable, "recipes/ablate.py", "experiment=smoke", f"root={root}"),
        *("hardware.memory_gb=0", "hardware.restarts=0"),
        *("ablation.presets=[answer_only]", "ablation.vary=[]"),
        *("ablation.ungated=[]", f'ablation.arms=["{FORMAL}"]'),
        f"hardware.launch=[{sys.executable},tests/ablation/stand_in.py]",
        "hardware.environment.STOP_RUN=ablation/formal-seed0",
        f"hardware.environment.STOP_FILE={root}/stop",
    ]
    return subprocess.run(
        [*command, *overrides], cwd=ROOT, capture_output=True, text=True, check=False
    )


def attempts(run):
    """The steps that each attempt at a run logged."""
    files = sorted((run / "metrics").glob("*.jsonl"))
    return [[json.loads(line)["step"] for line in path.read_text().splitlines()] for path in files]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def first(root):
    """The sweep, one run of which fails after its first step."""
    (root / "stop").touch()
    return sweep(root)


@pytest.fixture(scope="module")
def second(root, first):
    """The same command again, when nothing is in the way any more."""
    (root / "stop").unlink()
    return sweep(root)


def test_a_run_that_fails_is_named_and_the_others_are_trained_all_the_same(root, first):
    assert first.returncode == 1, first.stderr
    said = " ".join(first.stdout.split())
    assert "run 4 of 4: formal, seed 1" in said
    assert (
        "error: ablation/formal-seed0: the trainer ended with status 1: RuntimeError: out" in said
    )
    assert "1 run failed; the same command tries again" in said
    assert "Traceback" not in first.stdout + first.stderr
    assert f"so far: {root}/ablation/report.html; 1 run is left" in said


def test_the_same_command_trains_only_what_is_missing(root, second):
    assert second.returncode == 0, second.stdout + second.stderr
    assert second.stdout.count("trained already") == 3
    found = {name: attempts(root / "ablation" / name) for name in RUNS}
    assert found.pop("formal-seed0") == [[1], [1, 2]]  # its first attempt saved nothing
    assert list(found.values()) == [[[1, 2]]] * 3


def test_every_run_is_trained_in_a_process_of_its_own(root, second):
    pids = [path.name for name in RUNS for path in (root / "ablation" / name).glob("pid-*")]
    assert len(set(pids)) == len(pids) == 5


def test_every_run_is_scored_by_its_own_reward_and_asked_the_same_questions(root, second):
    asked = set()
    for name in RUNS:
        scored = read_scored(root / "ablation" / name / "rollouts" / "val-sampled" / "000002.jsonl")
        asked.add(tuple(one.trajectory.question.id for one in scored))
        totals = {one.score.parts["accuracy"].raw: one.score.total for one in scored}
        assert totals == ({1: 1.5, 0: 0.5} if name.startswith("formal") else {1: 1, 0: 0})
    assert len(asked) == 1


def test_the_page_compares_all_runs_and_says_what_the_part_moves(root, second):
    folder = root / "ablation"
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert "4 runs of 2 arms" in page
    assert "format, added to answer_only: nothing moved clearly." in page
    assert "accuracy 1, format 0.5 behind open" in page
    assert "| measure | format, added to answer_only |" in text
    assert "- format, added to answer_only: nothing moved clearly." in second.stdout
    assert f"report: {folder}/report.html" in second.stdout.replace("\n", "")


def plan(**fields):
    return Plan.of(OmegaConf.create(msgspec.to_builtins(AblationSettings(**fields))))


def test_the_plan_takes_presets_apart_and_trains_with_no_reward_twice():
    made = plan()
    assert [arm.name for arm in made.arms] == [
        "answer_only",
        "composite",
        "composite without format",
        "composite without efficiency",
        "composite ungated",
    ]
    assert len(made) == 10
    assert made.swept("seeds") == "0,1"
    assert made.swept("arms").startswith("'answer_only','composite','composite without format',")
    assert made.jobs[5] == (
        "composite without format",
        1,
        "ablation/composite-without-format-seed1",
    )


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"presets": ["papr"]}, UnknownNameError, r"reward preset 'papr'; did you mean 'paper'"),
        ({"arms": ["mine"]}, UsageError, r"expected an arm as name:component=weight"),
        (
            {"arms": ["it's:accuracy=1,format=1"]},
            UsageError,
            r"\"it's\" cannot name a run's folder",
        ),
        (
            {"arms": ["Composite:accuracy=1,format=1"]},
            UsageError,
            r"'composite' cannot name a run's folder, or is too like another's",
        ),
        ({"presets": [], "vary": [], "ungated": []}, UsageError, r"at least one arm, got none"),
        ({"seeds": []}, UsageError, r"different numbers, at least one and none negative, got \[\]"),
        ({"seeds": [1, 1]}, UsageError, r"none negative, got \[1, 1\]"),
        ({"seeds": [-1]}, UsageError, r"none negative, got \[-1\]"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(fields, error, message):
    with pytest.raises(error, match=message):
        plan(**fields)


def test_an_arm_that_the_plan_has_not_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"arm 'composit'; did you mean 'composite'\?"):
        plan().arm("composit")


def test_a_mistake_on_the_command_line_is_one_line_before_anything_begins(tmp_path):
    done = sweep(tmp_path, "ablation.presets=[papr]")
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("error: unknown reward preset 'papr'; did you mean 'paper'?")
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())
