"""Published benchmarks by their own measures, beside ours.

BioASQ, task b, phase B (Tsatsaronis et al. 2015, BMC Bioinformatics 16:138; the guidelines of the
challenge): a factoid answer is a list of up to five, ranked; strict accuracy looks at the first,
lenient at all, MRR is the mean reciprocal rank of the right one. Lists have mean precision, recall
and F1; yes and no have accuracy, and the mean of the F1 of either answer. BrowseComp and
MedBrowseComp (Chen et al. 2025, arXiv 2505.14963) count right answers, the latter of 50 or of 605.
A patient's diagnoses, of phenopackets and of RareBench (Chen et al. 2024, arXiv 2402.06341), are
ranked: the share with the right one among the first 1, 3 and 10, and MRR. HealthBench (Arora et al.
2025, arXiv 2505.08775) has the mean share of a rubric's points; here no question counts below 0.
All others are accuracies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from medenv.evaluation.measures import MEASURES, is_missing
from medenv.kg.questions.benchmarks import TITLES, benchmark_of
from medenv.records import PATIENT, Scored
from medenv.report.formatting import show
from medenv.reward import judge_answer
from medenv.reward.answers.choices import picks
from medenv.reward.answers.equivalence import read_list
from medenv.reward.answers.ranking import MOST_RANKED, ranked

RANKS = 5
"""Answers of a factoid that count."""

Figures = dict[str, float]


def official(scored: Sequence[Scored]) -> dict[str, Figures]:
    """Return the measures of each benchmark among the questions; missing episodes are not right.

    Args:
        scored: Episodes.

    Returns:
        Name of a benchmark's part to its measures by name; empty where no question is of one. Where
        several question sets have a part, each has its own entry, with the set in brackets.
    """
    groups: dict[tuple[str, str], list[Scored]] = {}
    for one in scored:
        question = one.trajectory.question
        part = _PARTS.get(question.kind) or TITLES.get(benchmark_of(question.kind))
        if part is not None:
            groups.setdefault((part, question.question_set or ""), []).append(one)
    sets = Counter(part for part, _ in groups)
    return {
        f"{part} ({of_set})" if sets[part] > 1 else part: _MEASURED.get(part, _accuracy)(group)
        for (part, of_set), group in sorted(groups.items(), key=lambda pair: pair[0])
    }


def figure_text(name: str, value: float) -> str:
    """Return a measure as a reader sees it: a number of answers, a rank, or a share.

    Args:
        name: The measure's.
        value: Its value.
    """
    if name in ("right answers", "questions"):
        return f"{value:,.6g}"
    return f"{value:.3f}" if name == "MRR" else show(value, "share")


def _answer(one: Scored) -> str:
    return "" if is_missing(one) else one.trajectory.answer or ""


def _accuracy(scored: Sequence[Scored]) -> Figures:
    return {"accuracy": _mean([MEASURES[0].of(one) or 0.0 for one in scored])}


def _factoid(scored: Sequence[Scored]) -> Figures:
    ranks = [_rank(one, RANKS) for one in scored]
    return {
        "strict accuracy": _mean([float(rank == 1) for rank in ranks]),
        "lenient accuracy": _mean([float(rank > 0) for rank in ranks]),
        "MRR": _mean([1 / rank if rank else 0.0 for rank in ranks]),
    }


def _differential(scored: Sequence[Scored]) -> Figures:
    """Return how high the right diagnosis stands; more than ten diagnoses are none."""
    ranks = [
        _rank(one, MOST_RANKED) if len(ranked(_answer(one))) <= MOST_RANKED else 0 for one in scored
    ]
    tops = {
        f"top {k}": _mean([float(0 < rank <= k) for rank in ranks]) for k in (1, 3, MOST_RANKED)
    }
    return {**tops, "MRR": _mean([1 / rank if rank else 0.0 for rank in ranks])}


def _rubric(scored: Sequence[Scored]) -> Figures:
    """Return the mean share of the points of each question's rubric."""
    shares = [0.0 if is_missing(one) else one.score.parts["accuracy"].raw for one in scored]
    return {"score": _mean(shares)}


def _rank(one: Scored, most: int) -> int:
    """Return the rank of the first right answer of a list among its first, or 0."""
    gold = one.trajectory.question.answers
    for rank, item in enumerate(ranked(_answer(one))[:most], start=1):
        if judge_answer(item, gold).right:
            return rank
    return 0


def _list(scored: Sequence[Scored]) -> Figures:
    figures = []
    for one in scored:
        gold = one.trajectory.question.answers
        found = read_list(_answer(one), gold)
        precision = found.found / len(found.named) if found.named else 0.0
        figures.append((precision, found.found / len(gold), found.f1(len(gold))))
    columns = zip(*figures, strict=True)
    return {
        name: _mean(column)
        for name, column in zip(("mean precision", "mean recall", "mean F1"), columns, strict=True)
    }


def _yes_no(scored: Sequence[Scored]) -> Figures:
    pairs = []
    for one in scored:
        question = one.trajectory.question
        options = [option.lower() for option in question.options or ()]
        picked = [options[number] for number in picks(_answer(one), question)]
        pairs.append((question.answers[0].name.lower(), picked[0] if len(picked) == 1 else ""))
    f1 = {of: _f1(pairs, of) for of in ("yes", "no")}
    return {
        "accuracy": _mean([float(gold == said) for gold, said in pairs]),
        "F1 of yes": f1["yes"],
        "F1 of no": f1["no"],
        "macro F1": _mean([*f1.values()]),
    }


def _f1(pairs: Sequence[tuple[str, str]], of: str) -> float:
    both = sum(gold == said == of for gold, said in pairs)
    either = sum(gold == of for gold, _ in pairs) + sum(said == of for _, said in pairs)
    return 2 * both / either if either else 0.0


def _counted(scored: Sequence[Scored]) -> Figures:
    """Return how many questions are right, the mean over several samples of each."""
    asked = {one.trajectory.question.id for one in scored}
    share = _accuracy(scored)["accuracy"]
    return {"right answers": share * len(asked), "questions": float(len(asked)), "accuracy": share}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "bioasq:factoid": "BioASQ factoid",
        "list:bioasq": "BioASQ list",
        "bioasq:yesno": "BioASQ yes/no",
        PATIENT: "Differential diagnosis",
    }
)
"""Kind of a question to the part of a benchmark; other benchmarks are one part, by their title.
The cases of `medenv.diagnosis` are measured as those of published sets are."""

_MEASURED: Mapping[str, Callable[[Sequence[Scored]], Figures]] = MappingProxyType(
    {
        "BioASQ factoid": _factoid,
        "BioASQ list": _list,
        "BioASQ yes/no": _yes_no,
        "Differential diagnosis": _differential,
        TITLES["browsecomp"]: _counted,
        TITLES["healthbench"]: _rubric,
        TITLES["medbrowsecomp"]: _counted,
        TITLES["phenopackets"]: _differential,
        TITLES["rarebench"]: _differential,
    }
)
"""Part to what its benchmark measures; accuracy for all others."""
