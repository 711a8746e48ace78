"""Counters of a server in the text format of Prometheus, without data of single episodes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from medenv.records import Scored

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0)


class Metrics(Collector):
    """Counters of one server.

    Attributes:
        begun: Episodes begun.
        resumed: Episodes resumed.
        abandoned: Episodes discarded before their end.
        unscored: Ended episodes without a score.
        endings: Ended episodes by ending.
        failed: Steps whose tools did not answer.
        refused: Refused requests by code.
        sessions: Open sessions.
        parked: Episodes that wait to be resumed.
    """

    def __init__(self) -> None:
        self.begun = self.resumed = self.abandoned = self.unscored = self.failed = 0
        self.sessions = self.parked = 0
        self.endings: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._steps = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def step(self, seconds: float) -> None:
        """Count a step.

        Args:
            seconds: How long it took.
        """
        self._steps[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def ended(self, scored: Scored) -> None:
        """Count an ended episode.

        Args:
            scored: The episode.
        """
        self.endings[scored.trajectory.ending or "running"] += 1
        self.unscored += scored.score.total is None

    def collect(self) -> Iterator[Metric]:
        """Yield the figures, for a registry of Prometheus."""
        for name, text, value in (
            ("episodes_begun", "Episodes begun", self.begun),
            ("episodes_resumed", "Episodes resumed", self.resumed),
            ("episodes_abandoned", "Episodes discarded before their end", self.abandoned),
            ("episodes_unscored", "Ended episodes without a score", self.unscored),
            ("steps_failed", "Steps whose tools did not answer", self.failed),
        ):
            yield CounterMetricFamily(f"medenv_{name}", text, value=value)
        for name, text, label, counts in (
            ("episodes_ended", "Episodes ended, by ending", "ending", self.endings),
            ("requests_refused", "Refused requests, by code", "code", self.refused),
        ):
            family = CounterMetricFamily(f"medenv_{name}", text, labels=[label])
            for key, count in sorted(counts.items()):
                family.add_metric([key], count)
            yield family
        yield GaugeMetricFamily("medenv_sessions_open", "Open sessions", value=self.sessions)
        waiting = "Episodes that wait to be resumed"
        yield GaugeMetricFamily("medenv_episodes_parked", waiting, value=self.parked)
        total, buckets = 0, []
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self._steps, strict=True):
            total += count
            buckets.append((bound, float(total)))
        yield HistogramMetricFamily(
            "medenv_step_seconds", "Duration of a step", buckets=buckets, sum_value=self._seconds
        )

    def text(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        return generate_latest(self._registry)
