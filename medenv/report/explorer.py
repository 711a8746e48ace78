"""Interactive pages that draw a part of a knowledge graph, optionally with questions about it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from medenv.io import write_text
from medenv.report.html import NOTICE, environment, escaped_json


def explorer(title: str, lead: str, foot: str, data: Mapping[str, Any]) -> str:
    """Return a self-contained page with a force-directed drawing of a graph.

    Args:
        title: Heading.
        lead: Sentence below the heading.
        foot: Source, version and licence of the data.
        data: A `medenv.kg.graph.pictures.Picture`, or a `Catalogue` of questions to search.
    """
    script, style = _read("explorer.js.j2"), _read("page.css.j2") + _read("explorer.css.j2")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("explorer.html.j2")
        .render(
            title=title,
            lead=lead,
            foot=foot,
            browsing="questions" in data,
            data=Markup(escaped_json(data)),
            page_style=Markup(style),  # a file of this package, not user input
            page_script=Markup(script),
            page_script_hash=digest,
            page_notice=NOTICE,
        )
    )


def write_explorer(
    path: Path | str, title: str, lead: str, foot: str, data: Mapping[str, Any]
) -> None:
    """Write the page of `explorer` to a file; its folder is created if missing.

    Args:
        path: The HTML file.
        title: Heading.
        lead: Sentence below the heading.
        foot: Source, version and licence of the data.
        data: See `explorer`.
    """
    write_text(path, explorer(title, lead, foot, data))


def _read(name: str) -> str:
    return resources.files("medenv.report").joinpath(name).read_text(encoding="utf-8")
