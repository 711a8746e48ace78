"""Evaluations: token by token, resumable, beside one another; by an engine or a served policy."""

from __future__ import annotations

import asyncio
import functools
import html
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from transformers import AutoTokenizer

from medenv.build.prepare import ENVIRONMENT, prepare
from medenv.build.settings import (
    CorpusSettings,
    PolicySettings,
    QuestionsSettings,
    RunSettings,
    SamplingSettings,
    ScoringSettings,
)
from medenv.dialects import Hermes
from medenv.errors import (
    DataError,
    PolicyUnavailableError,
    TokensExhaustedError,
    UnknownNameError,
    UsageError,
)
from medenv.evaluation.run import EvaluateSettings, evaluate
from medenv.evaluation.summary import read_scored
from medenv.integrations.hf import engines
from medenv.integrations.hf.chat_tokens import ChatTokens
from medenv.integrations.hf.engines import (
    BatchScheduler,
    GenerationRequest,
    TokenPolicy,
    TransformersEngine,
    cut,
    open_engine,
)
from medenv.integrations.hydra.identity import OtherSettingsError
from medenv.io import FolderInUseError, FolderLock, read_json
from medenv.kg.questions.sets import QuestionSet
from medenv.llm.endpoint import EndpointSettings
from medenv.records import Message, Question
from medenv.report.formatting import show
from medenv.report.headline import rich_table
from medenv.trajectories.collector import Plan
from medenv.trajectories.filters import Limits
from medenv.trajectories.run import make_trajectories
from medenv.trajectories.settings import TeacherSettings, TrajectorySettings

from ..chat_server import ChatServer
from ..toy import tiny_env, toy_run, toy_settings

ROOT = Path(__file__).parents[2]
TINY = str(ROOT / "models" / "tiny_policy")
HERMES = Hermes()


def tiny_set(root: Path, **changes: Any) -> TrajectorySettings:
    """A set on the toy graph, in an environment that the tiny policy can hold."""
    given = {
        "folder": str(root / "set"),
        "plan": Plan(n=5, negatives=0.0),
        "limits": Limits(thoughts=False, similar=1.0, turns=1),
        "teacher": TeacherSettings(thoughts=False),
        "env": tiny_env(tools={"search": {"k": 2, "snippet_chars": 90, "show_ids": False}}),
        "scoring": ScoringSettings(preset="answer_only"),
    }
    return TrajectorySettings(**toy_run(root, **{**given, **changes}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The `environment.json` of a small set of trajectories."""
    wanted = tiny_set(tmp_path_factory.mktemp("evaluation"))
    make_trajectories(wanted)
    return str(wanted.target / ENVIRONMENT)


def held_out(environment: str) -> tuple[Question, ...]:
    return prepare(RunSettings(environment=environment)).asked("test")


def tiny_policy(path: str = TINY, **changes: Any) -> PolicySettings:
    return PolicySettings(path=path, engine="transformers", **changes)


def served(server: ChatServer, **changes: Any) -> PolicySettings:
    return PolicySettings(url=server.url, model="m", **changes)


def settings(made: str | None, folder: Path, **changes: Any) -> EvaluateSettings:
    given = {
        "root": str(folder.parent),
        "run": folder.name,
        "environment": made,
        "policy": tiny_policy(),
        "samples": 2,
        "sampling": SamplingSettings(turn_tokens=48),
    }
    return EvaluateSettings(**{**given, **changes})


@pytest.fixture(scope="module")
def first(made: str, tmp_path_factory: pytest.TempPathFactory) -> EvaluateSettings:
    wanted = settings(made, tmp_path_factory.mktemp("first"))
    evaluate(wanted)
    return wanted


def test_every_held_out_question_is_answered_as_often_as_asked(
    made: str, first: EvaluateSettings
) -> None:
    folder = first.folder
    ids = [question.id for question in held_out(made)]
    sampled, greedy = (read_scored(folder / f"{name}.jsonl") for name in ("sampled", "greedy"))
    assert [one.trajectory.question.id for one in greedy] == ids
    assert [one.trajectory.question.id for one in sampled] == [one for one in ids for _ in "ab"]
    assert all(one.trajectory.question.split == "test" for one in sampled)
    figures = json.loads((folder / "summary.json").read_text())
    right = sum(one.score.parts["accuracy"].raw for one in sampled)
    assert figures["sampled"]["measures"]["accuracy"]["mean"] == pytest.approx(right / len(sampled))


def test_greedy_answers_are_the_same_every_time(
    made: str, first: EvaluateSettings, tmp_path: Path
) -> None:
    again = settings(made, tmp_path, samples=0)
    evaluate(again)
    assert (tmp_path / "greedy.jsonl").read_bytes() == (first.folder / "greedy.jsonl").read_bytes()


def test_an_evaluation_goes_on_where_it_was_cut_and_grows(
    made: str, first: EvaluateSettings, tmp_path: Path
) -> None:
    small = settings(made, tmp_path, n=2, samples=1)
    evaluate(small)
    journal = tmp_path / "episodes.jsonl"
    before = journal.read_bytes()
    assert before.count(b"\n") == 1 + 2 * 2
    journal.write_bytes(before[:-100])
    evaluate(settings(made, tmp_path))
    after = journal.read_bytes()
    assert after.startswith(before[: before[:-100].rfind(b"\n")])
    keys = [(line["i"], line["sample"]) for line in map(json.loads, after.splitlines()[1:])]
    assert len(keys) == len(set(keys)) == 3 * len(read_scored(first.folder / "greedy.jsonl"))
    with pytest.raises(OtherSettingsError) as told:
        evaluate(
            settings(made, tmp_path, seed=1, sampling=SamplingSettings(turn_tokens=48, top_p=0.5))
        )
    assert told.value.changed == {"seed": (0, 1), "sampling.top_p": (1.0, 0.5)}


def test_a_policy_that_was_trained_further_is_not_evaluated_as_the_same(
    made: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(TINY, policy)
    folder = tmp_path / "evaluation"
    evaluate(settings(made, folder, policy=tiny_policy(str(policy)), samples=0, n=1))
    for file in policy.iterdir():
        os.utime(file)  # copied or checked out again: the same weights
    evaluate(settings(made, folder, policy=tiny_policy(str(policy)), samples=0, n=1))
    weights = policy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x01\x02\x03\x04")
    with pytest.raises(OtherSettingsError) as told:
        evaluate(settings(made, folder, policy=tiny_policy(str(policy)), samples=0, n=1))
    assert list(told.value.changed) == ["policy (its files)"]


def test_two_processes_do_not_evaluate_in_one_folder(made: str, tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(FolderInUseError, match=f"process {os.getpid()} "):
        evaluate(settings(made, tmp_path))


def test_beside_another_one_differences_are_paired(
    made: str, first: EvaluateSettings, tmp_path: Path
) -> None:
    gold = {question.text: question.answers[0].name for question in held_out(made)}

    def answer(body: dict[str, Any]) -> str:
        return HERMES.write_answer(gold[body["messages"][0]["content"]])

    with ChatServer(answer) as server:
        wanted = settings(made, tmp_path, policy=served(server), against=str(first.folder))
        done = evaluate(wanted)
        temperatures = {body["temperature"] for body in server.asked}
    assert temperatures == {0.0, 1.0}
    assert done.sampled is not None
    assert done.sampled.measures["accuracy"].mean == 1.0
    head = done.rows[0]
    before = read_scored(first.folder / "sampled.jsonl")
    mean = sum(one.score.parts["accuracy"].raw for one in before) / len(before)
    assert head.difference is not None
    assert head.difference.mean == pytest.approx(1.0 - mean)
    page = (tmp_path / "report.html").read_text()
    assert "Not medical advice" in page
    page = html.unescape((tmp_path / "page.html").read_text())
    assert f"{show(1.0, 'share')} of the answers are right" in page


def test_a_served_policy_that_is_away_is_told_and_asked_again_later(
    made: str, tmp_path: Path
) -> None:
    with ChatServer(lambda _: (401, b"no key")) as server:
        wanted = settings(made, tmp_path, policy=served(server))
        with pytest.raises(PolicyUnavailableError, match="no key; what has been played is kept"):
            evaluate(wanted)


class Answers:
    """A served policy that knows every answer, and how it fails on the last held-out question."""

    def __init__(self, made: str, failure: tuple[int, bytes]) -> None:
        self.questions = held_out(made)
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
        done = evaluate(settings(made, tmp_path, policy=served(server)))
        asked = len(server.asked)
        evaluate(settings(made, tmp_path, policy=served(server)))
        assert len(server.asked) == asked  # nothing is played again
    assert done.greedy is not None
    assert done.greedy.endings == {"answered": len(answers.questions) - 1, "tokens": 1}
    assert done.greedy.missing == 0


def test_missing_episodes_are_counted_as_not_right_told_and_played_again(
    made: str, first: EvaluateSettings, tmp_path: Path
) -> None:
    answers, said = Answers(made, (401, b"not for this one")), list[str]()
    count = len(answers.questions)
    with ChatServer(answers) as server:
        wanted = settings(made, tmp_path, policy=served(server), against=str(first.folder))
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


def answered(questions: Sequence[Question]) -> ChatServer:
    """A served policy that answers these questions right, after a search for their text."""
    gold = {one.text: one.answers[0].name for one in questions}

    def answer(body: dict[str, Any]) -> str:
        asked = next(one for one in body["messages"] if one["role"] == "user")["content"]
        if len(body["messages"]) == 1:
            return HERMES.write_call("search", {"query": asked})
        return HERMES.write_answer(gold.get(asked, "unknown"))

    return ChatServer(answer)


def test_a_question_set_is_evaluated_by_its_folder_and_so_is_a_world_of_it(tmp_path: Path) -> None:
    base = prepare(toy_settings(tmp_path)).questions
    asked = base.questions("test")

    def of(run: str, server: ChatServer, world: str = "true", **changes: Any) -> EvaluateSettings:
        named = QuestionsSettings(name="set", path=str(base.folder), world=world)
        given = {"questions": named, "env": tiny_env(), "policy": served(server), "samples": 0}
        return settings(None, tmp_path / run, **{**given, **changes})

    with answered(asked) as server:
        done = evaluate(of("true", server, n=3))
        written = str(tmp_path / "true" / ENVIRONMENT)
        again = evaluate(of("again", server, environment=written))
    assert done.greedy is not None
    played = [one.trajectory for one in read_scored(tmp_path / "true" / "greedy.jsonl")]
    assert [one.question for one in played] == list(asked[:3])
    assert done.greedy.measures["accuracy"].mean == 1.0
    assert again.greedy is not None
    assert again.greedy.questions == len(asked)

    with answered(asked) as server:
        evaluate(of("renamed", server, world="renamed"))
    world = QuestionSet.open(base.folder / "worlds" / "renamed")
    altered = read_scored(tmp_path / "renamed" / "greedy.jsonl")
    texts = [one.trajectory.question.text for one in altered]
    assert texts == [one.text for one in world.questions("test")]
    true = {one.text: one for one in asked}
    same = [true[text] for text in texts if text in true]  # findings keep their names
    assert {one.subject.kind for one in same} <= {"phenotype"}
    assert len(same) < len(texts)
    assert all(one.score.parts["accuracy"].raw == 0.0 for one in altered)
    with answered(world.questions()) as server:
        told = evaluate(of("renamed-told", server, world="renamed"))
        with pytest.raises(OtherSettingsError) as other:
            evaluate(of("renamed-told", server))
    assert told.greedy is not None
    assert told.greedy.measures["accuracy"].mean == 1.0
    assert {"questions", "corpus (its files)"} <= other.value.changed.keys()


OWN = """question,answer,aliases,option_a,option_b,split
Which gene is mutated in Marfan syndrome?,FBN1,fibrillin-1 gene,,,train
Which organ does hepatitis harm?,B,,Heart,Liver,test
Which vitamin is missing in scurvy?,vitamin C,ascorbic acid,,,test
"""
PASSAGES = (
    {"id": "p1", "title": "Scurvy", "text": "Scurvy comes of a lack of vitamin C."},
    {"id": "p2", "title": "Hepatitis", "text": "Hepatitis is an inflammation of the liver."},
)


def own_data(folder: Path, rows: str = OWN) -> dict[str, Any]:
    """The groups of a CSV of one's own and of a JSONL of one's own passages."""
    (folder / "mine.csv").write_text(rows)
    (folder / "mine.jsonl").write_text("".join(json.dumps(one) + "\n" for one in PASSAGES))
    return {
        "questions": QuestionsSettings(name="set", path=str(folder / "mine.csv")),
        "corpus": CorpusSettings(source="files", path=str(folder / "mine.jsonl")),
        "env": tiny_env(),
    }


def test_own_questions_are_asked_and_own_passages_are_found(tmp_path: Path) -> None:
    answers = {"hepatitis": "Liver", "scurvy": "Ascorbic acid"}

    def answer(body: dict[str, Any]) -> str:
        asked = body["messages"][0]["content"]
        word = next(word for word in answers if word in asked)
        if len(body["messages"]) == 1:
            return HERMES.write_call("search", {"query": word})
        return HERMES.write_answer(answers[word])

    own = own_data(tmp_path)
    with ChatServer(answer) as server:
        wanted = settings(None, tmp_path / "run", policy=served(server), samples=1, **own)
        done = evaluate(wanted)
        (tmp_path / "mine.jsonl").write_text(json.dumps(PASSAGES[0]) + "\n")
        with pytest.raises(OtherSettingsError) as told:
            evaluate(wanted)
    assert list(told.value.changed) == ["corpus (its files)"]
    assert done.greedy is not None
    assert done.sampled is not None
    assert (done.greedy.questions, done.greedy.measures["accuracy"].mean) == (2, 1.0)
    assert (done.sampled.episodes, done.sampled.measures["accuracy"].mean) == (2, 1.0)
    played = [one.trajectory for one in read_scored(wanted.folder / "greedy.jsonl")]
    assert [one.turns[0].results[0].passages[0] for one in played] == ["p2", "p1"]
    assert all(one.question.certificate is None for one in played)


def test_without_test_questions_there_is_nothing_to_evaluate_on(tmp_path: Path) -> None:
    own = own_data(tmp_path, "question,answer\nWhich gene?,FBN1\n")
    with pytest.raises(UsageError, match="split=train"):
        evaluate(settings(None, tmp_path / "run", **own))
    with ChatServer(lambda _: HERMES.write_answer("FBN1")) as server:
        asked = settings(None, tmp_path / "run", policy=served(server), split="train", **own)
        done = evaluate(asked)
    assert done.greedy is not None
    assert done.greedy.measures["accuracy"].mean == 1.0


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_served_policy_is_asked_as_often_as_its_settings_say(
    made: str, tmp_path: Path, attempts: int
) -> None:
    with ChatServer(lambda _: (503, b"busy")) as server:
        policy = served(server, attempts=attempts)
        with pytest.raises(PolicyUnavailableError, match="busy"):
            evaluate(settings(made, tmp_path, policy=policy, samples=0, n=1))
        assert len(server.asked) == attempts


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"policy": PolicySettings(engine="vlm")}, UnknownNameError, "did you mean 'vllm'"),
        ({"split": "tests"}, UnknownNameError, "did you mean 'test'"),
        ({"samples": 0, "greedy": False}, UsageError, "expected samples >= 0, or greedy"),
        ({"n": 0}, UsageError, "of at least 1, got 256 and 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    changes: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        settings("somewhere", Path("x"), **changes)


def test_a_missing_environment_policy_or_comparison_is_told(made: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none/environment"):
        evaluate(settings(str(tmp_path / "none" / ENVIRONMENT), tmp_path / "a"))
    with pytest.raises(UsageError, match="no policy is named"):
        evaluate(settings(made, tmp_path / "a", policy=PolicySettings()))
    with pytest.raises(DataError, match="holds no tokenizer that can be opened"):
        evaluate(settings(made, tmp_path / "b", policy=tiny_policy(str(tmp_path))))
    coloured = tiny_policy(engine_options={"colour": "red"})
    with pytest.raises(UsageError, match=r"engine_options .*colour"):
        evaluate(settings(made, tmp_path / "c", policy=coloured))
    with pytest.raises(UsageError, match="temperature >= 0"):
        SamplingSettings(temperature=-1)


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
    policy = TokenPolicy(BatchScheduler(scribe), SamplingSettings())
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
    policy = TokenPolicy(BatchScheduler(scribe), SamplingSettings(turn_tokens=512))
    asked: list[Message] = [{"role": "user", "content": "Which gene?"}]
    written = asyncio.run(policy.act_within(asked, left))
    assert (written.text, written.tokens) == ("first turn", len(scribe.chat.written("first turn")))
    assert scribe.batches[0][0].most == most
    with pytest.raises(TokensExhaustedError):
        asyncio.run(policy.act_within(asked, 0))
    assert len(scribe.batches) == 1


def test_a_full_context_is_the_end_of_the_tokens_and_nothing_is_asked_for() -> None:
    scribe = Scribe("x", context=5)
    policy = TokenPolicy(BatchScheduler(scribe), SamplingSettings())
    with pytest.raises(TokensExhaustedError):
        asyncio.run(policy.act([{"role": "user", "content": "a long question " * 9}]))
    assert scribe.batches == []


def test_episodes_that_wait_together_are_written_together() -> None:
    scribe = Scribe("x")
    desk = BatchScheduler(scribe)

    async def play() -> list[str]:
        policies = [TokenPolicy(desk, SamplingSettings()) for _ in range(9)]
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
        policies = [TokenPolicy(desk, SamplingSettings()) for _ in range(3)]
        asked: list[Message] = [{"role": "user", "content": "q"}]
        jobs = (policy.act(asked) for policy in policies)
        return await asyncio.gather(*jobs, return_exceptions=True)

    assert [str(one) for one in asyncio.run(play())] == ["out of memory"] * 3


def test_the_engine_is_vllm_only_where_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.torch.cuda, "is_available", lambda: False)
    assert isinstance(open_engine(PolicySettings(path=TINY), 0), TransformersEngine)
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    monkeypatch.setattr(engines.torch.cuda, "is_available", lambda: True)
    wanted = PolicySettings(path=TINY, engine_options={"device": "cpu"})
    assert isinstance(open_engine(wanted, 0), TransformersEngine)
    with pytest.raises(UsageError, match="pip install"):
        open_engine(PolicySettings(path=TINY, engine="vllm"), 0)


@functools.cache
def tiny() -> TransformersEngine:
    return TransformersEngine(TINY, batch=3)


def test_a_turn_is_the_same_alone_and_padded_in_a_batch() -> None:
    chat, sampling = tiny().chat, SamplingSettings(temperature=0.0)
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
        endpoint = EndpointSettings(url=url, model=TINY, options={"max_tokens": 64})
        card = make_trajectories(
            tiny_set(
                tmp_path,
                plan=Plan(n=2, exploration=1.0, negatives=0.0, samples=16, concurrency=8),
                teacher=TeacherSettings(kind="openai", endpoint=endpoint, tool_role="tool"),
            )
        )
    assert sum(card.parts.values()) >= 1


def test_settings_survive_the_disk(made: str) -> None:
    folder = Path(made).parent
    assert read_json(folder / "settings.json", TrajectorySettings) == tiny_set(folder.parent)
