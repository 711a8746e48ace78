"""Rename the entities of an episode, so that the answer can only be read, not recalled.

A small policy that sees the same few thousand names repeatedly memorises them instead of learning
to copy. Invented names for the gold entities force it to copy. Renamed episodes are fictional
training data and are never presented as a source's content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import msgspec
import numpy as np

from medenv.records import Entity, Question, Trajectory, Turn
from medenv.text import whole_words

_WORD = re.compile(r"[^\W\d_]{3,}")
_LETTERS = "ABCDEFGHIKLMNPQRSTUVWXYZ"


class Renamer:
    """Invent names from pieces of real names.

    Args:
        entities: Source of the pieces; entities of kind "gene" give symbols.
    """

    def __init__(self, entities: Iterable[Entity]) -> None:
        ordered = sorted(entities, key=lambda entity: entity.id)
        words = {w for e in ordered if e.kind != "gene" for w in _WORD.findall(e.name)}
        self._words = sorted(words)
        self._symbols = sorted({e.name for e in ordered if e.kind == "gene"})
        self._real = {e.name for e in ordered}

    def invent(self, kind: str, rng: np.random.Generator) -> str:
        """Return a new name of a kind.

        Args:
            kind: "gene" for a symbol, anything else for words.
            rng: Random source.
        """
        make = self._symbol if kind == "gene" else self._phrase
        while (name := make(rng)) in self._real:
            pass
        return name

    def rename(
        self, trajectory: Trajectory, entities: Mapping[str, Entity], rng: np.random.Generator
    ) -> Trajectory:
        """Return the episode with its topic and all gold entities renamed everywhere.

        Args:
            trajectory: A finished episode.
            entities: Entity id to entity, for the whole gold path.
            rng: Random source.
        """
        question = trajectory.question
        swap = self.swap(question, entities, rng)
        return msgspec.structs.replace(
            trajectory,
            question=_with_text(question, swap(question.text)),
            turns=tuple(_with_texts(turn, swap) for turn in trajectory.turns),
        )

    def swap(
        self, question: Question, entities: Mapping[str, Entity], rng: np.random.Generator
    ) -> Callable[[str], str]:
        """Return the function that renames a question's topic and gold entities in a text.

        Args:
            question: The question.
            entities: Entity id to entity, for the whole gold path.
            rng: Random source.
        """
        path = question.proof.path
        ids = dict.fromkeys([path[0].head, *(hop.tail for hop in path)])
        new = {entities[i].name: self.invent(entities[i].kind, rng) for i in ids}
        pattern = re.compile(whole_words(*new))
        return lambda text: pattern.sub(lambda found: new[found.group()], text)

    def _phrase(self, rng: np.random.Generator) -> str:
        count = int(rng.integers(1, 5))
        words = [self._words[int(i)] for i in rng.integers(len(self._words), size=count)]
        words[0] = words[0].capitalize()
        at = int(rng.integers(0, 2 * count))
        if 0 < at < count:
            words[at - 1] += ","
        phrase = " ".join(words)
        ending = int(rng.integers(4))
        number = str(int(rng.integers(1, 60)))
        letter = _LETTERS[int(rng.integers(3))] if rng.integers(2) else ""
        if ending == 0:
            return f"{phrase} {number}{letter}"
        return f"{phrase}, type {number}{letter}" if ending == 1 else phrase

    def _symbol(self, rng: np.random.Generator) -> str:
        symbol = list(self._symbols[int(rng.integers(len(self._symbols)))])
        for at, old in enumerate(symbol):
            if rng.integers(2):
                if old.isdigit():
                    symbol[at] = str(int(rng.integers(1, 10)))
                elif old.isalpha():
                    symbol[at] = _LETTERS[int(rng.integers(len(_LETTERS)))]
        return "".join(symbol)


def _with_text(question: Question, text: str) -> Question:
    return msgspec.structs.replace(question, text=text)


def _with_texts(turn: Turn, swap: Callable[[str], str]) -> Turn:
    return msgspec.structs.replace(turn, text=swap(turn.text), observation=swap(turn.observation))
