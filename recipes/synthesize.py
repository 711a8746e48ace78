"""Make a question set from a knowledge graph.

Reads the graph, makes training and test questions one attempt after the other, proves and grades
each, and writes a folder that every other recipe takes: questions, graph, search index, data card,
and a certificate that the two splits share nothing. Stop it however you like: the same command goes
on, and a larger n extends the set.

    python recipes/synthesize.py questions=rare_chains n=10000 seed=7      # two cores, minutes
    python recipes/synthesize.py questions=mixed n=2100 worlds=[renamed,rewired]
    python recipes/synthesize.py graph=drugmechdb graph.path=FILE questions=mixed exports=[verl]

A language model behind any OpenAI-compatible endpoint may reword the questions, checked against
their certificates, and answer them from memory: those that it knows are dropped.

    python recipes/synthesize.py n=500 rewrite.url=http://localhost:8000/v1 rewrite.model=m
    python recipes/synthesize.py n=500 calibrate.url=https://host/v1 calibrate.model=m
"""

from pathlib import Path

import hydra
import msgspec
from omegaconf import DictConfig
from rich.console import Console

from medenv.build.llm_stages import Improvement, model_use
from medenv.build.prepare import Prepared, origin_of, prepare, set_folder
from medenv.build.settings import SynthesizeSettings
from medenv.errors import UsageError
from medenv.integrations.hydra.config import register_schema, settings_of
from medenv.integrations.hydra.launching import CONF, launch, told_in_one_line
from medenv.io import atomic_folder
from medenv.kg.questions.exports import to_dataset
from medenv.kg.questions.synthesis import Extras, make_question_set
from medenv.report.progress import ConsoleProgress

console = Console()
register_schema("synthesize", SynthesizeSettings)


def make(settings: SynthesizeSettings, progress: ConsoleProgress) -> Prepared:
    """Make the set with everything that is asked for, then what episodes need besides."""
    questions = settings.questions
    if settings.n is not None:
        questions = msgspec.structs.replace(questions, n=settings.n)
    folder = set_folder(questions, settings.graph, Path(settings.root))
    rewrite, calibrate = model_use(settings.rewrite), model_use(settings.calibrate)
    if questions.drop_guessed and calibrate is None:
        raise UsageError(
            "questions.drop_guessed=true leaves out what a model guesses: name the model with"
            " calibrate.url and calibrate.model"
        )
    improvement = Improvement(
        folder / "work", rewrite, calibrate, progress.say, questions.drop_guessed
    )
    extras = Extras(
        improvement if rewrite or calibrate else None, settings.worlds, settings.benchmarks
    )
    graph = origin_of(folder, questions, settings.graph, progress.say)
    made = make_question_set(folder, graph, questions, progress, extras)
    sizes = {split: min(n, made.contents.questions[split]) for split, n in questions.sizes.items()}
    taken = msgspec.structs.replace(
        questions, path=str(made.folder), n=sizes["train"], n_test=sizes["test"]
    )
    return prepare(msgspec.structs.replace(settings, questions=taken), progress)


def export(settings: SynthesizeSettings, prepared: Prepared) -> None:
    """Write the further forms."""
    folder = prepared.questions.folder
    if "datasets" in settings.exports:
        for split in ("train", "test"):
            with atomic_folder(folder / "datasets" / split, existing="replace") as built:
                to_dataset(prepared.asked(split)).save_to_disk(str(built))
    if "verl" in settings.exports:
        from medenv.integrations.verl.rows import export_launch

        target = export_launch(folder / "verl", prepared)
        console.print(f"a stock launch of verl is described in {target}", soft_wrap=True)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="synthesize")
def main(config: DictConfig) -> None:
    """Make the set, and turn failures into one line."""
    with told_in_one_line():
        settings = settings_of(config, SynthesizeSettings)
        with ConsoleProgress(console) as progress:
            prepared = make(settings, progress)
            export(settings, prepared)
    contents = prepared.questions.contents
    made = ", ".join(f"{count:,} {split}" for split, count in contents.questions.items())
    console.print(
        f"{made} questions in {prepared.questions.folder}, proved; {contents.acknowledgement}"
    )


def run() -> None:
    """Run the command line."""
    launch(main)


if __name__ == "__main__":
    run()
