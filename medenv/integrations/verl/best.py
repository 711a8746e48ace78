"""The best policy of a training, by its validations: `outputs/<run>/best`, with a model card."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import medenv
from medenv.integrations.verl.checkpoints import EXPORT, holds_policy
from medenv.io import atomic_folder, read_json, write_json, write_text
from medenv.records import Record
from medenv.report.html import NOTICE

if TYPE_CHECKING:
    from medenv.integrations.verl.run import Run

BEST, RECORD = "best", "trained.json"
_PREFIX, _MEAN = "val-core/medenv/", "/acc/mean@"


class Best(Record, frozen=True, kw_only=True):
    """Record of the policy that is kept.

    Args:
        step: The step after which it was validated.
        sampling: How it wrote, "sampled" or "greedy".
        accuracy: Share of held-out questions that it answered rightly, in [0, 1].
        before: The same before training, or None where that was not validated.
        questions: Number of held-out questions.
    """

    step: int
    sampling: str
    accuracy: float
    before: float | None
    questions: int


def accuracies(logged: Mapping[str, float]) -> dict[str, float]:
    """Return the accuracies of a validation by how the policy wrote, sorted; empty without one.

    Args:
        logged: What verl logged for a step.
    """
    found = {
        name.removeprefix(_PREFIX).partition("/")[0]: value
        for name, value in logged.items()
        if name.startswith(_PREFIX) and _MEAN in name
    }
    return dict(sorted(found.items()))


def keep_best(run: Run, step: int, logged: Mapping[str, float]) -> Best | None:
    """Keep the policy of a step where none before answered more held-out questions rightly.

    Accuracies are those of sampled episodes, or of greedy ones where none are sampled. The weights
    are linked where the file system can, so that they take no room while their checkpoint is there.

    Args:
        run: The run.
        step: The step.
        logged: What verl logged for it.

    Returns:
        What is kept now, if it is new.
    """
    measured = accuracies(logged)
    policy = Path(run.config.trainer.default_local_dir) / f"global_step_{step}" / "actor" / EXPORT
    if not measured or not step or not holds_policy(policy):
        return None
    sampling = "sampled" if "sampled" in measured else next(iter(measured))
    folder = run.folder / BEST
    if (folder / RECORD).exists():
        kept = read_json(folder / RECORD, Best)
        if kept.step != step and kept.accuracy >= measured[sampling]:
            return None
    best = Best(
        step=step,
        sampling=sampling,
        accuracy=measured[sampling],
        before=accuracies(run.metrics().get(0, {})).get(sampling),
        questions=run.questions["test"],
    )
    with atomic_folder(folder, existing="replace") as partial:
        shutil.copytree(policy, partial, copy_function=_link, dirs_exist_ok=True)
        write_json(partial / RECORD, best)
        write_text(partial / "README.md", _card(run, best))
    return best


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
    return target


def _card(run: Run, best: Best) -> str:
    """Return the model card in Hugging Face's form."""
    config, contents = run.config, run.prepared.questions.contents
    before = "" if best.before is None else f", {100 * best.before:.1f} % before training"
    return f"""---
library_name: transformers
base_model: {config.policy.path}
tags: [reinforcement-learning, verl, medenv]
---
# {run.folder.name}

{config.policy.path}, trained by medenv {medenv.__version__} with verl
(`{config.algorithm.adv_estimator}`, step {best.step} of {run.steps}).

| | |
|---|---|
| held-out accuracy ({best.sampling}, {best.questions} questions) | \
{100 * best.accuracy:.1f} %{before} |
| questions | `{run.prepared.questions.folder.name}`, {run.questions["train"]:,} of training |
| environment | `environment.json` beside this folder |
| every setting | `config.yaml` beside this folder |
| seed | {config.seed} |

It is the best of the run's checkpoints by that accuracy, which is therefore a little too high;
evaluate it on other questions: `medenv evaluate policy=FOLDER questions=...`.

It writes in the dialect `{run.settings.env.dialect}`, and was trained to use the environment's
tools.
What it answers is not checked. {NOTICE}

{contents.acknowledgement}
"""
