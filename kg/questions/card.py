"""The data card of a set of questions: what is in it, on what terms, and how hard it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import msgspec

from medenv.io import read_json
from medenv.kg.graph import GraphInfo
from medenv.kg.questions.phrases import recorded
from medenv.kg.questions.production import Produced
from medenv.kg.questions.walks import WALKS
from medenv.kg.sources import GraphSettings
from medenv.records import Question, Record
from medenv.report.cards import can_draw, count_table, counted, figure, terms, write_card_files
from medenv.retrieval.filtered import answer_kind

BINS = 20
"""Bars of the figure of difficulties."""


class DataCard(Record, frozen=True, kw_only=True):
    """What a set of questions holds.

    Args:
        source: Source and version of the graph.
        licence: Terms of the source.
        acknowledgement: The sentence that users of the data have to show.
        seed: Seed of the set.
        questions: Number of questions by split.
        attempts: Number of attempts by split.
        kinds: Number of questions by kind, the kinds on a chain's path written as its hops.
        hops: Number of questions by hops of the gold path.
        effective: Number of chains by their effective and all their hops, e.g. ``"3 of 4"``.
        families: Number of questions by family, or kind of question.
        recorded: Number of hops by relation and who records it.
        levels: Number of questions by obfuscation level.
        hidden_bits: Mean bits that hide the topic of a chain, by obfuscation level.
        specialties: Number of questions by specialty.
        answers: Number of questions by kind of the answer.
        difficulty: Number of questions in each of `BINS` equal parts of [0, 1]; empty ungraded.
        found_by_one_search: Share of the questions that the one-search solver answers, or None.
        remembered: For each model that was asked without tools, how many questions it answered, and
            how many it was asked.
        guessed: For each model whose guess the certificates record, how many of its guesses are
            right, and how many there are.
        rejected: Number of attempts that came to nothing, by reason.
        origin: What the graph was read from.
        shared: Number of answers, gold edges, templates, ... that both splits have.
    """

    source: str
    licence: str
    acknowledgement: str
    seed: int
    questions: dict[str, int]
    attempts: dict[str, int]
    kinds: dict[str, int]
    hops: dict[str, int]
    effective: dict[str, int]
    families: dict[str, int]
    recorded: dict[str, int]
    levels: dict[str, int]
    hidden_bits: dict[str, float]
    specialties: dict[str, int]
    answers: dict[str, int]
    difficulty: tuple[int, ...]
    found_by_one_search: float | None
    remembered: dict[str, tuple[int, int]]
    rejected: dict[str, int]
    origin: GraphSettings | None = None
    shared: dict[str, int] = msgspec.field(default_factory=dict)
    guessed: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)


def data_card(
    info: GraphInfo,
    produced: dict[str, Produced],
    seed: int,
    origin: GraphSettings | None = None,
    shared: dict[str, int] | None = None,
) -> DataCard:
    """Return the card of the questions of some splits.

    Args:
        info: The graph's source and terms.
        produced: What was made, by split.
        seed: Seed of the set.
        origin: What the graph was read from, where that is known.
        shared: What both splits have, see `medenv.kg.questions.store.leakage_certificate`.
    """
    questions = [q for made in produced.values() for q in made.questions]
    graded = [q.difficulty for q in questions if q.difficulty is not None]
    bins = Counter(min(BINS - 1, int(value * BINS)) for value in graded)
    searched = [q.grades["one_search"] for q in questions if q.grades]
    rejected: Counter[str] = Counter()
    for made in produced.values():
        rejected.update(made.rejected)
    return DataCard(
        source=info.label,
        licence=info.licence,
        acknowledgement=info.acknowledgement,
        seed=seed,
        questions={split: len(made.questions) for split, made in produced.items()},
        attempts={split: made.attempts for split, made in produced.items()},
        kinds=counted(form(q) for q in questions),
        hops=counted(str(len(q.proof.path)) for q in questions if form(q) == "chain"),
        effective=counted(
            f"{q.proof.effective_hops} of {len(q.proof.path)}"
            for q in questions
            if form(q) == "chain"
        ),
        families=counted(q.template.partition("/")[0] or "its own" for q in questions),
        recorded=counted(recorded(hop.relation) for q in questions for hop in q.proof.path),
        levels=counted(str(q.level) for q in questions),
        hidden_bits=_hidden_bits(questions),
        specialties=counted(q.specialty or "none" for q in questions),
        answers=counted(answer_kind(q) for q in questions),
        difficulty=tuple(bins[i] for i in range(BINS)) if graded else (),
        found_by_one_search=sum(searched) / len(searched) if searched else None,
        remembered=_remembered(questions),
        rejected=dict(sorted(rejected.items())),
        origin=origin,
        shared=shared or {},
        guessed=_guessed(questions),
    )


def _hidden_bits(questions: Sequence[Question]) -> dict[str, float]:
    by_level: dict[int, list[float]] = {}
    for question in questions:
        if form(question) == "chain":
            by_level.setdefault(question.level, []).append(question.proof.hidden_bits)
    return {str(level): round(fmean(bits), 2) for level, bits in sorted(by_level.items())}


def _remembered(questions: Sequence[Question]) -> dict[str, tuple[int, int]]:
    """Return for each model how many questions it answered at least every second time."""
    found: dict[str, list[bool]] = {}
    for question in questions:
        for model, (right, tries) in question.calibration.items():
            found.setdefault(model, []).append(2 * right >= tries > 0)
    return {model: (sum(right), len(right)) for model, right in sorted(found.items())}


def _guessed(questions: Sequence[Question]) -> dict[str, tuple[int, int]]:
    """Return for each model how many of the guesses in the certificates are right."""
    found: dict[str, list[bool]] = {}
    for question in questions:
        guess = question.certificate.guess if question.certificate is not None else msgspec.UNSET
        if guess is not msgspec.UNSET:
            found.setdefault(guess.model, []).append(guess.right)
    return {model: (sum(right), len(right)) for model, right in sorted(found.items())}


def form(question: Question) -> str:
    """Return a question's form: ``"chain"``, ``"attribute"``, or what its kind begins with.

    Args:
        question: The question.
    """
    if question.proof.query[0] == "walk" and question.kind not in WALKS:
        return "attribute"
    return "chain" if ">" in question.kind else question.kind.partition(":")[0]


def write_card(folder: Path, card: DataCard) -> None:
    """Write ``card.json``, ``README.md`` and, for graded sets, ``difficulty.svg``.

    Args:
        folder: Where to.
        card: The card.
    """
    write_card_files(folder, card, f"Questions from {card.source}", _parts(card))
    if card.difficulty and can_draw():
        bins = card.difficulty
        with figure(folder / "difficulty.svg") as axes:
            edges = [i / len(bins) for i in range(len(bins))]
            width = 1 / len(bins)
            axes.bar(edges, bins, width, align="edge", color="#3b6ea5", edgecolor="white")
            axes.set(xlabel="difficulty (0 easy, 1 hard)", ylabel="questions", xlim=(0, 1))


def read_card(folder: Path) -> DataCard:
    """Read the card that `write_card` wrote.

    Args:
        folder: The folder of the set.

    Raises:
        DataError: There is none, or it is damaged.
    """
    return read_json(folder / "card.json", DataCard, "the card of a set")


def _parts(card: DataCard) -> list[str]:
    parts = [
        f"Seed {card.seed}. " + ", ".join(f"{n:,} {split}" for split, n in card.questions.items()),
        f"Every question has the answers that {card.source} gives it, no more and no fewer, proved "
        "by a certificate that anybody can check again. That is a statement about these records, "
        "not about all that medicine knows.",
    ]
    if card.shared:
        shared = ", ".join(f"{count:,} {what}" for what, count in card.shared.items())
        parts.append(f"Shared by training and test questions: {shared}.")
    tables = (
        ("Specialty", card.specialties),
        ("Kind", card.kinds),
        ("Family", card.families),
        ("Hops of a chain", card.hops),
        ("Effective hops of a chain", card.effective),
        ("Obfuscation level", card.levels),
        ("Kind of answer", card.answers),
    )
    parts += [count_table(name, counts, "Questions") for name, counts in tables]
    parts.append(count_table("Relation, and who records it", card.recorded, "Hops"))
    if card.hidden_bits:
        told = ", ".join(f"{bits:g} at level {level}" for level, bits in card.hidden_bits.items())
        parts.append(
            "Bits that hide the topic of a chain from who looks up its most telling clue, on "
            f"average: {told}."
        )
    for model, (right, asked) in card.remembered.items():
        parts.append(f"{model}, asked without tools, answers {right:,} of {asked:,} questions.")
    for model, (right, asked) in card.guessed.items():
        parts.append(
            f"The certificates record what {model} guesses without tools: {right:,} of {asked:,} "
            "guesses are right."
        )
    if card.difficulty:
        share = card.found_by_one_search or 0.0
        parts += [
            "![Questions by difficulty](difficulty.svg)",
            "Difficulty: bits of luck that the best of six offline solvers needs, divided by "
            f"20. One search with the question's own words answers {share:.1%}.",
        ]
    return [
        *parts,
        *terms(card),
        "## Attempts that came to nothing",
        count_table("Reason", card.rejected, "Questions"),
    ]
