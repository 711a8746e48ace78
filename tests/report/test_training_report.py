"""The training report: what it says, that it needs nothing else, and that hostile text is inert."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from medenv.errors import UsageError
from medenv.records import Scored
from medenv.report.episodes import choose
from medenv.report.headline import headline, pair, verdict
from medenv.report.training import TrainingReport, print_table, write_training_report

from .builder import metrics, question, rollout, scored, turn

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}</style>&amp;\u2028"
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page strictly: every element closed in order; keeps elements and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and all(found.get(k.rstrip("_")) == v for k, v in attributes.items())
            for name, found in self.elements
        )


def report(**changes: Any) -> TrainingReport:
    """Return a report of a run that learned."""
    defaults: dict[str, Any] = {
        "before_sampled": rollout(24, 3, skill=0.3, search=0.5),
        "after_sampled": rollout(24, 3, skill=0.9, search=0.9, seed=2),
        "before_greedy": rollout(24, 1, skill=0.3, search=0.5, seed=3),
        "after_greedy": rollout(24, 1, skill=0.9, search=0.9, seed=4),
        "metrics": metrics(30),
        "control": metrics(30, seed=2, gain=0.0),
        "facts": {"Seed": "17", "Machine": "2 cores"},
        "notices": ["Contains data of the Human Phenotype Ontology, see https://hpo.jax.org."],
        "title": "A small run",
    }
    return TrainingReport(**(defaults | changes))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    write_training_report(path, report())
    return path.read_text(encoding="utf-8")


def test_the_page_opens_with_the_verdict_and_names_every_measure(page: str) -> None:
    words = Page(page).text
    assert re.search(r"Accuracy on 24 held-out questions rose from [\d.]+ % to [\d.]+ %", words)
    for label in (
        "Sampled answers",
        "Greedy answers",
        "2 hops",
        "Well-formed episodes (format)",
        "Tool calls per episode",
        "Episodes that searched",
        "Accuracy where it searched",
        "Wasted tool calls per episode",
        "Turns per episode",
        "Policy tokens per episode",
    ):
        assert label in words
    assert "Seed 17" in words
    assert "Not medical advice" in words
    assert "Human Phenotype Ontology" in words


def test_the_page_shows_ten_questions_before_and_after(page: str) -> None:
    got = Page(page)
    assert got.count("details", class_="case") == 10
    assert got.count("section", class_="episode tone-before") == 10
    assert got.count("section", class_="episode tone-after") == 10
    assert got.count("div", class_="certificate") == 10
    assert "A blind guess is right 1 in 250" in got.text


def test_policy_text_and_tool_text_stand_in_elements_of_their_own(tmp_path: Path) -> None:
    one = scored(
        question(0), [turn(0, "POLICY", [("search", {}, "ok")], shown="TOOL"), turn(1, "END")]
    )
    write_training_report(
        tmp_path / "r.html", TrainingReport(before_sampled=[one], after_sampled=[one])
    )
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert (
        len(re.findall(r'<div class="said">(?:(?!<div class="shown">).)*POLICY', text, re.S)) == 2
    )
    assert len(re.findall(r'<div class="shown">(?:(?!<div class="said">).)*TOOL', text, re.S)) == 2


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    got = Page(page)
    for _, attributes in got.elements:
        for name in ("src", "href", "srcset", "action", "data", "xlink:href", "poster"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "url(" not in page
    assert "@import" not in page
    assert got.count("link") == got.count("img") == got.count("iframe") == 0


def test_every_line_chart_carries_its_readings_for_the_pointer(page: str) -> None:
    found = [
        a["data-readings"] for t, a in Page(page).elements if t == "svg" and "data-readings" in a
    ]
    assert len(found) == 10
    for text in found:
        readings = json.loads(text or "")
        assert len(readings) == 30
        assert readings[0][0] == "training step 1"


def test_the_policy_of_the_page_lets_its_own_script_run_and_no_other(page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(scripts) == Page(page).count("script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    (rules,) = [a["content"] for t, a in Page(page).elements if "http-equiv" in a and t == "meta"]
    assert rules is not None
    assert rules.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in rules


def hostile(one: Scored) -> Scored:
    """Replace every text of an episode that somebody else could have written."""

    def spoil(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            renamed = {k if k == "accuracy" else k + HOSTILE: v for k, v in value.items()}
            return {k: spoil(v, k) for k, v in (renamed if key == "parts" else value).items()}
        if isinstance(value, list):
            return [spoil(v, key) for v in value]
        kept = {"status", "ending", "call_id", "id", "split"}
        return value + HOSTILE if isinstance(value, str) and key not in kept else value

    return msgspec.convert(spoil(msgspec.to_builtins(one)), Scored)


def test_hostile_text_is_shown_and_does_nothing(tmp_path: Path, page: str) -> None:
    clean = report()
    spoilt = report(
        **{
            side: [hostile(one) for one in getattr(clean, side)]
            for side in ("before_sampled", "after_sampled", "before_greedy", "after_greedy")
        },
        metrics=[
            {**row, "x/" + HOSTILE: 1.0, f"reward/{HOSTILE[:8]}/raw": 1.0} for row in metrics(30)
        ],
        facts={HOSTILE: HOSTILE},
        notices=[HOSTILE],
        title=HOSTILE,
    )
    write_training_report(tmp_path / "r.html", spoilt)
    got = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    for tag in ("script", "img", "style"):
        assert got.count(tag) == Page(page).count(tag)
    assert not any(name.startswith("on") for _, attributes in got.elements for name in attributes)
    assert got.text.count("{{ 7 * 7 }}") > 100
    assert "49</style>" not in got.text


def test_text_that_is_no_unicode_does_not_stop_the_page(tmp_path: Path) -> None:
    write_training_report(tmp_path / "r.html", report(title="half a pair \ud800"))
    assert "half a pair ?" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_same_report_gives_the_same_bytes(tmp_path: Path, page: str) -> None:
    write_training_report(tmp_path / "r.html", report())
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page


def test_without_metrics_and_greedy_episodes_the_page_has_no_charts_of_them(tmp_path: Path) -> None:
    small = report(
        metrics=[], control=None, before_greedy=[], after_greedy=[], facts={}, notices=[]
    )
    write_training_report(tmp_path / "r.html", small)
    got = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert got.count("section", id="learning") == 0
    assert "Greedy answers" not in got.text


def without_scores(scored: list[Scored], asked: str) -> list[Scored]:
    """The episodes, those of a question missing."""
    return [
        msgspec.structs.replace(one, score=msgspec.structs.replace(one.score, total=None))
        if one.trajectory.question.id == asked
        else one
        for one in scored
    ]


def test_missing_episodes_are_counted_told_and_not_right(tmp_path: Path) -> None:
    down = without_scores(report().after_sampled, "test:3")
    broken = report(after_sampled=down)
    write_training_report(tmp_path / "r.html", broken)
    words = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "24 questions; 72 sampled episodes before and 72 after training" in words
    assert "Missing are 0 sampled episodes before and 3 after training" in words
    assert "Missing episodes, whose answers count as not right 0 3" in words
    sides = pair(broken.before_sampled, down)
    rows = {row.label: row for row in headline(sides, None)}
    right = sum(one.score.parts["accuracy"].raw for one in down if one.score.total is not None)
    assert rows["Sampled answers"].after is not None
    assert rows["Sampled answers"].after.mean == pytest.approx(right / 72)
    (row,) = [row for label, row in rows.items() if label.startswith("Missing episodes")]
    assert row.after is not None
    assert (row.after.mean, row.note) == (pytest.approx(3 / 72), "0 before, 3 after")
    assert "0 episodes are missing before and 3 after" in verdict(sides, rows["Sampled answers"])


def test_where_nothing_is_missing_nothing_is_said_of_it(page: str) -> None:
    assert "Missing are" not in Page(page).text
    labels = [row.label for row in headline(pair(*[rollout(5, 2, skill=1, search=1)] * 2), None)]
    assert not [label for label in labels if label.startswith("Missing")]


def test_the_table_for_terminals_holds_the_same_figures(page: str) -> None:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(print_table(report()))
    shown, words = capture.get(), Page(page).text
    for figure in re.findall(r"[\d.]+ to [\d.]+", shown):
        assert figure.replace(" to ", " to +") in words or figure in words
    assert shown.count("%") > 10


def rows(before: list[Scored], after: list[Scored]) -> str:
    sides = pair(before, after)
    return verdict(sides, headline(sides, None)[0]).replace("\u00a0", " ")


def test_the_verdict_says_which_way_it_went_or_that_nobody_can_tell() -> None:
    weak, strong = rollout(30, 3, skill=0.2, search=1), rollout(30, 3, skill=1, search=1, seed=2)
    assert "rose from" in rows(weak, strong)
    assert "fell from" in rows(strong, weak)
    assert rows(weak, weak).startswith("No clear change: accuracy on 30 held-out questions")
    assert "one question is too few" in rows(weak[:3], strong[:3])


def test_the_difference_is_after_minus_before_over_the_same_questions() -> None:
    before, after = rollout(9, 2, skill=0.3, search=1), rollout(12, 2, skill=0.9, search=1, seed=2)
    sides = pair(before, after)
    row = headline(sides, None)[0]
    right = [
        sum(
            one.score.parts["accuracy"].raw
            for one in side
            if int(one.trajectory.question.id[5:]) < 9
        )
        for side in (before, after)
    ]
    assert (sides.questions, sides.dropped) == (9, 3)
    assert row.difference is not None
    assert row.difference.mean == pytest.approx((right[1] - right[0]) / 18)


def test_less_waste_is_better_and_more_tokens_are_only_a_change() -> None:
    sides = pair(rollout(40, 3, skill=0.5, search=1), rollout(40, 3, skill=0.5, search=0, seed=2))
    found = {row.label: row.judgement for row in headline(sides, None)}
    assert found["Wasted tool calls per episode"] == "better"
    assert found["Policy tokens per episode"] == "changed"
    assert found["Episodes that ended in an answer"] == "unclear"


def test_tokens_that_nobody_counted_have_no_row() -> None:
    def uncounted(one: Scored) -> Scored:
        turns = tuple(msgspec.structs.replace(turn, tokens=0) for turn in one.trajectory.turns)
        return msgspec.structs.replace(
            one, trajectory=msgspec.structs.replace(one.trajectory, turns=turns)
        )

    counted = [rollout(9, 2, skill=0.5, search=1, seed=seed) for seed in (0, 1)]
    without = [[uncounted(one) for one in side] for side in counted]
    labels = [[row.label for row in headline(pair(*sides), None)] for sides in (counted, without)]
    assert set(labels[0]) - set(labels[1]) == {
        "Policy tokens per episode",
        "Tokens written",
    }
    one_side = headline(pair(counted[0], without[1]), None)
    assert "Policy tokens per episode" in [row.label for row in one_side]


def test_shown_episodes_mix_gains_losses_and_both_kinds_of_standstill() -> None:
    before = rollout(60, 2, skill=0.5, search=1)
    after = rollout(60, 2, skill=0.6, search=1, seed=2)
    chosen = choose(before, after)
    outcomes = [one.outcome for one in chosen]
    assert [outcomes.count(name) for name in ("gained", "lost")] == [4, 2]
    assert [outcomes.count(f"{name} both times") for name in ("right", "wrong")] == [2, 2]
    assert len({one.question.id for one in chosen}) == 10
    assert {one.hops for one in chosen} == {1, 2, 3}
    for one in chosen:
        assert one.before is not None
        assert one.after is not None
        assert one.before.sample == one.after.sample == 0


def test_groups_that_lack_episodes_are_filled_from_the_others() -> None:
    always = rollout(15, 1, skill=9, search=1)
    assert [one.outcome for one in choose(always, always)] == ["right both times"] * 10
    assert len(choose(always[:3], always[:3])) == 3


def test_an_episode_on_one_side_only_is_shown_alone() -> None:
    (one, *_) = choose([], rollout(3, 1, skill=9, search=1))
    assert (one.outcome, one.before) == ("right", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"before_sampled": []}, "at least one scored episode, got none"),
        ({"after_sampled": []}, "at least one scored episode, got none"),
        (
            {
                "before_sampled": rollout(2, 1, skill=1, search=1)[:1],
                "after_sampled": rollout(2, 1, skill=1, search=1)[1:],
            },
            "got 1 and 1 with none in common",
        ),
        ({"metrics": [{"loss": 1.0}]}, "'step' in every entry"),
    ],
    ids=["nothing before", "nothing after", "other questions", "no step"],
)
def test_a_report_without_what_it_needs_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write_training_report(tmp_path / "r.html", report(**changes))
    assert not (tmp_path / "r.html").exists()
