"""Components of a diagnosis: how high the right disease ranks, and its gene."""

from __future__ import annotations

from medenv.records import Trajectory
from medenv.reward.answers.equivalence import judge_answer
from medenv.reward.answers.ranking import MOST_RANKED, gene_in, is_patient, ranked
from medenv.reward.components.contract import ComponentScore, Knowledge, final_answer
from medenv.reward.components.outcome import accuracy


def differential(trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
    """Pay the reciprocal of the rank of the right disease in a numbered list of at most ten.

    Of questions that ask for no patient's disease it is `accuracy`.

    Known exploit: listing many diseases; the tenth pays a tenth, and an eleventh forfeits all.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names.
    """
    answer, question = final_answer(trajectory), trajectory.question
    if answer is None or not is_patient(question):
        return accuracy(trajectory, knowledge)
    listed = ranked(answer)
    if len(listed) > MOST_RANKED:
        return ComponentScore(0.0, f"{len(listed)} diagnoses, more than {MOST_RANKED}")
    for rank, item in enumerate(listed, start=1):
        if judge_answer(item, question.answers, knowledge.names).right:
            return ComponentScore(1 / rank, f"rank {rank} of {len(listed)}")
    return ComponentScore(0.0, f"not among {len(listed)} diagnoses")


def gene(trajectory: Trajectory, knowledge: Knowledge) -> ComponentScore:
    """Pay 1 for the gene of the right disease, given as ``Gene: FBN1`` after the diagnoses.

    Of questions to which no gene belongs it is `accuracy`.

    Known exploit: naming a gene for every disease; it is behind `correct`, and one name counts.

    Args:
        trajectory: A finished episode.
        knowledge: The index of names.
    """
    answer, question = final_answer(trajectory), trajectory.question
    if not question.optional:
        return accuracy(trajectory, knowledge)
    named = gene_in(answer or "")
    right = bool(named) and judge_answer(named, question.optional, knowledge.names).right
    return ComponentScore(float(right), f"names {'the' if right else 'no, or another,'} gene")
