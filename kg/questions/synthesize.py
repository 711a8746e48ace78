"""Questions from a graph: every unique walk is found, screened, dealt to a split, and worded.

Question i of a split depends on the graph, the patterns and (seed, i), not on how many questions
are asked for; a shorter set is the beginning of a longer one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np

from medenv.errors import UsageError
from medenv.kg.certificates.certificate import certify, search_rank
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph, IntArray
from medenv.kg.questions.patterns import Pattern, pattern_named, unique_paths
from medenv.kg.questions.wording import mentions, unfit, wordings
from medenv.records import Question, Record, Retriever

SPLITS = ("train", "test")


class QuestionConfig(Record, frozen=True, kw_only=True):
    """What questions to make.

    Args:
        patterns: Names of the patterns, taken in turns.
        n_train: Number of training questions.
        n_test: Number of test questions.
        test_share: Share of the answers' families that is set aside for tests, in (0, 1).
        max_name_chars: Longest name of a topic or answer, characters.
        max_per_answer: Most questions of one pattern with the same answer.
    """

    patterns: tuple[str, ...] = ("disease>gene", "phenotype>disease>gene")
    n_train: int = 2_000
    n_test: int = 300
    test_share: float = 0.15
    max_name_chars: int = 80
    max_per_answer: int = 4

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        for name in self.patterns:
            pattern_named(name)
        if not self.patterns or len(set(self.patterns)) != len(self.patterns):
            raise UsageError(f"expected distinct patterns, got {self.patterns}")
        if min(self.n_train, self.n_test) < 0:
            raise UsageError(f"expected n >= 0, got {self.n_train} train and {self.n_test} test")
        if not 0 < self.test_share < 1:
            raise UsageError(f"expected 0 < test_share < 1, got {self.test_share}")
        if min(self.max_name_chars, self.max_per_answer) < 1:
            raise UsageError("expected max_name_chars and max_per_answer of at least 1")


class QuestionSet(Record, frozen=True, kw_only=True):
    """Two sets of questions that share no entity of a gold path.

    Args:
        train: Training questions.
        test: Test questions.
        rejected: Number of topics left out, by ``"<pattern>: <reason>"``.
        available: Number of questions that could be made, by ``"<split> <pattern>"``.
    """

    train: tuple[Question, ...]
    test: tuple[Question, ...]
    rejected: dict[str, int]
    available: dict[str, int]


class _Candidate(NamedTuple):
    """A walk that passed every screen: the nodes of its gold path."""

    pattern: Pattern
    path: tuple[int, ...]


def synthesize(
    graph: Graph,
    documents: Documents,
    config: QuestionConfig,
    seed: int = 0,
    retriever: Retriever | None = None,
) -> QuestionSet:
    """Make a training and a test set.

    Args:
        graph: The graph.
        documents: Its documents.
        config: What to make.
        seed: Every random choice is drawn from generators seeded with it.
        retriever: Where given, certificates tell how a plain search for the question fares.

    Raises:
        UsageError: The graph does not hold as many questions as asked for.
        CorpusUnavailableError: The retriever did not answer.
    """
    patterns = [pattern_named(name) for name in config.patterns]
    paths = {pattern.name: unique_paths(graph, pattern) for pattern in patterns}
    splits = _deal(graph, paths, config.test_share, seed)
    rejected: Counter[str] = Counter()
    pools: dict[str, list[list[_Candidate]]] = {split: [] for split in SPLITS}
    for number, pattern in enumerate(patterns, start=1):
        fit = _screen(graph, pattern, paths[pattern.name], config, rejected)
        for code, split in enumerate(SPLITS):
            mine = [path for path in fit if splits[path[0]] == code]
            order = np.random.default_rng([seed, code, number]).permutation(len(mine))
            kept = _cap([mine[i] for i in order], config.max_per_answer)
            rejected[f"{pattern.name}: answer asked for often enough"] += len(mine) - len(kept)
            pools[split].append([_Candidate(pattern, path) for path in kept])
    made = {
        split: tuple(
            _question(documents, candidate, f"{split}:{i}", seed, retriever)
            for i, candidate in enumerate(_take(pools[split], split, wanted))
        )
        for split, wanted in zip(SPLITS, (config.n_train, config.n_test), strict=True)
    }
    available = {
        f"{split} {pattern.name}": len(pool)
        for split in SPLITS
        for pattern, pool in zip(patterns, pools[split], strict=True)
    }
    counts = {reason: count for reason, count in sorted(rejected.items()) if count}
    return QuestionSet(**made, rejected=counts, available=available)


def _deal(
    graph: Graph, paths: dict[str, IntArray], test_share: float, seed: int
) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Return each node's split, 0 train and 1 test, the same for all that gold paths connect."""
    # Imported late (0.1 s, needed here alone); scipy ships no types.
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    pairs = [path[:, [hop, hop + 1]] for path in paths.values() for hop in range(path.shape[1] - 1)]
    ends = np.concatenate(pairs)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(graph),) * 2)
    _, family = connected_components(links, directed=False)
    on_a_path = np.unique(ends)
    families, first = np.unique(family[on_a_path], return_index=True)
    heads = [graph.nodes.ids[node] for node in on_a_path[first]]
    drawn = sorted(range(len(heads)), key=lambda i: _digest(seed, heads[i]))
    splits = np.zeros(len(graph), dtype=np.int8)
    splits[families[drawn[: round(len(heads) * test_share)]]] = 1
    return np.asarray(splits[family], dtype=np.int8)


def _digest(seed: int, entity_id: str) -> bytes:
    """Return a place in the order of drawing that depends on nothing but the arguments."""
    return hashlib.sha256(f"{seed}/{entity_id}".encode()).digest()


def _screen(
    graph: Graph,
    pattern: Pattern,
    paths: IntArray,
    config: QuestionConfig,
    rejected: Counter[str],
) -> list[tuple[int, ...]]:
    """Return the paths that make fair questions, and count the others by reason."""
    topics = graph.of_kind(pattern.topic).size if pattern.topic in graph.kinds else 0
    rejected[f"{pattern.name}: not exactly one answer at every step"] += topics - len(paths)
    fit = []
    for row in paths.tolist():
        path = tuple(row)
        reason = _unfair(graph, pattern, path, config.max_name_chars)
        if reason:
            rejected[f"{pattern.name}: {reason}"] += 1
        else:
            fit.append(path)
    return fit


def _unfair(graph: Graph, pattern: Pattern, path: tuple[int, ...], max_chars: int) -> str:
    """Return why a path makes no fair question, or nothing."""
    entities = [graph.entity(node) for node in path]
    topic, *others = entities
    shown = (topic.name, entities[-1].name)
    if any(unfit(name) for name in shown):
        return "a name in catalogue notation"
    if max(map(len, shown)) > max_chars:
        return "a name too long"
    for entity, node in zip(entities, path, strict=True):
        if any(n != node and graph.kind(n) == entity.kind for n in graph.find(entity.name)):
            return "a name that several entities bear"
    names = [name for entity in others for name in (entity.name, *entity.aliases)]
    if any(mentions(text, names) for _, text in wordings(pattern.name, topic.name)):
        return "the question would give a later step away"
    if len(path) > 2 and any(graph.has_edge(path[0], name, path[-1]) for name in graph.rows):
        return "a direct edge from topic to answer"
    return ""


def _cap(paths: list[tuple[int, ...]], most: int) -> list[tuple[int, ...]]:
    """Keep the first paths of every answer."""
    seen: Counter[int] = Counter()
    kept = []
    for path in paths:
        seen[path[-1]] += 1
        if seen[path[-1]] <= most:
            kept.append(path)
    return kept


def _take(pools: list[list[_Candidate]], split: str, wanted: int) -> Iterator[_Candidate]:
    """Return candidates of all patterns in turns, until there are as many as wanted."""
    total = sum(map(len, pools))
    if total < wanted:
        raise UsageError(
            f"asked for {wanted:,} {split} questions, the graph holds {total:,}; ask for fewer, "
            "add patterns, or change test_share or max_per_answer"
        )
    longest = max(map(len, pools))
    turns = (pool[i] for i in range(longest) for pool in pools if i < len(pool))
    return islice(turns, wanted)


def _question(
    documents: Documents,
    candidate: _Candidate,
    question_id: str,
    seed: int,
    retriever: Retriever | None,
) -> Question:
    graph = documents.graph
    pattern, path = candidate
    split, number = question_id.split(":")
    topic = graph.entity(path[0])
    choices = wordings(pattern.name, topic.name)
    template, text = choices[np.random.default_rng([seed, int(number)]).integers(len(choices))]
    certificate = certify(documents, path[0], pattern.relations)
    if retriever is not None:
        rank = search_rank(certificate, text, retriever)
        certificate = msgspec.structs.replace(certificate, search_rank=rank)
    return Question(
        id=question_id,
        text=text,
        kind=pattern.name,
        split=split,
        topic=topic,
        answers=(graph.entity(path[-1]),),
        certificate=certificate,
        template=template,
        source=graph.info.label,
    )
