"""Several trainings: which runs there are, and what those that are trained come to.

An ablation's runs differ in reward and seed; those of ``train.py -m`` in whatever has several
values on the command line.

outputs/<sweep>/
<arm>-seed<seed>/      a run's folder, see `run`
report.html            all finished runs side by side
report.md              the same in Markdown
hydra/                 the config of every job, by number
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from medenv.errors import MedEnvError, UnknownNameError, UsageError
from medenv.integrations.hydra.config import settings_of
from medenv.integrations.hydra.launching import combinations, line_of
from medenv.integrations.verl.report import curves, episodes, facts
from medenv.integrations.verl.run import Run
from medenv.io import write_text
from medenv.report.ablation import weights_of
from medenv.report.sweep import (
    Sweep,
    TrainedRun,
    effects,
    in_words,
    sweep_markdown,
    sweep_table,
    verdict,
    write_sweep,
)
from medenv.reward.analysis.variants import (
    Contrast,
    RewardVariant,
    check_arms,
    contrasts,
    distinct,
    leave_one_out,
    one_at_a_time,
    preset_arm,
    read_arm,
    ungated,
)

_NAME = re.compile(r"[\w ,.+-]+")


class Job(NamedTuple):
    """One run of a sweep.

    Attributes:
        arm: What it shares with runs that differ from it in the seed alone.
        seed: Its seed.
        run: Its name, which is its folder's below the folder of all runs.
    """

    arm: str
    seed: int
    run: str


def _job(sweep: str, arm: str, seed: int) -> Job:
    return Job(arm, seed, f"{sweep}/{slug(arm)}-seed{seed}")


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep: every arm with every seed.

    Args:
        name: Name of the sweep, which is its folder's.
        arms: The rewards; the others are compared with the first.
        seeds: The seeds.
    """

    name: str
    arms: tuple[RewardVariant, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, section: DictConfig) -> Plan:
        """Return the plan that the `ablation` section of a config describes.

        Args:
            section: See `medenv.build.settings.AblationSettings`.

        Raises:
            UnknownNameError: A preset, component or gate that does not exist.
            UsageError: No arm or seed, or a malformed name.
        """
        arms = [preset_arm(name) for name in section.presets]
        arms += [read_arm(text) for text in section.arms]
        for name in section.vary:
            whole = preset_arm(name)
            arms += [whole, *leave_one_out(whole), *one_at_a_time(whole)]
        arms += [ungated(preset_arm(name)) for name in section.ungated]
        chosen = distinct(arms)
        check_arms(chosen)
        plan = cls(str(section.name), tuple(chosen), tuple(section.seeds))
        plan._check()
        return plan

    def _check(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise UsageError(
                "ablation.seeds: expected different numbers, at least one and none negative, got"
                f" {list(self.seeds)}"
            )
        folders = [slug(arm.name) for arm in self.arms]
        for arm, folder in zip(self.arms, folders, strict=True):
            if _NAME.fullmatch(arm.name) is None or folders.count(folder) > 1:
                raise UsageError(
                    f"the name {arm.name!r} cannot name a run's folder, or is too like another's;"
                    " use letters, digits and spaces"
                )

    def swept(self, what: str) -> str:
        """Return the values that Hydra's sweeper goes through.

        Args:
            what: "arms" or "seeds".
        """
        if what == "seeds":
            return ",".join(map(str, self.seeds))
        return ",".join(f"'{arm.name}'" for arm in self.arms)

    def arm(self, name: str) -> RewardVariant:
        """Return the arm of that name.

        Args:
            name: Its name.

        Raises:
            UnknownNameError: The plan has none of that name.
        """
        found = {arm.name: arm for arm in self.arms}
        if name not in found:
            raise UnknownNameError("arm", name, found)
        return found[name]

    @property
    def jobs(self) -> list[Job]:
        """All runs, each arm with every seed."""
        return [_job(self.name, arm.name, seed) for arm in self.arms for seed in self.seeds]

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.arms) * len(self.seeds)


def slug(name: str) -> str:
    """Return a name in a form that fits folders: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")


def choose(config: DictConfig) -> Plan:
    """Set reward and name of the run that `ablation.arm` and `seed` are for.

    Args:
        config: The composed config of one job; changed in place.

    Returns:
        The plan that the run is part of.

    Raises:
        UsageError: As `Plan.of`, or the plan has no such arm.
    """
    plan = Plan.of(config.ablation)
    reward = plan.arm(config.ablation.arm).composition
    chosen: dict[str, Any] = {
        "weights": reward.weights,
        "gates": reward.gates,
        "vetoes": list(reward.vetoes),
    }
    for name, value in chosen.items():
        OmegaConf.update(config, f"scoring.{name}", value, merge=False)
    config.run = _job(plan.name, config.ablation.arm, config.seed).run
    return plan


def multirun(config: DictConfig, arguments: Sequence[str]) -> list[Job]:
    """Name the run that one job of Hydra's multirun trains, so that each has a folder of its own.

    All runs ask the questions of the first seed, unless `questions.seed` is set.

    Args:
        config: The composed config of the job; changed in place.
        arguments: The command line after the program's name.

    Returns:
        All runs of the sweep, in Hydra's order; none where this is no multirun.

    Raises:
        UsageError: The values of a key are not a list, or two runs would have one folder.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return []
    jobs, sweep = [], str(config.run)
    for given in combinations(arguments):
        seed = int(given.pop("seed", config.seed))
        arm = ", ".join(v if "." not in key else f"{key}={v}" for key, v in given.items())
        jobs.append(_job(sweep, arm or Path(sweep).name, seed))
    folders = [job.run for job in jobs]
    if len({*folders}) < len(folders):
        twice = next(one for one in folders if folders.count(one) > 1)
        raise UsageError(f"expected runs with folders of their own, got {twice} twice")
    if OmegaConf.is_interpolation(config.questions, "seed"):
        config.questions.seed = jobs[0].seed
    config.run = jobs[hydra.job.num].run
    return jobs


class Comparison(NamedTuple):
    """Results of the finished runs of a sweep.

    Attributes:
        page: The page about them.
        sweep: The runs.
        missing: Names of the runs that are not finished.
        moved: What each part of a reward moves, a sentence each.
    """

    page: Path
    sweep: Sweep
    missing: tuple[str, ...]
    moved: tuple[str, ...]

    def tell(self, console: Console) -> None:
        """Print what is done, and what came out where all is.

        Args:
            console: Where to.
        """
        if self.missing:
            left = len(self.missing)
            are = "runs are" if left > 1 else "run is"
            console.print(f"  so far: {self.page}; {left} {are} left", soft_wrap=True)
            return
        console.print(sweep_table(self.sweep))
        for moved in self.moved:
            console.print(f"- {moved}", soft_wrap=True)
        console.print(f"report: {self.page}")


def compare_arms(run: Run, plan: Plan) -> Comparison:
    """Write the page about all finished runs of an ablation.

    Args:
        run: A finished run of it.
        plan: The plan.

    Raises:
        DataError: Episodes of a run are missing or cut short.
        UsageError: The runs were evaluated on different questions.
    """
    weights = {arm.name: weights_of(arm.composition) for arm in plan.arms}
    return compare_jobs(run, plan.jobs, weights, contrasts(plan.arms))


def compare_jobs(
    run: Run,
    jobs: Sequence[Job],
    notes: Mapping[str, str] | None = None,
    changes: Sequence[Contrast] = (),
) -> Comparison:
    """Write the page and the Markdown about all finished runs of a sweep, beside their folders.

    Args:
        run: A finished run of it.
        jobs: All runs of it; the others are compared with the first.
        notes: Arm to what stands beside its name; by default the facts that differ.
        changes: Pairs of arms whose difference is told in words.

    Raises:
        DataError: Episodes of a run are missing or cut short.
        UsageError: The runs were evaluated on different questions.
    """
    runs = {job: _run_of(job, run) for job in jobs}
    finished = {job: one for job, one in runs.items() if one is not None and one.is_finished()}
    sweep = Sweep([_trained(one, job) for job, one in finished.items()])
    known = {job: facts(one) for job, one in finished.items()}
    told = {
        name: text
        for name, text in facts(run).items()
        if name != "run" and all(one[name] == text for one in known.values())
    }
    told["seed"] = ", ".join(dict.fromkeys(str(job.seed) for job in finished))
    if notes is None:
        notes = {
            job.arm: "; ".join(text for name, text in one.items() if name not in ("run", *told))
            for job, one in known.items()
        }
    found = effects(sweep, changes)
    page = (Path(run.config.root) / jobs[0].run).parent / "report.html"
    write_sweep(page, sweep, notes=notes, found=found, facts=told)
    text = sweep_markdown(sweep, found, {**notes, **told}, verdict(sweep))
    write_text(page.with_suffix(".md"), text)
    missing = tuple(Path(job.run).name for job in jobs if job not in finished)
    return Comparison(page, sweep, missing, tuple(map(in_words, found)))


@contextmanager
def others_go_on(name: str, failed: list[str], console: Console) -> Iterator[None]:
    """Return a context in which the failure of one run of a sweep is told, and ends no other.

    Args:
        name: The run's.
        failed: Receives the name of a run that failed.
        console: Where it is told.
    """
    try:
        yield
    except MedEnvError as error:
        console.print(line_of(f"{name}: {error}"), highlight=False, soft_wrap=True)
        failed.append(name)


def tell_failed(failed: Sequence[str], console: Console) -> None:
    """End the program with status 1 where runs of a sweep failed.

    Args:
        failed: Their names.
        console: Where they are told.

    Raises:
        SystemExit: A run failed.
    """
    if failed:
        several = "s" if len(failed) > 1 else ""
        console.print(f"{len(failed)} run{several} failed; the same command tries again")
        sys.exit(1)


def _run_of(job: Job, like: Run) -> Run | None:
    """Return a run as its folder says, or None where it has not begun."""
    folder = Path(like.config.root) / job.run
    if folder == like.folder:
        return like
    written = folder / "config.yaml"
    if not written.exists():
        return None
    config = OmegaConf.load(written)
    assert isinstance(config, DictConfig)
    return Run(folder, config, settings_of(config, type(like.settings)), like.prepared)


def _trained(run: Run, job: Job) -> TrainedRun:
    steps = [row for row in curves(run) if row["step"] <= run.steps]
    evaluated = episodes(run, "val-sampled", -1)
    return TrainedRun(arm=job.arm, seed=job.seed, metrics=steps, evaluated=evaluated)
