"""Which answers can be trusted: how right they are where a policy's samples agree.

A question's confidence is the share of its samples that give the answer given most often; how often
a policy says the same when asked again is a confidence that needs no words (Wang et al. 2023,
self-consistency, arXiv 2203.11171, section 3.5). Answering only from a confidence on trades
coverage for accuracy: the risk-coverage curve (El-Yaniv and Wiener 2010, "On the Foundations of
Noise-free Selective Classification", JMLR 11).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from medenv.evaluation.measures import MEASURES
from medenv.records import Record, Scored
from medenv.reward import normalise

ABSTENTIONS = frozenset(("", "unknown"))
"""Answers that claim nothing, normalised."""


class Level(Record, frozen=True, kw_only=True):
    """Coverage and accuracy of the answers above a confidence.

    Args:
        confidence: The least confidence of an answer that is given, in (0, 1].
        coverage: Share of the questions that are answered then.
        accuracy: Share of those that are answered rightly.
    """

    confidence: float
    coverage: float
    accuracy: float


class Selective(Record, frozen=True, kw_only=True):
    """How right the answers are on which a policy's samples agree.

    Args:
        levels: From the highest confidence down; the last covers all questions that are answered.
        abstained: Share of the questions on which most samples say "unknown", or nothing.
        aurc: Area under the risk-coverage curve: the mean share of wrong answers over all
            coverages, questions of equal confidence in proportion. Lower is better.
        calibration: Expected calibration error: mean distance of confidence and accuracy over
            answered questions.
    """

    levels: tuple[Level, ...]
    abstained: float
    aurc: float
    calibration: float


def selective(scored: Sequence[Scored]) -> Selective | None:
    """Return how right a policy is where its samples agree; None without two samples a question.

    A missing episode gives no answer.

    Args:
        scored: Sampled episodes.
    """
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.trajectory.question.id, []).append(one)
    if not groups or min(map(len, groups.values())) < 2:
        return None
    judged = [_agreed(group) for _, group in sorted(groups.items())]
    given = [(confidence, right) for confidence, right in judged if confidence > 0]
    return Selective(
        levels=tuple(_levels(given, len(judged))),
        abstained=1.0 - len(given) / len(judged),
        aurc=_aurc(given),
        calibration=_calibration(given),
    )


def _agreed(group: Sequence[Scored]) -> tuple[float, float]:
    """Return the confidence in the answer given most often, 0 for none, and whether it is right."""
    answers = [normalise(one.trajectory.answer or "") for one in group]
    counted = Counter(answers)
    most = min(counted, key=lambda answer: (-counted[answer], answer))
    if most in ABSTENTIONS:
        return 0.0, 0.0
    right = [
        MEASURES[0].of(one) or 0.0
        for one, answer in zip(group, answers, strict=True)
        if answer == most
    ]
    return len(right) / len(group), float(math.fsum(right) * 2 > len(right))


def _levels(given: Sequence[tuple[float, float]], asked: int) -> list[Level]:
    levels = []
    for least in sorted({confidence for confidence, _ in given}, reverse=True):
        above = [right for confidence, right in given if confidence >= least]
        levels.append(
            Level(
                confidence=least,
                coverage=len(above) / asked,
                accuracy=math.fsum(above) / len(above),
            )
        )
    return levels


def _aurc(given: Sequence[tuple[float, float]]) -> float:
    """Return the mean over k of the share of wrong answers among the k most confident."""
    risks: list[float] = []
    wrong = 0.0
    for least in sorted({confidence for confidence, _ in given}, reverse=True):
        tied = [1.0 - right for confidence, right in given if confidence == least]
        share, before = math.fsum(tied) / len(tied), len(risks)
        risks += [(wrong + share * k) / (before + k) for k in range(1, len(tied) + 1)]
        wrong += math.fsum(tied)
    return math.fsum(risks) / len(risks) if risks else 0.0


def _calibration(given: Sequence[tuple[float, float]]) -> float:
    distances = []
    for level in {confidence for confidence, _ in given}:
        right = [right for confidence, right in given if confidence == level]
        distances.append(len(right) * abs(level - math.fsum(right) / len(right)))
    return math.fsum(distances) / len(given) if given else 0.0
