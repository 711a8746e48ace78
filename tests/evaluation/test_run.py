"""Evaluations: token by token, resumable, beside one another; by an engine or a served policy."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from medenv.build.workspace import WorkspaceSettings
from rich.console import Console
from transformers import AutoTokenizer

from medenv.dialects import Hermes
from medenv.errors import (
    DataError,
    PolicyUnavailableError,
    TokensExhaustedError,
    UnknownNameError,
    UsageError,
)
from medenv.evaluation.run import EvaluationSettings, evaluate
from medenv.evaluation.summary import read_scored
from medenv.integrations.hf.chat_tokens import ChatTokens
from medenv.integrations.hf.engines import (
    BatchScheduler,
    GenerationRequest,
    Sampling,
    TokenPolicy,
    TransformersEngine,
    cut,
)
from medenv.integrations.hydra.identity import OtherSettingsError
from medenv.io import FolderInUseError, FolderLock
from medenv.llm.endpoint import EndpointSettings
from medenv.records import Message
from medenv.report.headline import rich_table
from medenv.trajectories.collector import Plan
from medenv.trajectories.filters import Limits
from medenv.trajectories.run import make_trajectories, open_stage
from medenv.trajectories.settings import (
    EnvOptions,
    TeacherSettings,
    TrajectorySettings,
    read_settings,
)

from ..chat_server import ChatServer

ROOT = Path(__file__).parents[2]
TINY = str(ROOT / "models" / "tiny_policy")
HERMES = Hermes()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small set on the toy graph, in an environment that the tiny policy can hold."""
    root = tmp_path_factory.mktemp("evaluation")
    tools = {"search": {"k": 2, "snippet_chars": 90, "show_ids": False}}
    world = WorkspaceSettings(
        source="toy", questions=WorkspaceQuestions(n_train=8, n_test=4, test_share=0.4)
    )
    wanted = TrajectorySettings(
        folder=str(root / "set"),
        plan=Plan(n=5, negatives=0.0),
        limits=Limits(thoughts=False, similar=1.0, turns=1),
        env=EnvOptions(prompt_style="minimal", tools=tools, budget={"turns": 5, "calls": 4}),
        teacher=TeacherSettings(thoughts=False),
        world=world,
        workspaces=str(root / "workspaces"),
    )
    make_trajectories(wanted)
    return wanted.folder


def settings(made: str, folder: Path, **changes: Any) -> EvaluationSettings:
    given = {
        "folder": str(folder),
        "trajectories": made,
        "policy": TINY,
        "samples": 2,
        "sampling": Sampling(turn_tokens=48),
    }
    return EvaluationSettings(**{**given, **changes})


@pytest.fixture(scope="module")
def first(made: str, tmp_path_factory: pytest.TempPathFactory) -> EvaluationSettings:
    wanted = settings(made, tmp_path_factory.mktemp("first"))
    evaluate(wanted)
    return wanted


def test_every_held_out_question_is_answered_as_often_as_asked(
    made: str, first: EvaluationSettings
) -> None:
    folder = Path(first.folder)
    held_out = open_stage(read_settings(made), lambda _: None, "test").parts.questions
    ids = [question.id for question in held_out]
    sampled, greedy = (read_scored(folder / f"{name}.jsonl") for name in ("sampled", "greedy"))
    assert [one.trajectory.question.id for one in greedy] == ids
    assert [one.trajectory.question.id for one in sampled] == [one for one in ids for _ in "ab"]
    assert all(one.trajectory.question.split == "test" for one in sampled)
    figures = json.loads((folder / "summary.json").read_text())
    right = sum(one.score.parts["accuracy"].raw for one in sampled)
    assert figures["sampled"]["measures"]["accuracy"]["mean"] == pytest.approx(right / len(sampled))


def test_greedy_answers_are_the_same_every_time(
    made: str, first: EvaluationSettings, tmp_path: Path
) -> None:
    again = settings(made, tmp_path, samples=0)
    evaluate(again)
    assert (tmp_path / "greedy.jsonl").read_bytes() == (
        Path(first.folder) / "greedy.jsonl"
    ).read_bytes()


def test_an_evaluation_goes_on_where_it_was_cut_and_grows(
    made: str, first: EvaluationSettings, tmp_path: Path
) -> None:
    small = settings(made, tmp_path, questions=2, samples=1)
    evaluate(small)
    journal = tmp_path / "episodes.jsonl"
    before = journal.read_bytes()
    assert before.count(b"\n") == 1 + 2 * 2
    journal.write_bytes(before[:-100])
    evaluate(settings(made, tmp_path))
    after = journal.read_bytes()
    assert after.startswith(before[: before[:-100].rfind(b"\n")])
    keys = [(line["i"], line["sample"]) for line in map(json.loads, after.splitlines()[1:])]
    assert len(keys) == len(set(keys)) == 3 * len(read_scored(Path(first.folder) / "greedy.jsonl"))
    with pytest.raises(OtherSettingsError) as told:
        evaluate(settings(made, tmp_path, seed=1, sampling=Sampling(turn_tokens=48, top_p=0.5)))
    assert told.value.changed == {"seed": (0, 1), "sampling.top_p": (1.0, 0.5)}


def test_a_policy_that_was_trained_further_is_not_evaluated_as_the_same(
    made: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(TINY, policy)
    folder = tmp_path / "evaluation"
    evaluate(settings(made, folder, policy=str(policy), samples=0, questions=1))
    for file in policy.iterdir():
        os.utime(file)  # copied or checked out again: the same weights
    evaluate(settings(made, folder, policy=str(policy), samples=0, questions=1))
    weights = policy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x01\x02\x03\x04")
    with pytest.raises(OtherSettingsError) as told:
        evaluate(settings(made, folder, policy=str(policy), samples=0, questions=1))
    assert list(told.value.changed) == ["policy (its files)"]


def test_two_processes_do_not_evaluate_in_one_folder(made: str, tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(FolderInUseError, match=f"process {os.getpid()} "):
        evaluate(settings(made, tmp_path))


def test_beside_another_one_differences_are_paired(
    made: str, first: EvaluationSettings, tmp_path: Path
) -> None:
    stage = open_stage(read_settings(made), lambda _: None, "test")
    gold = {question.text: question.answers[0].name for question in stage.parts.questions}

    def answer(body: dict[str, Any]) -> str:
        return HERMES.write_answer(gold[body["messages"][0]["content"]])

    with ChatServer(answer) as server:
        endpoint = EndpointSettings(url=server.url, model="m")
        wanted = settings(made, tmp_path, policy="", endpoint=endpoint, against=first.folder)
        done = evaluate(wanted)
        temperatures = {body["temperature"] for body in server.asked}
    assert temperatures == {0.0, 1.0}
    assert done.sampled is not None
    assert done.sampled.measures["accuracy"].mean == 1.0
    head = done.rows[0]
    before = read_scored(Path(first.folder) / "sampled.jsonl")
    mean = sum(one.score.parts["accuracy"].raw for one in before) / len(before)
    assert head.difference is not None
    assert head.difference.mean == pytest.approx(1.0 - mean)
    page = (tmp_path / "report.html").read_text()
    assert "Not medical advice" in page


def test_a_served_policy_that_is_away_is_told_and_asked_again_later(
    made: str, tmp_path: Path
) -> None:
    with ChatServer(lambda _: (401, b"no key")) as server:
        endpoint = EndpointSettings(url=server.url, model="m")
        with pytest.raises(PolicyUnavailableError, match="no key; what has been played is kept"):
            evaluate(settings(made, tmp_path, policy="", endpoint=endpoint))


class Answers:
    """A served policy that knows every answer, and how it fails on the last held-out question."""

    def __init__(self, made: str, failure: tuple[int, bytes]) -> None:
        stage = open_stage(read_settings(made), lambda _: None, "test")
        self.questions = stage.parts.questions
        self.gold = {one.text: one.answers[0].name for one in self.questions}
        self.failure: tuple[int, bytes] | None = failure

    def __call__(self, body: dict[str, Any]) -> Any:
        asked = body["messages"][0]["content"]
        if self.failure and asked == self.questions[-1].text:
            return self.failure
        return HERMES.write_answer(self.gold[asked])


def test_a_context_that_overflows_is_a_scored_episode_and_the_evaluation_ends(
    made: str, tmp_path: Path
) -> None:
    answers = Answers(made, (400, b'{"error": {"code": "context_length_exceeded"}}'))
    with ChatServer(answers) as server:
        endpoint = EndpointSettings(url=server.url, model="m")
        done = evaluate(settings(made, tmp_path, policy="", endpoint=endpoint))
        asked = len(server.asked)
        evaluate(settings(made, tmp_path, policy="", endpoint=endpoint))
        assert len(server.asked) == asked  # nothing is played again
    assert done.greedy is not None
    assert done.greedy.endings == {"answered": len(answers.questions) - 1, "tokens": 1}
    assert done.greedy.missing == 0


def test_missing_episodes_are_counted_as_not_right_told_and_played_again(
    made: str, first: EvaluationSettings, tmp_path: Path
) -> None:
    answers, said = Answers(made, (401, b"not for this one")), list[str]()
    count = len(answers.questions)
    with ChatServer(answers) as server:
        endpoint = EndpointSettings(url=server.url, model="m")
        wanted = settings(made, tmp_path, policy="", endpoint=endpoint, against=first.folder)
        done = evaluate(wanted, said.append)
        for summary, samples in ((done.sampled, 2), (done.greedy, 1)):
            assert summary is not None
            assert (summary.episodes, summary.missing) == ((count - 1) * samples, samples)
            assert summary.measures["accuracy"].mean == pytest.approx((count - 1) / count)
        assert f"3 of {3 * count} episodes are missing" in said[-1]
        shown = Console(width=200)
        with shown.capture() as capture:
            shown.print(rich_table(done.rows, "both"))
        assert "0 before, 2 after" in capture.get()
        assert "Missing are 0 sampled episodes before and 2 after" in " ".join(
            (tmp_path / "report.html").read_text().split()
        )
        answers.failure = None
        again = evaluate(wanted)
    assert again.sampled is not None
    assert (again.sampled.missing, again.sampled.measures["accuracy"].mean) == (0, 1.0)


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"policy": ""}, UsageError, "name what is evaluated, a policy or an endpoint"),
        ({"engine": "vlm"}, UnknownNameError, "unknown engine 'vlm'; did you mean 'vllm'"),
        ({"samples": 0, "greedy": False}, UsageError, "expected samples >= 0, or greedy"),
        ({"questions": 0}, UsageError, "of at least 1, got 256 and 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    changes: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        settings("somewhere", Path("x"), **changes)


def test_a_missing_set_policy_or_comparison_is_told(made: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a finished set of trajectories"):
        evaluate(settings(str(tmp_path / "none"), tmp_path / "a"))
    with pytest.raises(DataError, match="holds no tokenizer that can be opened"):
        evaluate(settings(made, tmp_path / "b", policy=str(tmp_path)))
    with pytest.raises(UsageError, match=r"engine_options .*colour"):
        evaluate(settings(made, tmp_path / "c", engine_options={"colour": "red"}))
    with pytest.raises(UsageError, match="temperature >= 0"):
        Sampling(temperature=-1)


class Scribe:
    """An engine that writes prepared turns, and keeps what it was asked."""

    def __init__(self, *texts: str, context: int = 1000) -> None:
        self.chat = ChatTokens(AutoTokenizer.from_pretrained(TINY))
        self.context, self.texts = context, list(texts)
        self.batches: list[list[GenerationRequest]] = []

    def write(self, wanted: Sequence[GenerationRequest]) -> list[list[int]]:
        self.batches.append(list(wanted))
        written = [self.chat.written(text) for text in self.texts]
        return [written[len(self.batches) - 1]] * len(wanted)


def test_a_policy_sees_the_tokens_it_wrote_and_what_came_between() -> None:
    scribe = Scribe("first turn", "second turn")
    policy = TokenPolicy(BatchScheduler(scribe), Sampling())
    messages: list[Message] = [{"role": "user", "content": "Which gene?"}]

    async def play() -> list[str]:
        said = [await policy.act(messages)]
        messages.append({"role": "assistant", "content": said[0]})
        messages.append({"role": "tool", "content": "shown"})
        return [*said, await policy.act(messages)]

    assert asyncio.run(play()) == ["first turn", "second turn"]
    whole = scribe.chat.stream([*messages, {"role": "assistant", "content": "second turn"}])
    written = scribe.chat.written("second turn")
    assert scribe.batches[1][0].ids == whole.input_ids[: -len(written)]
    assert policy.tokens == len(scribe.chat.written("first turn")) + len(written)


@pytest.mark.parametrize(("left", "most"), [(None, 512), (7, 7), (600, 512)])
def test_a_policy_writes_no_more_tokens_than_are_left(left: int | None, most: int) -> None:
    scribe = Scribe("first turn")
    policy = TokenPolicy(BatchScheduler(scribe), Sampling())
    asked: list[Message] = [{"role": "user", "content": "Which gene?"}]
    written = asyncio.run(policy.act_within(asked, left))
    assert (written.text, written.tokens) == ("first turn", len(scribe.chat.written("first turn")))
    assert scribe.batches[0][0].most == most
    with pytest.raises(TokensExhaustedError):
        asyncio.run(policy.act_within(asked, 0))
    assert len(scribe.batches) == 1


def test_a_full_context_is_the_end_of_the_tokens_and_nothing_is_asked_for() -> None:
    scribe = Scribe("x", context=5)
    policy = TokenPolicy(BatchScheduler(scribe), Sampling())
    with pytest.raises(TokensExhaustedError):
        asyncio.run(policy.act([{"role": "user", "content": "a long question " * 9}]))
    assert scribe.batches == []


def test_episodes_that_wait_together_are_written_together() -> None:
    scribe = Scribe("x")
    desk = BatchScheduler(scribe)

    async def play() -> list[str]:
        policies = [TokenPolicy(desk, Sampling()) for _ in range(9)]
        asked: list[Message] = [{"role": "user", "content": "q"}]
        return await asyncio.gather(*(policy.act(asked) for policy in policies))

    assert asyncio.run(play()) == ["x"] * 9
    assert [len(batch) for batch in scribe.batches] == [9]


def test_an_engine_that_breaks_is_told_to_everybody_who_waits() -> None:
    class Broken(Scribe):
        def write(self, wanted: Sequence[GenerationRequest]) -> list[list[int]]:
            raise RuntimeError("out of memory")

    desk = BatchScheduler(Broken())

    async def play() -> list[Any]:
        policies = [TokenPolicy(desk, Sampling()) for _ in range(3)]
        asked: list[Message] = [{"role": "user", "content": "q"}]
        jobs = (policy.act(asked) for policy in policies)
        return await asyncio.gather(*jobs, return_exceptions=True)

    assert [str(one) for one in asyncio.run(play())] == ["out of memory"] * 3


@functools.cache
def tiny() -> TransformersEngine:
    return TransformersEngine(TINY, batch=3)


def test_a_turn_is_the_same_alone_and_padded_in_a_batch() -> None:
    chat, sampling = tiny().chat, Sampling(temperature=0.0)
    prompts = [
        chat.prompt([{"role": "user", "content": text}])
        for text in ("Which gene is associated with Marfan syndrome?", "Name it.", "Why?", "x y z")
    ]
    wanted = [GenerationRequest(ids, 20, sampling) for ids in prompts]
    together = tiny().write(wanted)
    assert together == [tiny().write([one])[0] for one in wanted]
    assert all(len(ids) <= 20 for ids in together)


def test_a_turn_is_cut_at_its_end_and_at_its_length() -> None:
    assert cut([5, 6, 2, 9, 9], end=2, most=10) == [5, 6, 2]
    assert cut([5, 6, 7, 2], end=2, most=3) == [5, 6, 7]


@pytest.mark.verl
def test_a_set_is_made_by_a_policy_that_vllm_serves(tmp_path: Path) -> None:
    """The tiny policy behind vLLM's own server teaches: real HTTP, real sampling."""
    from ..integrations.vllm_server import serving

    with serving(TINY) as url:
        world = WorkspaceSettings(
            source="toy", questions=WorkspaceQuestions(n_train=8, n_test=4, test_share=0.4)
        )
        tools = {"search": {"k": 2, "snippet_chars": 90, "show_ids": False}}
        card = make_trajectories(
            TrajectorySettings(
                folder=str(tmp_path / "set"),
                plan=Plan(n=2, exploration=1.0, negatives=0.0, samples=16, concurrency=8),
                limits=Limits(thoughts=False, similar=1.0, turns=1),
                env=EnvOptions(
                    prompt_style="minimal", tools=tools, budget={"turns": 5, "calls": 4}
                ),
                teacher=TeacherSettings(
                    kind="openai",
                    endpoint=EndpointSettings(url=url, model=TINY, options={"max_tokens": 64}),
                    tool_role="tool",
                ),
                world=world,
                workspaces=str(tmp_path / "workspaces"),
            )
        )  # fmt: skip
    assert sum(card.parts.values()) >= 1


def test_settings_survive_the_disk(made: str) -> None:
    wanted = read_settings(made)
    assert msgspec.json.decode(msgspec.json.encode(wanted), type=TrajectorySettings) == wanted
