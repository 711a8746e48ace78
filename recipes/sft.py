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
    is_course,
    open_course,
    validate,
    without_other_trainers,
)
from medenv.integrations.verl.lessons import open_school, prepare_stage, write_held_out
from medenv.integrations.verl.processes import own_folder, stop_on_signals
from medenv.integrations.verl.sft import export, taught_policy, teach, train_stage
from medenv.report.progress import ConsoleProgress, steps_bar

TREE = "sft_trainer_engine"
console = Console()
progress = ConsoleProgress(console)
register_schema("sft", SftSettings)


def new_policy(config: DictConfig, settings: SftSettings) -> None:
    """Prepare and teach stage by stage, then export."""
    school = open_school(config, settings, progress)
    stages, say = settings.lessons.stages, progress.say
    for number, stage in enumerate(stages):
        for name, count in prepare_stage(school, number, say).items():
            console.print(f"  {count:,} episodes: {name}")
        with steps_bar(stage.steps, f"stage {number + 1} of {len(stages)}", console) as bar:
            for step, logged in teach(config, school, number, say):
                loss = logged.get("train/loss", float("nan"))
                bar(step, f"stage {number + 1} of {len(stages)}, loss {loss:.2f}")
    target = Path(settings.policy.path)
    parameters = export(taught_policy(school, len(stages) - 1), target)
    write_held_out(school, target)
    console.print(f"wrote {target}: {parameters / 1e6:.1f} M parameters")


def fine_tune(config: DictConfig, settings: SftSettings) -> None:
    """Fine-tune stage by stage, validate between them, then export."""
    say = progress.say
    course = open_course(config, settings, say)
    total = len(course.steps)
    for number in range(total + 1):
        with steps_bar(1, f"validation {number + 1} of {total + 1}", console) as bar:
            for done, logged in validate(course, number):
                bar(done, f"validation {number + 1} of {total + 1}", int(logged["total"]))
        console.print(f"  {described(course, number)}")
        if number < total:
            with steps_bar(course.steps[number], f"stage {number + 1} of {total}", console) as bar:
                stage = train_stage(config, course.run(number), course.hardware, say)
                for step, logged in stage:
                    loss = logged.get("train/loss", float("nan"))
                    bar(step, f"stage {number + 1} of {total}, loss {loss:.2f}")
    target = course.folder / "policy"
    parameters = export(Path(course.policy(total)), target)
    console.print(
        f"wrote {target}: {parameters / 1e6:.1f} M parameters; before against after: "
        f"{course.folder / 'validation' / str(total) / 'report.html'}"
    )


def run_sft(config: DictConfig) -> None:
    """Teach a new policy, or fine-tune one, as the stages say."""
    settings = settings_of(config, SftSettings)
    chosen = fine_tune if is_course(settings) else new_policy
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
