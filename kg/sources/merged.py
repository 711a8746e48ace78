"""Several sources as one graph, see `medenv.kg.graph.merging`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from medenv.errors import UsageError
from medenv.kg.graph import Graph
from medenv.kg.graph.merging import merge
from medenv.kg.sources import open_source
from medenv.records import Record


class MergedSource(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the sources that are merged.

    Args:
        source: Name of the source; the name that it is listed under by default.
        path: What it reads, or None.
        options: Its own options.
    """

    source: str
    path: str | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)


def load_merged(
    *,
    sources: Mapping[str, Mapping[str, Any] | None],
    namespaces: Iterable[str] = (),
    same_name: Iterable[str] = (),
) -> Graph:
    """Return the merged graph of several sources; `Graph.info` counts what was merged and dropped.

    Args:
        sources: Name to a mapping of the fields of `MergedSource`, the most trusted first.
        namespaces: Namespaces whose ids are kept before others.
        same_name: Kinds in which the same name means the same entity, e.g. genes.

    Raises:
        UsageError: Fewer than two sources, an unknown field, or sources that cannot be merged.
        DataError: A file is missing, cut short or malformed.
    """
    if not isinstance(sources, Mapping) or len(sources) < 2:
        raise UsageError(f"expected two sources or more by name, got {sources!r:.200}")
    try:
        listed = [
            msgspec.convert({"source": name} | dict(one or {}), MergedSource)
            for name, one in sources.items()
        ]
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise UsageError(f"sources: {error}; got {sources!r:.200}") from error
    graphs = [open_source(one.source, one.path, one.options) for one in listed]
    return merge(graphs, namespaces, same_name)
