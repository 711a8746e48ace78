"""One self-contained HTML page from a template: the layout, style and script all pages share.

A page makes no request: style and script stand in it, and its content security policy forbids the
rest. The only script that may run is the page's own, named by its hash, so that text which slipped
through unescaped would still be inert.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from medenv.io import write_text
from medenv.report import formatting as words
from medenv.report.charts import SMALL, draw, shared_legend

NOTICE = "For research use. Not medical advice: do not use it to make decisions about patients."
"""Stands at the foot of every page."""


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Return the templates, with escaping on and undefined names an error.

    Filters: `show`, `change` and `span` (numbers in words, with a unit), `number`, `odds`, `draw`
    (a chart to coordinates), `shared_legend`. The macros in ``parts.html.j2`` draw charts, tables
    and episodes with them.
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
        "shared_legend": shared_legend,
    }
    found.globals["small"] = SMALL
    return found


def render(template: str, context: Mapping[str, object]) -> str:
    """Return a page.

    Args:
        template: Name of a template that extends ``layout.html.j2``.
        context: What the template needs.
    """
    style, script = (_read(name) for name in ("page.css.j2", "page.js.j2"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template(template)
        .render(
            context,
            page_style=Markup(style),  # our own file, not anybody's input
            page_script=Markup(script),
            page_script_hash=digest,
            page_notice=NOTICE,
        )
    )


def write_page(path: Path | str, template: str, context: Mapping[str, object]) -> None:
    """Write a page; its folder is made where it is missing.

    Args:
        path: The HTML file.
        template: Name of a template that extends ``layout.html.j2``.
        context: What the template needs.

    Raises:
        DataError: The file cannot be written.
    """
    write_text(path, render(template, context))


def _read(name: str) -> str:
    return resources.files("medenv.report").joinpath(name).read_text(encoding="utf-8")
