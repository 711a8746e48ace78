"""Compute the memory and disk that a training needs, and whether it fits.

Composes what recipes/train.py would, and works out memory by phase and part, the episodes of a step
and the space of checkpoints, without starting anything. It exits with 1 where the training cannot
run, and says why. It leaves out how long a step takes.

    python recipes/plan.py policy=qwen3_8b hardware=eight_gpu
    python recipes/plan.py policy=qwen3_14b hardware=one_gpu adapter=lora_r32
"""

import sys

import hydra
from omegaconf import DictConfig
from rich.console import Console

from medenv.build.settings import TrainSettings
from medenv.integrations.hydra.config import check_config, register_schema
from medenv.integrations.hydra.launching import CONF, launch, told_in_one_line
from medenv.integrations.verl.algorithm import check_algorithm
from medenv.integrations.verl.plan import plan_of
from medenv.report.plan import plan_table

register_schema("train", TrainSettings)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(config: DictConfig) -> None:
    """Plan, and print."""
    with told_in_one_line():
        check_config(config, TrainSettings)
        check_algorithm(config)
        plan = plan_of(config)
        Console().print(plan_table(plan))
    if plan.problems:
        sys.exit(1)


def run() -> None:
    """Run the command line."""
    sys.argv.append("hydra.run.dir=.")  # nothing is written
    launch(main)


if __name__ == "__main__":
    run()
