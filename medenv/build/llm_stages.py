"""Sets of questions improved by a language model: reworded, and rid of what it knows by heart.

What a model replied lies in a folder beside the set, so the same call asks nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from medenv.build import calibration
from medenv.errors import UsageError
from medenv.kg.graph import Graph
from medenv.kg.questions import rewriting
from medenv.kg.questions.production import Produced
from medenv.llm.batch import BatchClient, BatchLimits, open_journal
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.records import Question, Retriever
from medenv.reward import EntityNames

DROPPED = "a model answers it from memory"
GUESSED = "a model guesses it from memory"


class LLMStageSettings(EndpointSettings, frozen=True, kw_only=True):
    """A stage that a model works on: its endpoint, and how much is asked of it.

    Args:
        concurrency: Requests under way at a time.
        samples: Answers to each question, where it is calibrated.
        at_most: Greatest share of right answers of a question that is kept, in [0, 1].
    """

    concurrency: int = 8
    samples: int = 4
    at_most: float = calibration.AT_MOST

    def client(self, journal: Path, run: str) -> BatchClient:
        """Return a client that keeps the replies in a file, open until it is closed.

        Args:
            journal: The file.
            run: A key of the prompt and the options.

        Raises:
            DataError: The file belongs to another key or model, or is damaged.
        """
        return BatchClient(
            Endpoint(self),
            open_journal(journal, run, self.model),
            BatchLimits(concurrency=self.concurrency),
        )


def reword(
    use: LLMStageSettings,
    journal: Path,
    graph: Graph,
    questions: Sequence[Question],
    retriever: Retriever | None = None,
) -> rewriting.Rewritten:
    """Return questions in a model's words; see `medenv.kg.questions.rewriting.rewrite`.

    Args:
        use: The model.
        journal: File of its replies.
        graph: The graph that the questions are about.
        questions: The questions.
        retriever: Searches the corpus.
    """
    options = msgspec.json.encode(use.options, order="deterministic").decode()
    with use.client(journal, f"{rewriting.digest()} {options}") as asking:
        return rewriting.rewrite(asking, graph, questions, retriever)


def calibrated(
    use: LLMStageSettings, journal: Path, questions: Sequence[Question], graph: Graph | None = None
) -> calibration.Calibrated:
    """Return questions that say how often a model answers them from memory.

    Args:
        use: The model.
        journal: File of its answers.
        questions: The questions.
        graph: Where given, its names tell misspelt answers from other entities.
    """
    names = None
    if graph is not None:
        names = EntityNames(graph.entity(node) for node in range(len(graph)))
    with use.client(journal, calibration.digest(use)) as asking:
        return calibration.calibrate(asking, questions, use.samples, names)


@dataclass(frozen=True)
class Improvement:
    """What is done to a set between making and writing it.

    Args:
        folder: Where replies are kept.
        rewrite: The model that rewords questions, or None.
        calibrate: The model that answers them from memory, or None.
        say: Receives what is being done, in words.
        drop_guessed: Whether questions are dropped that the calibrating model guesses.
    """

    folder: Path
    rewrite: LLMStageSettings | None = None
    calibrate: LLMStageSettings | None = None
    say: Callable[[str], object] = lambda _: None
    drop_guessed: bool = False

    def __call__(
        self, graph: Graph, retriever: Retriever | None, produced: dict[str, Produced]
    ) -> dict[str, Produced]:
        """Return a set in a model's words, without what a model knows by heart.

        Args:
            graph: The graph.
            retriever: Searches the corpus, where questions are graded.
            produced: The set, by split.

        Raises:
            ModelUnavailableError: A model did not answer; the same call goes on.
        """
        return {split: self._one(graph, retriever, split, made) for split, made in produced.items()}

    def _one(
        self, graph: Graph, retriever: Retriever | None, split: str, made: Produced
    ) -> Produced:
        questions, rejected = made.questions, dict(made.rejected)
        if self.rewrite is not None and questions:
            self.say(f"{len(questions):,} {split} questions to {self.rewrite.model} to reword")
            journal = self.folder / f"{split}.rewrite.jsonl"
            done = reword(self.rewrite, journal, graph, questions, retriever)
            questions = done.questions
            rejected |= {f"wording, {why}": count for why, count in done.rejected.items()}
        if self.calibrate is not None and questions:
            self.say(f"{len(questions):,} {split} questions to {self.calibrate.model} to answer")
            journal = self.folder / f"{split}.calibrate.jsonl"
            found = calibrated(self.calibrate, journal, questions, graph)
            if found.failure is not None:
                raise found.failure
            questions, easy = calibration.kept(found.questions, self.calibrate.at_most)
            rejected |= {DROPPED: len(easy)} if easy else {}
            if self.drop_guessed and questions:
                left = calibration.unguessed(questions)
                rejected |= {GUESSED: len(questions) - len(left)} if left != questions else {}
                questions = left
        return made._replace(questions=questions, rejected=rejected)


def model_use(settings: Any) -> LLMStageSettings | None:
    """Return a model's settings from plain data, or None where no url is given.

    Args:
        settings: The fields of `LLMStageSettings` as a mapping, or None.

    Raises:
        UsageError: It is no mapping, or a field is unknown, missing, of another type or range.
    """
    if settings is None or (isinstance(settings, dict) and settings.get("url") is None):
        return None
    try:
        return msgspec.convert(settings, LLMStageSettings)
    except msgspec.ValidationError as error:
        raise UsageError(f"settings of a model: {error}") from error
