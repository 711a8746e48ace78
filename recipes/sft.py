"""Supervised fine-tuning with verl: of a new tiny policy, or of any policy on trajectories.

A policy is fine-tuned on a set that recipes/trajectories.py made: token ids with exact loss masks,
validated before, between and after the stages by playing held-out questions.

    python recipes/sft.py experiment=tiny_sft           # the tiny policy, on two cores
    python recipes/sft.py policy=qwen3_8b hardware=eight_gpu

A new tiny policy is taught by scripted teachers. That builds the world, lets an oracle, a guesser
and a wanderer play the training questions in the real environment, trains a tokenizer on what they
wrote and were shown, and teaches an untrained policy; in episodes only tokens that a policy would
write carry loss. Most names in them are invented: what must be copied cannot be known by heart. It
leaves out judging what was learned: recipes/train.py validates before its first step.

    python recipes/sft.py experiment=tiny_policy        # two cores, well under an hour

Run it again and it goes on from its newest whole checkpoint (docs/runs.md).
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from medenv.build.settings import SftSettings
from medenv.integrations.hydra.config import check_config, register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, FROM_CHECKPOINT, launch, told_in_one_line
from medenv.integrations.verl import preflight
from medenv.integrations.verl.finetuning import (
    described,
    learns_from_trajectories,
    open_finetuning,
    validate,
    without_other_trainers,
)
from medenv.integrations.verl.processes import own_folder, stop_on_signals
from medenv.integrations.verl.sft import SFTRun, export, train_stage
from medenv.integrations.verl.warm_start import open_warm_start, prepare_stage, write_held_out
from medenv.report.progress import ConsoleProgress, steps_bar

TREE = "sft_trainer_engine"
console = Console()
progress = ConsoleProgress(console)
register_schema("sft", SftSettings)


def train(config: DictConfig, run: SFTRun, number: int) -> None:
    """Train one stage under a bar."""
    what = f"stage {number + 1} of {len(run.steps)}"
    with steps_bar(run.steps[number], what, console) as bar:
        for step, logged in train_stage(config, run, number, progress.say):
            bar(step, f"{what}, loss {logged.get('train/loss', float('nan')):.2f}")


def new_policy(config: DictConfig, settings: SftSettings) -> None:
    """Prepare and train stage by stage, then export."""
    warm_start = open_warm_start(config, settings, progress)
    run, target = warm_start.run, Path(settings.policy.path)
    for number in range(len(run.steps)):
        for name, count in prepare_stage(warm_start, number, progress.say).items():
            console.print(f"  {count:,} episodes: {name}")
        train(config, run, number)
    parameters = export(Path(run.policy(len(run.steps))), target)
    write_held_out(warm_start, target)
    console.print(f"wrote {target}: {parameters / 1e6:.1f} M parameters")


def fine_tune(config: DictConfig, settings: SftSettings) -> None:
    """Fine-tune stage by stage, validate between them, then export."""
    run = open_finetuning(config, settings, progress.say)
    total = len(run.steps)
    for number in range(total + 1):
        with steps_bar(1, f"validation {number + 1} of {total + 1}", console) as bar:
            for done, logged in validate(run, number):
                bar(done, f"validation {number + 1} of {total + 1}", int(logged["total"]))
        console.print(f"  {described(run, number)}")
        if number < total:
            train(config, run, number)
    target = run.folder / "policy"
    parameters = export(Path(run.policy(total)), target)
    console.print(
        f"wrote {target}: {parameters / 1e6:.1f} M parameters; before against after: "
        f"{run.folder / 'validation' / str(total) / 'report.html'}"
    )


def run_sft(config: DictConfig) -> None:
    """Train a new policy, or fine-tune one, as the stages say."""
    settings = settings_of(config, SftSettings)
    chosen = fine_tune if learns_from_trajectories(settings) else new_policy
    config = without_other_trainers(config)
    check_config(config, SftSettings, TREE)
    preflight.check_loggers(config)
    with progress, own_folder(Path(settings.root) / settings.run, progress.say):
        chosen(config, settings)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="sft")
def main(config: DictConfig) -> None:
    """Run, and turn failures into one line."""
    stop_on_signals()
    with told_in_one_line(FROM_CHECKPOINT):
        run_sft(config)


def run() -> None:
    """Run the command line."""
    launch(main)


if __name__ == "__main__":
    run()
