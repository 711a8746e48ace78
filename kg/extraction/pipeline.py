"""Extraction pipeline: grows a graph from a corpus with a language model, from seed entities.

Each round selects entities, half the time from those found last (depth), else from earlier ones
(breadth), and reads the passages that a search for their names finds. Sometimes, and if no entity
is left to expand, it reads a passage without known entities instead (discovery). Rounds are planned
before replies arrive and replies are processed in the order of passages, so the graph depends on
corpus, settings and replies, but not on the order of replies.
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
"""Kind and normalised name of an entity."""


class Corpus(Protocol):
    """Passages that can be searched and iterated."""

    @property
    def passages(self) -> Iterable[Passage]:
        """All passages."""
        ...

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query up to `k` passages with their scores, best first."""
        ...


class ExtractionConfig(Record, frozen=True, kw_only=True):
    """Settings of the extraction.

    Args:
        seeds: Names of the start entities; empty starts with a discovery.
        rules: The relations to extract.
        max_nodes: Number of entities after which no further round starts.
        max_passages: Maximum number of passages to read.
        per_entity: Number of passages to read per entity.
        width: Number of entities to expand per round.
        discovery: Share of discoveries among the choices, in [0, 1].
        seed: Random seed.
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
        """Validate the settings."""
        check_rules(self.rules)
        if min(self.max_nodes, self.max_passages, self.per_entity, self.width) < 1:
            raise UsageError(
                "expected max_nodes, max_passages, per_entity and width of at least 1, got "
                f"{self.max_nodes}, {self.max_passages}, {self.per_entity} and {self.width}"
            )
        if not 0 <= self.discovery <= 1:
            raise UsageError(f"expected a share of discoveries in [0, 1], got {self.discovery}")


class Grown(NamedTuple):
    """Result of an extraction.

    Args:
        graph: The graph.
        rounds: Number of rounds.
        read: Number of passages read.
        problems: Number of dropped items by reason.
    """

    graph: Graph
    rounds: int
    read: int
    problems: dict[str, int]


class Growth:
    """State of an extraction.

    Args:
        client: Client of the model, which stores its replies.
        corpus: The passages.
        config: Settings.
    """

    def __init__(self, client: BatchClient, corpus: Corpus, config: ExtractionConfig) -> None:
        self.client, self.corpus, self.config = client, corpus, config
        self._read: dict[str, Extraction] = {}
        self._names: dict[_Key, str] = {}
        self._expanded: set[_Key] = set()
        self._latest: set[_Key] = set()
        self._waiting: list[str] = list(config.seeds)
        self._rounds = 0
        self._exhausted = False

    def grow(self, say: Callable[[str], None] = lambda _: None) -> Grown:
        """Run the extraction and return its result.

        Args:
            say: Progress callback; receives a line after each round.

        Raises:
            ModelUnavailableError: The model did not answer; repeat the call to resume.
            CorpusUnavailableError: The corpus did not answer.
        """
        unread = self._shuffled_passages()
        while len(self._names) < self.config.max_nodes:
            rng = np.random.default_rng([self.config.seed, self._rounds])
            passages = self._next_passages(rng, unread)
            if passages is None:
                break
            self._read_passages(passages)
            self._rounds += 1
            say(f"{len(self._names):,} entities from {len(self._read):,} passages")
        problems: Counter[str] = Counter()
        for extraction in self._read.values():
            problems.update(extraction.problems)
        counts = dict(sorted(problems.items()))
        graph = assembled(list(self._read.values()), self.config.rules, self._info(counts))
        return Grown(graph, self._rounds, len(self._read), counts)

    def _info(self, problems: dict[str, int]) -> GraphInfo:
        model, date = self.client.endpoint.settings.model, self.client.journal.head["date"]
        sources = sorted({passage.source for passage in self.corpus.passages} - {""})
        named = ", ".join(sources) or "not stated"
        return GraphInfo(
            source=f"own graph, extracted by {model}",
            version=date,
            licence=LICENCE.format(sources=named),
            acknowledgement=f"Extracted by {model} on {date} from: {named}.",
            notes={"passages read": len(self._read), **problems},
        )

    def _next_passages(
        self, rng: np.random.Generator, unread: Iterator[Passage]
    ) -> dict[str, Passage] | None:
        """Return the passages of the next round by id, or None at the end."""
        room = self.config.max_passages - len(self._read)
        if room < 1:
            return None
        names, discoveries = self._choose(rng)
        found = self.corpus.search(names, self.config.per_entity) if names else []
        chosen = {p.id: p for hits in found for p, _ in hits if p.id not in self._read}
        for _ in range(discoveries or (not names)):
            passage = self._discover(unread, chosen)
            if passage is not None:
                chosen[passage.id] = passage
        if not chosen and not names and not self._names.keys() - self._expanded:
            return None
        return dict(sorted(chosen.items())[:room])

    def _choose(self, rng: np.random.Generator) -> tuple[list[str], int]:
        """Return the names to search for and the number of passages to discover."""
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

    def _shuffled_passages(self) -> Iterator[Passage]:
        """Yield all passages in random order."""
        passages = sorted(self.corpus.passages, key=lambda passage: passage.id)
        for number in np.random.default_rng([self.config.seed]).permutation(len(passages)).tolist():
            yield passages[number]

    def _discover(self, unread: Iterator[Passage], chosen: dict[str, Passage]) -> Passage | None:
        """Return the next passage without known entities, or None at the end."""
        names = list(self._names.values())
        for passage in unread:
            taken = passage.id in self._read or passage.id in chosen
            if not taken and not mentions(f"{passage.title}\n{passage.text}", names):
                return passage
        self._exhausted = True
        return None

    def _read_passages(self, passages: dict[str, Passage]) -> None:
        """Read passages and add their entities in the order of the passages' ids."""
        rules = self.config.rules
        keys: dict[str, Passage] = {}
        for passage in passages.values():
            text = f"{passage.title}\n{passage.text}"
            keys[f"{passage.id} {io.digest(text, 12)}"] = passage
        requests = {key: prompt(passage, rules) for key, passage in keys.items()}
        replies = self.client.ask(requests, lambda _, text: readable(text))
        self._latest = set()
        for key, passage in keys.items():
            extraction = read_extraction(replies[key][-1], passage, rules)
            extraction.problems["reply: asked for again"] += len(replies[key]) - 1
            self._read[passage.id] = extraction._replace(problems=+extraction.problems)
            for link in extraction.links:
                for entry in (link.head, link.tail):
                    entity = entry.kind, normal(entry.name)
                    if entity not in self._names:
                        self._names[entity] = entry.name
                        self._latest.add(entity)


def extract_graph(
    folder: Path | str,
    endpoint: Endpoint,
    corpus: Corpus,
    config: ExtractionConfig,
    patience: BatchLimits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Grown:
    """Extract a graph, and store it with the model's replies in a folder.

    Repeating a call resumes it; larger limits continue the growth.

    Args:
        folder: Output folder for ``replies.jsonl`` and ``graph/``.
        endpoint: The model.
        corpus: The passages.
        config: Settings.
        patience: Limits of concurrency and retries.
        say: Progress callback; receives a line after each round.

    Raises:
        ModelUnavailableError: The model did not answer; repeat the call to resume.
        DataError: The folder contains replies of another run, or damaged ones.
    """
    base = Path(folder)
    journal = open_journal(base / "replies.jsonl", digest(config.rules), endpoint.settings.model)
    with BatchClient(endpoint, journal, patience or BatchLimits()) as client:
        grown = Growth(client, corpus, config).grow(say)
        shutil.rmtree(base / "graph", ignore_errors=True)
        grown.graph.save(base / "graph")
    return grown


def load_extracted(path: Path | str) -> Graph:
    """Read the extracted graph of a folder.

    Args:
        path: The folder.

    Raises:
        DataError: The graph is missing or truncated.
    """
    return Graph.load(Path(path) / "graph")
