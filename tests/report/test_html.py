"""What all pages share: the layout, escaping, and that a forgotten value is an error."""

from __future__ import annotations

import jinja2
import pytest

from medenv.report.charts import SMALL, WIDTH, Chart, Series
from medenv.report.html import NOTICE, environment, render


def test_a_value_that_a_template_needs_and_nobody_gave_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'title' is undefined"):
        render("training.html.j2", {})


def test_a_page_is_the_layout_with_its_own_middle() -> None:
    got = render("layout.html.j2", {"title": "a < b"})
    assert "<h1>a &lt; b</h1>" in got
    assert NOTICE in got
    assert got.count("<main>") == 1


def test_a_chart_in_a_row_of_three_is_narrower_so_that_its_text_is_as_large() -> None:
    chart = Chart("t", (Series("a", ((0.0, 1.0), (1.0, 2.0))),), "y")
    parts = environment().get_template("parts.html.j2").make_module()
    assert f'viewBox="0 0 {WIDTH} ' in parts.line_chart(chart)
    assert f'viewBox="0 0 {SMALL} ' in parts.small_charts([chart])
