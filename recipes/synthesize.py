"""Make a set of proved questions from a knowledge graph.

Reads the graph, makes training and test questions one attempt after the other, proves and grades
each, and writes them with a data card and a certificate that the two sets share nothing. Stop it
however you like: the same command goes on, and a larger n extends the set.

    python recipes/synthesize.py questions=rare_chains n=10000 seed=7      # two cores, minutes
    python recipes/synthesize.py questions=mixed n=2100 worlds=[renamed,rewired]
    python recipes/synthesize.py questions.specialties=[cardiology] 'options={namespaces:[ORPHA]}'

A language model behind any OpenAI-compatible endpoint may reword the questions, checked against
their certificates, and answer them from memory: those that it knows are dropped.

    python recipes/synthesize.py n=500 rewrite.url=http://localhost:8000/v1 rewrite.model=m
    python recipes/synthesize.py n=500 calibrate.url=https://host/v1 calibrate.model=m
"""

import dataclasses
from pathlib import Path
from typing import Any

import hydra
import msgspec
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from medenv.build.llm_stages import Improvement, model_use
from medenv.errors import UsageError
from medenv.integrations.hydra.launching import launch, told_in_one_line
from medenv.integrations.hydra.schemas import hydra_schema, schema
from medenv.kg.questions.synthesis import SynthesisSettings, synthesize_set

console = Console()
ConfigStore.instance().store(
    "synthesis_schema",
    hydra_schema(schema(SynthesisSettings, {"rewrite": None, "calibrate": None})),
)


def settings_of(config: DictConfig) -> tuple[SynthesisSettings, Improvement]:
    """Return the composed config as settings; a misspelt name is an error."""
    plain = msgspec.convert(OmegaConf.to_container(config, resolve=True), dict[str, Any])
    rewrite, calibrate = (model_use(plain.pop(name)) for name in ("rewrite", "calibrate"))
    try:
        settings = msgspec.convert(plain, SynthesisSettings)
    except msgspec.ValidationError as error:
        raise UsageError(f"config: {error}") from error
    return settings, Improvement(Path(settings.folder) / "work", rewrite, calibrate)


class Bars(Progress):
    """A bar for each split, with an estimate of the time left."""

    def __init__(self) -> None:
        super().__init__(
            *(TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn()),
            *(TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn()),
            console=console,
        )

    def say(self, what: str) -> None:
        """Tell what is being done."""
        self.console.print(f"  {what} ...")

    def made(self, split: str, wanted: int, so_far: int) -> None:
        """Move a split's bar."""
        known = {task.description: task.id for task in self.tasks}
        if split not in known:  # what an earlier run made is no measure of this one's speed
            known[split] = self.add_task(split, total=wanted, completed=so_far)
        self.update(known[split], completed=so_far)


@hydra.main(version_base="1.3", config_path="../conf", config_name="synthesize")
def main(config: DictConfig) -> None:
    """Make the set, and turn failures into one line."""
    with told_in_one_line():
        settings, improvement = settings_of(config)
        with Bars() as bars:
            improve = dataclasses.replace(improvement, say=bars.say)
            card = synthesize_set(settings, bars.say, bars.made, improve)
    made = ", ".join(f"{count:,} {split}" for split, count in card.questions.items())
    console.print(f"{made} questions in {settings.folder}, proved; {card.acknowledgement}")


if __name__ == "__main__":
    launch(main)
