"""Self-contained HTML pages from templates with a common layout, style and script.

A page makes no requests: style and script are inline, and its content security policy forbids
external resources. Only the page's own script, identified by its hash, may run, so that text which
is not escaped by mistake is still harmless.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from medenv.io import write_text
from medenv.report import formatting as words
from medenv.report.charts import SMALL, draw, shared_legend
from medenv.report.contrast import contrast_cells, contrast_title

NOTICE = "For research use. Not medical advice: do not use it to make decisions about patients."
"""Notice in the footer of every page."""


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Return the template environment, with autoescaping and strict undefined names.

    Filters: `show`, `change` and `span` (numbers as text with a unit), `number`, `odds`, `draw`
    (layout of a chart), `shared_legend`, `contrast_title` and `contrast_cells`. The macros in
    ``parts.html.j2`` use them to draw charts, tables and episodes.
    """
    loader = jinja2.FunctionLoader(_read)
    found = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "show": words.show,
        "change": words.show_difference,
        "span": words.span,
        "number": words.number,
        "odds": words.odds,
        "draw": draw,
        "contrast_title": contrast_title,
        "contrast_cells": contrast_cells,
        "shared_legend": shared_legend,
    }
    found.globals["small"] = SMALL
    return found


def escaped_json(data: object) -> str:
    """Return JSON without ``<``, so that it cannot close the HTML element that contains it.

    Args:
        data: What JSON can express.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def render(template: str, context: Mapping[str, object], script: str = "") -> str:
    """Render a page.

    Args:
        template: Name of a template that extends ``layout.html.j2``.
        context: Variables of the template.
        script: Name of a file with more script, or ``""``.
    """
    style = _read("page.css.j2")
    script = _read("page.js.j2") + (_read(script) if script else "")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template(template)
        .render(
            context,
            page_style=Markup(style),  # a file of this package, not user input
            page_script=Markup(script),
            page_script_hash=digest,
            page_notice=NOTICE,
        )
    )


def write_page(
    path: Path | str, template: str, context: Mapping[str, object], script: str = ""
) -> None:
    """Render a page to a file; its folder is created if missing.

    Args:
        path: The HTML file.
        template: Name of a template that extends ``layout.html.j2``.
        context: Variables of the template.
        script: Name of a file with more script, or ``""``.

    Raises:
        DataError: The file cannot be written.
    """
    write_text(path, render(template, context, script))


def _read(name: str) -> str:
    return resources.files("medenv.report").joinpath(name).read_text(encoding="utf-8")
