"""The web_search tool: queries a configurable HTTP search API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import httpx

from medenv.errors import ToolUnavailableError, UsageError, describe
from medenv.io.network import route_to
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.secrets import expand_variables

_REJECTED_QUERY = frozenset((400, 413, 414, 422, 431))


class WebSearch(Tool):
    """Tool that searches the web through an API.

    A query that the API rejects is a mistake of the policy; any other failure of the API is an
    infrastructure failure.

    Args:
        url: URL of the API.
        results: Path to the list of results in the response, separated by dots.
        query: Name of the query parameter, or of the body's field if `method` is POST.
        fields: Names of title, URL and snippet in a result.
        method: ``"GET"`` or ``"POST"`` with a JSON body.
        options: ``params`` of each request, and ``headers``, in which ``${NAME}`` is replaced by an
            environment variable.
        k: Number of results to show.
        transport: HTTP transport; for tests.

    Raises:
        UsageError: `k` below 1, or an environment variable that is not set.
    """

    name = "web_search"
    local = False

    def __init__(  # noqa: PLR0913 - APIs differ in these; all but the first two have defaults
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
        response = self._request(query)
        if response.status_code in _REJECTED_QUERY:
            text = f"the search engine refused the query ({response.status_code})"
            return ToolOutput(text=text, status="bad_call")
        found = self._results_of(response)[: self._k]
        if not found:
            return ToolOutput(text="Nothing was found; try other words.", status="empty")
        title, url, snippet = self._fields
        lines = [
            f"[{n}] {_text(hit, title)} ({_text(hit, url)}): {_text(hit, snippet)}"
            for n, hit in enumerate(found, 1)
        ]
        shown = tuple(_text(hit, url) for hit in found)
        return ToolOutput(text="\n".join(lines), passages=shown)

    def _request(self, query: str) -> httpx.Response:
        parameters = {**self._params, self._query: query}
        try:
            if self._method == "GET":
                return self._client.get(self._url, params=parameters)
            return self._client.post(self._url, json=parameters)
        except httpx.HTTPError as error:
            raise ToolUnavailableError(f"search API{self._route}: {describe(error)}") from error

    def _results_of(self, response: httpx.Response) -> list[Any]:
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
