"""Served environments under check: ours pass, and broken ones fail what they break."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from medenv.conformance import check
from medenv.errors import UsageError
from medenv.serving import EnvironmentServer, Tokens
from medenv.serving.web import App

from ..serving.served import parts, running, serving


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    with serving() as where:
        yield where


def test_what_we_serve_keeps_every_contract(where: str) -> None:
    report = check(f"env:http://{where}")
    assert [one for one in report.results if one.outcome != "passed"] == []
    assert len(report.results) == 8


class Broken:
    """Ours, but each reset draws another question, and a request that it cannot read is a 500."""

    def __init__(self, inner: EnvironmentServer) -> None:
        self.inner, self.begun = inner, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def altered() -> Any:
            message = await receive()
            if '"reset"' in (message.get("text") or ""):
                self.begun += 1
                message = {**message, "text": message["text"].replace(": 0}", f": {self.begun}}}")}
            return message

        async def failing(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] in (400, 422):
                message = {**message, "status": 500}
            await send(message)

        await self.inner(scope, altered, failing)


def test_a_broken_server_fails_what_it_breaks() -> None:
    app: App = Broken(EnvironmentServer(parts()))
    with running(app) as where:
        report = check(f"env:http://{where}")
    broken = {one.name for one in report.results if one.outcome == "failed"}
    assert broken == {
        "a seed decides the beginning",
        "malformed requests are no fault of the server",
    }


def test_a_token_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens({"ann": "a" * 24})
    with running(EnvironmentServer(parts()), tokens) as where:
        with pytest.raises(UsageError, match="no environment is served at"):
            check(f"env:http://{where}")
        monkeypatch.setenv("MEDENV_TOKEN", "a" * 24)
        assert check(f"env:http://{where}").passed


def test_a_url_where_nothing_is_served_is_told() -> None:
    with pytest.raises(UsageError, match="no environment is served at"):
        check("env:http://127.0.0.1:9")
