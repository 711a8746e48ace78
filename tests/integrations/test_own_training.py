"""Training for real: on a set that `synthesize` wrote, and on one's own questions and reward.

The first writes and trains at the same time and draws its questions by their success; the second
is trained by GSPO, recomputed from the stored episodes.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from medenv.evaluation.summary import read_scored
from medenv.records import Scored

from .algorithms import assert_trained_by, gspo
from .smoke import ROOT, logged

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]

GENES = {
    "Marfan syndrome": "FBN1",
    "Cystic fibrosis": "CFTR",
    "Huntington disease": "HTT",
    "Phenylketonuria": "PAH",
    "Duchenne dystrophy": "DMD",
    "Rett syndrome": "MECP2",
    "Dravet syndrome": "SCN1A",
    "Gaucher disease": "GBA1",
    "Fabry disease": "GLA",
    "Wilson disease": "ATP7B",
    "Pompe disease": "GAA",
    "Alkaptonuria": "HGD",
}


def recipe(folder: Path, name: str, *overrides: str) -> str:
    """Run a recipe in a user's folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "recipes" / f"{name}.py"), *overrides],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def trained(folder: Path, *overrides: str) -> Path:
    """Train the tiny policy for two steps in a user's folder; return the run's folder."""
    fixed = ["experiment=smoke", "graph=auto", f"policy.path={ROOT / 'models' / 'tiny_policy'}"]
    recipe(folder, "train", *fixed, "trainer.val_before_train=false", *overrides)
    return folder / "outputs" / "smoke"


def episodes(run: Path, step: int, part: str = "train") -> list[Scored]:
    return list(read_scored(run / "rollouts" / part / f"{step:06d}.jsonl"))


def assert_logged(run: Path, part: str) -> None:
    """Assert that a part of the reward is logged as it is in the stored episodes of each step."""
    for step in (1, 2):
        raw = [one.score.parts[part].raw for one in episodes(run, step)]
        assert len(raw) == 4 * 4
        mean = pytest.approx(sum(raw) / len(raw), abs=1e-6)
        assert logged(run, 0)[step][f"reward/{part}/raw"] == mean


def test_a_set_with_rare_chains_is_trained_on_by_its_folder(tmp_path: Path) -> None:
    recipe(tmp_path, "synthesize", "questions=rare_chains", "n=16", "questions.n_test=2")
    run = trained(
        tmp_path,
        *("questions=outputs/questions-rare_chains-0", "evaluation.questions=2"),
        *("schedule=colocate_async", "curriculum=success"),
        *("curriculum.turns=1", "curriculum.turn_steps=1"),
        *("data.max_prompt_length=420", "data.max_response_length=500"),
        "actor_rollout_ref.rollout.max_model_len=920",
    )
    for name in ("accuracy", "format"):
        assert_logged(run, name)
    asked = [one.trajectory.question for step in (1, 2) for one in episodes(run, step)]
    assert min(len(question.path) for question in asked) >= 3
    assert len({question.id for question in asked}) == 2 * 4
    assert {question.rare is not None for question in asked} == {True}
    assert {len(one.trajectory.turns) for one in episodes(run, 1)} == {1}
    validated = {one.trajectory.question.id for one in episodes(run, 2, "val-greedy")}
    assert len(validated) == 2
    metrics = logged(run, 0)
    assert [metrics[step]["curriculum/new"] for step in (1, 2)] == [1.0, 1.0]
    assert [metrics[step]["curriculum/seen"] for step in (1, 2)] == [4 / 16, 8 / 16]
    counts = Counter(one.trajectory.question.id for step in (1, 2) for one in episodes(run, step))
    assert set(counts.values()) == {4}
    assert "val-core/medenv/sampled/acc/mean@2" in metrics[2]
    # The second step took what was begun before the first one changed the weights.
    assert metrics[1]["training/off_policy/trajectory_staleness/max"] == 0
    assert metrics[2]["training/off_policy/trajectory_staleness/max"] == 1
    assert metrics[2]["rollout_corr/rollout_is_mean"] == pytest.approx(1.0, abs=0.2)


@contextlib.contextmanager
def cluster_of_two_nodes() -> Iterator[str]:
    """Runs a Ray cluster of two nodes on this machine; yields its address."""
    node = {"num_cpus": 8, "num_gpus": 1, "object_store_memory": 300_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


def test_questions_passages_and_a_reward_of_ones_own_are_trained_on_over_two_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    lines = [f"Which gene is altered in {disease}?,{gene}" for disease, gene in GENES.items()]
    (tmp_path / "mine.csv").write_text("\n".join(["question,answer", *lines]) + "\n")
    (tmp_path / "passages.jsonl").write_text(
        "".join(
            json.dumps({"title": disease, "text": f"{disease} comes with a change in {gene}."})
            + "\n"
            for disease, gene in GENES.items()
        )
    )
    (tmp_path / "my_rewards.py").write_text(
        "def mine(trajectory):\n    return 0.1 * len(trajectory.turns)\n"
    )
    # Dense: whatever words the tiny policy searches for, its search shows passages.
    chosen = ("questions=mine.csv", "corpus=passages.jsonl", "scoring=my_rewards:mine")
    with cluster_of_two_nodes() as address:
        spread = (f"ray_kwargs.ray_init.address={address}", "trainer.nnodes=2")
        run = trained(tmp_path, *chosen, "retriever=dense", "algo=gspo", *spread)
    assert_trained_by(run, gspo)
    for name in ("reward", "accuracy"):
        assert_logged(run, name)
    for step in (1, 2):
        scored = episodes(run, step)
        totals = [0.1 * len(one.trajectory.turns) for one in scored]
        assert [one.score.total for one in scored] == pytest.approx(totals)
        mean = pytest.approx(sum(totals) / len(totals), abs=1e-6)
        assert logged(run, 0)[step]["critic/score/mean"] == mean
    both = [one.trajectory for step in (1, 2) for one in episodes(run, step)]
    assert {trajectory.question.certificate for trajectory in both} == {None}
    shown = [turn.observation for trajectory in both for turn in trajectory.turns]
    assert any("comes with a change in" in text for text in shown)
