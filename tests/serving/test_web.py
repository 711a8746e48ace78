"""What environment and corpus servers share: who may call them, and how they stop."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from medenv.errors import UsageError
from medenv.retrieval.remote import RemoteRetriever
from medenv.serving import Tokens
from medenv.serving.corpus import CorpusServer
from medenv.serving.web import check_address, is_loopback, listen, web_config

from ..fakes import PASSAGES, Shelf
from .served import Client, running

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_only_loopback_addresses_need_no_token(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    check_address(host, Tokens({"ann": TOKEN}))
    if loopback:
        check_address(host, Tokens({}))
    else:
        with pytest.raises(UsageError, match="needs a token"):
            check_address(host, Tokens({}))
        with pytest.raises(UsageError, match="needs a token"):
            web_config(CorpusServer(Shelf()), host, 0, tokens=Tokens({}))


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"Bearer " + TOKEN.encode(), "ann"),
        (b"bearer  " + TOKEN.encode(), "ann"),
        (b"Bearer " + TOKEN.encode()[:-1], None),
        (b"Bearer " + TOKEN.encode() + b"0", None),
        (b"Basic " + TOKEN.encode(), None),
        (TOKEN.encode(), None),
        (b"", None),
        (b"Bearer", None),
    ],
)
def test_a_token_names_its_client(header: bytes, client: str | None) -> None:
    tokens = Tokens({"ann": TOKEN, "bob": "b" * 16})
    assert tokens.client(header) == client
    assert TOKEN not in repr(vars(tokens))


@pytest.mark.parametrize("named", [{"ann": "short"}, {"ann": "ü" * 16}, {"a": TOKEN, "b": TOKEN}])
def test_a_weak_or_shared_token_is_refused_and_not_shown(named: dict[str, str]) -> None:
    with pytest.raises(UsageError) as error:
        Tokens(named)
    assert not any(token in str(error.value) for token in named.values())


def test_a_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}: .*choose another --port"):
            listen("127.0.0.1", port)


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with running(CorpusServer(Shelf()), Tokens({"ann": TOKEN})) as where:
        yield where


def test_a_corpus_server_takes_the_token_of_the_environment(
    guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert httpx.get(f"http://{guarded}/health").json()["status"] == "ok"
    stranger = RemoteRetriever(f"http://{guarded}")
    with stranger, pytest.raises(UsageError, match="Authorization"):
        stranger.search(["marfan"], 1)
    monkeypatch.setenv("MEDENV_TOKEN", TOKEN)
    with RemoteRetriever(f"http://{guarded}") as remote:
        assert remote.search(["marfan"], 2) == [[(one, 1.0) for one in PASSAGES[:2]]]


def test_a_corpus_server_has_no_websocket(guarded: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        Client(guarded, additional_headers={"Authorization": f"Bearer {TOKEN}"})
    assert refused.value.response.status_code == 404
