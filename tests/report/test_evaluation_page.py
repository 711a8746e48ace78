"""The page of one evaluation: its figures, its episodes in Chromium, and hostile text in it."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner

from medenv.cli.main import app
from medenv.errors import DataError
from medenv.evaluation.failures import failure_of
from medenv.evaluation.summary import write_scored
from medenv.records import Scored
from medenv.report.evaluation import LONGEST, EvaluationReport, write_evaluation

from ..browser import dom, embedded
from .builder import question, rollout, scored, turn

HOSTILE = (
    "</script><script>document.title='taken'</script><img src=x onerror=alert(2)>\u2028{{ 7 }}"
)


def evaluation(folder: Path, sampled: Sequence[Scored], greedy: Sequence[Scored] = ()) -> Path:
    write_scored(folder / "sampled.jsonl", sampled)
    write_scored(folder / "greedy.jsonl", greedy)
    return folder


def told(page: str) -> str:
    found = re.search(r'id="count"[^>]*>([^<]*)<', page)
    assert found is not None
    return found[1]


def test_the_command_writes_a_page_with_every_episode(tmp_path: Path) -> None:
    sampled = rollout(12, 2, skill=0.4, search=0.7)
    folder = evaluation(tmp_path / "run", sampled, rollout(12, 1, skill=0.4, search=0.7, seed=2))
    done = CliRunner().invoke(app, ["view", str(folder)])
    assert done.exit_code == 0, done.output
    page = folder / "page.html"
    episodes = embedded(page.read_text())
    assert Counter(one["side"] for one in episodes) == {
        "sampled 1": 12,
        "sampled 2": 12,
        "greedy": 12,
    }
    why = Counter(found.why for one in sampled if (found := failure_of(one)))
    assert Counter(one["why"] for one in episodes[:24] if one["why"]) == why
    text = html.unescape(page.read_text())
    (most, count), *_ = sorted(why.items(), key=lambda pair: (-pair[1], pair[0]))
    assert f"Most often it failed as “{most}” ({count} of {sum(why.values())}" in text
    right = 1 - sum(why.values()) / 24
    assert f"{100 * right:.1f}" in text
    assert "Not medical advice" in text


def test_the_page_filters_sorts_and_opens_episodes(tmp_path: Path) -> None:
    sampled = rollout(60, 4, skill=0.5, search=0.7)
    page = evaluation(tmp_path, sampled) / "page.html"
    write_evaluation(page, EvaluationReport(sampled=sampled, greedy=(), facts={}))
    whole = dom(page)
    assert told(whole) == "240 of 240 episodes, the first 100 shown"
    assert whole.count('<details class="case">') == 100
    wrong = [one for one in sampled if failure_of(one) is not None]
    of_two = [one for one in wrong if len(one.trajectory.question.path) == 2]
    assert 0 < len(of_two) < len(wrong) < 240
    assert told(dom(page, "why=wrong&hops=2")).startswith(f"{len(of_two)} of 240")
    assert told(dom(page, "why=right")).startswith(f"{240 - len(wrong)} of 240")
    opened = dom(page, "why=right&order=calls&open=1")
    first = max(
        (one for one in sampled if failure_of(one) is None),
        key=lambda one: sum(len(turn.calls) for turn in one.trajectory.turns),
    )
    calls = sum(len(one.calls) for one in first.trajectory.turns)
    assert f"{calls} call" in opened.split("<summary>")[1].split("</summary>")[0]
    assert "<mark>" in opened
    assert 'class="said' in opened


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    asked = question(0, text=HOSTILE)
    one = scored(asked, [turn(0, HOSTILE, [("search", {"query": "x"}, "ok")], shown=HOSTILE)])
    page = tmp_path / "page.html"
    write_evaluation(page, EvaluationReport(sampled=[one], greedy=(), facts={"f": HOSTILE}))
    assert page.read_text().count("<script") == 2
    assert embedded(page.read_text())[0]["asks"] == HOSTILE
    shown = dom(page, "open=1")
    assert "<title>Evaluation</title>" in shown
    assert "<img" not in shown


def test_a_text_without_end_is_cut_and_says_so(tmp_path: Path) -> None:
    one = scored(question(0), [turn(0, "x" * (LONGEST + 1_234), answer="x")])
    page = tmp_path / "page.html"
    write_evaluation(page, EvaluationReport(sampled=[one], greedy=(), facts={}))
    text = embedded(page.read_text())[0]["turns"][0]["text"]
    assert text == "x" * LONGEST + "\n… and 1,234 more characters"


def test_thousands_of_episodes_make_one_page(tmp_path: Path) -> None:
    sampled = rollout(1_250, 4, skill=0.5, search=0.7)
    page = tmp_path / "page.html"
    write_evaluation(page, EvaluationReport(sampled=sampled, greedy=(), facts={}))
    assert len(embedded(page.read_text())) == 5_000
    assert told(dom(page, "why=wrong")).endswith("of 5000 episodes, the first 100 shown")


def test_the_terminal_lists_by_words_and_shows_by_number(tmp_path: Path) -> None:
    sampled = rollout(20, 1, skill=0.5, search=0.9)
    folder = evaluation(tmp_path, sampled)
    done = CliRunner().invoke(
        app, ["view", str(folder), "--terminal"], input="right\nno such words\n3\n\n"
    )
    assert done.exit_code == 0, done.output
    assert "no episode has 'no such words'" in done.output
    third = sampled[2].trajectory
    assert f"The answer was: {third.question.answers[0].name}" in done.output
    assert f"Ended: {third.ending}." in done.output


def test_what_is_no_evaluation_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["view", str(tmp_path)])
    assert isinstance(done.exception, DataError)
    assert "expected the folder of a finished evaluation" in str(done.exception)
