"""Tools for the live web: search through any HTTP API, and fetch public pages."""

from medenv.tools.web.fetch import Fetcher, Page, Refused, SiteFailed
from medenv.tools.web.search import WebSearch
from medenv.tools.web.visit import Visit

__all__ = ["Fetcher", "Page", "Refused", "SiteFailed", "Visit", "WebSearch"]
