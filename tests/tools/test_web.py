"""Fetching never leaves the public web, whatever is asked; searching takes any API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from medenv.errors import ToolUnavailableError, UsageError
from medenv.records import ToolCall, ToolResult
from medenv.tools import Tool, ToolBox
from medenv.tools.web import Fetcher, Refused, Visit, WebSearch
from medenv.tools.web.addresses import is_public
from medenv.tools.web.fetch import resolve_host

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "fec0::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001:db8::1"),
        *("2002:a9fe:a9fe::1", "2001:0:53aa:64c::1", "100::1", "", "localhost", "1.2.3"),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_not(address: str) -> None:
    assert is_public(address)


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
        (page(status=503), ToolUnavailableError, "answered 503"),
    ],
    ids=["type", "no type", "missing", "down"],
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


def test_a_network_that_fails_is_a_failure_outside() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ToolUnavailableError, match="ConnectError"):
        Web(answer).fetcher().fetch("http://site.org")
    with pytest.raises(ToolUnavailableError, match="nothing came within 0 s"):
        Web(page()).fetcher(seconds=0.0).fetch("http://site.org")


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


def test_a_missing_key_is_told() -> None:
    with pytest.raises(UsageError, match="variable MEDENV_NO_SUCH_KEY is not set"):
        WebSearch("http://a", "b", options={"headers": {"k": "${MEDENV_NO_SUCH_KEY}"}})
