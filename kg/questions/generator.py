"""Makes one question at a time: attempt i of a split depends on (seed, split, i) alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from medenv.errors import UnknownNameError, UsageError
from medenv.kg.certificates.certificate import rank_among
from medenv.kg.certificates.queries import Outcome
from medenv.kg.documents import Documents
from medenv.kg.graph import Graph, IntArray, Rows
from medenv.kg.graph.rarity import RARITIES, measured, rare_nodes
from medenv.kg.graph.specialties import SPECIALTIES, Specialties
from medenv.kg.graph.topology import MAX_DEGREE, Topology
from medenv.kg.questions.asked import asked_edges, asked_nodes
from medenv.kg.questions.difficulty import Found, difficulty, grade, search_parts
from medenv.kg.questions.drafts import (
    MAX_NAME_CHARS,
    Draft,
    Rejected,
    Rejection,
    SampleSpec,
    certified,
    screen,
)
from medenv.kg.questions.facts import MAKERS
from medenv.kg.questions.families import (
    FAMILIES,
    Way,
    draft_family,
    family_topology,
    has_data,
    ways_of,
)
from medenv.kg.questions.phrases import VOICES
from medenv.kg.questions.rare_chains import SAMPLINGS, ChainConfig, Sampling, draft_chain
from medenv.kg.questions.splits import Split, split_families, split_regions
from medenv.kg.questions.store import entities_of
from medenv.kg.questions.walks import WALKS, WalkPlan, draft_walk, plan_walks, walk_paths
from medenv.records import Passage, Question, Record, Retriever

SPLITS = ("train", "test")
KINDS = ("rare_chains", *FAMILIES, *MAKERS, *WALKS)
"""Kinds of questions that can be asked for."""

SEED_KINDS = ("disease", "gene", "phenotype")
"""Kinds of rare entities that questions are built around."""


class QuestionSpec(Record, frozen=True, kw_only=True):
    """What questions to make, however many.

    Args:
        kinds: Kind of question to its weight among the attempts; 0 leaves it out.
        levels: Obfuscation levels of chains, drawn evenly, so that one that stands here twice is
            drawn twice as often; a topic that cannot be hidden so far gets the next lower of them.
            All other kinds name their topic.
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
        test_share: Share of the path nodes that is set aside for tests; of their families, where
            all kinds are short walks (see `medenv.kg.questions.splits`).
        max_name_chars: Longest name of an entity that a question names or asks for.
        max_per_answer: Most questions of one kind with the same answer.
        specialties: Specialties to spread the questions over; empty means all. That of a
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
    max_name_chars: int = MAX_NAME_CHARS
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
        low, high, hops = self.min_difficulty, self.max_difficulty, self.chains
        ranges = {
            f"0 < test_share < 1, got {self.test_share}": 0 < self.test_share < 1,
            f"max_name_chars >= 1, got {self.max_name_chars}": self.max_name_chars >= 1,
            f"max_per_answer >= 1, got {self.max_per_answer}": self.max_per_answer >= 1,
            f"sample_nodes >= 2, got {self.sample_nodes}": self.sample_nodes >= 2,
            f"0 <= min_difficulty < max_difficulty <= 1, got {low} and {high}": (
                0 <= low < high <= 1
            ),
            f"1 <= min_hops <= max_hops, got {hops.min_hops}, {hops.max_hops}": (
                1 <= hops.min_hops <= hops.max_hops
            ),
        }
        for expected, holds in ranges.items():
            if not holds:
                raise UsageError(f"expected {expected}")


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
    def _searched(self) -> dict[str, list[Passage]]:
        """Search results of sentences that occur in many questions, by sentence."""
        return {}

    @cached_property
    def specialties(self) -> Specialties:
        """The specialties of the graph's nodes."""
        return Specialties(self.graph)

    @property
    def fields(self) -> npt.NDArray[np.int8] | None:
        """The medical field of each node, where chains keep to one."""
        return self.specialties.numbers if self.config.chains.coherent else None

    @cached_property
    def seeded_kinds(self) -> dict[str, int]:
        """The kinds of questions around entities that are asked for, with their weights.

        Families that the graph has no data for are left out, unless there are no other kinds.
        """
        asked = {k: n for k in KINDS if k not in WALKS and (n := self.config.kinds.get(k, 0))}
        absent = [name for name in FAMILIES if name in asked and not has_data(self.graph, name)]
        if absent and len(absent) == len(asked) and not self.walk_kinds:
            raise UsageError(
                f"{self.graph.info.label} has no data for the family {absent[0]!r}: name a graph"
                " with drugs and pathways, such as graph=atlas (`medenv data fetch atlas`)"
            )
        return {kind: n for kind, n in asked.items() if kind not in absent}

    @cached_property
    def walk_kinds(self) -> dict[str, int]:
        """The kinds of short walks that are asked for, with their weights."""
        return {kind: n for kind in WALKS if (n := self.config.kinds.get(kind, 0))}

    @cached_property
    def split(self) -> Split:
        """The nodes of each split: families where all kinds are short walks, else regions."""
        graph, share = self.graph, self.config.test_share
        if not self.seeded_kinds:
            paths = [walk_paths(graph, kind) for kind in self.walk_kinds]
            return split_families(graph, paths, share, self.seed)
        fit = asked_nodes(graph, self.config.max_subtypes, self.fields)
        asked = Topology(graph, self.config.max_degree, fit, self.edges)
        return split_regions(asked, share, self.seed)

    @cached_property
    def edges(self) -> dict[str, Rows]:
        """The edges that a path may take."""
        return asked_edges(self.graph)

    @cached_property
    def topologies(self) -> dict[str, Topology]:
        """The path nodes of each split; no node is in two."""
        graph, most = self.graph, self.config.max_degree
        avoided = [graph.kinds.index(k) for k in self.config.chains.avoid if k in graph.kinds]
        passed = ~np.isin(graph.kind_codes, avoided)
        factual = {name: self.edges[name] for name in graph.factual}
        return {
            split: Topology(graph, most, self.split.nodes(split) & passed, factual)
            for split in SPLITS
        }

    @cached_property
    def families(self) -> dict[tuple[str, str], tuple[Topology, list[Way]]]:
        """Where the families move in each split, and the ways that can be taken there."""
        found = {}
        for split in SPLITS:
            nodes = Topology(self.graph, self.config.max_degree, self.split.nodes(split))
            for name in set(FAMILIES) & set(self.seeded_kinds):
                topology = family_topology(nodes, self.edges, name)
                found[split, name] = topology, ways_of(topology, name)
        return found

    @cached_property
    def walks(self) -> dict[str, WalkPlan]:
        """The short walks of each split, in the order in which they are asked."""
        return {
            split: plan_walks(
                self.graph,
                self.walk_kinds,
                self.split.nodes(split),
                (self.seed, code),
                self.config.max_name_chars,
                self.config.max_per_answer,
            )
            for code, split in enumerate(SPLITS)
        }

    def capacity(self, split: str) -> int | None:
        """Return the greatest number of questions, or None where it is not known beforehand.

        Args:
            split: ``"train"`` or ``"test"``.
        """
        return None if self.seeded_kinds else len(self.walks[split].walks)

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
            connected = self.topologies[split].neighbour_counts > 0
            mine = np.sort(rare[self.split.nodes(split)[rare] & connected[rare]])
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

    def unfair(self, split: str) -> Counter[Rejection]:
        """Return the number of topics about which no short walk is asked, by reason.

        Args:
            split: ``"train"`` or ``"test"``.
        """
        return self.walks[split].rejected if self.walk_kinds else Counter()

    def _around(self, split: str, i: int) -> tuple[Draft, int]:
        """Return the draft of attempt i at a question around a rare entity, and that entity."""
        rounds = [kind for kind, weight in self.seeded_kinds.items() for _ in range(weight)]
        groups = self.pools[split]
        turn, group = divmod(i, len(groups))
        lap, place = divmod(turn, groups[group].size)
        kind = rounds[(turn + lap + group) % len(rounds)]
        rng = np.random.default_rng([self.seed, SPLITS.index(split), i])
        voice = _voice(split, rng)
        level = self.config.levels[int(rng.integers(len(self.config.levels)))]
        seed = int(groups[group][place])
        longest = self.config.max_name_chars
        rounds_before = i // sum(group.size for group in groups)
        order = SampleSpec(seed, level, voice, rng, longest, self.fields, rounds_before)
        if kind == "rare_chains":
            part = Sampling(self.config.sampling, self.config.sample_nodes)
            return draft_chain(self.topologies[split], order, self.config.chains, part), seed
        if kind in FAMILIES:
            topology, ways = self.families[split, kind]
            if not ways:
                raise Rejected(Rejection.NO_WAY)
            way = ways[int(rng.integers(len(ways)))]
            order = order._replace(seed=int(rng.choice(way.starts)))
            return draft_family(topology, kind, way, order, self.config.chains), order.seed
        return MAKERS[kind](self.graph, order), seed

    def _walk(self, split: str, i: int) -> tuple[Draft, int]:
        """Return the draft of attempt i at a short walk, and its topic."""
        walks = self.walks[split].walks
        if i >= len(walks):
            raise Rejected(Rejection.NO_WALK_LEFT)
        rng = np.random.default_rng([self.seed, i])
        voice = _voice(split, rng) if self.seeded_kinds else int(rng.integers(VOICES))
        return draft_walk(self.graph, walks[i], voice), walks[i].path[0]

    def attempt(self, split: str, i: int) -> Question:
        """Return the question of attempt i of a split; its id is still empty.

        Args:
            split: ``"train"`` or ``"test"``.
            i: Number of the attempt, from 0.

        Raises:
            Rejected: There is none; the reason says why.
            CorpusUnavailableError: The retriever did not answer.
        """
        return self.proved(*self.screened(split, i))

    def screened(self, split: str, i: int) -> tuple[Question, Outcome]:
        """Return the question of attempt i without passages and grades, and its outcome.

        Args:
            split: ``"train"`` or ``"test"``.
            i: Number of the attempt, from 0.

        Raises:
            Rejected: There is none; the reason says why.
        """
        others, short = sum(self.seeded_kinds.values()), sum(self.walk_kinds.values())
        turn, place = divmod(i, others + short)
        if place < others:
            draft, start = self._around(split, turn * others + place)
        else:
            draft, start = self._walk(split, turn * short + place - others)
        if draft.query[0] == "chain" and draft.level not in self.config.levels:
            raise Rejected(Rejection.OTHER_LEVEL)
        longest, every_hop = self.config.max_name_chars, self.config.chains.every_hop
        question, outcome = screen(self.graph, draft, split, longest, every_hop)
        if not self._inside(split, question):
            raise Rejected(Rejection.OTHER_SPLIT)
        nodes = [self.graph.number(hop.tail) for hop in question.proof.path]
        specialty = self.specialties.of([*nodes[::-1], start])
        if self.config.specialties and specialty not in self.config.specialties:
            raise Rejected(Rejection.OTHER_SPECIALTY)
        around = place < others and draft.template.partition("/")[0] not in FAMILIES
        rare = self.graph.nodes.ids[start] if around else ""
        return msgspec.structs.replace(question, specialty=specialty, rare=rare), outcome

    def proved(self, question: Question, outcome: Outcome) -> Question:
        """Return a screened question with its certificate and grades.

        Args:
            question: The question.
            outcome: What its query came to.

        Raises:
            Rejected: No passage states a step, or it is too easy or too hard.
            CorpusUnavailableError: The retriever did not answer.
        """
        question = certified(self.documents, question, outcome)
        if self.retriever is None:
            return question
        (found,) = search_parts(self.retriever, [question], self._searched)
        return self._graded(question, outcome, found)

    def _inside(self, split: str, question: Question) -> bool:
        """Whether what is asked is of this split, and nothing on the way is of the other one.

        A hub is of neither: a question may name it, but not ask for it, and no edge is told in
        which both ends are hubs.
        """
        number = self.graph.number
        own, other = self.split if split == "train" else self.split[::-1]
        edges = [(number(hop.head), number(hop.tail)) for hop in question.proof.path]
        return (
            all(own[number(entity)] for entity in entities_of(question))
            and all(own[head] or own[tail] for head, tail in edges)
            and not any(other[head] or other[tail] for head, tail in edges)
        )

    def _graded(self, question: Question, outcome: Outcome, found: Found) -> Question:
        grades = grade(self.graph, question, outcome, found)
        hardness = difficulty(grades)
        if not self.config.min_difficulty <= hardness <= self.config.max_difficulty:
            raise Rejected(Rejection.DIFFICULTY)
        certificate = msgspec.structs.replace(
            question.proof, search_rank=rank_among(question.proof, found.whole)
        )
        return msgspec.structs.replace(
            question, certificate=certificate, grades=grades, difficulty=round(hardness, 4)
        )


def _voice(split: str, rng: np.random.Generator) -> int:
    """Draw a voice for training questions; the last one is kept for tests."""
    return VOICES - 1 if split == "test" else int(rng.integers(VOICES - 1))
