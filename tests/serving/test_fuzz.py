"""Malformed requests are answered, none with a 500.

`MEDENV_FUZZ=10000` sends as many instead of a few hundred.
"""

from __future__ import annotations

import json
import os

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from .fuzz import BODIES, ODD, fuzz
from .served import ANSWER, SEARCH, Client, serving

COUNT = int(os.environ.get("MEDENV_FUZZ", "400"))


def test_no_http_request_is_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    with serving(sessions=10_000) as where:
        statuses = fuzz(where, COUNT)
        assert statuses.total() == COUNT
        assert not [status for status in statuses if status >= 500 and status not in (503, 504)]
        assert {200, 404, 405, 422} <= set(statuses), statuses
        assert statuses[422] > COUNT / 20
        assert httpx.get(f"http://{where}/health").json() == {"status": "healthy"}
    assert "Traceback" not in caplog.text


def test_no_websocket_message_ends_a_session(caplog: pytest.LogCaptureFixture) -> None:
    draw = np.random.default_rng(0)
    kinds = ("reset", "step", "state", "mcp", "", "open", None)
    keys = ("seed", "episode_id", "split", "index", "resume", "text", "metadata", "jsonrpc",
            "method", "params", "id")  # fmt: skip

    def one(among: tuple[object, ...]) -> object:
        return among[int(draw.integers(len(among)))]

    with serving() as where, Client(where) as client:
        codes = set()
        for number in range(COUNT):
            data = {str(one(keys)): one(ODD) for _ in range(3)}
            message = {"type": one(kinds), "data": data if draw.random() < 0.8 else one(ODD)}
            raw = one(BODIES) if number % 5 == 0 else json.dumps(message)
            answer = client.ask(raw)
            assert answer["type"] in ("observation", "state", "error", "mcp")
            codes.add(answer["data"].get("code") if answer["type"] == "error" else None)
        assert {None, "INVALID_JSON", "UNKNOWN_TYPE", "VALIDATION_ERROR"} <= codes
        client.reset()
        client.step(SEARCH)
        assert client.step(ANSWER)["done"] is True
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\xff" + b"\xff" * 12,  # 2^64 bytes announced
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x83\x80\x00\x00\x00\x00",  # an unknown opcode
        b"\x81\x02{}",  # not masked
        b"\x81\x82\x00\x00\x00\x00\xff\xff",  # no UTF-8
        b"\x80\x80\x00\x00\x00\x00",  # a continuation of nothing
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_broken_frame_ends_its_connection_alone(frame: bytes) -> None:
    with serving() as where, Client(where) as other:
        other.reset()
        with Client(where) as broken:
            broken.reset()
            broken.socket.socket.sendall(frame)
            with pytest.raises(ConnectionClosed):
                broken.socket.recv(timeout=5)
        assert other.step(ANSWER)["done"] is True
