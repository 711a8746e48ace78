"""The visit tool: an address in, a window of the page's text out."""

from __future__ import annotations

from medenv.errors import UsageError
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.web.fetch import Fetcher, Page, Refused


class Visit(Tool):
    """Reads pages of the public web, as text.

    Args:
        fetcher: Fetches pages; the default has the limits of `Fetcher`.
        window_chars: Characters shown by one call.

    Raises:
        UsageError: `window_chars` below 1.
    """

    name = "visit"
    local = False

    def __init__(self, fetcher: Fetcher | None = None, *, window_chars: int = 4000) -> None:
        if window_chars < 1:
            raise UsageError(f"window_chars must be at least 1, got {window_chars}")
        super().__init__()
        self._fetcher, self._window = fetcher or Fetcher(), window_chars

    def call(self, url: str, start: int = 0) -> ToolOutput:
        """Read a page of the web.

        Args:
            url: Its address, such as a search has shown.
            start: Character to begin at, to read on where an earlier window ended.
        """
        try:
            page = self._fetcher.fetch(url.strip())
        except Refused as error:
            return ToolOutput(text=f"{url[:200]!r} was not read: {error}", status="bad_call")
        text = extract(page)
        shown = text[max(0, start) :][: self._window]
        if not shown:
            return ToolOutput(text=f"the page has no text after character {start}", status="empty")
        end = max(0, start) + len(shown)
        tail = f"\n… (it goes on: start={end})" if end < len(text) else ""
        return ToolOutput(text=shown + tail, passages=(page.url,), numbered=False)


def extract(page: Page) -> str:
    """Return the main text of a page.

    Args:
        page: What was fetched.

    Raises:
        UsageError: The library for it is not installed.
    """
    if page.kind not in ("text/html", "application/xhtml+xml"):
        return page.text
    try:
        import trafilatura
    except ImportError as error:
        raise UsageError("reading pages needs the extra `web`: pip install medenv[web]") from error
    return trafilatura.extract(page.text, include_comments=False, include_tables=True) or ""
