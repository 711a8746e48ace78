"""Reinforcement learning with verl on a medenv environment, from nothing to a report.

Reads a knowledge graph, makes certified questions, trains a policy on them with verl (Ray, FSDP2,
vLLM), answers held-out questions before and after, and writes outputs/<run>/report.html. It leaves
out the warm start of the tiny policy (recipes/sft.py) and serving the result.

    python recipes/train.py experiment=cpu                               # two cores, no GPU
    python recipes/train.py questions=rare_chains n=4000 policy=qwen3_1_7b hardware=one_gpu run=mine
    python recipes/train.py questions=outputs/questions-rare_chains-7 policy=qwen3_8b ...
    python recipes/train.py questions=my.csv corpus=my.jsonl scoring=my_package.rewards:mine ...
    python recipes/train.py -m algo=grpo,rloo,gdpo scoring=composite,process seed=0,1,2 ...

Run it again with the same name and it goes on where it stopped, or shows what it had found
(docs/runs.md). With -m every combination is trained in a folder of its own, and compared on
outputs/<run>/report.html.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from medenv.build.settings import TrainSettings
from medenv.integrations.hydra.config import check_config, register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, FROM_CHECKPOINT, launch, told_in_one_line
from medenv.integrations.verl import preflight
from medenv.integrations.verl.processes import stop_on_signals
from medenv.integrations.verl.progress import training_bar
from medenv.integrations.verl.report import training_report
from medenv.integrations.verl.run import Run, open_run, train
from medenv.integrations.verl.sweep import compare_jobs, multirun, others_go_on, tell_failed
from medenv.report.progress import ConsoleProgress
from medenv.report.training import print_table, write_training_report

console = Console()
progress = ConsoleProgress(console)
failed: list[str] = []
register_schema("train", TrainSettings)


def run_training(run: Run) -> None:
    """Train to the last step, with a bar that says how long it will take."""
    if run.is_finished():
        console.print(f"{run.folder} is trained already ({run.steps} steps); showing its report")
        return
    preflight.check(run.config, run.questions["train"])
    console.print(f"starting Ray, FSDP2 and vLLM; their output goes to {run.log}")
    with training_bar(run, console) as bar:
        for step, logged in train(run, progress.say):
            bar(step, logged)


def write_report(run: Run) -> Path:
    """Write the report and print its table."""
    report = training_report(run)
    path = run.folder / "report.html"
    write_training_report(path, report)
    console.print(print_table(report))
    return path


def train_one(config: DictConfig) -> Run:
    """Prepare, train, report."""
    with progress, open_run(config, settings_of(config, TrainSettings), progress) as run:
        console.print(
            f"{run.prepared.questions.folder}: {run.questions['train']:,} questions for "
            f"training, {run.questions['test']:,} held out",
            soft_wrap=True,
        )
        run_training(run)
        console.print(f"report: {write_report(run)}")
        if run.policy.exists():
            console.print(f"policy: {run.policy}", soft_wrap=True)
    return run


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(config: DictConfig) -> None:
    """Train once, or one of several runs and compare all that are trained so far."""
    stop_on_signals()
    with told_in_one_line(FROM_CHECKPOINT):
        jobs = multirun(config, sys.argv[1:])
        check_config(config, TrainSettings)
        if not jobs:
            train_one(config)
            return
        console.print(f"run {[job.run for job in jobs].index(config.run) + 1} of {len(jobs)}")
        with others_go_on(config.run, failed, console):
            compare_jobs(train_one(config), jobs).tell(console)


def run() -> None:
    """Run the command line; exit with 1 where a run of several failed."""
    launch(main)
    tell_failed(failed, console)


if __name__ == "__main__":
    run()
