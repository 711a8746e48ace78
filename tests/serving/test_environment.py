"""A served environment, message by message, as OpenEnv's protocol has them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from medenv.build.environment import make_parts
from medenv.dialects import Hermes
from medenv.errors import InfraError, UsageError
from medenv.records import Score, Trajectory
from medenv.serving import EnvironmentServer, Limits, Tokens
from medenv.tools import Tool, ToolOutput

from ..fakes import Flaky, exact
from .served import ANSWER, SEARCH, Client, parts, questions, serving


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    with serving() as where:
        yield where


@pytest.fixture
def client(where: str) -> Iterator[Client]:
    with Client(where) as client:
        yield client


def post(where: str, path: str, body: Any = None) -> httpx.Response:
    return httpx.post(f"http://{where}{path}", json=body)


# episodes


def test_an_episode_over_a_websocket(client: Client) -> None:
    begin = client.reset(split="test", index=1, episode_id="mine")
    asked = questions()[4].text
    assert begin["observation"]["messages"][-1] == {"role": "user", "content": asked}
    assert begin["metadata"] == {
        "episode_id": "mine", "split": "test", "index": 1, "step_count": 0
    }  # fmt: skip
    assert (begin["reward"], begin["done"]) == (None, False)
    seen = client.step(SEARCH)
    assert "Gene: FBN1" in seen["observation"]["text"]
    assert (seen["reward"], seen["done"]) == (0.0, False)
    assert seen["observation"]["turns_left"] == 7
    wrong = client.step("<tool_call>{</tool_call>")
    assert wrong["observation"]["problems"]
    last = client.step(ANSWER)
    assert last["done"] is True
    assert last["metadata"]["ending"] == "answered"
    assert last["reward"] == last["metadata"]["score"]["total"]
    assert client.state()["step_count"] == 3


@pytest.mark.parametrize("seed", [0, 1, 7, 2**63 - 1])
def test_a_seed_draws_the_question_that_gymnasium_draws(client: Client, seed: int) -> None:
    text, _ = parts().env().reset(seed=seed)
    assert client.reset(seed=seed)["observation"]["text"] == text


def test_resets_without_a_seed_draw_questions_by_the_servers_seed() -> None:
    drawn = []
    for _ in range(2):
        with serving() as where, Client(where) as client:
            metadata = [client.reset()["metadata"] for _ in range(12)]
            drawn.append([(one["split"], one["index"]) for one in metadata])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 1


def test_an_episode_ends_with_its_budget(where: str) -> None:
    with serving(parts(budget={"turns": 2})) as where, Client(where) as client:
        client.reset()
        client.step(SEARCH)
        last = client.step(SEARCH)
        assert (last["done"], last["reward"]) == (True, 0.0)
        assert last["metadata"]["ending"] == "turns"


def test_an_episode_over_http(where: str) -> None:
    begin = post(where, "/reset", {"split": "train", "index": 0}).json()
    episode = begin["metadata"]["episode_id"]
    step = {"action": {"text": SEARCH}, "episode_id": episode, "timeout_s": 5, "request_id": "r"}
    assert "FBN1" in post(where, "/step", step).json()["observation"]["text"]
    state = httpx.get(f"http://{where}/state", params={"episode_id": episode}).json()
    assert (state["step_count"], state["done"]) == (1, False)
    last = post(where, "/step", step | {"action": {"text": ANSWER}}).json()
    assert (last["reward"], last["done"]) == (1.3, True)
    assert post(where, "/step", step).status_code == 404


# errors


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "INVALID_JSON"),
        ("", "INVALID_JSON"),
        (b"\xff\xfe", "INVALID_JSON"),
        ("[" * 100_000, "INVALID_JSON"),
        ('{"type": "state", "x": "\\ud800"}', "VALIDATION_ERROR"),
        ('{"type": "step", "data": {"txt": "\\udfff"}}', "VALIDATION_ERROR"),
        ("[]", "VALIDATION_ERROR"),
        ("3", "VALIDATION_ERROR"),
        ("{}", "UNKNOWN_TYPE"),
        ({"type": "restart"}, "UNKNOWN_TYPE"),
        ({"type": 3}, "UNKNOWN_TYPE"),
        ({"type": "step"}, "VALIDATION_ERROR"),
        ({"type": "step", "data": {"text": 3}}, "VALIDATION_ERROR"),
        ({"type": "step", "data": {"text": "a", "tool": "b"}}, "VALIDATION_ERROR"),
        ({"type": "state", "data": {}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"seed": -1}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"seed": 2**70}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"seed": 1.5}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"episode_id": "x" * 256}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"episode_id": ""}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"split": "validation"}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"index": 0}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"split": "test", "index": 2}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"resume": True}}, "VALIDATION_ERROR"),
        ({"type": "reset", "data": {"resume": True, "episode_id": "no"}}, "SESSION_ERROR"),
        ({"type": "step", "data": {"text": "a" * 131_073}}, "VALIDATION_ERROR"),
        ({"type": "mcp", "data": 3}, "VALIDATION_ERROR"),
    ],
)
def test_a_wrong_message_is_refused_and_changes_nothing(
    client: Client, message: Any, code: str
) -> None:
    client.reset(episode_id="running")
    client.step(SEARCH)
    before = client.state()
    assert client.refused(message) == code
    assert client.state() == before
    assert client.step(ANSWER)["done"] is True


def test_a_text_may_hold_what_cannot_be_encoded(client: Client) -> None:
    client.reset(episode_id="lone")
    assert client.step("<tool_call>\ud800</tool_call>")["observation"]["problems"]
    assert client.step(ANSWER + "\udfff")["reward"] > 1


def test_unknown_reset_arguments_are_ignored(client: Client) -> None:
    assert client.reset(prompt="a row of a data set", level=3)["done"] is False


def test_a_step_needs_a_running_episode(client: Client) -> None:
    step = {"type": "step", "data": {"text": ANSWER}}
    assert client.refused(step) == "EXECUTION_ERROR"
    client.reset()
    client.step(ANSWER)
    assert client.refused(step) == "EXECUTION_ERROR"


def test_a_tool_that_does_not_answer_costs_no_turn() -> None:
    with serving(parts([Flaky(2)])) as where, Client(where) as client:
        client.reset()
        step = {"type": "step", "data": {"text": SEARCH}}
        assert [client.refused(step), client.refused(step)] == ["EXECUTION_ERROR"] * 2
        assert client.state()["step_count"] == 0
        assert client.step(SEARCH)["observation"]["text"].startswith("found")
        assert client.step(ANSWER)["reward"] > 1


def test_an_episode_that_cannot_be_scored_has_no_reward() -> None:
    def judge(trajectory: Trajectory) -> Score:
        raise InfraError("the judge at http://secret is away")

    with serving(parts(scoring=judge)) as where, Client(where) as client:
        client.reset()
        last = client.step(ANSWER)
        assert (last["reward"], last["done"]) == (None, True)
        assert "leave it out" in last["metadata"]["failure"]
        assert "secret" not in json.dumps(last)


class Broken(Hermes):
    """A dialect with a bug."""

    def observation(self, *_: Any) -> str:
        raise ZeroDivisionError("gold answer FBN1")


def test_a_bug_is_answered_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    with serving(parts(dialect=Broken())) as where, Client(where) as client:
        client.reset()
        answer = client.ask({"type": "step", "data": {"text": SEARCH}})
        assert answer["data"]["code"] == "EXECUTION_ERROR"
        assert "FBN1" not in json.dumps(answer)
        assert client.step(ANSWER)["done"] is True
        over_http = post(where, "/reset").json()["metadata"]["episode_id"]
        failed = post(where, "/step", {"action": {"text": SEARCH}, "episode_id": over_http})
        assert failed.status_code == 500
        assert "FBN1" not in failed.text
    assert "ZeroDivisionError" in caplog.text


# many sessions


class Slow(Tool):
    """A search that blocks its thread."""

    name = "search"
    local = False

    def call(self, query: str) -> ToolOutput:
        """Search for a while.

        Args:
            query: Anything.
        """
        time.sleep(0.3)
        return ToolOutput(text="found")


def test_a_tool_that_blocks_delays_no_other_session() -> None:
    with serving(parts([Slow()])) as where, Client(where) as slow, Client(where) as quick:
        slow.reset()
        slow.socket.send(json.dumps({"type": "step", "data": {"text": SEARCH}}))
        begun = time.perf_counter()
        quick.reset()
        assert quick.step(ANSWER)["done"] is True
        assert time.perf_counter() - begun < 0.25
        assert "found" in json.loads(slow.socket.recv())["data"]["observation"]["text"]


def test_a_server_that_stops_answers_the_steps_in_progress() -> None:
    server = contextlib.ExitStack()
    where = server.enter_context(serving(parts([Slow()])))
    with Client(where) as client, Client(where) as other:
        client.reset()
        other.reset()
        client.socket.send(json.dumps({"type": "step", "data": {"text": SEARCH}}))
        time.sleep(0.1)
        stopping = threading.Thread(target=server.close)
        stopping.start()
        time.sleep(0.1)
        assert other.refused({"type": "step", "data": {"text": SEARCH}}) == "SESSION_ERROR"
        answer = json.loads(client.socket.recv(timeout=5))
        assert "found" in answer["data"]["observation"]["text"]
        with pytest.raises(ConnectionClosed) as closed:
            client.socket.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        stopping.join()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{where}/health")


def test_a_step_over_http_waits_no_longer_than_it_may() -> None:
    with serving(parts([Slow()])) as where:
        episode = post(where, "/reset").json()["metadata"]["episode_id"]
        step = {"action": {"text": SEARCH}, "episode_id": episode, "timeout_s": 0.05}
        late = post(where, "/step", step)
        assert late.status_code == 504
        assert "repeat" in late.json()["detail"]
        assert post(where, "/step", step | {"timeout_s": 5}).json()["done"] is False


def test_two_steps_of_one_episode_do_not_mix() -> None:
    with serving(parts([Slow()])) as where:
        episode = post(where, "/reset").json()["metadata"]["episode_id"]
        step = {"action": {"text": SEARCH}, "episode_id": episode}
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(post(where, "/step", step).status_code))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 409, 409, 409]


def test_an_episode_is_not_replaced_while_a_step_is_in_progress() -> None:
    with serving(parts([Slow()])) as where, Client(where) as client, Client(where) as other:
        client.reset(episode_id="one")
        step = {"action": {"text": SEARCH}, "episode_id": "one"}
        statuses: list[int] = []
        thread = threading.Thread(
            target=lambda: statuses.append(post(where, "/step", step).status_code)
        )
        thread.start()
        time.sleep(0.1)
        again = {"type": "reset", "data": {"episode_id": "one"}}
        resume = {"type": "reset", "data": {"episode_id": "one", "resume": True}}
        assert client.refused(again) == other.refused(resume) == "SESSION_ERROR"
        thread.join()
        assert statuses == [200]
        assert client.state()["step_count"] == 1


def test_hundreds_of_sessions_play_at_once() -> None:
    from websockets.asyncio.client import connect

    async def one(where: str) -> float:
        async with connect(f"ws://{where}/ws", proxy=None, open_timeout=30) as socket:
            for message in (
                {"type": "reset", "data": {}},
                *({"type": "step", "data": {"text": text}} for text in (SEARCH, ANSWER)),
            ):
                await socket.send(json.dumps(message))
                data = json.loads(await socket.recv())["data"]
            return float(data["reward"])

    async def everyone(where: str) -> list[float]:
        return await asyncio.gather(*(one(where) for _ in range(300)))

    with serving(sessions=300) as where:
        assert asyncio.run(everyone(where)) == [1.3] * 300


def test_sessions_are_limited_and_freed() -> None:
    with serving(sessions=2) as where, Client(where) as first, Client(where):
        with Client(where) as third:
            answer = json.loads(third.socket.recv())
            assert answer["data"]["code"] == "CAPACITY_REACHED"
            assert answer["data"]["retry_after"] > 0
            with pytest.raises(ConnectionClosed):
                third.socket.recv()
        busy = post(where, "/reset")
        assert (busy.status_code, busy.json()["code"]) == (503, "CAPACITY_REACHED")
        assert int(busy.headers["retry-after"]) >= 1
        first.socket.send('{"type": "close"}')
        with pytest.raises(ConnectionClosed):
            first.socket.recv()
        assert post(where, "/reset").status_code == 200


def test_an_idle_session_ends_and_its_episode_can_be_resumed() -> None:
    with serving(idle_seconds=0.2) as where:
        with Client(where) as idle:
            idle.reset(episode_id="e")
            idle.step(SEARCH)
            answer = json.loads(idle.socket.recv(timeout=5))
            assert answer["data"]["code"] == "SESSION_ERROR"
            with pytest.raises(ConnectionClosed):
                idle.socket.recv()
        with Client(where) as again:
            found = again.reset(episode_id="e", resume=True)
            assert found["metadata"]["step_count"] == 1
            assert again.step(ANSWER)["reward"] > 1


def test_a_client_that_does_not_read_holds_up_nobody_and_loses_its_session() -> None:
    reset = b'{"type":"reset"}'
    frames = (bytes([0x81, 0x80 | len(reset)]) + bytes(4) + reset) * 1_000_000
    with serving(idle_seconds=1.0, sessions=2) as where, Client(where) as other:
        host, _, port = where.partition(":")
        with socket.create_connection((host, int(port))) as greedy:
            handshake = (
                f"GET /ws HTTP/1.1\r\nHost: {where}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            greedy.sendall(handshake.encode())
            greedy.settimeout(0.2)
            # The server takes no more while nothing is read; on a busy machine it has hung up.
            with pytest.raises((TimeoutError, ConnectionError)):
                greedy.sendall(frames)
            for _ in range(10):
                other.reset()
                assert other.step(ANSWER)["done"] is True
            assert any(free(where) for _ in range(100))


def free(where: str) -> bool:
    """Whether a further session can be opened; waits a little where not."""
    opened = post(where, "/reset").status_code == 200
    if not opened:
        time.sleep(0.1)
    return opened


# quotas


def test_a_session_has_a_rate() -> None:
    with serving(steps_per_second=0.5) as where, Client(where) as client:
        for _ in range(5):
            client.reset()
        answer = client.ask({"type": "reset"})
        assert answer["data"]["code"] == "CAPACITY_REACHED"
        assert 1.5 < answer["data"]["retry_after"] <= 2.0


def test_a_connection_has_a_number_of_episodes() -> None:
    with serving(episodes_per_session=2) as where, Client(where) as client:
        client.reset()
        client.reset()
        assert client.refused({"type": "reset"}) == "CAPACITY_REACHED"


def test_a_request_has_a_length() -> None:
    with serving(message_bytes=1000) as where:
        assert post(where, "/reset", {"x": "a" * 1000}).status_code == 413
        with Client(where) as client:
            client.socket.send("a" * 1001)
            with pytest.raises(ConnectionClosed) as closed:
                client.socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("limits", [{"sessions": 0}, {"idle_seconds": -1.0}, {"text_chars": 0}])
def test_a_limit_is_positive(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(limits))):
        Limits(**limits)


# access

TOKENS = Tokens({"ann": "a" * 16, "bob": "b" * 16})


def bearer(letter: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {letter * 16}"}


def test_a_token_is_needed_where_there_are_tokens() -> None:
    with serving(tokens=TOKENS) as where:
        assert httpx.get(f"http://{where}/health").json() == {"status": "healthy"}
        for path in ("/metadata", "/metrics", "/schema", "/openapi.json", "/state", "/nowhere"):
            refused = httpx.get(f"http://{where}{path}")
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        for header in ({}, bearer("c"), {"Authorization": f"Basic {'a' * 16}"}):
            with pytest.raises(InvalidStatus) as status:
                Client(where, additional_headers=header)
            assert status.value.response.status_code == 401
        with Client(where, additional_headers=bearer("a")) as client:
            assert client.reset()["done"] is False


def test_an_episode_belongs_to_the_client_that_began_it() -> None:
    with serving(tokens=TOKENS) as where:
        url, ann, bob = f"http://{where}", bearer("a"), bearer("b")
        httpx.post(f"{url}/reset", json={"episode_id": "e"}, headers=ann)
        step = {"action": {"text": ANSWER}, "episode_id": "e"}
        assert httpx.post(f"{url}/step", json=step, headers=bob).status_code == 404
        asked = {"params": {"episode_id": "e"}, "headers": bob}
        assert httpx.get(f"{url}/state", **asked).status_code == 404  # type: ignore[arg-type]  # a table
        with Client(where, additional_headers=bob) as client:
            resume = {"type": "reset", "data": {"episode_id": "e", "resume": True}}
            assert client.refused(resume) == "SESSION_ERROR"
            client.reset(episode_id="e")  # an episode of bob's own
        assert httpx.post(f"{url}/step", json=step, headers=ann).json()["done"] is True


def test_a_client_has_a_number_of_sessions() -> None:
    with serving(tokens=TOKENS, sessions_per_client=1) as where:
        codes = [
            httpx.post(f"http://{where}/reset", headers=bearer(letter)).status_code
            for letter in "aab"
        ]
        assert codes == [200, 429, 200]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "null"},
    ],
)
def test_a_web_page_cannot_reach_the_server(where: str, headers: dict[str, str]) -> None:
    assert httpx.get(f"http://{where}/health", headers=headers).status_code == 403
    if "Host" not in headers:
        with pytest.raises(InvalidStatus) as status:
            Client(where, additional_headers=headers)
        assert status.value.response.status_code == 403


# resuming


def test_an_interrupted_episode_is_resumed_by_its_id(where: str) -> None:
    lost = Client(where)
    lost.reset(episode_id="lost", split="train", index=2)
    shown = lost.step(SEARCH)["observation"]["text"]
    lost.drop()
    with Client(where) as client:
        found = client.reset(episode_id="lost", resume=True)
        assert found["observation"]["text"] == shown
        roles = [message["role"] for message in found["observation"]["messages"]]
        assert roles == ["system", "user", "assistant", "tool"]
        assert (found["metadata"]["index"], found["metadata"]["step_count"]) == (2, 1)
        assert client.step(ANSWER)["reward"] == 1.3


def test_an_end_that_was_lost_on_its_way_is_told_again(where: str) -> None:
    lost = Client(where)
    lost.reset(episode_id="end")
    last = lost.step(ANSWER)
    lost.drop()
    with Client(where) as client:
        found = client.reset(episode_id="end", resume=True)
        assert (found["reward"], found["done"]) == (last["reward"], True)
        assert found["metadata"]["score"] == last["metadata"]["score"]
        resume = {"type": "reset", "data": {"episode_id": "end", "resume": True}}
        assert client.refused(resume) == "SESSION_ERROR"


def test_a_new_connection_takes_a_running_episode_over(where: str) -> None:
    with Client(where) as old, Client(where) as new:
        old.reset(episode_id="one")
        assert new.refused({"type": "reset", "data": {"episode_id": "one"}}) == "SESSION_ERROR"
        assert new.reset(episode_id="one", resume=True)["done"] is False
        assert json.loads(old.socket.recv())["data"]["code"] == "SESSION_ERROR"
        assert new.step(ANSWER)["done"] is True


def test_a_websocket_can_name_the_episode_in_its_address(where: str) -> None:
    post(where, "/reset", {"episode_id": "attached"})
    with Client(where, "/ws?session_id=attached") as client:
        assert client.state()["episode_id"] == "attached"
        assert client.step(ANSWER)["done"] is True
    with Client(where, "/ws?session_id=nothing") as client:
        assert json.loads(client.socket.recv())["data"]["code"] == "SESSION_ERROR"
        with pytest.raises(ConnectionClosed):
            client.socket.recv()


def test_close_discards_the_episode(where: str) -> None:
    with Client(where) as client:
        client.reset(episode_id="gone")
        client.socket.send('{"type": "close"}')
        with pytest.raises(ConnectionClosed):
            client.socket.recv()
    with Client(where) as client:
        resume = {"type": "reset", "data": {"episode_id": "gone", "resume": True}}
        assert client.refused(resume) == "SESSION_ERROR"


# descriptions


def test_the_tasks_are_the_questions_of_the_splits(where: str) -> None:
    base = f"http://{where}"
    assert httpx.get(f"{base}/list_environments").json() == ["Served-v0"]
    splits = httpx.get(f"{base}/Served-v0/splits").json()
    assert splits == [{"name": "test", "type": "test"}, {"name": "train", "type": "train"}]
    assert post(where, "/served-V0/num_tasks", {"split": "train"}).json() == {"num_tasks": 3}
    tasks = post(where, "/Served-v0/tasks", {"split": "test"}).json()
    assert tasks["env_name"] == "Served-v0"
    texts = [one.text for one in questions() if one.split == "test"]
    assert [task["text"] for task in tasks["tasks"]] == texts
    one = post(where, "/Served-v0/task", {"split": "test", "index": 1}).json()
    assert one == {"task": {"split": "test", "index": 1, "text": texts[1]}}
    some = post(where, "/Served-v0/task_range", {"split": "train", "start": 1, "stop": 9}).json()
    assert [task["index"] for task in some["tasks"]] == [1, 2]
    for wrong in (
        {"split": "test", "index": 2},
        {"split": "test", "index": -1},
        {"split": "x", "index": 0},
    ):
        assert post(where, "/Served-v0/task", wrong).status_code == 400
    assert post(where, "/Other-v0/tasks", {"split": "test"}).status_code == 404


def test_the_openapi_description_names_what_is_there(where: str) -> None:
    found = httpx.get(f"http://{where}/openapi.json").json()
    assert found["info"]["version"].startswith("1.")
    for path, operations in found["paths"].items():
        for method in operations:
            url = f"http://{where}{path.replace('{env_name}', 'Served-v0')}"
            assert httpx.request(method, url).status_code not in (404, 405, 500), path
        other = "get" if "post" in operations else "post"
        assert httpx.request(other, f"http://{where}{path}").status_code in (404, 405)
    assert "/metrics" in found["paths"]


def test_the_schemas_hold_for_what_is_sent(client: Client, where: str) -> None:
    import jsonschema

    schemas = httpx.get(f"http://{where}/schema").json()
    begin, last = client.reset(), client.step(ANSWER)
    for reply in (begin, last):
        jsonschema.validate(reply["observation"], schemas["observation"])
    jsonschema.validate(client.state(), schemas["state"])
    for schema in schemas.values():
        (definition,) = [one for name, one in schema["$defs"].items() if name != "Message"]
        assert "Args:" not in json.dumps(definition)
        assert all("description" in field for field in definition["properties"].values())
    jsonschema.validate({"text": "a", "metadata": {"b": 1}}, schemas["action"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"text": "a", "other": 1}, schemas["action"])


def test_the_metrics_count(where: str) -> None:
    def figure(name: str) -> float:
        lines = httpx.get(f"http://{where}/metrics").text.splitlines()
        (line,) = [one for one in lines if one.startswith(f"{name} ")]
        return float(line.split()[1])

    begun, steps = figure("medenv_episodes_begun_total"), figure("medenv_step_seconds_count")
    with Client(where) as client:
        client.reset()
        client.step(SEARCH)
        client.step(ANSWER)
        assert figure("medenv_sessions_open") >= 1
        client.refused("{")
    assert figure("medenv_episodes_begun_total") == begun + 1
    assert figure("medenv_step_seconds_count") == steps + 2
    assert figure('medenv_requests_refused_total{code="INVALID_JSON"}') >= 1


# MCP


def rpc(method: str, number: int = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "id": number, "params": params}


def test_a_tool_call_over_mcp_is_a_turn_of_the_episode(client: Client) -> None:
    listed = client.ask({"type": "mcp", "data": rpc("tools/list")})["data"]["result"]["tools"]
    assert [tool["name"] for tool in listed] == ["search", "read"]
    assert listed[0]["inputSchema"]["required"] == ["query"]
    call = {"type": "mcp", "data": rpc("tools/call", name="search", arguments={"query": "lens"})}
    assert client.ask(call)["data"]["error"]["data"] == {"code": "EXECUTION_ERROR"}
    client.reset()
    found = client.ask(call)["data"]["result"]
    assert "Gene: FBN1" in found["content"][0]["text"]
    assert client.state()["step_count"] == 1
    for _ in range(7):
        found = client.ask(call)["data"]["result"]
    assert (found["done"], found["reward"]) == (True, 0.0)


def test_a_session_over_http_mcp(where: str) -> None:
    created = post(where, "/mcp", rpc("openenv/session/create", split="test", index=0)).json()
    name = created["result"]["session_id"]
    assert questions()[3].text in created["result"]["observation"]["text"]
    call = rpc("tools/call", name="search", arguments={"query": "x"}, session_id=name)
    assert "FBN1" in post(where, "/mcp", call).json()["result"]["content"][0]["text"]
    close = rpc("openenv/session/close", session_id=name)
    assert post(where, "/mcp", close).json()["result"]["closed"] is True
    assert post(where, "/mcp", call).json()["error"]["code"] == -32000
    with Client(where) as client:
        client.reset(episode_id="connected")
        close = rpc("openenv/session/close", session_id="connected")
        assert post(where, "/mcp", close).json()["error"]["data"] == {"code": "SESSION_ERROR"}
        assert client.step(ANSWER)["done"] is True


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, -32600),
        ([], -32600),
        ({"jsonrpc": "1.0", "method": "tools/list"}, -32600),
        (rpc("tools/eat"), -32601),
        (rpc("tools/call"), -32602),
        (rpc("tools/call", name="search"), -32602),
        (rpc("tools/call", name="eat"), -32602),
        (rpc("tools/call", name="search", arguments=[]), -32602),
        (rpc("openenv/session/create", seed="x"), -32602),
        (rpc("openenv/session/close"), -32602),
    ],
)
def test_a_wrong_mcp_request_has_an_error(where: str, request_: Any, code: int) -> None:
    answer = post(where, "/mcp", request_)
    assert answer.status_code == 200
    assert (answer.json()["jsonrpc"], answer.json()["error"]["code"]) == ("2.0", code)
    with Client(where, "/mcp") as client:
        assert client.ask(request_)["error"]["code"] == code or "session_id" not in str(request_)


def test_the_mcp_websocket_lists_tools(where: str) -> None:
    with Client(where, "/mcp") as client:
        assert client.ask("{")["error"]["code"] == -32700
        assert len(client.ask(rpc("tools/list"))["result"]["tools"]) == 2


def test_a_server_made_of_a_custom_reward() -> None:
    made = make_parts(questions=questions(), scoring=exact, tools=())
    with serving(made) as where, Client(where) as client:
        client.reset()
        assert client.step(ANSWER)["reward"] == 1.0


def test_the_application_is_an_asgi_application() -> None:
    async def ask() -> int:
        app = EnvironmentServer(parts())
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://any") as client:
            return (await client.get("/health")).status_code

    assert asyncio.run(ask()) == 200
