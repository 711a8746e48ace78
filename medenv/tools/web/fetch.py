"""Pages fetched so that nothing but the public web can be reached.

For every address of a chain of redirects: the scheme is http or https on its own port, no user is
named, the host is resolved here, all of its addresses have to be public, and the connection is made
to the very address that was checked, so that a name that changes its mind changes nothing. Proxies
of the environment are not used. Size, time and type of what comes are limited.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import httpx

from medenv.errors import describe
from medenv.network import is_public, resolve_host
from medenv.tools.web.charset import decode

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to addresses; raises OSError where there are none."""

TYPES = ("text/html", "application/xhtml+xml", "text/plain", "application/json", "text/xml")
"""Media types that are read."""

_PORTS = {"http": 80, "https": 443}
_AGENT = "medenv (research agent)"


class Refused(ValueError):
    """What must not or cannot be fetched, in words for the policy."""


class SiteFailed(ValueError):
    """A site that did not answer, is busy or broken, in words for the policy.

    The policy chose the site, so this is an observation and no failure of the infrastructure.
    """


class Page(NamedTuple):
    """What was fetched.

    Attributes:
        url: Where the last redirect led.
        kind: Media type.
        text: The body, decoded.
    """

    url: str
    kind: str
    text: str


class Fetcher:
    """Fetches pages of the public web.

    Args:
        seconds: Time for one page, redirects included.
        max_bytes: Longest body that is read.
        max_redirects: Redirects followed.
        resolve: Looks up addresses; for tests.
        transport: Sends requests; for tests.
    """

    def __init__(
        self,
        *,
        seconds: float = 20.0,
        max_bytes: int = 2_000_000,
        max_redirects: int = 5,
        resolve: Resolve = resolve_host,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._seconds, self._max_bytes, self._max_redirects = seconds, max_bytes, max_redirects
        self._resolve = resolve
        self._client = httpx.Client(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            headers={"user-agent": _AGENT, "accept-encoding": "gzip"},
        )

    def fetch(self, url: str) -> Page:
        """Fetch a page.

        Args:
            url: Its address.

        Raises:
            Refused: The address or what it leads to must not be fetched, or is no page.
            SiteFailed: The site or the way to it failed.
        """
        end = time.monotonic() + self._seconds
        try:
            for _ in range(self._max_redirects + 1):
                page = self._once(httpx.URL(url), end)
                if isinstance(page, Page):
                    return page
                url = page
        except httpx.InvalidURL as error:
            raise Refused(f"no address: {error}") from error
        except (httpx.HTTPError, UnicodeError) as error:
            raise SiteFailed(f"the site failed ({describe(error)})") from error
        raise Refused(f"more than {self._max_redirects} redirects")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _once(self, url: httpx.URL, end: float) -> Page | str:
        """Fetch one address; return the page, or where it redirects to."""
        left = end - time.monotonic()
        if left <= 0:
            raise SiteFailed(f"nothing came within {self._seconds:g} s")
        address = self._checked(url)
        host = f"[{address}]" if ":" in address else address
        request = self._client.build_request(
            "GET",
            url.copy_with(host=host, fragment=None),
            headers={"host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
            timeout=left,
        )
        response = self._client.send(request, stream=True)
        try:
            if response.has_redirect_location:
                return str(url.join(response.headers["location"]))
            return self._read(url, response, end)
        finally:
            response.close()

    def _checked(self, url: httpx.URL) -> str:
        """Return the address to connect to.

        Raises:
            Refused: It is not of the public web.
        """
        if url.scheme not in _PORTS or not url.host:
            raise Refused("only http and https addresses with a host are fetched")
        if url.userinfo or url.port not in (None, _PORTS[url.scheme]):
            raise Refused("addresses with a user or a port of their own are not fetched")
        try:
            addresses = self._resolve(url.raw_host.decode("ascii"), _PORTS[url.scheme])
        except (OSError, UnicodeError) as error:
            raise Refused(f"{url.host!r} cannot be found") from error
        if not addresses or not all(map(is_public, addresses)):
            raise Refused(f"{url.host!r} is not on the public web")
        return addresses[0].partition("%")[0]

    def _read(self, url: httpx.URL, response: httpx.Response, end: float) -> Page:
        """Read a response within all limits."""
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise SiteFailed(f"the site answered {response.status_code}")
        if response.status_code != 200:
            raise Refused(f"the site answered {response.status_code}")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            raise Refused(f"it is of the type {kind or 'unknown'!r}; only texts are read")
        parts, size = [], 0
        for part in response.iter_bytes():  # as it comes, so that no trickle outlasts the time
            parts.append(part)
            size += len(part)
            if size > self._max_bytes:
                break
            if time.monotonic() > end:
                raise SiteFailed(f"the site took longer than {self._seconds:g} s")
        body = b"".join(parts)[: self._max_bytes]
        return Page(str(url), kind, decode(body, response.charset_encoding))
