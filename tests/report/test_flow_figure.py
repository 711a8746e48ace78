"""The figure of where episodes are lost: to scale, without collisions, linked to the episodes."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.evaluation.failures import FailureClass, failure_of
from medenv.evaluation.flow import flow_of
from medenv.report.evaluation import EvaluationReport, write_evaluation
from medenv.report.flow import WIDTH, draw_flow
from medenv.report.html import environment

from ..browser import dom
from .builder import rollout

MEASURED = """<script>
const boxes = (kind) => [...document.querySelectorAll(kind)].map((one) => one.getBBox());
const texts = boxes(".flow text"), bands = boxes(".flow .lost");
const apart = (a, b) => a.x + a.width <= b.x || b.x + b.width <= a.x
  || a.y + a.height <= b.y || b.y + b.height <= a.y;
const pairs = texts.flatMap((one, i) => [...texts.slice(i + 1), ...bands].map((b) => [one, b]));
const frame = document.querySelector(".flow svg").viewBox.baseVal;
const inside = (box) => box.x >= 0 && box.x + box.width <= frame.width + 1;
document.title = JSON.stringify({
  texts: texts.length,
  collisions: pairs.filter(([a, b]) => !apart(a, b)).length,
  outside: texts.filter((box) => !inside(box)).length,
});
</script>"""

counts = st.dictionaries(st.sampled_from([one.value for one in FailureClass]), st.integers(1, 900))


@given(counts, st.integers(1, 900), st.booleans())
def test_bands_are_to_scale_and_rows_do_not_meet(
    failures: dict[str, int], right: int, certified: bool
) -> None:
    if not certified:
        early = ("infrastructure", "malformed", "ran out", "no certificate to tell")
        failures = {why: n for why, n in failures.items() if why in early}
    total = sum(failures.values()) + right
    drawing = draw_flow(flow_of(failures, total, certified=certified))
    shown = {band.label: band for band in drawing.bands}
    assert shown.keys() == failures.keys()
    for why, band in shown.items():
        assert band.text.startswith(f"{failures[why]:,} · ")
        upper, lower = (
            float(y) for y in re.findall(r"A\S+ 0 0 0 \S+,(\S+)H\S+V(\S+?)H", band.path)[0]
        )
        assert abs(upper - lower) == pytest.approx(max(1.2, 64 * failures[why] / total), abs=0.02)
    rows = sorted([band.y for band in drawing.bands] + [level.y + 13 for level in drawing.levels])
    assert all(below - above >= 20 for above, below in pairwise(rows))
    assert drawing.levels[-1].width == pytest.approx(64 * right / total, abs=0.01)
    assert drawing.levels[-1].text.startswith(f"{right:,} · ")


def test_no_label_covers_another_one_in_a_browser(tmp_path: Path) -> None:
    failures = {one.value: 4_444 for one in FailureClass}
    stages = flow_of(failures, 99_999)
    template = "{% from 'flow.html.j2' import flow_chart %}{{ flow_chart(flow) }}"
    figure = environment().from_string(template).render(flow=draw_flow(stages))
    style = resources.files("medenv.report").joinpath("page.css.j2").read_text(encoding="utf-8")
    page = tmp_path / "figure.html"
    page.write_text(f"<style>{style}</style>{figure}{MEASURED}")
    title = re.search(r"<title>(.*?)</title>", dom(page))
    assert title is not None
    expected = {"texts": 2 * (len(stages) + len(failures)), "collisions": 0, "outside": 0}
    assert json.loads(html.unescape(title[1])) == expected


def test_a_band_leads_to_its_episodes(tmp_path: Path) -> None:
    sampled = rollout(40, 2, skill=0.5, search=0.7)
    page = tmp_path / "page.html"
    write_evaluation(page, EvaluationReport(sampled=sampled, greedy=(), facts={}))
    text = page.read_text()
    why = Counter(str(found.why) for one in sampled if (found := failure_of(one)))
    assert f"{80 - sum(why.values())} · " in text
    links = re.findall(r'<a href="#(why=[^"]*)" aria-label="lost, ([^:]*): (\d+) ·', text)
    assert {label: int(count) for _, label, count in links} == why
    link, label, count = links[0]
    # followed on the page itself, as a click or the Enter key does, it lists these episodes
    followed = tmp_path / "followed.html"
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)
    assert policy is not None
    click = f"document.querySelector('a[href=\"#{link}\"]').dispatchEvent(new MouseEvent('click'))"
    step = f"<script>{click};</script>"
    followed.write_text(text.replace(policy[0], "").replace("</body>", f"{step}</body>"))
    assert f">{count} of 80 episodes<" in dom(followed), label


def test_the_figure_is_as_wide_as_a_phone() -> None:
    drawing = draw_flow(flow_of({"ran out": 3}, 5))
    assert drawing.width == WIDTH == 360
    assert drawing.height < 300
