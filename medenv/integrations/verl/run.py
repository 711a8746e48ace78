"""One training run: its folder, its data, its processes, its progress.

outputs/<run>/
config.yaml       the composed config that the trainer was started with
environment.json  the environment, as every worker opens it
agent_loop.yaml   the class that plays episodes in it, for verl
identity.json     all settings that the result depends on; a run with others is refused here
data/             the rows that verl reads
metrics/          one JSONL file for each attempt, one line a step
rollouts/         every episode: train/, val-sampled/, val-greedy/, a file a step
checkpoints/      verl's own
best/             the best policy by its validations, with a model card
alarms.jsonl      the alarms that went off, if any
heartbeat.json    step and finished episodes, as the trainer's own process reports them
train.log         all output of all processes
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medenv.build.prepare import ENVIRONMENT, Prepared, open_environment, prepare, write_environment
from medenv.build.scoring import own_code
from medenv.build.settings import TrainSettings
from medenv.errors import UsageError
from medenv.integrations.hydra.identity import claim, files_digest, identity
from medenv.integrations.verl.alarms import FILE as ALARMS
from medenv.integrations.verl.alarms import TrainingCollapsedError, active, alarms_in
from medenv.integrations.verl.algorithm import check_algorithm
from medenv.integrations.verl.best import BEST, keep_best
from medenv.integrations.verl.checkpoints import EXPORT, Layout, resume
from medenv.integrations.verl.clusters import fit_to_cluster, with_environment
from medenv.integrations.verl.following import HEARTBEAT, Logged, follow, next_metrics, persist
from medenv.integrations.verl.lora import merge_adapter
from medenv.integrations.verl.preflight import check_plan, check_policy
from medenv.integrations.verl.processes import Tree, mark_of, own_folder
from medenv.integrations.verl.rows import count_rows, rows, write_agent_loop, write_rows
from medenv.integrations.verl.versions import check_versions
from medenv.io import digest, write_records, write_text
from medenv.kg.questions.synthesis import Progress
from medenv.records import Question


@dataclass(frozen=True)
class Run:
    """A run's folder and what it was prepared with.

    Args:
        folder: Where everything of it lies.
        config: The composed config, complete.
        settings: What of it is ours.
        prepared: The question set and the environment.
    """

    folder: Path
    config: DictConfig
    settings: TrainSettings
    prepared: Prepared

    @property
    def questions(self) -> dict[str, int]:
        """Number of questions that are used, by split."""
        held = self.prepared.questions.contents.questions
        validated = self.settings.evaluation.questions
        return {
            "train": self.prepared.train or held["train"],
            "test": min(filter(None, (self.prepared.test, validated, held["test"]))),
        }

    def test_questions(self) -> tuple[Question, ...]:
        """Return the questions on which the policy is validated."""
        return self.prepared.asked("test")[: self.settings.evaluation.questions]

    @property
    def steps(self) -> int:
        """Number of training steps, as the config asks or as the data gives."""
        trainer, batch = self.config.trainer, int(self.config.data.train_batch_size)
        if trainer.total_training_steps is not None:
            return int(trainer.total_training_steps)
        return int(trainer.total_epochs) * (count_rows(Path(self.config.data.train_files)) // batch)

    @property
    def rows(self) -> tuple[Path, Path]:
        """The files of rows that verl reads, for training and for validation."""
        return Path(self.config.data.train_files), Path(self.config.data.val_files)

    @property
    def log(self) -> Path:
        """All output of all processes."""
        return self.folder / "train.log"

    @property
    def policy(self) -> Path:
        """What was learned, for `from_pretrained`: the export of the last step."""
        folder = Path(self.config.trainer.default_local_dir)
        return folder / f"global_step_{self.steps}" / "actor" / EXPORT

    def metrics(self) -> dict[int, dict[str, float]]:
        """Return what verl logged, by step; a step logged twice counts as logged last."""
        merged: dict[int, dict[str, float]] = {}
        for path in sorted((self.folder / "metrics").glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # cut by a stop in the middle of a line; the step is logged again
                merged.setdefault(int(entry["step"]), {}).update(entry["data"])
        return dict(sorted(merged.items()))

    def is_begun(self) -> bool:
        """Whether there are results: a logged step, or a checkpoint."""
        saved = Path(self.config.trainer.default_local_dir).glob("global_step_*")
        return bool(self.metrics()) or any(saved)

    def is_finished(self) -> bool:
        """Whether the last step is trained and, where asked for, validated."""
        final = self.metrics().get(self.steps, {})
        validated = int(self.config.trainer.test_freq) <= 0 or any(
            name.startswith("val-") for name in final
        )
        return bool(final) and validated


def _check_validation(config: DictConfig, settings: TrainSettings) -> None:
    """Refuse a training after which there would be nothing to report."""
    evaluation, every = settings.evaluation, int(config.trainer.test_freq)
    if every <= 0:
        raise UsageError(
            f"trainer.test_freq={every} validates nothing, and the report compares the validations "
            "before and after training: set it to the steps between validations"
        )
    if not (evaluation.samples or evaluation.greedy):
        raise UsageError(
            "evaluation.samples=0 with evaluation.greedy=false validates nothing, and the report "
            "compares the validations before and after training: set one of them"
        )


def _check_alarms(config: DictConfig, settings: TrainSettings) -> None:
    """Refuse alarms that end a run which saves nothing to go on from."""
    every = int(config.trainer.save_freq)
    if settings.alarms.stop and every <= 0:
        raise UsageError(
            f"alarms.stop=true ends the run after a checkpoint, and trainer.save_freq={every} "
            "saves none: set it to the steps between checkpoints"
        )


@contextmanager
def open_run(config: DictConfig, settings: TrainSettings, progress: Progress) -> Iterator[Run]:
    """Lock a run's folder, and make the data that the run needs or reuse it.

    Processes that a killed recipe left running in the folder are ended first.

    Args:
        config: The composed config; the agent loop's file is set here.
        settings: What of it is ours.
        progress: Receives steps and counts.

    Yields:
        The run; its folder is locked until the context ends.

    Raises:
        FolderInUseError: Another process holds the folder.
        OtherSettingsError: The folder holds a run with other settings.
        UsageError: Settings contradict each other, or a prompt is too long.
    """
    check_versions()
    fit_to_cluster(config)
    check_algorithm(config)
    _check_validation(config, settings)
    _check_alarms(config, settings)
    check_policy(settings.policy.path)
    check_plan(config)
    folder = Path(settings.root) / settings.run
    with own_folder(folder, progress.say):
        prepared = prepare(settings, progress, n=settings.n)
        run = Run(folder, config, settings, prepared)
        known = claim(folder, _identity(run), run.is_begun())
        environment = folder / ENVIRONMENT
        write_environment(environment, prepared.spec)
        loops = write_agent_loop(folder / "agent_loop.yaml", environment, settings.curriculum)
        config.actor_rollout_ref.rollout.agent.agent_loop_config_path = str(loops)
        loggers = config.trainer.logger
        loggers = [loggers] if isinstance(loggers, str) else list(loggers)
        config.trainer.logger = [*loggers, *({"file"} - set(loggers))]  # progress is read from it
        if not known or not all(map(Path.exists, run.rows)):
            progress.say("writing the trainer's rows")
            _write_rows(run, progress.say)
        yield run


def train(run: Run, say: Callable[[str], None]) -> Iterator[Logged]:
    """Train, or resume from the newest whole checkpoint; yields each step as it is logged.

    A trainer that fails after its first step is restarted as often as the preset allows.
    Whatever ends the iteration, no process of the run is left behind.

    Args:
        run: An open run.
        say: Receives what training resumes from and the reason of a restart, in words.

    Yields:
        Step (0 is the validation before training) and what verl logged for it.

    Raises:
        TrainingFailedError: The trainer failed, lost a process or made no progress for as long as
            the preset's patience, and may not be restarted any more.
        UsageError: The checkpoint was saved by another number of processes.
        TrainingCollapsedError: `alarms.stop` is set and an alarm held when a checkpoint was saved.
    """
    restarts = int(run.config.hardware.restarts)
    attempts = persist(lambda: _attempt(run, say), restarts, run.is_finished, say)
    with closing(watched(attempts, run, say)) as steps:
        for step, logged in steps:
            if keep_best(run, step, logged) is not None:
                say(f"step {step}: the best policy so far is in {run.folder / BEST}")
            yield step, logged


def watched(
    steps: Iterator[Logged], run: Run, say: Callable[[str], None]
) -> Generator[Logged, None, None]:
    """Yield what a trainer logs, and report the alarms that go off.

    Args:
        steps: What the trainer logs.
        run: The run; its earlier steps count.
        say: Receives each alarm in words.

    Raises:
        TrainingCollapsedError: As `train`.
    """
    settings, every = run.settings.alarms, int(run.config.trainer.save_freq)
    metrics = {step: logged for step, logged in run.metrics().items() if step}
    for step, logged in steps:
        yield step, logged
        metrics.setdefault(step, {}).update(logged)
        held = list(active(metrics, settings, step))
        went_off = [alarm for alarm, is_new in held if is_new]
        for alarm in went_off:
            say(str(alarm))
        if went_off:
            past = {one: values for one, values in metrics.items() if one <= step}
            write_records(run.folder / ALARMS, alarms_in(past, settings))
        if held and settings.stop and step % every == 0 and step < run.steps:
            alarm, _ = held[0]
            raise TrainingCollapsedError(
                f"{alarm}; stopped after the checkpoint of step {step}: to go on from there, "
                f"change alarms.{alarm.setting} or set alarms.stop=false"
            )


def _attempt(run: Run, say: Callable[[str], None]) -> Iterator[Logged]:
    """Start verl's trainer once, and follow it to its end."""
    trainer, hardware = run.config.trainer, run.config.hardware
    if trainer.resume_mode == "auto":
        found = resume(Path(trainer.default_local_dir), Layout.of(run.config))
        if found is not None:
            say(f"resuming after step {found.step}")
            merge_adapter(found.folder / "actor", run.config.actor_rollout_ref.model)
    heartbeat, metrics = run.folder / HEARTBEAT, next_metrics(run.folder / "metrics")
    heartbeat.unlink(missing_ok=True)
    environment = {
        **hardware.environment,
        "VERL_FILE_LOGGER_PATH": str(metrics.absolute()),
        "WANDB_DIR": str(run.folder.absolute()),
    }
    told = with_environment(run.config, environment)
    write_text(run.folder / "config.yaml", OmegaConf.to_yaml(told, resolve=True))
    command = [sys.executable, "-m", "medenv.integrations.verl.main"]
    tree = Tree(
        [*hardware.launch, *command, str(run.folder / "config.yaml")],
        environment,
        run.log,
        mark_of(run.folder),
    )
    try:
        yield from follow(tree, metrics, run.log, float(hardware.patience_seconds), heartbeat)
    finally:
        tree.stop()


def _identity(run: Run) -> dict[str, Any]:
    """Return all settings that a run's result depends on, and hashes of the files they name."""
    optimizers = [run.config.actor_rollout_ref.actor.optim, run.config.critic.optim]
    scheduled = any(
        one.lr_scheduler_type != "constant" or one.lr_warmup_steps_ratio > 0 for one in optimizers
    )
    questions = run.prepared.questions
    # Without a curriculum its numbers change nothing; runs begun before there were any have none.
    curriculum = run.settings.curriculum
    unused = ("curriculum",) if curriculum.by == "none" and curriculum.turns is None else ()
    return {
        **identity(run.config, (*_OF_OTHER_RECIPES, *unused)),
        "policy.path (its files)": files_digest(run.settings.policy.path),
        **{
            f"{name} (its file)": files_digest(file)
            for name, file in own_code(run.settings.scoring).items()
        },
        "questions (their set)": digest(questions.contents.made_with, 12),
        "questions (their graph)": questions.contents.graph,
        # The folder of an index is named by a digest of its passages.
        "corpus (its index)": Path(run.prepared.spec.corpus or "").name,
        # A learning rate that depends on the number of steps makes it part of the result.
        **({"trainer.total_training_steps": run.steps} if scheduled else {}),
    }


_OF_OTHER_RECIPES = (
    *("ablation", "lessons", "tiny"),
    *("policy.baseline", "policy.engine", "policy.engine_options"),
    *("questions.path", "questions.sets", "questions.folder", "questions.workers"),
)


def _write_rows(run: Run, say: Callable[[str], object]) -> None:
    train_file, val_file = run.rows
    train = run.prepared.for_training()
    test, evaluation = run.test_questions(), run.settings.evaluation
    parts = open_environment(run.prepared.spec, test).parts
    held_out = rows(test, parts.rules, "sampled", evaluation.samples)
    if evaluation.greedy:
        held_out += rows(test, parts.rules, "greedy", 1)
    tables = {
        train_file: rows(train, parts.rules, "sampled"),
        val_file: held_out,
    }
    write_rows(run.config, tables, say)
