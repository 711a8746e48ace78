import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from medenv.errors import DataError, UnknownNameError, UsageError
from medenv.kg import Documents, Graph, read_questions, verify, write_questions
from medenv.kg.certificates.queries import Outcome
from medenv.kg.graph.sampling import STRATEGIES
from medenv.kg.questions.drafts import Rejected, Rejection
from medenv.kg.questions.generator import KINDS, QuestionGenerator, QuestionSpec
from medenv.kg.questions.production import (
    Attempt,
    GenerationSpec,
    Produced,
    produce,
    workers,
    write_set,
)
from medenv.kg.questions.rare_chains import ChainConfig
from medenv.kg.questions.store import entities_of, leakage_certificate
from medenv.records import Question

from .random_graphs import random_graph

CONFIG = QuestionSpec(
    kinds=dict.fromkeys(KINDS, 1) | {"rare_chains": 3},
    rare_percent=100,
    test_share=0.4,
    chains=ChainConfig(min_hops=2, max_hops=6, budget=2_000),
)


@pytest.fixture(scope="module")
def big() -> Graph:
    return random_graph(1, diseases=60, findings=60, genes=30)


def workshop(graph: Graph, config: QuestionSpec = CONFIG, seed: int = 0) -> QuestionGenerator:
    return QuestionGenerator(Documents(graph), config, seed)


def asks(query: object) -> object:
    """A query with its clues as sets."""

    def clues(written: list[list[str]]) -> frozenset[tuple[str, ...]]:
        return frozenset(map(tuple, written))

    match query:
        case ["where", kind, [*written]]:
            return ("where", kind, clues(written))
        case ["chain", root, [*steps]]:
            return (asks(root), tuple((relation, clues(written)) for relation, written in steps))
    return json.dumps(query)


def test_nothing_is_asked_twice_in_other_words(big: Graph) -> None:
    config = msgspec.structs.replace(CONFIG, kinds={"intersection": 1}, max_per_answer=50)
    made = produce(workshop(big, config), "train", 80)
    assert len({asks(q.proof.query) for q in made.questions}) == 80
    assert made.rejected["asked before"] > 0


def test_every_question_is_proved_numbered_and_asked_once(big: Graph, tmp_path: Path) -> None:
    made = produce(workshop(big), "train", 100, tmp_path / "j")
    assert [q.id for q in made.questions] == [f"train:{i}" for i in range(100)]
    assert [verify(q, big) for q in made.questions] == [[]] * 100
    assert len({q.text for q in made.questions}) == 100
    assert made.attempts == 100 + sum(made.rejected.values())
    assert len({q.kind.split(":")[0] for q in made.questions}) >= 6
    for question in made.questions:
        if question.template.startswith("rare_chains/"):
            assert question.rare in entities_of(question)


def test_train_and_test_share_no_answer_edge_topic_entity_text_or_template(
    big: Graph, tmp_path: Path
) -> None:
    made = [produce(workshop(big), split, 40, tmp_path / split) for split in ("train", "test")]
    nodes = [
        {e for q in p.questions for h in q.certificate.path for e in (h.head, h.tail)} for p in made
    ]
    path_nodes = workshop(big).topologies["train"].degrees > 0
    shared = {n for n in nodes[0] & nodes[1] if path_nodes[big.number(n)]}
    assert not shared
    assert not {q.template for q in made[0].questions} & {q.template for q in made[1].questions}
    write_set(tmp_path / "set", made)
    written = json.loads((tmp_path / "set" / "leakage.json").read_text())
    assert set(written["shared"].values()) == {0}
    assert written["clean"] is True
    assert read_questions(tmp_path / "set" / "test.jsonl") == made[1].questions


def test_no_answer_stands_in_the_test_file(big: Graph, tmp_path: Path) -> None:
    made = produce(workshop(big), "test", 30, tmp_path / "j")
    write_questions(tmp_path / "test.jsonl", made.questions, sealed=True)
    lines = (tmp_path / "test.jsonl").read_text().splitlines()
    judged = [line for line in (tmp_path / "j").read_text().splitlines() if '"line":"{' in line]
    for question, *stored in zip(made.questions, lines, judged, strict=True):
        hidden = [a.name for a in question.answers if a.name not in question.text]
        hidden += [question.certificate.answers[0], question.topic.id]
        assert not any(
            f'"{name}"' in line or name + " " in line for line in stored for name in hidden
        )
    first = json.loads((tmp_path / "test.jsonl").read_text().splitlines()[0])
    assert first["notice"].startswith("Test questions: do not train")


def test_a_damaged_seal_is_named_with_its_line(big: Graph, tmp_path: Path) -> None:
    made = produce(workshop(big), "test", 3, tmp_path / "j")
    path = tmp_path / "test.jsonl"
    write_questions(path, made.questions, sealed=True)
    lines = path.read_text().splitlines()
    record = json.loads(lines[1])
    record["key"] = "another"
    path.write_text("\n".join([lines[0], json.dumps(record, separators=(",", ":")), ""]))
    with pytest.raises(DataError, match="is not a question") as caught:
        read_questions(path)
    assert caught.value.line == 2


def content(produced: Produced) -> bytes:
    return msgspec.json.encode((produced.questions, produced.rejected, produced.attempts))


def test_any_number_of_workers_makes_the_same_bytes(big: Graph, tmp_path: Path) -> None:
    big.save(tmp_path / "graph")
    alone = produce(workshop(big), "train", 50, tmp_path / "alone")
    with workers(GenerationSpec(tmp_path / "graph", CONFIG, 0), 2) as attempts:
        journal = tmp_path / "with two"
        assert content(produce(workshop(big), "train", 50, journal, attempts)) == content(alone)
        assert journal.read_bytes() == (tmp_path / "alone").read_bytes()


def test_what_will_be_refused_is_not_proved_and_no_question_differs(
    big: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs: list[str] = []
    prove = QuestionGenerator.proved

    def counted(self: QuestionGenerator, question: Question, outcome: Outcome) -> Question:
        proofs.append(question.text)
        return prove(self, question, outcome)

    def every(split: str, first: int, block: int, settled: set[int]) -> Iterator[list[Attempt]]:
        del settled, block
        for i in itertools.count(first):
            try:
                yield [generator.attempt(split, i)]
            except Rejected as rejected:
                yield [rejected.reason]

    monkeypatch.setattr(QuestionGenerator, "proved", counted)
    config = msgspec.structs.replace(CONFIG, max_per_answer=1)
    generator = workshop(big, config)
    all_proved = produce(generator, "train", 60, attempts=every)
    spared, refused = len(proofs), ("asked before", "answer asked for often enough")
    proofs.clear()
    made = produce(generator, "train", 60)
    assert content(made) == content(all_proved)
    assert sum(made.rejected.get(reason, 0) for reason in refused) > 10
    assert 60 <= len(proofs) < spared  # numbers and attributes have a limit that grows


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.99])
def test_a_journal_cut_anywhere_is_gone_on_with(big: Graph, tmp_path: Path, cut: float) -> None:
    whole = produce(workshop(big), "train", 40, tmp_path / "whole")
    raw = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(raw[: int(len(raw) * cut)])
    assert content(produce(workshop(big), "train", 40, tmp_path / "cut")) == content(whole)
    assert (tmp_path / "cut").read_bytes() == raw


def test_a_set_is_extended_without_making_it_again(big: Graph, tmp_path: Path) -> None:
    short = produce(workshop(big), "train", 20, tmp_path / "j")
    long = produce(workshop(big), "train", 60, tmp_path / "j")
    assert long.questions[:20] == short.questions
    assert content(produce(workshop(big), "train", 60, tmp_path / "new")) == content(long)
    assert produce(workshop(big), "train", 20, tmp_path / "j") == short


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from medenv.kg import Documents, Graph
from medenv.kg.questions.production import GenerationSpec, produce, workers
import msgspec
from medenv.kg.questions.generator import QuestionSpec
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    config = msgspec.json.decode((folder / "config.json").read_bytes(), type=QuestionSpec)
    recipe = GenerationSpec(folder / "graph", config, 0)
    with workers(recipe, int(sys.argv[2])) as attempts:
        produce(recipe.generator(), "train", 1000000, folder / "j", attempts)
"""


def test_a_run_that_was_killed_loses_and_doubles_nothing(big: Graph, tmp_path: Path) -> None:
    big.save(tmp_path / "graph")
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(CONFIG))
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    journal = tmp_path / "j"
    command = [sys.executable, str(script), str(tmp_path), "2", str(tmp_path)]
    process = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size > 60_000):
        assert time.monotonic() < deadline, "no line was written"
        assert process.poll() is None, "the run ended by itself"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    made = produce(workshop(big), "train", 60, journal)
    assert content(made) == content(produce(workshop(big), "train", 60, tmp_path / "new"))
    while time.monotonic() < deadline:  # the workers end by themselves
        alive = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, check=False)
        if alive.returncode:
            return
        time.sleep(0.1)
    raise AssertionError("workers live on")


def test_a_journal_of_another_run_or_a_damaged_one_is_refused(big: Graph, tmp_path: Path) -> None:
    journal = tmp_path / "j"
    produce(workshop(big), "train", 5, journal)
    with pytest.raises(DataError, match=r"belongs to another run \(seed '0', now '1'\)"):
        produce(workshop(big, seed=1), "train", 5, journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], lines[2], *lines[1:]]))
    with pytest.raises(DataError, match="expected attempt 0, got 1") as caught:
        produce(workshop(big), "train", 5, journal)
    assert caught.value.line == 2
    journal.write_bytes(b"half\n")
    with pytest.raises(DataError, match="journal"):
        produce(workshop(big), "train", 5, journal)


def test_a_graph_that_is_exhausted_says_what_it_made(tmp_path: Path) -> None:
    small = random_graph(3)
    with pytest.raises(UsageError, match=r"asked for 900 train questions, .* attempts made"):
        produce(workshop(small), "train", 900, tmp_path / "j")


def test_no_answer_is_asked_for_more_often_than_allowed(big: Graph, tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, max_per_answer=1)
    made = produce(workshop(big, config), "train", 60, tmp_path / "j")
    asked = [(q.kind, q.certificate.answers) for q in made.questions]
    assert len(asked) == len(set(asked))
    assert made.rejected[Rejection.ANSWER_REPEATED] > 0


def test_the_leakage_certificate_finds_what_is_shared(big: Graph, tmp_path: Path) -> None:
    made = produce(workshop(big), "train", 20, tmp_path / "j").questions
    certificate = leakage_certificate(made[:15], made[10:])
    assert not certificate.clean
    assert certificate.shared["texts"] == 5
    assert certificate.shared["templates"] > 0
    assert leakage_certificate(made[:5], []).clean


def test_splits_of_every_kind_share_nothing_even_where_hubs_belong_to_neither(
    big: Graph, tmp_path: Path
) -> None:
    config = msgspec.structs.replace(CONFIG, max_degree=23, kinds=dict.fromkeys(KINDS, 1))
    made = [
        produce(workshop(big, config), split, 30, tmp_path / split).questions
        for split in ("train", "test")
    ]
    assert leakage_certificate(*made).clean
    asked = [{q.certificate.answers for q in one if q.answers[0].kind != "value"} for one in made]
    assert not asked[0] & asked[1]


def test_levels_and_voices_are_as_configured(big: Graph, tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, levels=(0,), kinds={"rare_chains": 1})
    made = produce(workshop(big, config), "train", 30, tmp_path / "j").questions
    assert {q.level for q in made} == {0}
    assert {q.template for q in made} == {f"rare_chains/{voice}" for voice in range(3)}
    test = produce(workshop(big, config), "test", 10, tmp_path / "t").questions
    assert {q.template for q in test} == {"rare_chains/3"}


def test_the_two_regions_share_no_path_node(big: Graph) -> None:
    regions = workshop(big).topologies
    train, test = (regions[split].path_nodes for split in ("train", "test"))
    assert not np.logical_and(train, test).any()
    assert test.sum() / (train.sum() + test.sum()) == pytest.approx(0.4, abs=0.05)


def drafted(graph: Graph, **changes: object) -> list[str]:
    """The texts of the first proved questions over chains; each is proved."""
    config = msgspec.structs.replace(CONFIG, kinds={"rare_chains": 1}, **changes)
    generator, texts = workshop(graph, config), []
    for i in range(60):
        with contextlib.suppress(Rejected):
            question = generator.attempt("train", i)
            assert verify(question, graph) == []
            texts.append(question.text)
    return texts


def test_every_sampling_strategy_makes_proved_questions(big: Graph) -> None:
    default = drafted(big)
    assert default == drafted(big, sampling="region", sample_nodes=2)
    for strategy in STRATEGIES:
        made = drafted(big, sampling=strategy, sample_nodes=5)
        assert made == drafted(big, sampling=strategy, sample_nodes=5)
        assert made not in (default, drafted(big, sampling=strategy, sample_nodes=4))
        assert len(made) >= 5


def test_the_measure_of_rarity_decides_which_entities_are_rare(big: Graph) -> None:
    config = msgspec.structs.replace(CONFIG, rare_percent=40.0)
    pools = {}
    for rarity in ("degree", "documents"):
        chosen = workshop(big, msgspec.structs.replace(config, rarity=rarity)).pools["train"]
        pools[rarity] = sorted(int(node) for group in chosen for node in group)
        assert pools[rarity]
    assert pools["degree"] != pools["documents"]
    with pytest.raises(UsageError, match="no prevalence"):
        _ = workshop(big, msgspec.structs.replace(config, rarity="prevalence")).pools


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kinds": {"rare_chain": 1}}, "did you mean 'rare_chains'"),
        ({"kinds": {}}, "at least one above 0"),
        ({"kinds": {"list": 0}}, "at least one above 0"),
        ({"kinds": {"list": 2, "negation": -1}}, "at least one above 0"),
        ({"levels": (5,)}, "levels of 0 to 4"),
        ({"specialties": ("cardiologie",)}, "did you mean 'cardiology'"),
        ({"max_per_answer": 0}, "max_per_answer >= 1"),
        ({"rarity": "degrees"}, "did you mean 'degree'"),
        ({"sampling": "max_chains"}, "did you mean 'max_chain'"),
        ({"sample_nodes": 1}, "sample_nodes >= 2"),
        ({"min_difficulty": 0.9, "max_difficulty": 0.1}, "min_difficulty < max_difficulty"),
        ({"chains": ChainConfig(min_hops=5, max_hops=4)}, "min_hops <= max_hops"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        QuestionSpec(**settings)  # type: ignore[arg-type]  # bad values are the test
    assert isinstance(caught.value, UnknownNameError) is ("did you mean" in problem)
