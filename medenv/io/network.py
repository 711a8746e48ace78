"""Public IP addresses, and proxies for configured servers.

A URL in the user's configuration may point anywhere. An external URL (from a policy, a redirect or
a served page) must resolve to a public address. Clients of configured servers do not follow
redirects, so that they never use an external URL.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    import httpx

TOKEN_VARIABLE = "MEDENV_TOKEN"
"""Environment variable with the access token of a server, and of its clients."""

# The special-purpose registries of IANA (RFC 6890 and its updates), entries that are not globally
# reachable. Python's own `is_global` follows them late: 3.11 takes 3fff::/20 for public.
_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; 100.100.100.200 serves metadata of Alibaba Cloud
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # metadata of Azure, inside a public block
        "169.254.0.0/16",  # link-local, metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 serves metadata of Oracle Cloud
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4, withdrawn
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA gives out
_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo tunnels (2001::/32) among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 tunnels
        "3fff::/20",  # documentation
    )
)
_CARRIED = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::ffff:0:0/96", "64:ff9b::/96")  # mapped, NAT64
)
_ISATAP = (0x00005EFE, 0x02005EFE)  # third quarter of an IPv6 address that tunnels to an IPv4 one


def is_public(text: str) -> bool:
    """Return whether an IP address is a global unicast address.

    An IPv6 address that embeds an IPv4 address (mapped or NAT64) counts as the IPv4 address;
    tunnels (6to4, Teredo, ISATAP) count as private, since their destination differs.

    Args:
        text: An address as returned by a resolver, with or without a zone.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if not any(address in network for network in _CARRIED):
            tunnel = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
            special = any(address in network for network in _IPV6)
            return address in _UNICAST and not special and not tunnel
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return not any(address in network for network in _IPV4)


def resolve_host(host: str, port: int) -> list[str]:
    """Return all addresses of a host, in the order of the system's preference.

    Args:
        host: Name or address.
        port: Port; most systems ignore it.

    Raises:
        OSError: The host has no address.
        UnicodeError: The name is invalid.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Route(NamedTuple):
    """Route to a server.

    Attributes:
        proxy: URL of the proxy, or None for a direct connection.
    """

    proxy: str | None

    def __str__(self) -> str:
        """Return the proxy for an error message, without its password, or ``""``."""
        if self.proxy is None:
            return ""
        parts = urlsplit(self.proxy)
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return f" (through the proxy {shown} that the environment names)"

    def transport(self, **options: Any) -> httpx.HTTPTransport:
        """Return a transport for `httpx.Client`.

        Args:
            **options: Further arguments of the transport.
        """
        import httpx

        return httpx.HTTPTransport(proxy=self.proxy, **options)

    def async_transport(self, **options: Any) -> httpx.AsyncHTTPTransport:
        """Return a transport for `httpx.AsyncClient`.

        Args:
            **options: Further arguments of the transport.
        """
        import httpx

        return httpx.AsyncHTTPTransport(proxy=self.proxy, **options)


def route_to(url: str) -> Route:
    """Return the route to a configured server.

    The environment's proxies (``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``) apply unless
    ``NO_PROXY`` excludes the server or the server is on this machine or in a private network, where
    a proxy cannot reach it. Names are resolved only if a proxy is set.

    Args:
        url: Address of the server.
    """
    parts = urlsplit(url)
    proxies, host = getproxies(), parts.hostname or ""
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not (proxy and host) or proxy_bypass(parts.netloc.rpartition("@")[2]) or _is_private(host):
        return Route(None)
    return Route(proxy if "://" in proxy else f"http://{proxy}")


def _is_private(host: str) -> bool:
    """Return whether a host has no public address; false if the name cannot be resolved here."""
    try:
        addresses = resolve_host(host, 0)
    except (OSError, UnicodeError):
        return False
    return not any(map(is_public, addresses))
