"""Which addresses are public, and how servers are reached past the environment's proxies."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from medenv.errors import InfraError, UsageError
from medenv.io.network import is_public, route_to
from medenv.llm.endpoint import Endpoint, EndpointSettings
from medenv.records import ToolCall
from medenv.retrieval.remote import RemoteRetriever
from medenv.reward.components.judge import Judge, JudgeSettings
from medenv.tools import ToolBox
from medenv.tools.mcp import mcp_tools
from medenv.tools.web import WebSearch

PUBLIC = "93.184.216.34"

# From the special-purpose registries of IANA: (network, whether it is globally reachable).
IANA = [
    *(("0.0.0.0/8", False), ("10.0.0.0/8", False), ("100.64.0.0/10", False)),
    *(("127.0.0.0/8", False), ("169.254.0.0/16", False), ("172.16.0.0/12", False)),
    *(("192.0.0.0/29", False), ("192.0.0.8/32", False), ("192.0.0.170/32", False)),
    *(("192.0.2.0/24", False), ("192.88.99.0/24", False), ("192.168.0.0/16", False)),
    *(("198.18.0.0/15", False), ("198.51.100.0/24", False), ("203.0.113.0/24", False)),
    *(("240.0.0.0/4", False), ("255.255.255.255/32", False), ("224.0.0.0/4", False)),
    *(("::1/128", False), ("::/128", False), ("64:ff9b:1::/48", False), ("100::/64", False)),
    *(("100:0:0:1::/64", False), ("2001:2::/48", False), ("2001:db8::/32", False)),
    *(("2001:10::/28", False), ("3fff::/20", False), ("5f00::/16", False), ("fc00::/7", False)),
    *(("fe80::/10", False), ("fec0::/10", False), ("ff00::/8", False), ("2002::/16", False)),
    *(("2001::/32", False), ("2600::/12", True), ("2a00::/12", True), ("8.0.0.0/9", True)),
    *(("172.32.0.0/11", True), ("192.1.0.0/16", True), ("198.20.0.0/14", True)),
]


@pytest.mark.parametrize(("network", "reachable"), IANA)
def test_special_purpose_networks_are_not_public(network: str, reachable: bool) -> None:
    block = ipaddress.ip_network(network)
    for address in (block[0], block[block.num_addresses // 2], block[-1]):
        assert is_public(str(address)) is reachable


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
        *("fd00:ec2::254", "fd20:ce::254"),
    ],
)
def test_metadata_of_clouds_is_not_public(address: str) -> None:
    assert not is_public(address)
    if "." in address:
        assert not is_public(f"::ffff:{address}")


def inside(prefix: str, address: str, shift: int) -> str:
    """An IPv6 address that carries an IPv4 one."""
    carried = int(ipaddress.IPv4Address(address)) << shift
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | carried))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "8.8.8.8"])
def test_an_ipv4_address_inside_an_ipv6_one_is_seen(address: str) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::"):  # mapped, NAT64
        assert is_public(inside(prefix, address, 0)) is is_public(address)
    teredo = str(ipaddress.IPv4Address(int(ipaddress.IPv4Address(address)) ^ 0xFFFFFFFF))
    tunnels = [
        inside("2002::1", address, 80),  # 6to4
        inside("2001::", teredo, 0),  # Teredo
        inside("::", address, 0),  # compatible
        inside("::ffff:0:0:0", address, 0),  # translated
        inside("2600::5efe:0:0", address, 0),  # ISATAP
        inside("2600::200:5efe:0:0", address, 0),
    ]
    assert not any(map(is_public, tunnels))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("fe80::1%eth0", "::ffff:127.0.0.1", "", "localhost", "1.2.3", "0x7f.1", "１27.0.0.1"),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_is_not(address: str) -> None:
    assert is_public(address)


PROXY = "http://me:secret@127.0.0.1:9"


@pytest.fixture
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names a proxy, at which nobody answers."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, PROXY)
        monkeypatch.setenv(name.lower(), PROXY)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("behind_a_proxy")
@pytest.mark.parametrize(
    ("url", "direct"),
    [
        *(("http://127.0.0.1:8400", True), ("http://localhost:8400/v1", True)),
        *(("http://[::1]:8400", True), ("https://10.1.2.3", True), ("http://192.168.0.7:1", True)),
        *((f"http://{PUBLIC}", False), ("https://8.8.8.8/v1", False)),
        ("https://no-such-host.invalid/v1", False),
    ],
)
def test_what_is_near_is_reached_directly_and_the_rest_through_the_proxy(
    url: str, direct: bool
) -> None:
    assert route_to(url).proxy == (None if direct else PROXY)


@pytest.mark.usefixtures("behind_a_proxy")
def test_exceptions_of_the_environment_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "example.invalid,8.8.8.8:8400")
    assert route_to("https://api.example.invalid").proxy is None
    assert route_to("http://8.8.8.8:8400").proxy is None
    assert route_to("http://8.8.8.8:80").proxy == PROXY


def answer_of(tool: Any) -> None:
    ToolBox([tool]).run(ToolCall(id="0.0", name=tool.name, arguments={"query": "x"}))


CLIENTS: dict[str, Callable[[str], Any]] = {
    "corpus": lambda url: RemoteRetriever(url, patience=0.0).search(["x"], 1),
    "model": lambda url: Endpoint(EndpointSettings(url=url, model="m", attempts=1)).complete([]),
    "judge": lambda url: Judge(JudgeSettings(url=url, model="m", rubric={"a": "?"}, attempts=1))(
        "q", ("g",), "a"
    ),
    "search API": lambda url: answer_of(WebSearch(url, "results")),
    "MCP server": lambda url: mcp_tools({"s": {"url": url, "timeout": 5.0, "start_timeout": 5.0}}),
}
"""Every client of a configured server: makes a request to a URL."""

clients = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)


@pytest.mark.usefixtures("behind_a_proxy")
@clients
def test_a_failure_behind_a_proxy_names_the_proxy_without_its_password(
    ask: Callable[[str], Any],
) -> None:
    with pytest.raises(InfraError, match=r"through the proxy http://127\.0\.0\.1:9") as raised:
        ask("http://8.8.8.8")
    assert "secret" not in str(raised.value)


class Seen(ThreadingHTTPServer):
    """A server that redirects every request to one path, and knows which were asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), Redirecting)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/start"


class Redirecting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Seen)
        self.server.paths.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(307)
        # The same machine under another name: another origin, as metadata of a cloud would be.
        self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_DELETE = do_POST

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def redirecting() -> Iterator[Seen]:
    with Seen() as server:
        yield server
        server.shutdown()


@clients
def test_no_client_of_a_configured_server_follows_it_elsewhere(
    ask: Callable[[str], Any], redirecting: Seen
) -> None:
    with pytest.raises((InfraError, UsageError)):
        ask(redirecting.url)
    assert redirecting.paths
    assert not [path for path in redirecting.paths if path.startswith("/elsewhere")]


@pytest.mark.usefixtures("behind_a_proxy")
@clients
def test_a_server_on_this_machine_is_reached_directly(
    ask: Callable[[str], Any], redirecting: Seen
) -> None:
    with pytest.raises((InfraError, UsageError)) as raised:
        ask(redirecting.url)
    assert redirecting.paths
    assert "proxy" not in str(raised.value)


def test_the_routes_of_a_client_are_those_that_it_says() -> None:
    with httpx.Client(transport=route_to("http://127.0.0.1").transport()) as client:
        assert client._mounts == {}  # no proxy of the environment is added behind our back
