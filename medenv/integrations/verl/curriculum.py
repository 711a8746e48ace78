"""Draw training questions by their measured success, from easy to hard.

verl 0.9.1 has no place for a curriculum: `create_rl_sampler` makes a random or a sequential sampler
(verl/trainer/ppo/utils.py). `install` gives the trainer a dataloader of verl's own kind with a
`Curriculum` as its sampler, and gives the same object to medenv's replay buffer, from which it
learns the outcomes. Its state is part of the dataloader's, which verl writes with each checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch.utils.data import Sampler
from torchdata.stateful_dataloader import StatefulDataLoader

from medenv.build.settings import CurriculumSettings
from medenv.evaluation.measures import accuracy
from medenv.records import Question, Scored


class Curriculum(Sampler[int]):
    """Draws the numbers of questions without end.

    A question whose rollouts were right with the estimated probability p has the weight
    floor + (1 - floor) 4 p (1 - p), the variance of its outcomes: where all rollouts are right, or
    none is, a group has no advantage to learn from. A new question has the weight 1 if it is among
    the easiest ones that are open, and `floor` otherwise. The open share grows from `start` to all,
    evenly, over `pace` draws for each question (Hacohen and Weinshall 2019, arXiv 1904.03626).

    p is (s + 1/2) / (t + 1), where s are the right ones of t rollouts, both multiplied by `decay`
    before each new outcome. Questions that were among the last `apart` ones are not drawn.

    Args:
        questions: The questions, in the order of the dataset.
        settings: The settings of the weights.
        seed: Seed; the n-th draw depends on it, on n and on the weights alone.
        apart: Draws between two draws of a question; at most half of the questions are kept back.
    """

    def __init__(
        self, questions: Sequence[Question], settings: CurriculumSettings, seed: int, apart: int
    ) -> None:
        self.settings, self.seed = settings, seed
        self._numbers = {_key(question): number for number, question in enumerate(questions)}
        self._easier = _share_of_easier(questions)
        self._right, self._tried = np.zeros(len(questions)), np.zeros(len(questions))
        self._apart = min(apart, len(questions) // 2)
        self._last: list[int] = []
        self._draws = 0

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self._easier)

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of questions without end."""
        while True:
            yield self.draw()

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight of each question in the next draw, of shape (questions,), not normalised."""
        floor, pace = self.settings.floor, self.settings.pace * len(self)
        done = min(1.0, self._draws / pace) if pace else 1.0
        opened = self.settings.start + (1.0 - self.settings.start) * done
        new = np.where((self._easier < opened) | (done >= 1.0), 1.0, floor)
        p = self.success
        weights = np.where(self._tried > 0, floor + (1.0 - floor) * 4.0 * p * (1.0 - p), new)
        weights[self._last] = 0.0
        return weights

    @property
    def success(self) -> NDArray[np.float64]:
        """Estimated probability of a right rollout, of shape (questions,); 1/2 for new ones."""
        estimated: NDArray[np.float64] = (self._right + 0.5) / (self._tried + 1.0)
        return estimated

    def draw(self) -> int:
        """Return the number of the next question."""
        ends = np.cumsum(self.weights)
        point = np.random.default_rng([self.seed, self._draws]).random() * ends[-1]
        drawn = int(np.searchsorted(ends, point, side="right"))
        self._draws += 1
        self._last = [*self._last, drawn][-self._apart :] if self._apart else []
        return drawn

    def learn(self, scored: Iterable[Scored]) -> dict[str, float]:
        """Update the estimates with the outcomes of rollouts.

        Args:
            scored: Rollouts; those of one question are one outcome. Rollouts without an accuracy
                and those of other questions count for nothing.

        Returns:
            ``curriculum/new``, the share of the questions that had no outcome before;
            ``curriculum/seen``, the share of all questions that have one now; and
            ``curriculum/success``, the mean estimate over these. Empty where nothing counts.
        """
        outcomes: dict[int, list[float]] = {}
        for one in scored:
            number, value = self._numbers.get(_key(one.trajectory.question)), accuracy(one)
            if number is not None and value is not None:
                outcomes.setdefault(number, []).append(value)
        if not outcomes:
            return {}
        new = sum(self._tried[number] == 0 for number in outcomes) / len(outcomes)
        for number, values in sorted(outcomes.items()):
            # Sorted, since rollouts come as they are finished, and sums depend on their order.
            self._right[number] = self.settings.decay * self._right[number] + sum(sorted(values))
            self._tried[number] = self.settings.decay * self._tried[number] + len(values)
        seen = self._tried > 0
        return {
            "curriculum/new": float(new),
            "curriculum/seen": float(seen.mean()),
            "curriculum/success": float(self.success[seen].mean()),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next draws depend on, for the dataloader's checkpoint."""
        return {
            "draws": self._draws,
            "last": list(self._last),
            "right": self._right.tolist(),
            "tried": self._tried.tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of `state_dict`.

        Args:
            state: The state of a curriculum over the same questions.

        Raises:
            ValueError: It belongs to another number of questions.
        """
        if len(state["tried"]) != len(self):
            raise ValueError(
                f"expected the state of {len(self)} questions, got {len(state['tried'])}"
            )
        self._draws, self._last = int(state["draws"]), list(state["last"])
        self._right, self._tried = np.array(state["right"]), np.array(state["tried"])


def install(trainer: Any) -> None:
    """Let a trainer draw its questions by the curriculum that its config asks for.

    Args:
        trainer: verl's trainer with medenv's replay buffer, initialised: its dataloader has been
            given the state of the checkpoint, and nothing has been drawn from it.
    """
    config = trainer.config
    given = OmegaConf.to_container(config.curriculum, resolve=True)
    settings = msgspec.convert(given, CurriculumSettings)
    if settings.by == "none":
        return
    rows = trainer.train_dataset.dataframe["extra_info"]
    questions = [msgspec.json.decode(row["question"], type=Question) for row in rows]
    apart = 2 * int(config.data.train_batch_size)
    curriculum = Curriculum(questions, settings, int(config.seed), apart)
    before = trainer.train_dataloader
    # Without workers, which would draw many batches ahead of the outcomes.
    loader = StatefulDataLoader(
        dataset=trainer.train_dataset,
        batch_size=before.batch_size,
        num_workers=0,
        drop_last=True,
        collate_fn=before.collate_fn,
        sampler=curriculum,
    )
    if before.next_iter_state is not None:
        loader.load_state_dict(before.next_iter_state)
    trainer.train_dataloader, trainer.train_dataloader_it = loader, iter(loader)
    trainer.replay_buffer.curriculum = curriculum


def _key(question: Question) -> tuple[str, str]:
    """Return what tells a question from those of all sets."""
    name = question.question_set
    return (name if isinstance(name, str) else "", question.id)


def _share_of_easier(questions: Sequence[Question]) -> NDArray[np.float64]:
    """Return the share of the questions that are easier than each, of shape (questions,)."""
    order = [_difficulty(question) for question in questions]
    ranks: dict[tuple[float, int], int] = {}
    for rank, one in enumerate(sorted(order)):
        ranks.setdefault(one, rank)
    return np.array([ranks[one] / len(order) for one in order])


def _difficulty(question: Question) -> tuple[float, int]:
    """Return the graded difficulty, 1/2 where there is none, then the hops of the certificate."""
    certificate = question.certificate
    hops = 0 if certificate is None else certificate.effective_hops or certificate.min_hops
    return (0.5 if question.difficulty is None else question.difficulty, hops)
