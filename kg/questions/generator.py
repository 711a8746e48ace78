"""Where one question at a time is made: attempt i of a split depends on (seed, split, i) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.certificates.certificate import SEARCH_DEPTH, rank_among
from medenv.kg.certificates.conditions import entailed_counts
from medenv.kg.certificates.queries import Outcome
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph, IntArray
from medenv.kg.graph.rarity import RARITIES, measured, rare_nodes
from medenv.kg.graph.schema import IS_A
from medenv.kg.graph.specialties import SPECIALTIES, Specialties
from medenv.kg.graph.topology import MAX_DEGREE, Topology
from medenv.kg.questions.difficulty import difficulty, grade
from medenv.kg.questions.drafts import Draft, Rejected, SampleSpec, finish
from medenv.kg.questions.facts import MAKERS
from medenv.kg.questions.phrases import VOICES
from medenv.kg.questions.rare_chains import SAMPLINGS, ChainConfig, Sampling, draft_chain
from medenv.kg.questions.splits import entity_split
from medenv.kg.questions.store import entities_of
from medenv.records import Passage, Question, Record, Retriever

SPLITS = ("train", "test")
KINDS = ("rare_chains", *MAKERS)
"""Kinds of questions that can be asked for."""

SEED_KINDS = ("disease", "gene", "phenotype")
"""Kinds of rare entities that questions are built around."""


class QuestionSpec(Record, frozen=True, kw_only=True):
    """What questions to make, however many.

    Args:
        kinds: Kind of question to its weight among the attempts; 0 leaves it out.
        levels: Obfuscation levels, drawn evenly.
        rarity: Measure of `medenv.kg.graph.rarity`: ``"degree"``, ``"documents"``, which counts
            the documents that mention an entity, or ``"prevalence"``, where the graph states it.
        rare_percent: An entity is rare in the lowest so many percent of its kind.
        sampling: Which part around a rare entity is searched for its longest chain: ``"region"``
            for all of it, or a sample by a strategy of `medenv.kg.graph.sampling`.
        sample_nodes: Most nodes of such a sample.
        min_degree: Fewest edges of a rare entity.
        max_degree: Most factual edges of an entity on a path.
        max_subtypes: Most kinds that the ontology knows of an entity on a path; one of more is a
            heading, such as "Abnormality of the musculature", and no finding to ask for.
        chains: How chains are found and cut.
        test_share: Share of the path nodes that is set aside for tests.
        max_per_answer: Most questions of one kind with the same answer.
        specialties: Specialties to spread the questions over; empty means all twelve. That of a
            question is the answer's, or where that has none, that of the path.
        min_difficulty: Least difficulty of a question, in [0, 1]; needs a retriever.
        max_difficulty: Greatest difficulty.
    """

    kinds: dict[str, int] = msgspec.field(default_factory=lambda: {"rare_chains": 1})
    levels: tuple[int, ...] = (0, 1, 2, 3, 4)
    rarity: str = "degree"
    rare_percent: float = 25.0
    sampling: str = "region"
    sample_nodes: int = 32
    min_degree: int = 2
    max_degree: int = MAX_DEGREE
    max_subtypes: int = 50
    chains: ChainConfig = ChainConfig()
    test_share: float = 0.15
    max_per_answer: int = 4
    specialties: tuple[str, ...] = ()
    min_difficulty: float = 0.0
    max_difficulty: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        for what, names, known in (
            ("kind of question", self.kinds, KINDS),
            ("specialty", self.specialties, SPECIALTIES),
            ("measure of rarity", (self.rarity,), RARITIES),
            ("sampling strategy", (self.sampling,), SAMPLINGS),
        ):
            for name in names:
                if name not in known:
                    raise UnknownNameError(what, name, known)
        if min(self.kinds.values(), default=0) < 0 or not any(self.kinds.values()):
            raise UsageError(f"expected kinds with weights, at least one above 0, got {self.kinds}")
        if not self.levels or not set(self.levels) <= set(range(5)):
            raise UsageError(f"expected obfuscation levels of 0 to 4, got {self.levels}")
        if self.max_per_answer < 1 or self.sample_nodes < 2:
            raise UsageError(
                "expected max_per_answer >= 1 and sample_nodes >= 2, got "
                f"{self.max_per_answer} and {self.sample_nodes}"
            )
        if not 0 <= self.min_difficulty < self.max_difficulty <= 1:
            raise UsageError(
                "expected 0 <= min_difficulty < max_difficulty <= 1, got "
                f"{self.min_difficulty} and {self.max_difficulty}"
            )
        chains = self.chains
        if not 1 <= chains.min_hops <= chains.max_hops:
            raise UsageError(
                f"expected 1 <= min_hops <= max_hops, got {chains.min_hops}, {chains.max_hops}"
            )


@dataclass(frozen=True, eq=False)
class QuestionGenerator:
    """Makes questions about a graph, one attempt at a time.

    Args:
        documents: The documents, with their graph.
        config: What to make.
        seed: Seed of all randomness.
        retriever: Where given, certificates have a search rank and questions a difficulty.
    """

    documents: Documents
    config: QuestionSpec
    seed: int = 0
    retriever: Retriever | None = None

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self.documents.graph

    @cached_property
    def specialties(self) -> Specialties:
        """The specialties of the graph's nodes."""
        return Specialties(self.graph)

    @cached_property
    def topologies(self) -> dict[str, Topology]:
        """The path nodes of each split; no node is in two."""
        graph, most = self.graph, self.config.max_degree
        fit = np.ones(len(graph), dtype=bool)
        if IS_A.inverse in graph.rows:
            fit = entailed_counts(graph, IS_A.inverse) <= self.config.max_subtypes
        test = entity_split(Topology(graph, most, fit), self.config.test_share, self.seed)
        return {
            "train": Topology(graph, most, fit & ~test),
            "test": Topology(graph, most, fit & test),
        }

    @cached_property
    def pools(self) -> dict[str, list[IntArray]]:
        """The rare path nodes of each split, by specialty, in a drawn order; none is empty."""
        kinds = [kind for kind in SEED_KINDS if kind in self.graph.kinds] or self.graph.kinds
        percent, least = self.config.rare_percent, self.config.min_degree
        passages = self.documents.passages if self.config.rarity == "documents" else ()
        values = measured(self.graph, self.config.rarity, passages)
        rare = np.concatenate(
            [rare_nodes(self.graph, kind, percent, least, values) for kind in kinds]
        )
        names = list(SPECIALTIES)
        wanted = [names.index(name) for name in self.config.specialties or names]
        pools: dict[str, list[IntArray]] = {}
        for code, split in enumerate(SPLITS):
            mine = np.sort(rare[self.topologies[split].path_nodes[rare]])
            numbers = self.specialties.numbers[mine]
            groups = [mine[numbers == number] for number in wanted if (numbers == number).any()]
            if not groups and not self.config.specialties:
                groups = [mine] if mine.size else []
            if not groups:
                raise UsageError(
                    f"no rare entity of the graph is in the {split} region and the specialties; "
                    "raise rare_percent or test_share, or name other specialties"
                )
            pools[split] = [
                group[np.random.default_rng([self.seed, code, place]).permutation(group.size)]
                for place, group in enumerate(groups)
            ]
        return pools

    def order(self, split: str, i: int) -> tuple[str, SampleSpec]:
        """Return what attempt i of a split is to make: the kind of question, and the order."""
        rounds = [kind for kind, weight in self.config.kinds.items() for _ in range(weight)]
        groups = self.pools[split]
        turn, group = divmod(i, len(groups))
        lap, place = divmod(turn, groups[group].size)
        kind = rounds[(turn + lap + group) % len(rounds)]
        rng = np.random.default_rng([self.seed, SPLITS.index(split), i])
        voice = VOICES - 1 if split == "test" else int(rng.integers(VOICES - 1))
        level = self.config.levels[int(rng.integers(len(self.config.levels)))]
        return kind, SampleSpec(split, int(groups[group][place]), level, voice, rng)

    def attempt(self, split: str, i: int) -> Question:
        """Return the question of attempt i of a split; its id is still empty.

        Args:
            split: ``"train"`` or ``"test"``.
            i: Number of the attempt, from 0.

        Raises:
            Rejected: There is none; the reason says why.
            CorpusUnavailableError: The retriever did not answer.
        """
        kind, order = self.order(split, i)
        draft = self._draft(kind, order)
        most = self.config.chains.max_name_chars
        question, outcome = finish(self.documents, draft, order, most)
        nodes = [self.graph.number(hop.tail) for hop in question.certificate.path]
        if not self.topologies[split].path_nodes[order.seed] or not self._inside(split, question):
            raise Rejected("the path leaves its split")
        specialty = self.specialties.of([*nodes[::-1], order.seed])
        if self.config.specialties and specialty not in self.config.specialties:
            raise Rejected("of a specialty that is not asked for")
        question = msgspec.structs.replace(question, specialty=specialty)
        if self.retriever is None:
            return question
        (results,) = self.retriever.search([question.text], SEARCH_DEPTH)
        return self._graded(question, outcome, [passage for passage, _ in results])

    def _draft(self, kind: str, order: SampleSpec) -> Draft:
        if kind == "rare_chains":
            sampling = Sampling(self.config.sampling, self.config.sample_nodes)
            return draft_chain(self.topologies[order.split], order, self.config.chains, sampling)
        return MAKERS[kind](self.graph, order)

    def _inside(self, split: str, question: Question) -> bool:
        """Whether what is asked is of this split, and nothing on the way is of the other one.

        A hub is of neither: a question may name it, but not ask for it, and no edge is told in
        which both ends are hubs.
        """
        number = self.graph.number
        own = self.topologies[split].path_nodes
        other = self.topologies["test" if split == "train" else "train"].path_nodes
        edges = [(number(hop.head), number(hop.tail)) for hop in question.certificate.path]
        return (
            all(own[number(entity)] for entity in entities_of(question))
            and all(own[head] or own[tail] for head, tail in edges)
            and not any(other[head] or other[tail] for head, tail in edges)
        )

    def _graded(self, question: Question, outcome: Outcome, found: Sequence[Passage]) -> Question:
        grades = grade(self.graph, question, outcome, found)
        hardness = difficulty(grades)
        if not self.config.min_difficulty <= hardness <= self.config.max_difficulty:
            raise Rejected("too easy or too hard")
        certificate = msgspec.structs.replace(
            question.certificate, search_rank=rank_among(question.certificate, found)
        )
        return msgspec.structs.replace(
            question, certificate=certificate, grades=grades, difficulty=round(hardness, 4)
        )
