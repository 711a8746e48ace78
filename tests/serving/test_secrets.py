"""A client that wants to be paid without research finds nothing to be paid for."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from medenv.records import Entity, Hop, Passage, Question
from medenv.serving.store import JOURNAL, RUNNING

from ..fakes import SEARCH, Shelf, question
from .served import Client, parts, serving

GOLD = "Zyxwvutin"
SECRETS = (GOLD, "G:SECRET", "TOPIC:SECRET", "HOP:SECRET", "walk-secret", "question-id-secret")
"""The gold answer, what stands in the certificate, and the id of the question."""


def secret(number: int, split: str) -> Question:
    """A question whose answer and certificate stand nowhere in the corpus."""
    made = question(number)
    assert made.certificate is not None
    hop = Hop(head="HOP:SECRET", relation="gene_of", tail="G:SECRET", passages=("HOP:SECRET#0",))
    return msgspec.structs.replace(
        made,
        id=f"question-id-secret-{GOLD}-{number}",
        text=f"Which gene? ({number})",
        split=split,
        topic=Entity(id="TOPIC:SECRET", kind="disease", name="a secret topic"),
        answers=(Entity(id="G:SECRET", kind="gene", name=GOLD),),
        certificate=msgspec.structs.replace(
            made.certificate, query=["walk-secret"], answers=("G:SECRET",), path=(hop,)
        ),
        reasoning=f"the answer is {GOLD}",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state") / "served"


@pytest.fixture(scope="module")
def where(folder: Path) -> Iterator[str]:
    asked = [secret(i, split) for i, split in enumerate(("train", "test"))]
    corpus = Shelf([Passage(id="D:1#0", title="Other", text="Nothing of interest.")])
    with serving(parts(questions=asked, corpus=corpus), folder=folder) as where:
        yield where


def clean(text: str) -> bool:
    return not any(one.lower() in text.lower() for one in SECRETS)


def test_the_search_for_secrets_can_find_some() -> None:
    assert not clean(msgspec.json.encode(secret(0, "train")).decode())


PATHS = (
    "/health", "/metadata", "/schema", "/state", "/metrics", "/openapi.json", "/docs", "/redoc",
    "/list_environments", "/Served-v0/splits", "/state?episode_id=e", "/web", "/snapshots",
    "/episodes.jsonl", "/running.db", "/../episodes.jsonl", "/%2e%2e/episodes.jsonl",
    "/Served-v0/../../etc/passwd", "/state?episode_id=../episodes.jsonl", "/questions",
)  # fmt: skip


def test_no_path_tells_anything(where: str) -> None:
    with Client(where) as client:
        client.reset(episode_id="e")
        client.step(SEARCH)
        for path in PATHS:
            found = httpx.get(f"http://{where}{path}")
            assert clean(found.text), path
            assert clean(str(found.headers)), path


def test_no_message_before_the_end_tells_anything(where: str) -> None:
    replies: list[Any] = []
    with Client(where) as client:
        for split in ("train", "test"):
            replies.append(client.reset(split=split, index=0, episode_id="e"))
            for text in (SEARCH, "<tool_call>{", f"I answer {GOLD[:3]}", "<answer></answer"):
                found = client.step(text)
                assert (found["reward"], found["done"]) == (0.0, False)
                assert "score" not in json.dumps(found.get("metadata", {}))
                replies.append(found)
            replies.append(client.state())
        replies.append(client.reset(episode_id="e", resume=True))
    assert clean(json.dumps(replies))


WRONG = (
    {"type": "reset", "data": {"question": f"question-id-secret-{GOLD}-0"}},
    {"type": "reset", "data": {"episode_id": "question-id", "resume": True}},
    {"type": "reset", "data": {"split": "answers"}},
    {"type": "reset", "data": {"split": "train", "index": 9}},
    {"type": "reset", "data": {"options": {"reveal": True}}},
    {"type": "step", "data": {"text": "a", "question": "b"}},
    {"type": "step", "data": {"text": "a", "metadata": {"debug": True}}},
    {"type": "snapshot"},
    {"type": "state", "data": {"all": True}},
    {"type": "mcp", "data": {"jsonrpc": "2.0", "method": "resources/list", "id": 1}},
    {"type": "mcp", "data": {"jsonrpc": "2.0", "method": "tools/call", "id": 1,
                             "params": {"name": "read", "arguments": {"passage_id": "HOP:1#0"}}}},
)  # fmt: skip


def test_no_error_tells_anything(where: str) -> None:
    with Client(where) as client:
        client.reset()
        for message in WRONG:
            own = json.dumps(message)
            answer = json.dumps(client.ask(message)).replace(own, "")
            assert clean(answer.replace(f"question-id-secret-{GOLD}-0", "")), message


def test_the_end_tells_the_score_and_not_the_answer(where: str) -> None:
    with Client(where) as client:
        client.reset(split="train", index=0)
        last = client.step("<answer>something else</answer>")
        assert (last["done"], last["reward"]) == (True, 0.0)
        assert clean(json.dumps(last))
        assert "reason" not in json.dumps(last)
        client.reset(split="train", index=0)
        assert client.step(f"<answer>{GOLD}</answer>")["reward"] > 0


def test_tasks_are_texts_and_numbers(where: str) -> None:
    for path, body in (
        ("tasks", {"split": "train"}),
        ("task", {"split": "train", "index": 0}),
        ("task_range", {"split": "test"}),
    ):
        found = httpx.post(f"http://{where}/Served-v0/{path}", json=body).json()
        assert clean(json.dumps(found))
        for task in found.get("tasks", [found.get("task")]):
            assert set(task) == {"split", "index", "text"}


def test_a_score_is_told_once(where: str) -> None:
    """An answer ends the episode: no second try, neither in place nor by resuming."""
    with Client(where) as client:
        client.reset(episode_id="once", split="train", index=0)
        client.step("<answer>a guess</answer>")
        step = {"type": "step", "data": {"text": f"<answer>{GOLD}</answer>"}}
        assert client.refused(step) == "EXECUTION_ERROR"
        resume = {"type": "reset", "data": {"episode_id": "once", "resume": True}}
        assert client.refused(resume) == "SESSION_ERROR"


def test_ids_of_others_are_not_found(where: str) -> None:
    with Client(where) as client:
        begin = client.reset(split="train", index=0)
    guesses = [begin["metadata"]["episode_id"][:-1] + letter for letter in "0123456789abcdef"]
    own = begin["metadata"]["episode_id"]
    for guess in itertools.chain(guesses, ("train:0", "0", "../e", "' OR 1=1 --")):
        if guess != own:
            step = {"action": {"text": SEARCH}, "episode_id": guess}
            assert httpx.post(f"http://{where}/step", json=step).status_code == 404


def test_snapshots_are_readable_for_the_owner_only(where: str, folder: Path) -> None:
    for path in (folder, folder / JOURNAL, folder / RUNNING):
        assert path.stat().st_mode & 0o077 == 0
    for path in ("/ws/../running.db", "/running.db", "/mcp/episodes.jsonl"):
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            Client(where, path)
