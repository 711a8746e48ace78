"""The visit tool: shows a window of a web page's text."""

from __future__ import annotations

from medenv.errors import UsageError, require
from medenv.tools.base import Tool, ToolOutput
from medenv.tools.web.fetch import Fetcher, Page, Refused, SiteFailed


class Visit(Tool):
    """Tool that reads pages of the public web as text.

    A site that is unreachable, busy or broken gives an output of status ``"empty"``.

    Args:
        fetcher: Client that fetches pages; by default with the limits of `Fetcher`.
        window_chars: Number of characters to show per call.

    Raises:
        UsageError: `window_chars` below 1, or the extra `web` is not installed.
    """

    name = "visit"
    local = False

    def __init__(self, fetcher: Fetcher | None = None, *, window_chars: int = 4000) -> None:
        if window_chars < 1:
            raise UsageError(f"window_chars must be at least 1, got {window_chars}")
        require("trafilatura", "web", "pages of the web")
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
        except SiteFailed as error:
            return ToolOutput(text=f"{url[:200]!r} was not read: {error}", status="empty")
        text = extract(page)
        shown = text[max(0, start) :][: self._window]
        if not shown:
            return ToolOutput(text=f"the page has no text after character {start}", status="empty")
        end = max(0, start) + len(shown)
        tail = f"\n… (it goes on: start={end})" if end < len(text) else ""
        return ToolOutput(text=shown + tail, passages=(page.url,), numbered=False)


def extract(page: Page) -> str:
    """Return the main text of a page, or the whole text of a short page.

    Args:
        page: The page.
    """
    if page.kind not in ("text/html", "application/xhtml+xml"):
        return page.text
    import trafilatura  # the import takes a second

    main = trafilatura.extract(page.text, include_comments=False, include_tables=True)
    return main or trafilatura.html2txt(f"<html><body>{page.text}</body></html>")  # or a fragment
