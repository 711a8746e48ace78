"""A served teacher over real HTTP: guidance goes in and never comes out; failures cost time."""

import asyncio
import random
import re
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from medenv.dialects import Hermes
from medenv.errors import ModelUnavailableError, PolicyUnavailableError
from medenv.io import read_records
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.records import Message, Written
from medenv.trajectories.collector import Plan
from medenv.trajectories.records import Rewriting, Rollout
from medenv.trajectories.run import Stage, make_trajectories
from medenv.trajectories.served import (
    GUIDANCE,
    MANNER,
    ServedSettings,
    ServedTeacher,
    with_instructions,
)
from medenv.trajectories.settings import TeacherSettings, TrajectorySettings
from medenv.trajectories.teachers import Thinker

from ..chat_server import ChatServer
from ..fakes import question
from .conftest import settings

GUIDANCE_START = GUIDANCE.split("{path}")[0]
HERMES = Hermes()


class Model:
    """A model that answers as the scripted teacher would, and keeps what it was asked.

    Args:
        stage: Where it plays.
        fails: Share of the requests that it answers with an error.
        leaky: Whether it repeats its guidance in every other episode.
    """

    def __init__(self, stage: Stage, *, fails: float = 0.0, leaky: bool = False) -> None:
        self.stage, self.fails, self.leaky = stage, fails, leaky
        self.questions = {question.text: question for question in stage.parts.questions}
        self.failed = 0
        self._rng, self._lock = random.Random(7), threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Any:
        with self._lock:
            if self._rng.random() < self.fails:
                self.failed += 1
                return self._rng.choice([(503, b"busy"), (429, b"slow down"), (200, b"{}"), None])
        return self.written(body["messages"])

    def written(self, messages: list[Message]) -> str:
        parts, seen = self.stage.parts, [one for one in messages if one["role"] != "system"]
        question = self.questions[seen[0]["content"]]
        number = parts.questions.index(question)
        teacher = Thinker(self.stage.graph, HERMES, parts.toolbox.tools, seed=9)
        policy = teacher.begin(question, number)
        text = ""
        for at in range(1, len(seen) + 1, 2):
            shown = re.sub(r"</?tool_response>\n?", "", seen[at - 1]["content"]).rstrip("\n")
            text = policy.act([{"role": "user", "content": shown}])
        if self.leaky and number % 2:
            text = text.replace("<think>", "<think>The masked path says so. ", 1)
        return text


def served(root: Path, url: str, **changes: Any) -> TrajectorySettings:
    endpoint = EndpointSettings(url=url, model="m", attempts=12, backoff=0.01)
    teacher = TeacherSettings(kind="openai", endpoint=endpoint)
    given = {"teacher": teacher, "plan": Plan(n=8, failures=0.0, concurrency=4)}
    return settings(root, **{**given, **changes})


def test_guidance_is_in_the_request_and_nowhere_else(stage: Stage, root: Path) -> None:
    with ChatServer(Model(stage)) as server:
        wanted = served(root, server.url, folder=str(root / "guided"))
        card = make_trajectories(wanted)
        asked = [body["messages"][0]["content"] for body in server.asked]
    assert card.parts == {"exploration": 2, "guided": 6}
    assert card.teachers == {"guided": "m", "exploration": "m"}
    told = [text for text in asked if GUIDANCE_START in text]
    assert 0 < len(told) < len(asked)
    assert all(MANNER in text for text in asked)
    for text in told:
        path = text.split(GUIDANCE_START)[1].split("\n")
        assert re.fullmatch(r"\(\[MASK\], \w+, \[MASK\]\)", path[0])
    for name in ("rollouts.jsonl", "trajectories.jsonl", "chat.jsonl"):
        kept = (Path(wanted.folder) / name).read_text()
        assert GUIDANCE_START not in kept
        if name == "chat.jsonl":
            assert "MASK" not in kept


def test_an_endpoint_that_fails_every_third_time_costs_retries_and_no_data(
    stage: Stage, root: Path
) -> None:
    with ChatServer(Model(stage)) as server:
        sound = served(root, server.url, folder=str(root / "sound"))
        make_trajectories(sound)
    model = Model(stage, fails=0.3)
    with ChatServer(model) as server:
        failing = served(root, server.url, folder=str(root / "failing"))
        make_trajectories(failing)
        assert model.failed > 10
    for name in ("trajectories.jsonl", "chat.jsonl", "card.json"):
        whole = (Path(failing.folder) / name).read_bytes()
        assert whole == (Path(sound.folder) / name).read_bytes()


def test_an_endpoint_that_goes_away_is_told_and_the_run_goes_on_later(
    stage: Stage, root: Path
) -> None:
    model, left = Model(stage), [25]

    def answer(body: dict[str, Any]) -> Any:
        left[0] -= 1
        return model(body) if left[0] > 0 else (401, b"no credit left")

    folder = str(root / "gone")
    with ChatServer(answer) as server:
        wanted = served(root, server.url, folder=folder)
        with pytest.raises(
            PolicyUnavailableError, match="no credit left; what has been played is kept"
        ):
            make_trajectories(wanted)
    kept = (Path(folder) / "rollouts.jsonl").read_bytes().count(b"\n") - 1
    assert kept > 0
    with ChatServer(Model(stage)) as server:
        moved = msgspec.structs.replace(wanted.teacher.endpoint, url=server.url)
        there = msgspec.structs.replace(wanted.teacher, endpoint=moved)
        card = make_trajectories(msgspec.structs.replace(wanted, teacher=there))
    assert sum(card.parts.values()) == 8
    keys = [one.key for one in read_records(Path(folder) / "trajectories.jsonl", Rollout)]
    assert len(keys) == len(set(keys)) == 8


def test_of_several_samples_one_good_one_is_kept_and_the_bad_make_pairs(
    stage: Stage, root: Path
) -> None:
    model = Model(stage)

    def answer(body: dict[str, Any]) -> Any:
        time.sleep(0.01)
        if len(body["messages"]) == 2 and body["seed"] % 3:
            return HERMES.write_answer("something wrong", "I guess.")
        return model(body)

    with ChatServer(answer) as server:
        wanted = served(
            root,
            server.url,
            folder=str(root / "sampled"),
            plan=Plan(n=8, failures=0.0, samples=4, concurrency=8),
        )
        teacher = msgspec.structs.replace(wanted.teacher, seeded=True)
        card = make_trajectories(msgspec.structs.replace(wanted, teacher=teacher))
        assert server.most_at_once > 1
    assert card.rejected["wrong answer"] > card.rejected.get("enough of this question", 0) > 0
    assert card.pairs > 0
    keys = [one.i for one in read_records(Path(wanted.folder) / "trajectories.jsonl", Rollout)]
    assert len(keys) == len(set(keys))


def test_what_a_teacher_lets_slip_is_refused(stage: Stage, root: Path) -> None:
    with ChatServer(Model(stage, leaky=True)) as server:
        wanted = served(root, server.url, folder=str(root / "leaky"), plan=Plan(n=99))
        card = make_trajectories(wanted)
    assert card.rejected["leak: guidance"] > 0
    assert card.leaks == 0


def test_observations_are_sent_in_the_role_that_is_asked_for() -> None:
    messages: list[Message] = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
        {"role": "tool", "content": "o"},
    ]
    sent = with_instructions(messages, "told", "user")
    assert sent[0] == {"role": "system", "content": "told"}
    assert sent[-1] == {"role": "user", "content": "<tool_response>\no\n</tool_response>"}
    assert with_instructions(messages, "told", "tool")[1:] == messages
    system: list[Message] = [{"role": "system", "content": "s"}, *messages]
    assert with_instructions(system, "told", "tool")[0]["content"] == "s\n\ntold"
    assert system[0]["content"] == "s"


def rewriting(root: Path, folder: str, url: str) -> TrajectorySettings:
    endpoint = EndpointSettings(url=url, model="editor", attempts=12, backoff=0.01)
    return settings(root, folder=str(root / folder), rewrite=endpoint)


def note_of(body: dict[str, Any]) -> str:
    """The note that a request asks to rewrite."""
    text: str = body["messages"][-1]["content"]
    return text.rpartition("\nNote:\n")[2]


def test_rewriting_changes_thoughts_and_nothing_else(root: Path) -> None:
    with ChatServer(lambda body: f"Put otherwise: {note_of(body)}") as server:
        wanted = rewriting(root, "rewritten", server.url)
        card = make_trajectories(wanted)
    assert card.rewritten == {"rewritten": 8}
    folder = Path(wanted.folder)
    after = list(read_records(folder / "trajectories.jsonl", Rollout))
    with ChatServer(lambda _: "unused") as server:
        before_card = make_trajectories(settings(root, folder=str(root / "unrewritten")))
    assert before_card.rewritten == {}
    before = list(read_records(root / "unrewritten" / "trajectories.jsonl", Rollout))
    for one, other in zip(before, after, strict=True):
        for old, new in zip(
            one.scored.trajectory.turns, other.scored.trajectory.turns, strict=True
        ):
            assert new.parsed.thought == f"Put otherwise: {old.parsed.thought}"
            assert new.text == old.text.replace("<think>", "<think>Put otherwise: ", 1)
            assert (new.calls, new.results, new.observation, new.parsed.answer) == (
                old.calls, old.results, old.observation, old.parsed.answer,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("The masked path leads on.", "leak: guidance"),
        ("I know it: {answer}.", "leak: entity"),
        ("<answer>other</answer> so", ""),
        ("</think><answer>x</answer>", ""),
        ("так и есть, продолжаю поиск дальше", "another language"),
        ("  ", "a thought is missing"),
    ],
)
def test_a_rewriting_that_lets_something_slip_or_breaks_the_form_is_not_taken(
    stage: Stage, root: Path, reply: str, reason: str
) -> None:
    gold = {question.text: question.answers[0].name for question in stage.parts.questions}

    def answer(body: dict[str, Any]) -> str:
        text = body["messages"][-1]["content"]
        asked = next(name for question, name in gold.items() if question in text)
        return reply.replace("{answer}", asked)

    number = abs(hash(reply)) % 10**9
    with ChatServer(answer) as server:
        wanted = rewriting(root, f"slip-{number}", server.url)
        card = make_trajectories(wanted)
    if reason:
        assert card.rewritten.get(reason, 0) > 0
    assert card.leaks == 0
    lines = list((Path(wanted.folder) / "rewritings.jsonl").read_bytes().splitlines())[1:]
    made = [msgspec.json.decode(line, type=Rewriting) for line in lines]
    for one in made:
        assert (one.rollout is None) == bool(one.reason)
    for kept in read_records(Path(wanted.folder) / "trajectories.jsonl", Rollout):
        for turn in kept.scored.trajectory.turns:
            assert turn.parsed == HERMES.parse(turn.text)
            assert not turn.parsed.problems
            assert turn.text.count("<answer>") == int(turn.parsed.answer is not None)


def test_an_editor_that_is_away_stops_the_run_and_is_asked_the_rest_later(root: Path) -> None:
    left = [12]

    def answer(body: dict[str, Any]) -> Any:
        left[0] -= 1
        return f"So: {note_of(body)}" if left[0] > 0 else (401, b"who are you?")

    with ChatServer(answer) as server:
        wanted = rewriting(root, "interrupted", server.url)
        with pytest.raises(ModelUnavailableError, match=r"who are you\?"):
            make_trajectories(wanted)
    kept = (Path(wanted.folder) / "rewritings.jsonl").read_bytes().count(b"\n") - 1
    assert 0 < kept < 8
    with ChatServer(lambda body: f"So: {note_of(body)}") as server:
        card = make_trajectories(rewriting(root, "interrupted", server.url))
    assert card.rewritten == {"rewritten": 8}


def test_a_context_that_overflows_ends_an_episode_and_not_the_set(stage: Stage, root: Path) -> None:
    model = Model(stage)
    full = {question.text for question in stage.parts.questions[::3]}
    too_long = (400, b'{"error": {"message": "too long", "code": "context_length_exceeded"}}')

    def answer(body: dict[str, Any]) -> Any:
        asked = [one["content"] for one in body["messages"] if one["role"] != "system"]
        return too_long if asked[0] in full and len(asked) > 1 else model(body)

    with ChatServer(answer) as server:
        wanted = served(root, server.url, folder=str(root / "full"))
        card = make_trajectories(wanted)
    lines = (Path(wanted.folder) / "rollouts.jsonl").read_bytes().splitlines()[1:]
    played = [msgspec.json.decode(line, type=Rollout) for line in lines]
    cut = [one for one in played if one.scored.trajectory.question.text in full]
    assert cut
    for one in cut:
        assert one.scored.trajectory.ending == "tokens"
        assert one.scored.score.total is not None
        assert one.scored.trajectory.turns[-1].observation == ""
    assert set(card.rejected) == {"no answer: tokens"}
    assert sum(card.parts.values()) + card.rejected["no answer: tokens"] == card.judged


@pytest.mark.parametrize(
    ("params", "left", "sent"),
    [
        ({}, None, {}),
        ({"max_tokens": 512}, None, {"max_tokens": 512}),
        ({}, 100, {"max_tokens": 100}),
        ({"max_tokens": 512}, 100, {"max_tokens": 100}),
        ({"max_tokens": 50}, 100, {"max_tokens": 50}),
        ({"max_completion_tokens": 512}, 100, {"max_completion_tokens": 100}),
    ],
)
def test_a_served_policy_asks_for_no_more_tokens_than_are_left_and_counts_them(
    params: dict[str, Any], left: int | None, sent: dict[str, int]
) -> None:
    body = {
        "choices": [{"message": {"content": "hm"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 7},
    }

    async def ask(url: str, options: dict[str, Any], own: dict[str, Any]) -> Written:
        async with Endpoint(EndpointSettings(url=url, model="m", options=options)) as endpoint:
            served = ServedTeacher(
                endpoint, HERMES, guided=False, settings=ServedSettings(params=own)
            )
            policy = served.begin(question())
            return await policy.act_within([{"role": "user", "content": "q"}], left)

    with ChatServer(lambda _: (200, msgspec.json.encode(body))) as server:
        for options, own in ((params, {}), ({}, params)):
            assert asyncio.run(ask(server.url, options, own)) == Written(
                text="hm", tokens=7, tokens_read=9
            )
            asked = server.asked[-1]
            assert {name: asked[name] for name in asked if "tokens" in name} == sent
