"""Does the English alone lead to the claimed answer? Asked of a reader who has only the raw files.

    python benchmarks/reading.py outputs/questions-rare_chains-7 --n 500
    python benchmarks/reading.py outputs/questions-rare_chains-7 --n 50 --seed 2026 --aloud

The reader (`plain_reader.py`) shares no code with the package: it splits the Human Phenotype
Ontology's files at their tabs, takes sentences apart by patterns and counts every "exactly one" for
itself. It reads chains, which is what `questions=rare_chains` makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from plain_reader import Reader, Records, UnreadableError
from rich.console import Console
from rich.progress import track

from medenv.kg import read_questions
from medenv.kg.sources.hpo import bundled_folder
from medenv.records import Question

console = Console()


def verdict(records: Records, question: Question) -> str:
    """Return what is wrong with a question, or nothing.

    Args:
        records: The raw records.
        question: A chain.
    """
    claimed = {answer.id.replace("NCBIGene:", "gene ") for answer in question.answers}
    try:
        reached = Reader(records, question.text).answer()
    except UnreadableError as error:
        return f"cannot be followed: {error}"
    return "" if reached == claimed else f"leads to {sorted(reached)}, not {sorted(claimed)}"


def main(
    folder: Annotated[Path, typer.Argument(help="A set of chains.")],
    n: Annotated[int, typer.Option(help="How many questions, drawn at random.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    aloud: Annotated[bool, typer.Option(help="Print each with its answer.")] = False,
) -> None:
    """Read questions of both splits and count those that lead anywhere else."""
    files = (folder / "train.jsonl", folder / "test.jsonl")
    every = [question for file in files for question in read_questions(file)]
    drawn = np.random.default_rng([seed, n]).permutation(len(every))[:n].tolist()
    records, wrong = Records(bundled_folder()), 0
    for i in track(sorted(drawn), "reading", console=console, disable=aloud):
        question = every[i]
        problem = verdict(records, question)
        wrong += bool(problem)
        if aloud or problem:
            names = ", ".join(answer.name for answer in question.answers)
            console.print(f"[bold]{question.id}[/] {question.text}\n  = {names} {problem}\n")
    console.print(f"{len(drawn):,} questions read, {wrong:,} lead elsewhere or nowhere")
    raise typer.Exit(int(wrong > 0))


if __name__ == "__main__":
    typer.run(main)
