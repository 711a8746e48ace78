"""Supervised fine-tuning with verl: scripted teachers play, a new tiny policy learns to write so.

Builds the world, lets an oracle, a guesser and a wanderer play the training questions in the real
environment, trains a tokenizer on what they wrote and were shown, and teaches an untrained policy
with verl's SFT trainer; only tokens that a policy would write carry loss. It leaves out judging
what was learned: recipes/train.py validates before its first step.

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
from medenv.integrations.progress import steps_bar
from medenv.integrations.verl_sft import export, prepare_lessons, teach

console = Console()
register_schema()


def run_sft(config: DictConfig) -> None:
    """Prepare, teach, export."""
    check_config(config, "sft_trainer_engine")
    counts = prepare_lessons(config, lambda what: console.print(f"  {what} ..."))
    for name, number in counts.items():
        console.print(f"  {number:,} episodes: {name}")
    with steps_bar(int(config.trainer.total_training_steps), "teaching", console) as bar:
        for step, logged in teach(config):
            bar(step, f"teaching, loss {logged.get('train/loss', float('nan')):.2f}")
    target = Path(config.medenv.policy)
    parameters = export(config, target)
    console.print(f"wrote {target}: {parameters / 1e6:.1f} M parameters")


@hydra.main(version_base="1.3", config_path="../conf", config_name="sft")
def main(config: DictConfig) -> None:
    """Run, and turn failures into one line."""
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
