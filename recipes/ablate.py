"""Reward ablation by training: the same policy under several rewards, with several seeds.

A Hydra multirun of what recipes/train.py does once: every reward with every seed, one after the
other, each trained by verl in a process tree of its own. After each run the page about all that are
done is written anew: outputs/<sweep>/report.html, with paired intervals and curves. It leaves out
scoring stored rollouts again, which needs no training (`medenv rescore`).

    python recipes/ablate.py experiment=ablation                        # the example, two cores
    python recipes/ablate.py experiment=cpu ablation.vary=[evidence] ablation.seeds=[0,1,2]
    python recipes/ablate.py policy=qwen3_1_7b hardware=one_gpu ablation.name=mine

Stop it however you like: the same command leaves finished runs as they are and goes on with a
half-done one from its last checkpoint.
"""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from medenv.build.settings import AblateSettings
from medenv.integrations.hydra.config import check_config, register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, FROM_CHECKPOINT, launch, told_in_one_line
from medenv.integrations.verl import preflight
from medenv.integrations.verl.processes import stop_on_signals
from medenv.integrations.verl.progress import training_bar
from medenv.integrations.verl.run import Run, open_run, train
from medenv.integrations.verl.sweep import Plan, choose, compare_arms, others_go_on, tell_failed
from medenv.report.progress import ConsoleProgress

console = Console()
progress = ConsoleProgress(console)
failed: list[str] = []


def planned(what: str, section: DictConfig) -> str:
    """Return what Hydra sweeps over; a mistake ends the program before anything has begun."""
    with told_in_one_line():
        return Plan.of(section).swept(what)


def run_training(run: Run) -> None:
    """Train to the last step, unless that is done."""
    if run.is_finished():
        console.print("  trained already")
        return
    preflight.check(run.config, run.questions["train"])
    with training_bar(run, console) as bar:
        for step, logged in train(run, progress.say):
            bar(step, logged)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="ablate")
def main(config: DictConfig) -> None:
    """Train with one reward and one seed, and compare all that is trained so far."""
    stop_on_signals()
    with told_in_one_line(FROM_CHECKPOINT):
        plan = choose(config)
        number = HydraConfig.get().job.num + 1
        console.print(f"run {number} of {len(plan)}: {config.ablation.arm}, seed {config.seed}")
        check_config(config, AblateSettings)
        settings = settings_of(config, AblateSettings)
        with (
            others_go_on(config.run, failed, console),
            progress,
            open_run(config, settings, progress) as run,
        ):
            run_training(run)
            compare_arms(run, plan).tell(console)


register_schema("ablate", AblateSettings)
OmegaConf.register_new_resolver("planned", planned, replace=True)


def run() -> None:
    """Run the command line; exit with 1 where a run failed."""
    launch(main)
    tell_failed(failed, console)


if __name__ == "__main__":
    run()
