"""The geometry of charts: ticks, smoothing, coordinates."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medenv.errors import UsageError
from medenv.evaluation.statistics import Interval
from medenv.report.charts import Chart, Series, draw, forest, shared_legend, smooth, ticks
from medenv.report.curves import Run, component_charts, learning_charts, other_charts
from medenv.report.formatting import number, odds, show, show_difference, span
from medenv.report.headline import accuracy_rows, headline, pair

from .builder import metrics, rollout

finite = st.floats(-1e9, 1e9, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-9)


@given(finite, finite)
def test_ticks_are_few_round_evenly_spaced_and_hold_both_ends(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    got = ticks(low, high)
    step = got[1] - got[0]
    slack = 1e-6 * step
    assert got[0] <= low + slack
    assert got[-1] >= high - slack
    assert 2 <= len(got) <= 9
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - round_one) for round_one in (1, 2, 5, 10)) < 1e-3


@pytest.mark.parametrize("ends", [(math.nan, 1.0), (0.0, math.inf), (2.0, 1.0)])
def test_ends_that_cannot_be_an_axis_are_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="finite ends in order"):
        ticks(*ends)


def test_smoothing_is_the_mean_of_the_neighbours_and_of_fewer_at_the_ends() -> None:
    points = [(float(x), float(x * x)) for x in range(5)]
    assert smooth(points, 3) == (
        (0.0, 0.5),
        (1.0, 5 / 3),
        (2.0, 14 / 3),
        (3.0, 29 / 3),
        (4.0, 12.5),
    )
    assert smooth(points, 1) == tuple(points)


def test_points_lie_in_the_frame_and_greater_values_lie_higher() -> None:
    series = Series("a", ((1.0, 0.1), (2.0, 0.4), (3.0, 0.9)), style="dots")
    got = draw(Chart("t", (series,), "y, %", percent=True))
    (x1, y1), (x2, y2), (x3, y3) = got.curves[0].dots
    assert got.left == x1 < x2 < x3 == got.right
    assert got.floor > y1 > y2 > y3 >= got.top
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.02)
    assert got.y_ticks[0][1] == "0"


def test_the_axis_of_a_share_starts_at_zero_and_that_of_a_count_where_the_values_do() -> None:
    series = Series("a", ((1.0, 0.7), (2.0, 0.9)))
    share, count = (draw(Chart("t", (series,), "y", percent=p)) for p in (True, False))
    assert share.y_ticks[0][1] == "0"
    assert count.y_ticks[0][1] == "0.7"


def test_a_pointer_reads_all_curves_at_a_step_with_their_intervals() -> None:
    held_out = Series("held out", ((2.0, 0.5),), "validation", "dots", ((0.4, 0.6),))
    training = Series("training", ((1.0, 0.1), (2.0, 0.2)))
    got = draw(Chart("t", (training, held_out), "y, %", percent=True))
    assert got.readings == [
        ("training step 1", got.left, [("training", "after", "10.0 %")]),
        (
            "training step 2",
            got.right,
            [("training", "after", "20.0 %"), ("held out", "validation", "50.0 % (40 to 60)")],
        ),
    ]


def test_a_band_goes_along_the_upper_ends_and_back_along_the_lower_ones() -> None:
    series = Series("a", ((0.0, 5.0), (1.0, 5.0)), ends=((4.0, 6.0), (4.0, 6.0)))
    got = draw(Chart("t", (series,), "y"))
    spots = [tuple(map(float, p.split(","))) for p in got.curves[0].band[1:-1].split("L")]
    assert spots[0][1] == spots[1][1] < spots[2][1] == spots[3][1]
    assert spots[0][0] == spots[3][0] == got.left


def test_a_single_step_is_drawn_as_a_dot() -> None:
    got = draw(Chart("t", (Series("a", ((1.0, 2.0),)),), "y"))
    assert len(got.curves[0].dots) == 1


def test_intervals_for_some_points_only_are_refused() -> None:
    series = Series("a", ((0.0, 1.0), (1.0, 1.0)), ends=((0.0, 2.0),))
    with pytest.raises(UsageError, match="each of the 2 points of 'a' or for none, got 1"):
        draw(Chart("t", (series,), "y"))


def test_a_chart_without_points_is_refused() -> None:
    with pytest.raises(UsageError, match="points to draw in 'empty', got none"):
        draw(Chart("empty", (), "y"))


def test_every_metric_appears_in_exactly_one_chart_or_is_a_known_part_of_one() -> None:
    run = Run(metrics(40), metrics(40, seed=2, gain=0.0))
    components = component_charts(run)
    assert [chart.title for chart in components] == ["accuracy", "cost", "evidence"]
    assert [chart.title for chart in learning_charts(run)] == [
        "Accuracy while learning",
        "Reward while learning",
    ]
    known, rest = other_charts(run)
    assert [chart.note for chart in known] == [
        "actor/kl",
        "actor/entropy",
        "response_length/mean",
        "actor/grad_norm",
    ]
    assert [chart.title for chart in rest] == ["timing_s/step"]


def test_the_learning_curve_says_that_steps_differ_in_their_questions() -> None:
    several, _ = learning_charts(Run(metrics(40)))
    assert several.note.startswith("40 training steps, each on its own batch of questions")
    single = learning_charts(
        Run([{"step": 0, "val/accuracy": 0.1}, {"step": 1, "reward/total": 1.0}])
    )
    assert {chart.note for chart in single} == {"1 training step"}


def test_the_learning_curve_shows_steps_trend_held_out_points_and_the_control() -> None:
    (accuracy, _) = learning_charts(Run(metrics(60), metrics(60, seed=2)))
    looks = [(one.tone, one.style) for one in accuracy.series]
    assert looks == [
        ("after", "faint"),
        ("after", "line"),
        ("validation", "dots"),
        ("control", "dashed"),
        ("control", "dots"),
    ]
    held_out = accuracy.series[2]
    assert len(held_out.ends) == len(held_out.points) == 9
    assert all(
        low < y < high for (_, y), (low, high) in zip(held_out.points, held_out.ends, strict=True)
    )


def test_steps_out_of_order_and_values_that_are_no_numbers_do_no_harm() -> None:
    rows = [{"step": 2.0, "a": 5.0}, {"step": 1.0, "a": 4.0}, {"step": 3.0, "a": math.nan}]
    assert Run(rows).points("a") == ((1.0, 4.0), (2.0, 5.0))


def test_metrics_without_a_step_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'step' in every entry .* entry 1 with loss"):
        Run([{"step": 1.0}, {"loss": 2.0}])


def test_charts_of_a_group_share_one_legend() -> None:
    legend = shared_legend(component_charts(Run(metrics(60))))
    assert [one.label for one in legend] == [
        "raw value, each step",
        "raw value, mean of 5 steps",
        "weighted, as paid",
    ]


def test_the_forest_puts_means_between_their_ends_on_a_fixed_axis() -> None:
    sides = pair(rollout(12, 2, skill=0.3, search=0.5), rollout(12, 2, skill=0.8, search=0.9))
    rows = accuracy_rows(headline(sides, None))
    got = forest(rows)
    assert [row.label for row in got.rows] == ["Sampled answers", "1 hop", "2 hops", "3 hops"]
    assert [text for _, text in got.ticks] == ["0", "20", "40", "60", "80", "100"]
    start, end = got.ticks[0][0], got.ticks[-1][0]
    for drawn, row in zip(got.rows, rows, strict=True):
        for mark, side in zip(drawn.marks, (row.before, row.after), strict=True):
            assert side is not None
            assert mark.low <= mark.x <= mark.high
            assert (mark.x - start) / (end - start) == pytest.approx(side.mean, abs=1e-3)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (show(0.4567, "share"), "45.7\u00a0%"),
        (show(1.234, "count"), "1.23"),
        (show(-0.018, "count"), "\u22120.018"),
        (show(312.4, "count"), "312"),
        (show_difference(-0.05, "share"), "\u22125.0\u00a0points"),
        (show_difference(0.0, "share"), "0.0\u00a0points"),
        (show_difference(14.26, "count"), "+14.3"),
        (odds(0.004), "1 in 250"),
        (odds(0.0), "none"),
        (number(0.0015), "0.0015"),
        (number(-12345.6), "\u221212346"),
        (number(20), "20"),
        (number(3e-7), "3.0e\u221207"),
    ],
)
def test_numbers_read_as_people_write_them(got: str, expected: str) -> None:
    assert got == expected


def test_an_unknown_interval_is_a_dash() -> None:
    one = Interval(mean=0.5, low=math.nan, high=math.nan, n=2, clusters=1)
    assert span(one, "share") == "\u2013"
