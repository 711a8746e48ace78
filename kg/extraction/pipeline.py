"""From a corpus to a graph: what a language model reads in passages, grown around seed entities.

In every round some entities are chosen, half the time from those found last (depth), else from
those found before (breadth), and the passages that a search for their names finds are read;
now and then, and where nothing is left to expand, a passage about nothing known yet is read
instead (discovery). Rounds are decided before any reply arrives and replies are taken in the order
of passages, so the graph depends on corpus, settings and replies, not on who answered first.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from medenv import io
from medenv.errors import UsageError
from medenv.kg.documents.naming import mentions
from medenv.kg.extraction.extraction import (
    MEDICAL,
    Entry,
    Extraction,
    RelationRule,
    check_rules,
    digest,
    normal,
    prompt,
    read_extraction,
    readable,
)
from medenv.kg.extraction.merge import assembled
from medenv.kg.graph import Graph, GraphInfo
from medenv.llm.batch import BatchClient, BatchLimits, open_journal
from medenv.llm.endpoint import Endpoint
from medenv.records import Passage, Record

LICENCE = (
    "Read by a language model and checked by nobody: for research on models, no medical advice. "
    "The terms are those of the corpus: {sources}."
)
_Key = tuple[str, str]
"""Kind and normal name of an entity."""


class Corpus(Protocol):
    """Passages that can be searched and gone through."""

    @property
    def passages(self) -> Iterable[Passage]:
        """All passages."""
        ...

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query up to `k` passages with their scores, best first."""
        ...


class ExtractionConfig(Record, frozen=True, kw_only=True):
    """How a graph is grown.

    Args:
        seeds: Names to begin with; empty begins with a discovery.
        rules: The relations to look for.
        max_nodes: Entities after which no further round is begun.
        max_passages: Most passages that are read.
        per_entity: Passages that are read about an entity.
        width: Entities that are expanded in one round.
        discovery: Share of the choices that are discoveries, in [0, 1].
        seed: Seed of the choices.
    """

    seeds: tuple[str, ...] = ()
    rules: tuple[RelationRule, ...] = MEDICAL
    max_nodes: int = 200
    max_passages: int = 400
    per_entity: int = 5
    width: int = 8
    discovery: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot grow."""
        check_rules(self.rules)
        if min(self.max_nodes, self.max_passages, self.per_entity, self.width) < 1:
            raise UsageError(
                "expected max_nodes, max_passages, per_entity and width of at least 1, got "
                f"{self.max_nodes}, {self.max_passages}, {self.per_entity} and {self.width}"
            )
        if not 0 <= self.discovery <= 1:
            raise UsageError(f"expected a share of discoveries in [0, 1], got {self.discovery}")


class Grown(NamedTuple):
    """A graph that was grown.

    Args:
        graph: The graph.
        rounds: Number of rounds.
        read: Number of passages read.
        problems: Number of things left out, by reason.
    """

    graph: Graph
    rounds: int
    read: int
    problems: dict[str, int]


class Growth:
    """Grows a graph.

    Args:
        asking: Asks the model, and keeps its replies.
        corpus: The passages.
        config: How to grow.
    """

    def __init__(self, asking: BatchClient, corpus: Corpus, config: ExtractionConfig) -> None:
        self.asking, self.corpus, self.config = asking, corpus, config
        self._read: dict[str, Extraction] = {}
        self._names: dict[_Key, str] = {}
        self._expanded: set[_Key] = set()
        self._latest: set[_Key] = set()
        self._waiting: list[str] = list(config.seeds)
        self._rounds = 0
        self._exhausted = False

    def grow(self, say: Callable[[str], None] = lambda _: None) -> Grown:
        """Return the grown graph.

        Args:
            say: Told after each round how far the graph is.

        Raises:
            ModelUnavailableError: The model did not answer; the same call goes on.
            CorpusUnavailableError: The corpus did not answer.
        """
        unread = self._unread()
        while len(self._names) < self.config.max_nodes:
            wanted = self._chosen(np.random.default_rng([self.config.seed, self._rounds]), unread)
            if wanted is None:
                break
            self._take(wanted)
            self._rounds += 1
            say(f"{len(self._names):,} entities from {len(self._read):,} passages")
        problems: Counter[str] = Counter()
        for extraction in self._read.values():
            problems.update(extraction.problems)
        counts = dict(sorted(problems.items()))
        graph = assembled(list(self._read.values()), self.config.rules, self._info(counts))
        return Grown(graph, self._rounds, len(self._read), counts)

    def _info(self, problems: dict[str, int]) -> GraphInfo:
        model, date = self.asking.endpoint.settings.model, self.asking.journal.head["date"]
        sources = sorted({passage.source for passage in self.corpus.passages} - {""})
        named = ", ".join(sources) or "not stated"
        return GraphInfo(
            source=f"own graph, extracted by {model}",
            version=self.asking.journal.head["date"],
            licence=LICENCE.format(sources=named),
            acknowledgement=f"Extracted by {model} on {date} from: {named}.",
            notes={"passages read": len(self._read), **problems},
        )

    def _chosen(
        self, rng: np.random.Generator, unread: Iterator[Passage]
    ) -> dict[str, Passage] | None:
        """Return the passages of the next round by id, or None where there is nothing to do."""
        room = self.config.max_passages - len(self._read)
        if room < 1:
            return None
        names, discoveries = self._picks(rng)
        found = self.corpus.search(names, self.config.per_entity) if names else []
        wanted = {p.id: p for hits in found for p, _ in hits if p.id not in self._read}
        for _ in range(discoveries or (not names)):
            passage = self._discovered(unread, wanted)
            if passage is not None:
                wanted[passage.id] = passage
        if not wanted and not names and not self._names.keys() - self._expanded:
            return None
        return dict(sorted(wanted.items())[:room])

    def _picks(self, rng: np.random.Generator) -> tuple[list[str], int]:
        """Return the names to search for, and how many passages to discover."""
        if self._waiting:
            names, self._waiting = self._waiting, []
            return names, 0
        names, discoveries = [], 0
        for _ in range(self.config.width):
            if rng.random() < self.config.discovery and not self._exhausted:
                discoveries += 1
                continue
            left = sorted(self._names.keys() - self._expanded)
            late = [key for key in left if key in self._latest]
            early = [key for key in left if key not in self._latest]
            groups = [group for group in (late, early) if group]
            if not groups:
                break
            group = groups[int(rng.integers(len(groups)))]
            key = group[int(rng.integers(len(group)))]
            self._expanded.add(key)
            names.append(self._names[key])
        return names, discoveries

    def _unread(self) -> Iterator[Passage]:
        """Yield all passages once, in a drawn order."""
        passages = sorted(self.corpus.passages, key=lambda passage: passage.id)
        for number in np.random.default_rng([self.config.seed]).permutation(len(passages)).tolist():
            yield passages[number]

    def _discovered(self, unread: Iterator[Passage], wanted: dict[str, Passage]) -> Passage | None:
        """Return the next passage that mentions nothing known, or None where none is left."""
        names = list(self._names.values())
        for passage in unread:
            taken = passage.id in self._read or passage.id in wanted
            if not taken and not mentions(f"{passage.title}\n{passage.text}", names):
                return passage
        self._exhausted = True
        return None

    def _take(self, wanted: dict[str, Passage]) -> None:
        """Read passages, and add what is in them in the order of their ids."""
        rules = self.config.rules
        keys = {_key_of(passage): passage for passage in wanted.values()}
        requests = {key: prompt(passage, rules) for key, passage in keys.items()}
        replies = self.asking.ask(requests, lambda _, text: readable(text))
        self._latest = set()
        for key, passage in keys.items():
            extraction = read_extraction(replies[key][-1], passage, rules)
            extraction.problems["reply: asked for again"] += len(replies[key]) - 1
            self._read[passage.id] = extraction._replace(problems=+extraction.problems)
            for link in extraction.links:
                for entry in (link.head, link.tail):
                    self._meet(entry)

    def _meet(self, entry: Entry) -> None:
        key = entry.kind, normal(entry.name)
        if key not in self._names:
            self._names[key] = entry.name
            self._latest.add(key)


def _key_of(passage: Passage) -> str:
    """Return a key that is another one where the text is."""
    text = io.digest(f"{passage.title}\n{passage.text}", 12)
    return f"{passage.id} {text}"


def extract_graph(
    folder: Path | str,
    endpoint: Endpoint,
    corpus: Corpus,
    config: ExtractionConfig,
    patience: BatchLimits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Grown:
    """Grow a graph, keep its replies in a folder, and save it there.

    The same call goes on where an earlier one ended; with larger limits it goes on growing.

    Args:
        folder: Gets ``replies.jsonl`` and ``graph/``.
        endpoint: The model.
        corpus: The passages.
        config: How to grow.
        patience: How many passages are read at a time, and how often.
        say: Told after each round how far the graph is.

    Raises:
        ModelUnavailableError: The model did not answer; the same call goes on.
        DataError: The folder holds another run's replies, or damaged ones.
    """
    base = Path(folder)
    journal = open_journal(base / "replies.jsonl", digest(config.rules), endpoint.settings.model)
    with BatchClient(endpoint, journal, patience or BatchLimits()) as asking:
        grown = Growth(asking, corpus, config).grow(say)
        shutil.rmtree(base / "graph", ignore_errors=True)
        grown.graph.save(base / "graph")
    return grown


def load_extracted(path: Path | str) -> Graph:
    """Return the graph that was grown in a folder.

    Args:
        path: The folder.

    Raises:
        DataError: There is none, or it was cut short.
    """
    return Graph.load(Path(path) / "graph")
