import os
import subprocess
import sys
from collections import Counter

import pytest

from medenv.errors import UnknownNameError, UsageError
from medenv.kg import (
    PATTERNS,
    Documents,
    Graph,
    GraphBuilder,
    GraphInfo,
    QuestionConfig,
    QuestionSet,
    leakage,
    load_hpo,
    toy_questions,
    verify,
)
from medenv.kg.graph.schema import HAS_GENE
from medenv.kg.questions.synthesize import synthesize
from medenv.kg.sources.hpo import bundled_folder
from medenv.records import Question

PRINT_HASH = (
    "import hashlib, msgspec; from medenv.kg import toy_questions;"
    "print(hashlib.sha256(msgspec.json.encode(toy_questions(seed=3))).hexdigest())"
)


def ids(question: Question) -> set[str]:
    return {question.topic.id, *(hop.tail for hop in question.certificate.path)}


@pytest.mark.parametrize("seed", range(8))
def test_the_splits_share_no_entity_of_a_gold_path(seed: int) -> None:
    made = toy_questions(seed=seed)
    assert not set().union(*map(ids, made.train)) & set().union(*map(ids, made.test))
    assert set(leakage(made.train, made.test).values()) == {0}


def test_the_patterns_take_turns(questions: QuestionSet) -> None:
    assert [q.kind for q in questions.train[:8]] == [*PATTERNS] * 2
    assert set(Counter(q.kind for q in questions.train).values()) == {4}


def test_questions_are_numbered_and_say_where_they_come_from(questions: QuestionSet) -> None:
    assert [q.id for q in questions.train] == [f"train:{i}" for i in range(16)]
    assert [q.id for q in questions.test] == [f"test:{i}" for i in range(6)]
    assert {q.source for q in questions.train} == {"medenv toy 1"}
    assert all(q.template.startswith(f"{q.kind}/") for q in questions.train)


def test_no_topic_is_asked_twice_in_one_pattern(questions: QuestionSet) -> None:
    asked = [(q.kind, q.topic.id) for q in questions.train]
    assert len(asked) == len(set(asked))


def test_a_shorter_set_is_the_beginning_of_a_longer_one() -> None:
    short, long = toy_questions(n_train=5, n_test=2), toy_questions(n_train=16, n_test=6)
    assert short.train == long.train[:5]
    assert short.test == long.test[:2]


def test_another_seed_makes_other_questions() -> None:
    assert toy_questions(seed=0).train != toy_questions(seed=1).train


def test_the_same_seed_makes_the_same_bytes_under_any_hash_seed() -> None:
    hashes = {
        subprocess.run(
            [sys.executable, "-c", PRINT_HASH],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(hashes) == 1


def named(*diseases: tuple[str, str]) -> Graph:
    """A graph of diseases with one gene each."""
    builder = GraphBuilder(GraphInfo(source="named", version="0"))
    builder.relation(HAS_GENE)
    for number, (disease, gene) in enumerate(diseases):
        builder.node(f"D{number}", kind="disease", name=disease)
        if f"G:{gene}" not in builder:
            builder.node(f"G:{gene}", kind="gene", name=gene)
        builder.edge(f"D{number}", HAS_GENE.name, f"G:{gene}")
    return builder.build()


@pytest.mark.parametrize(
    ("disease", "gene", "reason"),
    [
        ("{Fever, susceptibility to}", "AAA1", "a name in catalogue notation"),
        ("F" * 81, "AAA1", "a name too long"),
        ("AAA1-related fever", "AAA1", "the question would give a later step away"),
        ("Odd fever", "patient", "the question would give a later step away"),
        ("good FEVER", "AAA1", "a name that several entities bear"),
    ],
)
def test_an_unfair_topic_is_left_out_and_counted(disease: str, gene: str, reason: str) -> None:
    graph = named(("Good fever", "BBB1"), (disease, gene))
    config = QuestionConfig(patterns=("disease>gene",), n_train=0, n_test=0)
    made = synthesize(graph, Documents(graph), config, 0)
    assert made.rejected[f"disease>gene: {reason}"] in (1, 2)
    assert sum(made.available.values()) + sum(made.rejected.values()) == 2


def test_an_answer_is_asked_for_only_so_often() -> None:
    graph = named(*((f"Fever {number}", "AAA1") for number in range(7)))
    config = QuestionConfig(patterns=("disease>gene",), n_train=3, n_test=0, max_per_answer=3)
    made = synthesize(graph, Documents(graph), config, 0)
    assert made.rejected == {"disease>gene: answer asked for often enough": 4}
    assert len({q.topic.id for q in made.train}) == 3


def test_asking_for_more_than_there_is_says_how_many_there_are() -> None:
    with pytest.raises(UsageError, match=r"asked for 1,000 train questions, the graph holds \d\d;"):
        toy_questions(n_train=1_000)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"patterns": ("gene>drug",)}, "unknown question pattern 'gene>drug'"),
        ({"patterns": ()}, "expected distinct patterns"),
        ({"patterns": ("disease>gene",) * 2}, "expected distinct patterns"),
        ({"n_test": -1}, "expected n >= 0, got 2000 train and -1 test"),
        ({"test_share": 1.0}, "expected 0 < test_share < 1, got 1.0"),
        ({"max_per_answer": 0}, "at least 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        QuestionConfig(**settings)  # type: ignore[arg-type]  # bad values are the test
    assert isinstance(caught.value, UnknownNameError) is ("unknown" in problem)


def test_the_bundled_hpo_gives_thousands_of_proved_questions() -> None:
    try:
        bundled_folder()
    except UsageError as error:
        pytest.skip(str(error))
    graph = load_hpo()
    config = QuestionConfig(n_train=3_000, n_test=400)
    made = synthesize(graph, Documents(graph), config, 0)
    kinds = Counter(q.kind for q in made.train)
    assert kinds == {"disease>gene": 1_500, "phenotype>disease>gene": 1_500}
    assert set(leakage(made.train, made.test).values()) == {0}
    assert [verify(q, graph) for q in made.train[::20] + made.test[::20]] == [[]] * 170
