"""What a new policy is taught: episodes as they are or under invented names, and reading."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from medenv.build.environment import make_parts
from medenv.build.prepare import prepare
from medenv.build.settings import SftSettings, TrainSettings
from medenv.dialects import Hermes
from medenv.errors import UnknownNameError, UsageError
from medenv.integrations.hydra.config import settings_of
from medenv.integrations.verl.warm_start import (
    HELD_OUT,
    WarmStart,
    open_warm_start,
    prepare_stage,
    write_held_out,
)
from medenv.kg import toy_graph, toy_questions
from medenv.kg.questions.synthesis import Progress
from medenv.trajectories.renaming import Renamer
from medenv.trajectories.teachers import Oracle

from ..toy import sft_config, train_config

TINY = Path(__file__).parents[2] / "models" / "tiny_policy"
TOY = [
    "graph=toy",
    "questions=toy",
    "env=tiny",
    "tiny.vocabulary=420",
    "tiny.hidden=32",
    "tiny.layers=1",
    "tiny.copying=false",
    "tiny.head_dim=16",
]


def opened(root: Path, *stages: str) -> WarmStart:
    config = sft_config(*TOY, f"root={root}", f"lessons.stages=[{','.join(stages)}]")
    return open_warm_start(config, settings_of(config, SftSettings), Progress())


@pytest.fixture(scope="module")
def warm_start(tmp_path_factory: pytest.TempPathFactory) -> WarmStart:
    root = tmp_path_factory.mktemp("warm_start")
    stages = (
        "{material: episodes, examples: 60, renamed: 0.0, steps: 1, lr: 0.001}",
        "{material: episodes, examples: 60, renamed: 1.0, steps: 1, lr: 0.001}",
        "{material: reading, examples: 10, steps: 1, lr: 0.001}",
    )
    made = opened(root, *stages)
    for number in range(3):
        prepare_stage(made, number, lambda _: None)
    return made


def texts(warm_start: WarmStart, number: int) -> list[tuple[str, str, str]]:
    """Teacher, everything, and what carries loss, for each lesson of a stage."""
    tokenizer = AutoTokenizer.from_pretrained(warm_start.run.folder / "new_policy")
    rows = pq.read_table(warm_start.run.examples[number]).to_pylist()
    return [
        (
            row["teacher"],
            tokenizer.decode(row["input_ids"]),
            tokenizer.decode(
                [i for i, m in zip(row["input_ids"], row["loss_mask"], strict=True) if m]
            ),
        )
        for row in rows
    ]


def test_episodes_carry_loss_on_what_the_policy_writes_alone(warm_start: WarmStart) -> None:
    for _, whole, written in texts(warm_start, 0):
        assert "[1]" not in written
        assert "<|im_start|>" not in written
        assert written in re.sub(
            r"\n<\|im_start\|>tool.*?<\|im_start\|>assistant\n", "", whole, flags=re.DOTALL
        )


def test_no_held_out_question_or_answer_is_teacher_episodes(warm_start: WarmStart) -> None:
    held_out = warm_start.prepared.asked("test")
    taught = "\n".join(whole for number in range(3) for _, whole, _ in texts(warm_start, number))
    for question in held_out:
        assert question.text not in taught


def test_renamed_episodes_ask_search_and_answer_under_the_same_invented_names(
    warm_start: WarmStart,
) -> None:
    real = {entity for entity in toy_graph().nodes.names}
    oracle = [(whole, written) for who, whole, written in texts(warm_start, 1) if who == "oracle"]
    assert oracle
    for whole, written in oracle:
        (answer,) = re.findall(r"<answer>(.*?)</answer>", written)
        assert answer not in real
        assert answer in whole.split("<answer>")[0]
        for query in re.findall(r'"query":"(.*?)"', written):
            assert query not in real
            assert query in whole.split("<tool_call>")[0] or query in whole.split("[1]")[1]


def test_reading_says_everything_twice_and_carries_loss_throughout(warm_start: WarmStart) -> None:
    for who, whole, written in texts(warm_start, 2):
        assert who == "reading"
        assert whole == written
        lines = whole.split("\n")
        assert sorted(lines[: len(lines) // 2]) == sorted(lines[len(lines) // 2 :])


def test_a_stage_that_is_prepared_is_not_made_again(warm_start: WarmStart) -> None:
    path = warm_start.run.examples[0]
    before = path.stat().st_mtime_ns
    assert prepare_stage(warm_start, 0, lambda _: None) == {}
    assert path.stat().st_mtime_ns == before


def test_an_unknown_material_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as refused:
        opened(tmp_path, "{material: podcasts}")
    assert (refused.value.kind, refused.value.name) == ("material", "podcasts")


def test_a_renamed_episode_depends_on_its_generator_alone() -> None:
    graph, question = toy_graph(), toy_questions().train[3]
    entities = {graph.nodes.ids[n]: graph.entity(n) for n in range(len(graph))}
    names = {key: entity.name for key, entity in entities.items()}
    parts = make_parts(prompt_style="minimal")
    episode = parts.rollouts().run(Oracle(names, Hermes()).begin(question, 0), question).trajectory
    renamer = Renamer(entities.values())
    one, two, three = (
        renamer.rename(episode, entities, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one == two != three
    for old in (question.subject.name, question.answers[0].name):
        assert old not in "".join(turn.text + turn.observation for turn in one.turns)


def test_a_policy_that_reads_first_has_the_tokenizer_of_its_later_episodes(
    tmp_path: Path, warm_start: WarmStart
) -> None:
    reading, episodes = "{material: reading, examples: 4}", "{material: episodes, examples: 60}"
    first = opened(tmp_path, reading, episodes)
    prepare_stage(first, 0, lambda _: None)
    vocabularies = [
        AutoTokenizer.from_pretrained(one.run.folder / "new_policy").get_vocab()
        for one in (first, warm_start)
    ]
    assert set(vocabularies[0]) & set(vocabularies[1]) > set("abc")
    assert len(texts(first, 0)) == 4


def test_a_new_policy_without_episodes_is_refused(tmp_path: Path) -> None:
    only_reading = opened(tmp_path, "{material: reading}")
    with pytest.raises(UsageError, match="needs a stage of material=episodes"):
        prepare_stage(only_reading, 0, lambda _: None)


def test_what_was_held_out_is_written_beside_a_policy(
    warm_start: WarmStart, tmp_path: Path
) -> None:
    write_held_out(warm_start, tmp_path)
    known = msgspec.json.decode((tmp_path / HELD_OUT).read_bytes())
    test = warm_start.prepared.asked("test")
    assert known["answers"] == sorted({entity.id for one in test for entity in one.answers})
    taught = {entity.id for one in warm_start.parts.questions for entity in one.answers}
    assert not taught & {*known["answers"]}


def test_the_committed_policy_was_taught_nothing_that_the_laptop_run_holds_out(
    tmp_path: Path,
) -> None:
    config = train_config("experiment=cpu", f"root={tmp_path}")
    questions = prepare(settings_of(config, TrainSettings)).asked("test")
    known = msgspec.json.decode((TINY / HELD_OUT).read_bytes())
    assert {entity.id for one in questions for entity in one.answers} <= {*known["answers"]}
    assert {one.subject.id for one in questions} <= {*known["topics"]}
    assert len(questions) == 400
