"""An online ablation: which runs there are to train, and what those that are trained come to.

outputs/<sweep>/
<reward>-seed<seed>/   a run's folder, see `run`
report.html            all finished runs side by side
report.md              the same in Markdown
hydra/                 the config of every job, by number
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from medenv.errors import UnknownNameError, UsageError
from medenv.integrations.verl.report import curves, episodes, facts
from medenv.integrations.verl.run import Run
from medenv.io import write_text
from medenv.report.ablation import weights_of
from medenv.report.sweep import (
    MAX_ARMS,
    Sweep,
    TrainedRun,
    effects,
    in_words,
    sweep_markdown,
    verdict,
    write_sweep,
)
from medenv.reward.analysis.variants import (
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
            UsageError: No arm or seed, more arms than a page can tell apart, or a malformed name.
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
        if len(self.arms) > MAX_ARMS:
            raise UsageError(
                f"expected at most {MAX_ARMS} rewards in one ablation, got {len(self.arms)}: "
                f"{', '.join(arm.name for arm in self.arms)}; take some out of ablation.vary"
            )
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

    def run(self, arm: str, seed: int) -> str:
        """Return the name of a run, which is its folder's below the folder of all runs."""
        return f"{self.name}/{slug(arm)}-seed{seed}"

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
    config.run = plan.run(config.ablation.arm, config.seed)
    return plan


class Comparison(NamedTuple):
    """What the finished runs of a plan came to.

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


def compare(run: Run, plan: Plan) -> Comparison:
    """Write the page and the Markdown about all finished runs of a plan.

    Args:
        run: A finished run of the plan, from whose config the others differ in reward and seed.
        plan: The plan.

    Raises:
        DataError: Episodes of a run are missing or cut short.
        UsageError: The runs were evaluated on different questions.
    """
    root, trained, missing = Path(run.config.root), [], []
    for arm in plan.arms:
        for seed in plan.seeds:
            other = replace(run, folder=root / plan.run(arm.name, seed))
            if other.is_finished():
                trained.append(_trained(other, arm.name, seed))
            else:
                missing.append(other.folder.name)
    sweep = Sweep(trained)
    told = {name: text for name, text in facts(run).items() if name not in ("run", "scoring")}
    told["seed"] = ", ".join(map(str, plan.seeds))
    found, page = effects(sweep, contrasts(plan.arms)), root / plan.name / "report.html"
    weights = {arm.name: weights_of(arm.composition) for arm in plan.arms}
    write_sweep(page, sweep, weights=weights, found=found, facts=told)
    text = sweep_markdown(sweep, found, weights | told, verdict(sweep))
    write_text(page.with_suffix(".md"), text)
    return Comparison(page, sweep, tuple(missing), tuple(map(in_words, found)))


def _trained(run: Run, arm: str, seed: int) -> TrainedRun:
    steps = [row for row in curves(run) if row["step"] <= run.steps]
    return TrainedRun(arm=arm, seed=seed, metrics=steps, evaluated=episodes(run, "val-sampled", -1))
