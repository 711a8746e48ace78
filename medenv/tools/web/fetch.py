"""Fetch pages of the public web only.

For every URL in a chain of redirects, the scheme must be http or https on the default port, without
a user; all addresses of the host must be public, and the connection is made to the checked address,
which prevents DNS rebinding. Proxies of the environment are not used. Size, total time and media
type of a response are limited.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import httpx

from medenv.errors import describe
from medenv.io.network import is_public, resolve_host
from medenv.tools.waiting import in_thread, wait_for
from medenv.tools.web.charset import decode

Resolve = Callable[[str, int], Sequence[str]]
"""Function from host and port to addresses; raises OSError if there are none."""

TYPES = ("text/html", "application/xhtml+xml", "text/plain", "application/json", "text/xml")
"""Supported media types."""

_PORTS = {"http": 80, "https": 443}
_AGENT = "medenv (research agent)"


class Refused(ValueError):
    """A URL that must not or cannot be fetched; the message is for the policy."""


class SiteFailed(ValueError):
    """A site that is unreachable, busy or broken; the message is for the policy.

    The policy chose the site, so this is an observation, not an infrastructure failure.
    """


class Page(NamedTuple):
    """A fetched page.

    Attributes:
        url: URL after all redirects.
        kind: Media type.
        text: The body, decoded.
    """

    url: str
    kind: str
    text: str


class _Body(NamedTuple):
    """An undecoded page; decoding would block the event loop."""

    url: str
    kind: str
    charset: str | None
    content: bytes


class Fetcher:
    """Client for pages of the public web.

    Args:
        seconds: Timeout for one page, including redirects.
        max_bytes: Maximum number of bytes to read of a body.
        max_redirects: Maximum number of redirects.
        resolve: Function that resolves host names; for tests.
        transport: HTTP transport; for tests.
    """

    def __init__(
        self,
        *,
        seconds: float = 20.0,
        max_bytes: int = 2_000_000,
        max_redirects: int = 5,
        resolve: Resolve = resolve_host,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._seconds, self._max_bytes, self._max_redirects = seconds, max_bytes, max_redirects
        self._resolve, self._transport = resolve, transport
        self._client: tuple[int, httpx.AsyncClient] | None = None

    def fetch(self, url: str) -> Page:
        """Fetch a page.

        Args:
            url: URL of the page.

        Raises:
            Refused: The URL or a redirect must not be fetched, or is not a page.
            SiteFailed: The site or the connection failed.
        """
        found = wait_for(self._fetch(url))
        return Page(found.url, found.kind, decode(found.content, found.charset))

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None and self._client[0] == os.getpid():
            wait_for(self._client[1].aclose())
        self._client = None

    async def _fetch(self, url: str) -> _Body:
        try:
            async with asyncio.timeout(self._seconds):
                for _ in range(self._max_redirects + 1):
                    found = await self._once(httpx.URL(url))
                    if isinstance(found, _Body):
                        return found
                    url = found
        except TimeoutError as error:
            raise SiteFailed(f"the site took longer than {self._seconds:g} s") from error
        except httpx.InvalidURL as error:
            raise Refused(f"no address: {error}") from error
        except (httpx.HTTPError, UnicodeError) as error:
            raise SiteFailed(f"the site failed ({describe(error)})") from error
        raise Refused(f"more than {self._max_redirects} redirects")

    async def _once(self, url: httpx.URL) -> _Body | str:
        """Fetch one URL; return the body, or the target of a redirect."""
        address = await self._public_address(url)
        host = f"[{address}]" if ":" in address else address
        client = self._open()
        request = client.build_request(
            "GET",
            url.copy_with(host=host, fragment=None),
            headers={"host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        response = await client.send(request, stream=True)
        try:
            if response.has_redirect_location:
                return str(url.join(response.headers["location"]))
            return await self._read(url, response)
        finally:
            await response.aclose()

    def _open(self) -> httpx.AsyncClient:
        """Return the client of this process, for the tools' event loop only."""
        if self._client is None or self._client[0] != os.getpid():
            client = httpx.AsyncClient(
                transport=self._transport,
                timeout=self._seconds,
                trust_env=False,
                follow_redirects=False,
                headers={"user-agent": _AGENT, "accept-encoding": "gzip"},
            )
            self._client = os.getpid(), client
        return self._client[1]

    async def _public_address(self, url: httpx.URL) -> str:
        """Return the address to connect to.

        Raises:
            Refused: The host is not on the public web.
        """
        if url.scheme not in _PORTS or not url.host:
            raise Refused("only http and https addresses with a host are fetched")
        if url.userinfo or url.port not in (None, _PORTS[url.scheme]):
            raise Refused("addresses with a user or a port of their own are not fetched")
        try:
            name, port = url.raw_host.decode("ascii"), _PORTS[url.scheme]
            addresses = await in_thread(self._resolve, name, port)
        except (OSError, UnicodeError) as error:
            raise Refused(f"{url.host!r} cannot be found") from error
        if not addresses or not all(map(is_public, addresses)):
            raise Refused(f"{url.host!r} is not on the public web")
        return addresses[0].partition("%")[0]

    async def _read(self, url: httpx.URL, response: httpx.Response) -> _Body:
        """Read a response within the limits."""
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise SiteFailed(f"the site answered {response.status_code}")
        if response.status_code != 200:
            raise Refused(f"the site answered {response.status_code}")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            raise Refused(f"it is of the type {kind or 'unknown'!r}; only texts are read")
        parts, size = [], 0
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > self._max_bytes:
                break
        content = b"".join(parts)[: self._max_bytes]
        return _Body(str(url), kind, response.charset_encoding, content)
