"""Training runs under several rewards: means over seeds, paired differences, one page."""

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console

from medenv.errors import UsageError
from medenv.evaluation.measures import MEASURES, accuracy
from medenv.records import Score
from medenv.report.sweep import (
    Sweep,
    TrainedRun,
    curves,
    effects,
    in_words,
    sweep_markdown,
    sweep_table,
    verdict,
    write_sweep,
)
from medenv.reward.analysis.variants import Contrast

from .builder import metrics, rollout

ACCURACY = MEASURES[0]


def run(arm, seed, skill, *, steps=40, questions=24):
    return TrainedRun(
        arm=arm,
        seed=seed,
        metrics=metrics(steps, seed=seed, gain=skill),
        evaluated=rollout(questions, 3, skill=skill, search=0.8, seed=seed),
    )


RUNS = [
    *(run("answer_only", seed, 0.35) for seed in (1, 2)),
    *(run("composite", seed, 0.9) for seed in (1, 2)),
    run("form only", 1, 0.05),
]
SWEEP = Sweep(RUNS)
FORM = Contrast(what="accuracy", before="form only", after="composite")
SHAPING = Contrast(what="shaping", before="answer_only", after="composite")


def test_the_mean_of_an_arm_is_over_all_its_seeds():
    found = SWEEP.compared("composite", ACCURACY)
    ours = [one for run in RUNS if run.arm == "composite" for one in run.evaluated]
    assert found.mean.mean == pytest.approx(np.mean([accuracy(one) for one in ours]))
    assert found.mean.clusters == 24
    assert list(found.seeds) == [1, 2]
    assert np.mean(list(found.seeds.values())) == pytest.approx(found.mean.mean)


def test_the_difference_is_from_the_first_arm_and_zero_for_itself():
    first, other = (SWEEP.compared(arm, ACCURACY) for arm in ("answer_only", "composite"))
    assert other.difference.mean == pytest.approx(other.mean.mean - first.mean.mean)
    assert (first.difference.mean, first.difference.low) == (0, 0)


def test_an_effect_is_the_difference_between_the_arms_of_its_contrast_seed_by_seed():
    (shaping,) = effects(SWEEP, [SHAPING])
    before, after = SWEEP.by_seed("answer_only", ACCURACY), SWEEP.by_seed("composite", ACCURACY)
    assert shaping.seeds["accuracy"] == {seed: after[seed] - before[seed] for seed in (1, 2)}
    ours = [accuracy(one) for run in RUNS if run.arm == "composite" for one in run.evaluated]
    theirs = [accuracy(one) for run in RUNS if run.arm == "answer_only" for one in run.evaluated]
    assert shaping.moved["accuracy"].mean == pytest.approx(np.mean(ours) - np.mean(theirs))


def test_missing_episodes_count_as_not_right_and_are_compared_too():
    lost = [
        msgspec.structs.replace(one, score=Score(total=None, parts={})) if at % 3 == 0 else one
        for at, one in enumerate(RUNS[2].evaluated)
    ]
    sweep = Sweep([RUNS[0], msgspec.structs.replace(RUNS[2], evaluated=lost)])
    right = sum(accuracy(one) for one in lost if one.score.parts)
    assert sweep.compared("composite", ACCURACY).mean.mean == pytest.approx(right / len(lost))
    assert [one.name for one in sweep.measures if one not in MEASURES] == ["missing"]
    assert sweep.compared("composite", sweep.measures[-1]).mean.mean == pytest.approx(1 / 3)
    assert "Missing episodes" in sweep_markdown(sweep, [], {}, verdict(sweep))
    uncounted = ("tokens_read", "run_seconds", "seconds", "policy_seconds", "tool_seconds", "money")
    assert SWEEP.measures == tuple(one for one in MEASURES if one.name not in uncounted)
    gone = msgspec.structs.replace(
        RUNS[0],
        evaluated=[
            msgspec.structs.replace(one, score=Score(total=None, parts={}))
            for one in RUNS[0].evaluated
        ],
    )
    with pytest.raises(UsageError, match="all are infrastructure failures"):
        Sweep([gone])


def test_an_effect_has_only_the_seeds_that_both_arms_have():
    (form,) = effects(SWEEP, [FORM])
    assert list(form.seeds["accuracy"]) == [1]


def test_a_contrast_with_an_arm_that_is_not_there_yet_has_no_effect():
    missing = Contrast(what="format", before="answer_only", after="gone")
    assert effects(SWEEP, [missing]) == []


def test_an_effect_in_words_names_what_the_interval_keeps_away_from_zero():
    (shaping,) = effects(SWEEP, [SHAPING])
    said = in_words(shaping)
    assert said.startswith("shaping, added to answer_only: accuracy (+")
    still = [name for name, found in shaping.moved.items() if not found.excludes_zero]
    labels = {one.name: one.label.lower() for one in MEASURES}
    assert still
    assert not any(f"{labels[name]} (" in said.lower() for name in still)
    (none,) = effects(SWEEP, [Contrast(what="air", before="composite", after="composite")])
    assert in_words(none) == "air, added to composite: nothing moved clearly."


def test_the_sweep_in_markdown_has_a_row_for_every_measure_of_arms_and_effects():
    found = effects(SWEEP, [SHAPING, FORM])
    text = sweep_markdown(SWEEP, found, {"machine": "two cores"}, verdict(SWEEP))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 * (1 + len(SWEEP.measures))
    assert rows[0] == "| measure | answer_only | composite | form only |"
    assert [row.count(" | ") for row in rows] == [3] * 12 + [2] * 12
    assert "- machine: two cores" in text


def test_the_verdict_says_who_did_better_and_who_worse():
    assert verdict(SWEEP) == (
        "Compared with answer_only, composite answered more right and form only answered less"
        " right."
    )
    assert verdict(Sweep(RUNS[:1])).startswith("None did clearly better or worse than answer")


def test_a_curve_is_the_mean_of_the_seeds_in_the_band_that_they_span():
    chart = next(one for one in curves(SWEEP) if one.title == "Reward while learning")
    assert [series.label for series in chart.series] == ["answer_only", "composite", "form only"]
    assert len({series.tone for series in chart.series}) == 3
    both = chart.series[1]
    assert len(both.points) == 40
    for (_, mean), (low, high) in zip(both.points, both.ends, strict=True):
        assert low <= mean <= high
        assert mean == pytest.approx((low + high) / 2)
    assert chart.series[2].ends == ()


def test_more_arms_than_colours_have_all_but_curves(tmp_path):
    many = Sweep([run(f"arm {i}", 0, 0.5, steps=2, questions=4) for i in range(9)])
    assert curves(many) == []
    write_sweep(tmp_path / "sweep.html", many)
    page = (tmp_path / "sweep.html").read_text()
    assert "9 runs of 9 arms" in page
    assert "No curves: more arms than colours" in page


def test_runs_of_different_length_are_drawn_as_far_as_all_go():
    short = run("answer_only", 3, 0.3, steps=10)
    chart = curves(Sweep([RUNS[0], short]))[0]
    assert max(x for x, _ in chart.series[0].points) == 10


def test_the_page_names_every_arm_and_seed_and_needs_nothing_else(tmp_path):
    path = tmp_path / "sweep.html"
    write_sweep(
        path,
        SWEEP,
        notes={"composite": "accuracy 1"},
        found=effects(SWEEP, [SHAPING]),
        facts={"machine": "<b>two</b>"},
    )
    page = path.read_text()
    seeds = "seeds 1 (40 steps), 2 (40 steps)"
    for text in ("composite", "form only", "accuracy 1", seeds, "added to answer_only"):
        assert text in page
    assert "<b>two" not in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_the_table_has_a_row_for_every_arm():
    console = Console(width=140, file=io.StringIO())
    console.print(sweep_table(SWEEP))
    text = console.file.getvalue()
    for arm in SWEEP.arms:
        assert arm in text
    assert "points" in text


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], r"at least one run, got none"),
        ([RUNS[0], RUNS[0]], r"run 'answer_only' with seed 1, got two"),
        ([RUNS[0], run("b", 1, 0.5, questions=9)], r"24 questions .* 9 .*'b' with seed 1"),
        ([TrainedRun(arm="a", seed=0, metrics=[], evaluated=[])], r"has no metrics"),
    ],
)
def test_a_sweep_that_cannot_be_compared_is_refused(runs, message):
    with pytest.raises(UsageError, match=message):
        Sweep(runs)
