"""The records that every part of medenv speaks in, and the protocols that join the parts.

Records are frozen `msgspec.Struct`s: cheap to make, checked when decoded, one JSON object each.
A policy's text and a tool's text are different types (`PolicyText`, `ToolText`), so that no reward
can take one for the other without the type checker saying so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Literal, NewType, Protocol, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from medenv.errors import NoCertificateError

PolicyText = NewType("PolicyText", str)
"""Text that the policy wrote itself: the only kind of text that can earn."""

ToolText = NewType("ToolText", str)
"""Text that came from a tool: shown to the policy, never parsed, never rewarded."""

Status = Literal["ok", "empty", "bad_call", "failed", "unavailable"]
"""How a tool call ended: with content, with nothing found, refused as malformed, with an error that
is a part of the episode, or not at all."""

Ending = Literal["answered", "turns", "calls", "tokens", "seconds", "unavailable"]
"""Why an episode ended: an answer, the budget that ran out, or an infrastructure failure."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all records: immutable, keyword-only, unknown fields refused when decoding."""

    # Those that every step makes have gc=False: of what JSON can hold no cycle can be made.


EVIDENCE = ("guideline", "curated", "review", "literature", "reference", "consumer")
"""Kinds of sources, by declining authority: dosing guidelines; databases whose entries curators
check; expert summaries; articles; ontologies and nomenclatures; texts for patients."""


class Message(TypedDict):
    """One chat message as chat templates take it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class Entity(Record, frozen=True, kw_only=True):
    """A node of the knowledge graph under the names that people use for it.

    Args:
        id: Identifier with its namespace, e.g. ``"OMIM:154700"``.
        kind: Node kind, e.g. ``"disease"``, ``"gene"``, ``"phenotype"``.
        name: Preferred name.
        aliases: Other names of the same entity, without the preferred one.
    """

    id: str
    kind: str
    name: str
    aliases: tuple[str, ...] = ()


class Passage(Record, frozen=True, kw_only=True):
    """A retrievable piece of text with a stable id.

    Args:
        id: Stable id, unique within a corpus, e.g. ``"OMIM:154700#0"``.
        title: Title of the document it belongs to.
        text: The text itself.
        source: Source and version, e.g. ``"HPO 2025-01-16"``.
        entity: Id of the entity that the document is about, or ``""``.
        date: Date of the text, as precise as the source has it (``"2025-01-16"``, ``"2019"``), or
            ``""``.
        evidence: Kind of source, one of `EVIDENCE`, or ``""``.
    """

    id: str
    title: str
    text: str
    source: str = ""
    entity: str = ""
    date: str = ""
    evidence: str = ""


class Hop(Record, frozen=True, kw_only=True):
    """One edge of a gold path, in the direction in which it is walked.

    Args:
        head: Entity id that the hop starts from.
        relation: Relation name, e.g. ``"gene_of"``.
        tail: Entity id that the hop leads to.
        passages: Ids of the passages that state the edge.
    """

    head: str
    relation: str
    tail: str
    passages: tuple[str, ...] = ()


class Guess(Record, frozen=True, kw_only=True):
    """The answer that a language model gave to a question from memory, without any tool.

    Args:
        model: Name of the model.
        answer: What it wrote, without its thoughts.
        right: Whether that is right, as rewards judge it.
    """

    model: str
    answer: str
    right: bool


class Certificate(Record, frozen=True, kw_only=True):
    """The proof that a question has the answers it claims, re-checkable against the graph.

    Args:
        query: The typed query as nested lists, e.g. ``["walk", "OMIM:1", ["gene_of"]]``.
        answers: Ids of all entities that satisfy the query, sorted.
        path: The gold path from the question's entity to the answer.
        min_hops: Length of the shortest path in the graph between both ends, edges.
        min_calls: Fewest tool calls that show every hop of the gold path.
        chance: Share of the questions of this kind that the best constant answer gets right.
        search_rank: 1-based rank, for the question text, of a passage with the last hop; or None.
        shortcuts: Relations of direct edges between both ends, besides the gold path.
        clues: Edges beside the path that single out a step of it among several.
        effective_hops: Hops of the shortest suffix of a chain that, read literally and without what
            stands before it, fixes the answer; all of a chain whose every hop is needed. 0 in a
            certificate of an earlier version, which had none.
        entries: Entities from which that suffix can be walked; 1 if it starts at the topic.
        needed_clues: Clues in it, a named topic included, of which none can be left out.
        hidden_bits: Bits needed to find the topic after its most telling clue was looked up.
        guess: What a model guesses without a tool, the only field that no graph can prove. Unset
            where no model was asked, and then absent in JSON.
    """

    query: list[Any]
    answers: tuple[str, ...]
    path: tuple[Hop, ...]
    min_hops: int
    min_calls: int
    chance: float
    search_rank: int | None = None
    shortcuts: tuple[str, ...] = ()
    clues: tuple[Hop, ...] = ()
    effective_hops: int = 0
    entries: int = 0
    needed_clues: int = 0
    hidden_bits: float = 0.0
    guess: Guess | UnsetType = UNSET


class Criterion(Record, frozen=True, kw_only=True):
    """One criterion of a question's rubric, which a judge decides by yes or no.

    Args:
        text: What an answer has to do, in words.
        points: What it counts when it is met; negative for what an answer must not do.
    """

    text: str
    points: float


class Question(Record, frozen=True, kw_only=True):
    """A question and its gold answers; a question made from a graph has a certificate as well.

    Args:
        id: Unique within a set, e.g. ``"test:4"``.
        text: The wording that the policy sees; the options of a multiple choice are part of it.
        kind: Pattern of the question, e.g. ``"disease>gene"``; see `Question.asks_for_all`.
        split: ``"train"`` or ``"test"``.
        topic: The entity that the question starts from; None where none is known.
        answers: The gold answers: any of them is right, or only all, see `Question.asks_for_all`.
        certificate: The proof that the answers are right and the only ones; None without a graph.
        optional: Further answers that may be given after the answer, such as the disease's gene.
        template: Name of the wording used.
        source: Source and version of the graph, e.g. ``"HPO 2025-01-16"``.
        level: How far the topic is obfuscated, 0 (named) to 4 (several clues, none enough).
        specialty: Medical specialty of the gold path, or ``""``.
        rare: Id of the rare entity that the question was built around, or ``""``.
        grades: Chance of each offline solver to be right, by its name.
        difficulty: How hard the question is for all offline solvers, in [0, 1], where graded.
        guidance: The gold path with every entity masked: ``"([MASK], gene_of, [MASK])"``.
        reasoning: The gold path in words.
        world: How the world was altered, e.g. ``"renamed"``: fiction; else empty.
        calibration: Model name to how many of its answers from memory were right, of how many.
        options: The texts of a multiple choice in order, "A" first. Unset for other questions, and
            then absent in JSON.
        rubric: The criteria of a question that a judge grades instead of comparing it with gold
            answers; it has none of them then. Unset, and absent in JSON, for other questions.
        question_set: Name of the set that it came from, where several sets are asked together.
            Unset, and absent in JSON, elsewhere.
        origin: Id in the true world of the question that it was made from. Unset for questions of
            the true world, and then absent in JSON.
    """

    id: str
    text: str
    kind: str = "own"
    split: str = "train"
    topic: Entity | None = None
    answers: tuple[Entity, ...]
    certificate: Certificate | None = None
    optional: tuple[Entity, ...] = ()
    template: str = ""
    source: str = ""
    level: int = 0
    specialty: str = ""
    rare: str = ""
    grades: dict[str, float] = {}
    difficulty: float | None = None
    guidance: tuple[str, ...] = ()
    reasoning: str = ""
    world: str = ""
    calibration: dict[str, tuple[int, int]] = {}
    options: tuple[str, ...] | UnsetType = UNSET
    rubric: tuple[Criterion, ...] | UnsetType = UNSET
    question_set: str | UnsetType = UNSET
    origin: str | UnsetType = UNSET

    @property
    def asks_for_all(self) -> bool:
        """Whether only the whole set of answers is right; else any one of them is.

        The kind decides: ``"list:disease"`` asks for all, every other kind for any.
        """
        return self.kind.partition(":")[0] == LIST

    @property
    def named(self) -> tuple[Entity, ...]:
        """The topic, where one is known, and the gold answers."""
        return self.answers if self.topic is None else (self.topic, *self.answers)

    @property
    def path(self) -> tuple[Hop, ...]:
        """The gold path; empty where there is no certificate."""
        return self.certificate.path if self.certificate is not None else ()

    @property
    def proof(self) -> Certificate:
        """The certificate, for code that works on certified questions only.

        Raises:
            NoCertificateError: The question has none.
        """
        if self.certificate is None:
            raise NoCertificateError(self.id)
        return self.certificate

    @property
    def subject(self) -> Entity:
        """The topic, for code that works on certified questions only.

        Raises:
            NoCertificateError: The question has none.
        """
        if self.topic is None:
            raise NoCertificateError(self.id)
        return self.topic


LIST = "list"
"""Form of the kinds of questions that ask for all of their answers, e.g. ``"list:disease"``."""

PATIENT = "patient>disease"
"""Form of the kinds of questions that ask for a patient's disease: the answer is a ranked list."""


class ToolSpec(Record, frozen=True, kw_only=True):
    """What the policy is told about a tool.

    Args:
        name: Name under which it is called.
        description: One sentence.
        parameters: JSON schema of the arguments (an ``object`` schema).
    """

    name: str
    description: str
    parameters: dict[str, Any]


class ToolCall(Record, frozen=True, kw_only=True, gc=False):
    """One call that the policy wrote.

    Args:
        id: Unique within the episode, ``"<turn>.<number>"``.
        name: Tool name as written.
        arguments: Arguments as written, decoded from JSON.
    """

    id: str
    name: str
    arguments: dict[str, Any]


class ToolResult(Record, frozen=True, kw_only=True, gc=False):
    """What a tool gave back.

    Args:
        call_id: The call that it answers.
        tool: Tool name.
        status: How the call ended; rewards read this, never the text.
        text: What the policy will see.
        passages: Ids of the passages shown, in order.
        seconds: Wall-clock time of the call.
        numbered: Whether the text numbers its passages, if any, ``[1]``, ``[2]``, ... in order.
    """

    call_id: str
    tool: str
    status: Status
    text: str
    passages: tuple[str, ...] = ()
    seconds: float = 0.0
    numbered: bool = True


class Parsed(Record, frozen=True, kw_only=True, gc=False):
    """What a dialect read in one policy-written text.

    Args:
        thought: Text outside calls and answer.
        calls: Well-formed calls as (name, arguments) in the order written.
        answer: The final answer, or None.
        problems: What was wrong, in words the policy can act on; empty where nothing was.
        notes: The part of the text outside calls and answer that is no private thought, where
            citations and confidence are read; None in records that were made without it.
    """

    thought: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    answer: str | None = None
    problems: tuple[str, ...] = ()
    notes: str | None = None


class Turn(Record, frozen=True, kw_only=True, gc=False):
    """One exchange: what the policy wrote and what it was shown in return.

    Args:
        text: The policy's own text, verbatim.
        parsed: What the dialect read in it.
        calls: The calls that were made.
        results: Their results, in the order of the calls.
        observation: The text shown to the policy afterwards; empty when the episode ended.
        tokens: Number of tokens the policy wrote, where known.
    """

    text: str
    parsed: Parsed
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    observation: str = ""
    tokens: int = 0


class Trajectory(Record, frozen=True, kw_only=True, gc=False):
    """A finished or running episode with the provenance of every part.

    Args:
        question: What was asked.
        turns: The exchanges so far.
        ending: Why it ended, or None while it runs.
        answer: The answer that the policy itself wrote, or None.
        env_id: Versioned id of the environment.
        dialect: Name of the dialect.
        seed: Seed of the episode.
        config_hash: Hash of the settings that can change a score.
        seconds: Wall-clock time from reset to end.
        failure: What failed where the ending is ``"unavailable"`` or the reward raised; or ``""``.
    """

    question: Question
    turns: tuple[Turn, ...]
    ending: Ending | None
    answer: str | None
    env_id: str = ""
    dialect: str = ""
    seed: int = 0
    config_hash: str = ""
    seconds: float = 0.0
    failure: str = ""


class Part(Record, frozen=True, kw_only=True, gc=False):
    """One component of a score.

    Args:
        raw: The component's own value, in its own range.
        weight: Its weight in the composition.
        weighted: What it contributed to the total: raw x weight, or 0 behind a closed gate.
        gated: Whether a closed gate kept it from paying.
        reason: Why it has this value, in words.
    """

    raw: float
    weight: float
    weighted: float
    gated: bool = False
    reason: str = ""


class Score(Record, frozen=True, kw_only=True, gc=False):
    """A reward with everything that went into it.

    Args:
        total: Sum of the weighted parts, or None where the episode could not be scored.
        parts: Component name to its part.
        gates: Gate name to whether it was open.
    """

    total: float | None
    parts: dict[str, Part]
    gates: dict[str, bool] = {}


class Cost(Record, frozen=True, kw_only=True, gc=False):
    """Time, tokens and money that an episode took.

    Args:
        seconds: Wall-clock time from the first prompt to the end, scoring left out.
        policy_seconds: The part of it that was spent waiting for the policy's texts.
        began: When it began, seconds since 1970; 0 where unknown.
        run_seconds: Its share of the time of the whole evaluation: each moment is divided among the
            episodes that ran at the same time, so that the shares add up. None where unknown.
        tokens_read: Tokens of the prompts, the whole conversation again in every turn; 0 where
            unknown.
        money: Price of all tokens read and written; None where no price is known.
        currency: Currency of the price, or ``""``.
    """

    seconds: float
    policy_seconds: float
    began: float = 0.0
    run_seconds: float | None = None
    tokens_read: int = 0
    money: float | None = None
    currency: str = ""

    @property
    def tool_seconds(self) -> float:
        """The rest of the time: tool calls, and the environment itself."""
        return max(0.0, self.seconds - self.policy_seconds)


class Scored(Record, frozen=True, kw_only=True):
    """A trajectory and its score, one line of a rollout file.

    Args:
        trajectory: The episode.
        score: Its score.
        sample: 0-based number of the sample among those of the same question.
        step: Training step of the policy that wrote it.
        cost: What it took to play. Only evaluations measure it; unset elsewhere, and then absent
            in JSON.
    """

    trajectory: Trajectory
    score: Score
    sample: int = 0
    step: int = 0
    cost: Cost | UnsetType = UNSET


class RewardFn(Protocol):
    """Scores a finished trajectory; pure, and None where the trajectory cannot be scored."""

    def __call__(self, trajectory: Trajectory) -> Score:
        """Return the score of `trajectory`."""
        ...


class Retriever(Protocol):
    """Finds passages."""

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[Passage, float]]]:
        """Return for each query up to `k` passages with their scores, best first.

        Raises:
            CorpusUnavailableError: The backend did not answer.
        """
        ...

    def get(self, passage_id: str) -> Passage | None:
        """Return the passage of that id, or None where there is none."""
        ...


class Policy(Protocol):
    """Writes the next text of an episode."""

    def act(self, messages: Sequence[Message]) -> str:
        """Return the policy's text for the conversation so far."""
        ...


class Written(Record, frozen=True, kw_only=True, gc=False):
    """What a policy that counts its tokens wrote in a turn.

    Args:
        text: The text.
        tokens: How many tokens it has; 0 where the count is unknown.
        tokens_read: How many tokens its prompt had; 0 where the count is unknown.
    """

    text: str
    tokens: int = 0
    tokens_read: int = 0


class CountingPolicy(Protocol):
    """A policy that counts its tokens and keeps to a limit; drivers prefer this to `act`."""

    def act_within(
        self, messages: Sequence[Message], max_tokens: int | None
    ) -> Written | Awaitable[Written]:
        """Return the policy's text for the conversation so far, of at most `max_tokens` tokens."""
        ...
