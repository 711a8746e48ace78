"""Steps of GRPO and PPO for real: verl's trainer, Ray, TransferQueue, FSDP2 and vLLM, on CPU.

One run of GRPO is stopped by Ctrl-C after its first step and goes on to its end; it replaces groups
as DAPO does. Another one is PPO with its critic, trained as a control.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from medenv.evaluation.summary import read_scored
from medenv.integrations.verl.best import Best
from medenv.io import read_json
from medenv.reward import shuffle_batch
from medenv.trajectories.interchange import read_source

from .smoke import LAST, LONGER, ROOT, Stopped, logged, train

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]


def every_step(folder: Path) -> dict[int, dict[str, float]]:
    first, second = logged(folder, 0), logged(folder, 1)
    return {step: first.get(step, {}) | second.get(step, {}) for step in sorted(first | second)}


def trained_steps(folder: Path) -> dict[int, dict[str, float]]:
    """Those that changed the policy; what a kill cut off before it was logged is missing."""
    steps = every_step(folder).items()
    found = {step: metrics for step, metrics in steps if "critic/score/mean" in metrics}
    assert {1, LAST - 1, LAST} <= set(found)
    return found


def test_ctrl_c_leaves_no_process_behind(stopped: Stopped) -> None:
    assert stopped.code == 130, stopped.said[-3000:]
    assert "raylet" in stopped.ran
    assert stopped.left == []
    assert "goes on from the last checkpoint" in stopped.said


def test_the_model_is_sampled_in_the_engines_own_process(stopped: Stopped) -> None:
    assert "VLLM::EngineCore"[:15] in {name[:15] for name in stopped.ran}  # as Linux cuts it
    assert not any(name.startswith("VLLM::Worker") for name in stopped.ran)


def test_a_stopped_run_goes_on_from_its_checkpoint_and_further_than_first_asked(
    run: Path, stopped: Stopped
) -> None:
    before, after = (
        [step for step, metrics in logged(run, attempt).items() if "critic/score/mean" in metrics]
        for attempt in (0, 1)
    )
    assert before[0] == 1
    assert before[-1] <= stopped.checkpoint < LAST
    assert after == list(range(stopped.checkpoint + 1, LAST + 1))
    assert (run / "rollouts" / "train" / f"{LAST:06d}.jsonl").exists()


def test_every_component_is_logged_raw_and_weighted_in_training_and_validation(run: Path) -> None:
    steps = every_step(run)
    for name in ("accuracy", "format", "efficiency"):
        for form in ("raw", "weighted"):
            assert f"reward/{name}/{form}" in steps[1]
            assert f"val-aux/medenv/sampled/reward/{name}/{form}/mean@2" in steps[0]
    assert steps[1]["episodes/unavailable"] == 0.0


def test_the_logged_reward_is_the_mean_over_the_stored_episodes(run: Path) -> None:
    for step, metrics in trained_steps(run).items():
        scored = read_scored(run / "rollouts" / "train" / f"{step:06d}.jsonl")
        totals = [one.score.total or 0.0 for one in scored]
        assert len(totals) == 4 * 4
        assert metrics["critic/score/mean"] == pytest.approx(sum(totals) / 16, abs=1e-6)
        assert metrics["reward/total"] == pytest.approx(sum(totals) / 16, abs=1e-6)


def test_no_group_is_trained_on_whose_answers_are_equally_right(run: Path) -> None:
    replaced = 0.0
    for step, metrics in trained_steps(run).items():
        right: dict[str, list[float]] = {}
        for one in read_scored(run / "rollouts" / "train" / f"{step:06d}.jsonl"):
            part = one.score.parts["accuracy"]
            right.setdefault(one.trajectory.question.id, []).append(part.raw)
        assert all(0.0 < sum(group) < len(group) for group in right.values())
        replaced += metrics.get("training/filter_groups/evicted_samples", 0.0)
    assert replaced > 0.0


def test_validation_answers_each_question_as_often_as_asked(run: Path) -> None:
    for step in (0, LAST):
        sampled = read_scored(run / "rollouts" / "val-sampled" / f"{step:06d}.jsonl")
        greedy = read_scored(run / "rollouts" / "val-greedy" / f"{step:06d}.jsonl")
        assert len(sampled) == 4 * 2
        assert len(greedy) == 4
        assert {one.trajectory.question.split for one in (*sampled, *greedy)} == {"test"}


def test_the_rollouts_of_a_training_are_read_as_episodes(run: Path) -> None:
    source = read_source(run)
    scored = read_scored(run / "rollouts" / "train" / f"{LAST:06d}.jsonl")
    of_step = [one.scored for one in source.episodes if one.part == f"train/{LAST:06d}"]
    assert of_step == scored
    assert source.about["settings"]


def test_only_tokens_that_the_policy_wrote_are_trained_on(run: Path) -> None:
    for step, metrics in trained_steps(run).items():
        scored = read_scored(run / "rollouts" / "train" / f"{step:06d}.jsonl")
        written = [sum(turn.tokens for turn in one.trajectory.turns) for one in scored]
        assert metrics["episodes/trained_tokens"] == pytest.approx(sum(written) / len(written))
        assert metrics["response_length/mean"] > metrics["episodes/trained_tokens"]


def test_the_weights_changed_and_the_rollout_engine_got_them(run: Path) -> None:
    before = load_file(ROOT / "models" / "tiny_policy" / "model.safetensors")
    step = run / "checkpoints" / f"global_step_{LAST}" / "actor" / "huggingface"
    after = load_file(step / "model.safetensors")
    moved = max(
        (after[name].float() - tensor.float()).abs().max().item() for name, tensor in before.items()
    )
    assert moved > 1e-5
    # Were the engine's weights those of the step before, its probabilities would differ.
    # In an attempt's first step both were loaded from the same files; its last is never that.
    for metrics in trained_steps(run).values():
        assert metrics["training/rollout_probs_diff_max"] < 1e-3


def test_the_report_is_one_page_that_needs_nothing_else(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "<script src=" not in page
    assert "<link " not in page
    assert "Human Phenotype" in page or "toy" in page


def test_the_best_policy_is_kept_with_a_card(run: Path) -> None:
    best = read_json(run / "best" / "trained.json", Best)
    steps = every_step(run)
    measured = {
        step: metrics["val-core/medenv/sampled/acc/mean@2"]
        for step, metrics in steps.items()
        if "val-core/medenv/sampled/acc/mean@2" in metrics
    }
    trained = {step: accuracy for step, accuracy in measured.items() if step}
    assert (best.accuracy, best.before) == (max(trained.values()), measured[0])
    assert trained[best.step] == best.accuracy
    # Its checkpoint may be gone by now: two are kept.
    begun = load_file(ROOT / "models" / "tiny_policy" / "model.safetensors")
    kept = load_file(run / "best" / "model.safetensors")
    assert any(not torch.equal(kept[name].float(), tensor) for name, tensor in begun.items())
    assert AutoModelForCausalLM.from_pretrained(run / "best").num_parameters() > 0
    card = (run / "best" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert f"{100 * best.accuracy:.1f} %" in card


def test_an_alarm_is_written_and_stands_in_the_report(run: Path) -> None:
    (alarm,) = map(json.loads, (run / "alarms.jsonl").read_text().splitlines())
    assert (alarm["step"], alarm["setting"]) == (1, "entropy_below")
    assert alarm["value"] == logged(run, 0)[1]["actor/entropy"]
    assert (
        "below alarms.entropy_below=100 for 1 steps in a row" in (run / "report.html").read_text()
    )


def test_a_finished_run_is_shown_again_without_training(root: Path, run: Path) -> None:
    again = train(root, *LONGER)
    assert again.returncode == 0, again.stderr[-2000:]
    said = " ".join(again.stdout.split())
    assert "is trained already" in said
    assert len(list((run / "metrics").iterdir())) == 2


def test_another_setting_does_not_continue_in_the_same_folder(root: Path, run: Path) -> None:
    other = train(root, *LONGER, "scoring=answer_only")
    assert other.returncode == 2
    assert "holds a run with other settings" in " ".join(other.stdout.split())


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("policy=models/no_such_policy", "names no folder"),
        ("hardware.memory_gb=100000", "needs 100000 GB of memory"),
        ("env.dialect=hermess", "did you mean 'hermes'?"),
        ("scoring.preset=compositt", "did you mean 'composite'?"),
        ("env.tools.serch={}", "did you mean 'search'?"),
        ("graph.source=umls", "unknown knowledge-graph source 'umls'"),
        ("data.max_prompt_length=12", "longer than data.max_prompt_length=12 tokens: set it to"),
        ("actor_rollout_ref.rollout.n=1", "set actor_rollout_ref.rollout.n to 2 or more"),
        ("evaluation.samples=0 evaluation.greedy=false", "set one of them"),
        ("trainer.test_freq=-1", "set it to the steps between validations"),
        ("+algorithm.adv_estimater=grpo", "did you mean 'algorithm.adv_estimator'?"),
    ],
)
def test_bad_input_gets_one_clear_line(tmp_path: Path, override: str, line: str) -> None:
    done = train(tmp_path, *override.split(" "))
    assert done.returncode == 2, done.stderr[-2000:]
    assert line in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr
    assert not torch.cuda.is_initialized()


@pytest.fixture(scope="module")
def ppo(root: Path) -> Path:
    """Two steps of PPO with its critic, as a control: rewards that say nothing."""
    given = (
        *("run=ppo", "algo=ppo", "scoring=random", "actor_rollout_ref.rollout.n=1"),
        *("data.train_batch_size=8", "actor_rollout_ref.actor.ppo_mini_batch_size=8"),
        *("trainer.val_before_train=false", f"trainer.rollout_data_dir={root / 'dumped'}"),
    )
    done = train(root, *given)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return root / "ppo"


def test_ppo_trains_its_critic_and_its_policy(ppo: Path) -> None:
    for step in (1, 2):
        metrics = logged(ppo, 0)[step]
        for name in ("critic/vf_loss", "critic/grad_norm", "actor/grad_norm"):
            assert metrics[name] > 0.0, name
        assert metrics["groups/dropped"] == 0.0
    saved = ppo / "checkpoints" / "global_step_2"
    before = load_file(ROOT / "models" / "tiny_policy" / "model.safetensors")
    after = load_file(saved / "actor" / "huggingface" / "model.safetensors")
    assert any(not torch.equal(after[name].float(), old.float()) for name, old in before.items())
    assert any((saved / "critic").rglob("*.pt"))


def test_the_control_of_ppo_deals_rewards_out_across_the_batch(ppo: Path, root: Path) -> None:
    for step in (1, 2):
        scored = read_scored(ppo / "rollouts" / "train" / f"{step:06d}.jsonl")
        true = [one.score.total for one in scored]
        assert len(true) == 8
        dealt = shuffle_batch(true, range(8), seed=0, step=step)
        assert shuffle_batch(range(8), range(8), seed=0, step=step) != list(range(8))
        trained = [
            json.loads(line)
            for line in (root / "dumped" / f"{step}.jsonl").read_text().splitlines()
        ]
        for one, expected in zip(scored, dealt, strict=True):
            (own,) = (row for row in trained if one.trajectory.question.text in row["input"])
            assert own["score"] == pytest.approx(expected, abs=1e-6)
