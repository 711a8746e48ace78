"""A million model outputs that no model would write, through every dialect and into the tools.

    python benchmarks/fuzz.py                          # a million texts, every dialect
    python benchmarks/fuzz.py --texts 10000 --dialect react --seed 7

A text is made of markup of all dialects, pieces of JSON, whole calls and answers, and random
characters, lone surrogates included; some are cut, repeated or spliced. Each is read, what was read
is checked (calls or an answer or a problem, never an answer beside a call), and the calls are made.
Block b of texts depends on (seed, b) alone. The first exception ends the run: it prints the text.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from medenv.build.environment import DIALECTS, make_dialect
from medenv.dialects import Dialect
from medenv.episodes.episode import Budget, Episode, EpisodeRules
from medenv.errors import MedEnvError
from medenv.kg import Documents, toy_graph, toy_questions
from medenv.retrieval import BM25Retriever
from medenv.tools import Read, Search, ToolBox

BLOCK = 1_000
TAGS = ("think", "answer", "tool_call", "tool_response", "search", "read", "information")
MARKUP = [f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")] + [
    *("<function=search>", "<function=", "</function>", "<parameter=query>", "</parameter>"),
    *("<|im_end|>", "<|im_start|>", "<|eot_id|>", "<|python_tag|>", "<|", "|>", "<", ">", "</"),
    *("\nThought:", "\nAction:", "\nAction Input:", "\nObservation:", "\nFinal Answer:", "\n"),
    *('{"name": "search", ', '"arguments": {"query": "x"}}', '"parameters": {}}', '{"calls": ['),
    *('{"answer": "x"}', '{"content": null, "tool_calls": [{"function": ', "{", "}", "[", "]", '"'),
    *(";", ",", ":", "\\", "```json\n", "```", "null", "true", "NaN", "1e999", "-0", "\\ud800"),
    *("\ud800", "\udfff", "\x00", "\u2028", "\u202e", "µβ", "FBN1", "search", "9" * 5000),
    *("[" * 3000, '{"a":' * 1500, " " * 2000, "<think>" * 300, "Action: a\n" * 300),
]
ARGUMENTS: list[dict[str, Any]] = [
    {"query": "ectopia lentis"},
    {"query": ["fever", "</tool_call>"]},
    {"query": 7, "k": None},
    {"passage_id": "TOY:1#0", "start": "40"},
    {"passage_id": "x", "start": -1, "find": "("},
    {},
]


def block(rng: np.random.Generator, whole: Sequence[str], count: int) -> Iterator[str]:
    """Yield some texts."""
    for _ in range(count):
        pieces = [_piece(rng, whole) for _ in range(int(rng.integers(0, 12)))]
        text = "".join(pieces)
        kind = rng.random()
        if kind < 0.2:
            text = text[: int(rng.integers(0, len(text) + 1))]
        elif kind < 0.3:
            at = int(rng.integers(0, len(text) + 1))
            text = text[at:] + text[:at]
        yield text


def _piece(rng: np.random.Generator, whole: Sequence[str]) -> str:
    kind = rng.random()
    if kind < 0.55:
        return MARKUP[int(rng.integers(len(MARKUP)))]
    if kind < 0.8:
        one = whole[int(rng.integers(len(whole)))]
        return one if rng.random() < 0.7 else one[: int(rng.integers(len(one) + 1))]
    codes = rng.integers(0, 0x11000 if kind < 0.95 else 0x110000, int(rng.integers(1, 12)))
    return "".join(map(chr, codes.tolist()))


def written(dialects: Sequence[Dialect]) -> list[str]:
    """Return whole calls and answers in all dialects."""
    texts = []
    for one in dialects:
        texts += [one.write_answer(text, "hm") for text in ("FBN1", "<answer>", "β {}")]
        for name in ("search", "read"):
            texts += [one.write_call(name, given) for given in ARGUMENTS if given]
    return texts


class Fuzzer:
    """Puts texts through one dialect.

    Args:
        dialect: The dialect.
    """

    def __init__(self, dialect: Dialect) -> None:
        retriever = BM25Retriever(Documents(toy_graph()).passages)
        self._box = ToolBox([Search(retriever), Read(retriever)])
        self._rules = EpisodeRules(dialect, self._box.specs, Budget(turns=3))
        self._question = toy_questions().train[0]
        self.dialect, self.seen = dialect, Counter[str]()
        self.seconds = self.slowest = 0.0

    def take(self, text: str) -> None:
        """Read a text, check what was read, and play the turn."""
        begun = time.thread_time()
        parsed = self.dialect.parse(text)
        spent = time.thread_time() - begun
        self.seconds += spent
        self.slowest = max(self.slowest, spent)
        if not (parsed.calls or parsed.answer or parsed.problems):
            raise SystemExit(f"{self.dialect.name}: nothing was read and nothing told: {text!r}")
        if parsed.answer is not None and (parsed.calls or parsed.problems):
            raise SystemExit(f"{self.dialect.name}: an answer beside something else: {text!r}")
        episode = Episode(self._question, self._rules)
        calls = episode.advance(text)
        if not episode.ended:
            episode.observe([self._box.run(call) for call in calls])
        self.seen["answers" if parsed.answer is not None else "calls" if calls else "told"] += 1
        self.seen["texts"] += 1


def fuzz(fuzzers: Sequence[Fuzzer], texts: int, seed: int) -> None:
    """Put texts through all dialects; the first exception ends it."""
    whole = written([one.dialect for one in fuzzers])
    for number in track(range(-(-texts // BLOCK)), "fuzzing", console=Console(stderr=True)):
        rng = np.random.default_rng([seed, number])
        for text in block(rng, whole, min(BLOCK, texts - number * BLOCK)):
            for one in fuzzers:
                try:
                    one.take(text)
                except (Exception, SystemExit):
                    traceback.print_exc()
                    raise SystemExit(f"{one.dialect.name}, block {number}: {text!r}") from None


def main(
    texts: Annotated[int, typer.Option(help="How many texts.")] = 1_000_000,
    dialect: Annotated[str, typer.Option(help="One dialect, instead of all.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the texts.")] = 0,
) -> None:
    """Fuzz and print what was read; exit code 1 at the first exception."""
    names = [dialect] if dialect else list(DIALECTS.names())
    fuzzers = [Fuzzer(make_dialect(name)) for name in names]
    fuzz(fuzzers, texts, seed)
    table = Table("dialect", "texts", "calls", "answers", "told", "read, µs", "slowest, ms")
    for one in fuzzers:
        count = one.seen["texts"]
        shares = [f"{one.seen[what] / count:.1%}" for what in ("calls", "answers", "told")]
        spent = (f"{1e6 * one.seconds / count:.1f}", f"{1000 * one.slowest:.1f}")
        table.add_row(one.dialect.name, f"{count:,}", *shares, *spent)
    Console().print(table)
    print(f"{sum(one.seen['texts'] for one in fuzzers):,} readings, no exception")


if __name__ == "__main__":
    try:
        typer.run(main)
    except MedEnvError as error:
        sys.exit(f"fuzz: {error}")
