"""Fetching never leaves the public web, whatever is asked; searching takes any API."""

from __future__ import annotations

import asyncio
import codecs
import gzip
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import ToolUnavailableError, UsageError
from medenv.io.network import resolve_host
from medenv.records import ToolCall, ToolResult
from medenv.tools import Tool, ToolBox
from medenv.tools.web import Fetcher, Refused, SiteFailed, Visit, WebSearch
from medenv.tools.web.charset import decode

PUBLIC = "93.184.216.34"


Answer = Callable[[httpx.Request], httpx.Response]


def page(text: str = "hello", kind: str = "text/plain", status: int = 200) -> Answer:
    return lambda _: httpx.Response(status, text=text, headers={"content-type": kind})


class Web:
    """Names, what they resolve to each time they are asked, and what is answered."""

    def __init__(self, answer: Answer, names: dict[str, list[list[str]]] | None = None) -> None:
        self.answer, self.names = answer, names or {}
        self.connected: list[tuple[str, str, Any]] = []

    def resolve(self, host: str, port: int) -> Sequence[str]:
        if host not in self.names:
            return [PUBLIC]
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def fetcher(self, **options: Any) -> Fetcher:
        def handle(request: httpx.Request) -> httpx.Response:
            name = request.extensions["sni_hostname"]
            self.connected.append((request.url.host, request.headers["host"], name))
            return self.answer(request)

        transport = httpx.MockTransport(handle)
        return Fetcher(resolve=self.resolve, transport=transport, **options)


def test_the_connection_is_made_to_the_address_that_was_checked() -> None:
    web = Web(page(), {"site.org": [[PUBLIC, "8.8.8.8"], ["127.0.0.1"]]})
    assert web.fetcher().fetch("https://site.org/a?b#c").text == "hello"
    assert web.connected == [(PUBLIC, "site.org", "site.org")]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://site.org",
            "file:///etc/passwd",
            "gopher://site.org",
            "//site.org",
            "site.org",
            "",
        ),
        *(
            "http://user@site.org",
            "http://u:p@site.org",
            "http://site.org:22",
            "http://site.org:443",
        ),
        *("http://", "http://[::1", "javascript:alert(1)", "http://\x00"),
    ],
)
def test_a_strange_address_is_refused_before_anything_is_resolved(url: str) -> None:
    web = Web(page())
    with pytest.raises(Refused):
        web.fetcher().fetch(url)
    assert web.connected == []


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]"),
        *("[::ffff:127.0.0.1]", "169.254.169.254", "[fe80::1%25lo]", "0", "10.1"),
    ],
)
def test_no_way_to_write_an_inner_address_gets_through(host: str) -> None:
    fetcher = Fetcher(resolve=resolve_host, transport=httpx.MockTransport(page()))
    with pytest.raises(Refused):
        fetcher.fetch(f"http://{host}/")


def test_one_inner_address_among_public_ones_is_enough_to_refuse() -> None:
    web = Web(page(), {"site.org": [[PUBLIC, "10.0.0.1"]]})
    with pytest.raises(Refused, match=r"'site\.org' is not on the public web"):
        web.fetcher().fetch("http://site.org")


@pytest.mark.parametrize(
    "target", ["http://inner.org/", "http://127.0.0.1/", "file:///etc/passwd", "//inner.org/x"]
)
def test_every_redirect_is_checked_again(target: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": target})

    web = Web(answer, {"inner.org": [["10.0.0.1"]], "127.0.0.1": [["127.0.0.1"]]})
    with pytest.raises(Refused):
        web.fetcher().fetch("http://site.org")
    assert len(web.connected) == 1


def test_a_name_that_changes_its_mind_between_redirects_is_refused() -> None:
    web = Web(
        lambda _: httpx.Response(302, headers={"location": "/again"}),
        {"site.org": [[PUBLIC], ["169.254.169.254"]]},
    )
    with pytest.raises(Refused, match="not on the public web"):
        web.fetcher().fetch("http://site.org")
    assert [host for host, _, _ in web.connected] == [PUBLIC]


def test_redirects_come_to_an_end() -> None:
    web = Web(lambda _: httpx.Response(301, headers={"location": "/again"}))
    with pytest.raises(Refused, match="more than 3 redirects"):
        web.fetcher(max_redirects=3).fetch("http://site.org")
    assert len(web.connected) == 4


@pytest.mark.parametrize(
    ("answer", "error", "problem"),
    [
        (page(kind="application/pdf"), Refused, "of the type 'application/pdf'"),
        (page(kind=""), Refused, "of the type 'unknown'"),
        (page(status=404), Refused, "the site answered 404"),
        (page(status=503), SiteFailed, "answered 503"),
        (page(status=429), SiteFailed, "answered 429"),
    ],
    ids=["type", "no type", "missing", "down", "busy"],
)
def test_what_is_no_page_is_told_apart_from_what_failed(
    answer: Answer, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        Web(answer).fetcher().fetch("http://site.org")


def test_a_long_page_is_cut_and_an_unknown_host_is_refused() -> None:
    assert len(Web(page("x" * 500_000)).fetcher(max_bytes=1000).fetch("http://a.org").text) == 1000

    def nothing(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    with pytest.raises(Refused, match=r"'a\.org' cannot be found"):
        Fetcher(resolve=nothing, transport=httpx.MockTransport(page())).fetch("http://a.org")


def failing(error: Exception) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


DEAD: dict[str, Answer] = {
    "dead": failing(httpx.ConnectError("refused")),
    "slow": failing(httpx.ReadTimeout("nothing came")),
    "broken": failing(httpx.RemoteProtocolError("no HTTP")),
    "busy": page(status=503),
    "odd redirect": lambda _: httpx.Response(302, headers={"location": "http://[::1"}),
    "not gzip": lambda _: httpx.Response(
        200, headers={"content-type": "text/plain", "content-encoding": "gzip"}, content=b"plain"
    ),
}


@pytest.mark.parametrize("answer", DEAD.values(), ids=DEAD)
def test_a_site_that_fails_is_an_observation_since_the_policy_chose_it(answer: Answer) -> None:
    with pytest.raises(SiteFailed):
        Web(answer).fetcher().fetch("http://site.org")
    shown = run(Visit(Web(answer).fetcher()), url="http://site.org")
    assert shown.status == "empty"
    assert "'http://site.org' was not read: the site " in shown.text


def test_a_page_has_as_long_as_it_has_even_if_it_trickles() -> None:
    class Trickle(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.02)
                yield b"x"

    kind = {"content-type": "text/plain"}
    web = Web(lambda _: httpx.Response(200, headers=kind, stream=Trickle()))
    begun = time.monotonic()
    with pytest.raises(SiteFailed, match="took longer than"):
        web.fetcher(seconds=0.2).fetch("http://site.org")
    assert time.monotonic() - begun < 2
    with pytest.raises(SiteFailed, match="took longer than 0 s"):
        Web(page()).fetcher(seconds=0.0).fetch("http://site.org")


def test_a_site_that_never_ends_its_headers_is_an_observation_in_time() -> None:
    over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.02):
                connection.sendall(b"x")

    class Near(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.url = request.url.copy_with(host="127.0.0.1", port=port)
            return await super().handle_async_request(request)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        fetcher = Fetcher(seconds=0.3, transport=Near(), resolve=lambda *_: [PUBLIC])
        begun = time.monotonic()
        assert run(Visit(fetcher), url="http://site.org").status == "empty"
        assert time.monotonic() - begun < 5
        over.set()
        thread.join()
        fetcher.close()


def test_a_packed_page_is_unpacked_within_bounds() -> None:
    def packed(body: bytes) -> Web:
        kind = {"content-type": "text/plain", "content-encoding": "gzip"}
        return Web(lambda _: httpx.Response(200, headers=kind, stream=httpx.ByteStream(body)))

    assert packed(gzip.compress(b"hello")).fetcher().fetch("http://a.org").text == "hello"
    bomb = gzip.compress(b"x" * 50_000_000)
    assert len(packed(bomb).fetcher(max_bytes=1000).fetch("http://a.org").text) == 1000


RUSSIAN = "Болезнь Марфана"


def encoded(kind: str, body: bytes) -> str:
    """What `Fetcher` reads of a body under a content type."""
    answer = httpx.Response(200, headers={"content-type": kind}, content=body)
    return Web(lambda _: answer).fetcher().fetch("http://site.org").text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain; charset=windows-1251", RUSSIAN.encode("cp1251")),
        ('text/plain; charset="KOI8-R"', RUSSIAN.encode("koi8-r")),
        ("text/plain", RUSSIAN.encode("utf-8-sig")),
        ("text/plain", codecs.BOM_UTF16_LE + RUSSIAN.encode("utf-16-le")),
        ("text/plain", codecs.BOM_UTF16_BE + RUSSIAN.encode("utf-16-be")),
        ("text/plain", RUSSIAN.encode()),
        ("application/json", RUSSIAN.encode()),
    ],
    ids=["header", "quoted", "UTF-8 mark", "little endian", "big endian", "none", "JSON"],
)
def test_text_is_decoded_by_header_then_mark_then_as_utf_8(kind: str, body: bytes) -> None:
    assert encoded(kind, body) == RUSSIAN


@pytest.mark.parametrize(
    "declaration",
    [
        '<meta charset="windows-1251">',
        "<META CHARSET=windows-1251>",
        '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">',
        "<?xml version='1.0' encoding='windows-1251'?>",
    ],
)
def test_a_page_may_declare_its_charset_itself(declaration: str) -> None:
    whole = f"{declaration}<p>{RUSSIAN}</p>"
    assert encoded("text/html", whole.encode("cp1251")) == whole
    if declaration.startswith("<meta"):
        lying = declaration.replace("windows-1251", "utf-16")
        assert encoded("text/html", f"{lying}{RUSSIAN}".encode()) == lying + RUSSIAN


def test_latin_1_is_read_as_browsers_read_it() -> None:
    assert encoded("text/plain; charset=iso-8859-1", "“5 µg”".encode("cp1252")) == "“5 µg”"


ODD_CHARSETS = [
    *("utf8mb4", "utf-8,gbk", "none", "", "hex", "rot13", "idna", "punycode", "undefined"),
    *("unicode_escape", "x" * 5000, "../../etc", "ü", "zlib_codec", "binary"),
]


@pytest.mark.parametrize("charset", ODD_CHARSETS, ids=lambda name: name[:12] or "empty")
def test_no_charset_raises_and_one_that_is_none_is_passed_over(charset: str) -> None:
    assert decode(b"\xffFBN1 \\ud800", charset).endswith("FBN1 \\ud800")
    assert decode(f"<meta charset='{charset}'>".encode() + b"FBN1").endswith("FBN1")


@given(st.binary(max_size=200), st.sampled_from([None, *ODD_CHARSETS, "utf-16", "cp1252"]))
def test_no_bytes_raise_whatever_they_say_they_are(body: bytes, charset: str | None) -> None:
    assert isinstance(decode(body, charset), str)


def run(one: Tool, **arguments: Any) -> ToolResult:
    return ToolBox([one]).run(ToolCall(id="0.0", name=one.name, arguments=arguments))


def test_visit_shows_a_page_window_by_window() -> None:
    visit = Visit(Web(page("abcdefgh")).fetcher(), window_chars=5)
    first = run(visit, url="http://site.org/x")
    assert (first.text, first.passages) == (
        "abcde\n… (it goes on: start=5)",
        ("http://site.org/x",),
    )
    assert run(visit, url="http://site.org/x", start=5).text == "fgh"
    assert run(visit, url="http://site.org/x", start=9).status == "empty"
    refused = run(visit, url="http://user@site.org")
    assert (refused.status, refused.text[:40]) == (
        "bad_call",
        "'http://user@site.org' was not read: add",
    )


def test_visit_shows_the_main_text_of_a_page() -> None:
    pytest.importorskip("trafilatura", reason="the extra `web` is not installed")
    article = "<p>Marfan syndrome is caused by variants in FBN1.</p>" * 5
    html = (
        f"<html><body><nav>Menu</nav><script>x()</script><article>{article}</article></body></html>"
    )
    text = run(Visit(Web(page(html, "text/html")).fetcher()), url="http://site.org").text
    assert "caused by variants in FBN1" in text
    assert "x()" not in text
    short = run(
        Visit(Web(page("<p>hello</p>", "text/html")).fetcher()),
        url="http://a.org",
    )
    assert (short.status, short.text) == ("ok", "hello")


def test_any_search_api_is_a_matter_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_KEY", "secret")
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = [{"t": "A\nB", "link": "http://a.org", "s": "text"}, {"link": "http://b.org"}]
        return httpx.Response(200, json={"web": {"results": found}})

    options = {"headers": {"X-Key": "Bearer ${SEARCH_KEY}"}, "params": {"lang": "en"}}
    for method in ("GET", "POST"):
        search = WebSearch(
            "http://api.org/find",
            "web.results",
            query="query",
            fields=("t", "link", "s"),
            method=method,  # type: ignore[arg-type]  # from a table
            options=options,
            transport=httpx.MockTransport(answer),
        )
        found = run(search, query="marfan")
        assert found.text.splitlines() == ["[1] A B (http://a.org): text", "[2]  (http://b.org): "]
        assert found.passages == ("http://a.org", "http://b.org")
    got, posted = asked
    assert got.headers["x-key"] == "Bearer secret"
    assert dict(got.url.params) == {"lang": "en", "query": "marfan"}
    assert b'"query":"marfan"' in posted.content.replace(b" ", b"")


def test_an_api_that_fails_is_a_failure_outside_and_an_odd_answer_is_empty() -> None:
    def search(response: httpx.Response) -> WebSearch:
        return WebSearch("http://api", "a.b", transport=httpx.MockTransport(lambda _: response))

    with pytest.raises(ToolUnavailableError, match="search API: HTTPStatusError"):
        run(search(httpx.Response(500)), query="x")
    with pytest.raises(ToolUnavailableError, match="search API: JSONDecodeError"):
        run(search(httpx.Response(200, text="<html>")), query="x")
    assert run(search(httpx.Response(200, json={"a": []})), query="x").status == "empty"
    assert run(search(httpx.Response(200, json={})), query=" ").status == "bad_call"


@pytest.mark.parametrize("status", [400, 413, 414, 422])
def test_a_query_that_the_api_refuses_is_the_policys_mistake(status: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text="too long"))
    assert run(WebSearch("http://api", "a", transport=transport), query="x" * 90_000).status == (
        "bad_call"
    )


def test_a_missing_key_is_told() -> None:
    with pytest.raises(UsageError, match="variable MEDENV_NO_SUCH_KEY is not set"):
        WebSearch("http://a", "b", options={"headers": {"k": "${MEDENV_NO_SUCH_KEY}"}})
