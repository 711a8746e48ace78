"""The web_search tool: any HTTP search API, by configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import httpx

from medenv.errors import ToolUnavailableError, UsageError, describe
from medenv.io.network import route_to
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.secrets import expand_variables

_REFUSED = frozenset((400, 413, 414, 422, 431))  # what is wrong with them is the query


class WebSearch(Tool):
    """Searches the web through an API.

    A query that the API refuses is a mistake of the policy; any other failure of the API is one of
    the infrastructure.

    Args:
        url: Address of the API.
        results: Where the list of results lies in the answer, names parted by dots.
        query: Name of the query parameter, or of the body's field where `method` is POST.
        fields: Names of title, address and snippet in a result.
        method: ``"GET"`` or ``"POST"`` with a JSON body.
        options: ``params`` sent with each request, and ``headers``, in which ``${NAME}`` stands for
            an environment variable, so that no key is written down.
        k: Results shown.
        transport: Sends requests; for tests.

    Raises:
        UsageError: `k` below 1, or an environment variable that is not set.
    """

    name = "web_search"
    local = False

    def __init__(  # noqa: PLR0913 - what APIs differ in; all but the first two have defaults
        self,
        url: str,
        results: str,
        *,
        query: str = "q",
        fields: tuple[str, str, str] = ("title", "url", "snippet"),
        method: Literal["GET", "POST"] = "GET",
        options: Mapping[str, Mapping[str, Any]] | None = None,
        k: int = 5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}")
        super().__init__()
        chosen = options or {}
        headers = {
            name: expand_variables(str(text)) for name, text in chosen.get("headers", {}).items()
        }
        self._route = route_to(url)
        self._client = httpx.Client(
            headers=headers, timeout=30.0, transport=transport or self._route.transport()
        )
        self._url, self._results, self._query = url, results.split("."), query
        self._fields, self._method, self._k = fields, method, k
        self._params = dict(chosen.get("params", {}))

    def call(self, query: str) -> ToolOutput:
        """Search the web; returns titles, addresses and snippets.

        Args:
            query: Words to look for.
        """
        if not query.strip():
            return ToolOutput(text="the query is empty: write words to look for", status="bad_call")
        response = self._asked(query)
        if response.status_code in _REFUSED:
            text = f"the search engine refused the query ({response.status_code})"
            return ToolOutput(text=text, status="bad_call")
        found = self._found(response)[: self._k]
        if not found:
            return ToolOutput(text="Nothing was found; try other words.", status="empty")
        title, url, snippet = self._fields
        lines = [
            f"[{n}] {_text(one, title)} ({_text(one, url)}): {_text(one, snippet)}"
            for n, one in enumerate(found, 1)
        ]
        shown = tuple(_text(one, url) for one in found)
        return ToolOutput(text="\n".join(lines), passages=shown)

    def _asked(self, query: str) -> httpx.Response:
        asked = {**self._params, self._query: query}
        try:
            if self._method == "GET":
                return self._client.get(self._url, params=asked)
            return self._client.post(self._url, json=asked)
        except httpx.HTTPError as error:
            raise ToolUnavailableError(f"search API{self._route}: {describe(error)}") from error

    def _found(self, response: httpx.Response) -> list[Any]:
        try:
            found: Any = response.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise ToolUnavailableError(f"search API{self._route}: {describe(error)}") from error
        for name in self._results:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, list) else []


def _text(result: Any, field: str) -> str:
    """Return a field of a result on one line."""
    value = result.get(field, "") if isinstance(result, dict) else ""
    return " ".join(str(value).split())
