"""Supervised fine-tuning with verl: scripted teachers play, a new tiny policy learns to write so.

Builds the world, lets an oracle, a guesser and a wanderer play the training questions in the real
environment, trains a tokenizer on what they wrote and were shown, and teaches an untrained policy
with verl's SFT trainer; in episodes only tokens that a policy would write carry loss. Most names in
them are invented: what must be copied cannot be known by heart. It leaves out judging what was
learned: recipes/train.py validates before its first step.

    python recipes/sft.py experiment=tiny_policy        # two cores, well under an hour

Run it again and it goes on from its last checkpoint.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from medenv.errors import MedEnvError
from medenv.integrations.config import check_config, register_schema
from medenv.integrations.lessons import open_school, prepare_stage, write_held_out
from medenv.integrations.processes import stop_on_signals
from medenv.integrations.progress import steps_bar
from medenv.integrations.verl_sft import export, taught_policy, teach

console = Console()
register_schema()


def run_sft(config: DictConfig) -> None:
    """Prepare and teach stage by stage, then export."""

    def say(what: str) -> None:
        console.print(f"  {what} ...")

    check_config(config, "sft_trainer_engine")
    school = open_school(config, say)
    stages = config.medenv.lessons.stages
    for number, stage in enumerate(stages):
        for name, count in prepare_stage(school, number, say).items():
            console.print(f"  {count:,} episodes: {name}")
        with steps_bar(int(stage.steps), f"stage {number + 1} of {len(stages)}", console) as bar:
            for step, logged in teach(config, school, number):
                loss = logged.get("train/loss", float("nan"))
                bar(step, f"stage {number + 1} of {len(stages)}, loss {loss:.2f}")
    target = Path(config.medenv.policy)
    parameters = export(taught_policy(school, len(stages) - 1), target)
    write_held_out(school, target)
    console.print(f"wrote {target}: {parameters / 1e6:.1f} M parameters")


@hydra.main(version_base="1.3", config_path="../conf", config_name="sft")
def main(config: DictConfig) -> None:
    """Run, and turn failures into one line."""
    stop_on_signals()
    try:
        run_sft(config)
    except MedEnvError as error:
        console.print(f"[red]error:[/red] {error}", highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from the last checkpoint")
        sys.exit(130)


if __name__ == "__main__":
    main()
