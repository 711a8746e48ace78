"""What a server counts, in the text format of Prometheus. Nothing in it tells of one episode."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from medenv.records import Scored

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0)


class Metrics:
    """Counters of one server.

    Attributes:
        resets: Episodes begun.
        resumed: Episodes resumed.
        abandoned: Episodes discarded before their end.
        failures: Steps that failed because a tool did not answer.
        refused: Refused requests, by code.
        steps: Duration of steps, seconds.
        sessions: Open sessions.
        parked: Episodes that wait to be resumed.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace="medenv", registry=self._registry)

        self.resets = counter("episodes_begun", "Episodes begun")
        self.resumed = counter("episodes_resumed", "Episodes resumed")
        self.abandoned = counter("episodes_abandoned", "Episodes discarded before their end")
        self._endings = counter("episodes_ended", "Episodes ended, by ending", "ending")
        self._unscored = counter("episodes_unscored", "Ended episodes without a score")
        self.failures = counter("steps_failed", "Steps whose tools did not answer")
        self.refused = counter("requests_refused", "Refused requests, by code", "code")
        self.steps = Histogram(
            "step_seconds",
            "Duration of a step",
            namespace="medenv",
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self.sessions = Gauge(
            "sessions_open", "Open sessions", namespace="medenv", registry=self._registry
        )
        self.parked = Gauge(
            "episodes_parked",
            "Episodes that wait to be resumed",
            namespace="medenv",
            registry=self._registry,
        )

    def ended(self, scored: Scored) -> None:
        """Count an ended episode.

        Args:
            scored: The episode.
        """
        self._endings.labels(scored.trajectory.ending or "running").inc()
        if scored.score.total is None:
            self._unscored.inc()

    def text(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        return generate_latest(self._registry)
