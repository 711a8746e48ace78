"""Ranked diagnoses: the reciprocal rank, the first for accuracy, and a gene behind them."""

import msgspec
import pytest

from medenv.records import Entity
from medenv.reward.answers.ranking import genes_in, ranked
from medenv.reward.components.contract import Knowledge
from medenv.reward.components.differential import differential, gene
from medenv.reward.components.outcome import accuracy

from .builder import answering, episode, question

DISEASE = Entity(id="OMIM:154700", kind="disease", name="Marfan syndrome", aliases=("MFS",))
FBN1 = Entity(id="NCBIGene:2200", kind="gene", name="FBN1")


def paid(answer: str) -> tuple[float, float, float]:
    """What accuracy, differential and gene pay."""
    asked = question(DISEASE, kind="patient>disease", path=())
    asked = msgspec.structs.replace(asked, optional=(FBN1,))
    played, known = episode(answering(answer), asked=asked, ending="answered"), Knowledge()
    first, rank, symbol = (part(played, known).raw for part in (accuracy, differential, gene))
    return first, rank, symbol


OTHERS = [f"Other disease {i}" for i in range(12)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Marfan syndrome", (1, 1, 0)),
        ("MFS\nGene: FBN1", (1, 1, 1)),
        ("1. Marfan syndrome 2. Homocystinuria", (1, 1, 0)),
        ("1. Homocystinuria\n2. Marfan syndrome\nGene: FBN1", (0, 1 / 2, 1)),
        ("- Homocystinuria\n- Stickler syndrome\n- Marfan syndrome", (0, 1 / 3, 0)),
        ("Homocystinuria; Marfan syndrome; gene: TGFBR2", (0, 1 / 2, 0)),
        ("\n".join([*OTHERS[:9], "Marfan syndrome"]), (0, 1 / 10, 0)),
        ("\n".join([*OTHERS[:10], "Marfan syndrome"]), (0, 0, 0)),
        ("\n".join(["Marfan syndrome", *OTHERS[:10]]), (1, 0, 0)),
        ("Gene: FBN1\nGene: CBS\nMarfan syndrome", (1, 1, 0)),
        ("Homocystinuria", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_the_rank_of_the_right_disease_is_paid(
    answer: str, expected: tuple[float, float, float]
) -> None:
    assert paid(answer) == pytest.approx(expected)


def test_a_list_is_read_with_any_mark() -> None:
    assert ranked("1) A, B 2) C") == ["A, B", "C"]
    assert ranked("A; B\n\n• C") == ["A", "B", "C"]
    assert ranked("A\nGene: X") == ["A"]
    assert genes_in("A, gene: FBN1; Gene:CBS") == ["FBN1", "CBS"]


def test_other_questions_are_judged_as_ever() -> None:
    played, known = episode(answering("SCN1A"), ending="answered"), Knowledge()
    assert differential(played, known) == gene(played, known) == accuracy(played, known)
    assert accuracy(played, known).raw == 1.0
