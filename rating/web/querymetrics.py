"""What /metrics says of the engine's own questions to Prometheus: how many, how they ended, how long they took."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from rating.core import vocabulary as names


class QueryMetrics:
    """Counts from any thread: windows are read side by side."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queries = Counter(
            names.QUERIES.removesuffix("_total"),
            "Questions to Prometheus.",
            ["server", "way", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            names.QUERY_SECONDS,
            "How long an answer took, its transfer included.",
            ["server", "way"],
            registry=registry,
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300),
        )

    def asked(self, server: str, way: str, outcome: str, seconds: float) -> None:
        """One question is over; `server` is its address without a password."""
        self._queries.labels(server, way, outcome).inc()
        self._seconds.labels(server, way).observe(seconds)
