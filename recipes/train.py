"""Reinforcement learning with verl on a medenv environment, from nothing to a report.

Reads a knowledge graph, makes certified questions, trains a policy on them with verl (Ray, FSDP2,
vLLM), answers held-out questions before and after, and writes outputs/<run>/report.html. It leaves
out the warm start of the tiny policy (recipes/sft.py) and serving the result.

    python recipes/train.py experiment=cpu                               # two cores, no GPU
    python recipes/train.py policy=qwen3_4b hardware=one_gpu run=mine    # one GPU
    python recipes/train.py policy=qwen3_8b hardware=eight_gpu run=mine  # eight

Run it again with the same name and it goes on where it stopped, or shows what it had found
(docs/runs.md).
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from medenv.integrations.hydra.config import check_config, register_schema
from medenv.integrations.hydra.launching import FROM_CHECKPOINT, launch, told_in_one_line
from medenv.integrations.verl import preflight
from medenv.integrations.verl.processes import stop_on_signals
from medenv.integrations.verl.progress import training_bar
from medenv.integrations.verl.report import training_report
from medenv.integrations.verl.run import Run, open_run, train
from medenv.report.training import print_table, write_training_report

console = Console()
register_schema()


def say(what: str) -> None:
    """Print what is being done."""
    console.print(f"  {what} ...", soft_wrap=True)


def run_training(run: Run) -> None:
    """Train to the last step, with a bar that says how long it will take."""
    if run.is_finished():
        console.print(f"{run.folder} is trained already ({run.steps} steps); showing its report")
        return
    preflight.check(run.config, run.workspace.facts.train)
    console.print(f"starting Ray, FSDP2 and vLLM; their output goes to {run.log}")
    with training_bar(run, console) as bar:
        for step, logged in train(run, say):
            bar(step, logged)


def write_report(run: Run) -> Path:
    """Write the report and print its table."""
    report = training_report(run)
    path = run.folder / "report.html"
    write_training_report(path, report)
    console.print(print_table(report))
    return path


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(config: DictConfig) -> None:
    """Prepare, train, report."""
    stop_on_signals()
    with told_in_one_line(FROM_CHECKPOINT):
        check_config(config)
        with open_run(config, say) as run:
            state = "reused" if run.workspace.reused else "built"
            console.print(
                f"{state} {run.workspace.folder}: {run.workspace.facts.train:,} questions "
                f"for training, {run.workspace.facts.test:,} held out"
            )
            run_training(run)
            console.print(f"report: {write_report(run)}")
            if run.policy.exists():
                console.print(f"policy: {run.policy}", soft_wrap=True)


if __name__ == "__main__":
    launch(main)
