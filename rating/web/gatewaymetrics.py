"""What /metrics says of gateways: what they told, what waits, and how their side differs from the book's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from rating.core import vocabulary as names
from rating.core.parity import Difference
from rating.core.settling import Verdict
from rating.core.signals import Refusal


class GatewayMetrics:
    """Nothing is shown where no gateway is named."""

    def __init__(self, registry: CollectorRegistry) -> None:
        own = ["gateway"]
        self._differs = Gauge(names.PARITY_DIFFERENCES, "Differences from the book.", [*own, "kind"], registry=registry)
        self._checked = Gauge(names.PARITY_CHECKED, "When it was last compared.", own, registry=registry)
        self._papers = Gauge(names.PUBLICATIONS_PARKED, "Papers that wait for a person.", own, registry=registry)
        self._waiting = Gauge(names.SIGNALS_WAITING, "Signals that are not settled yet.", own, registry=registry)
        self._parked = Gauge(names.SIGNALS_PARKED, "Signals that wait for a person.", own, registry=registry)
        self._settled = _counter(registry, names.SIGNALS_SETTLED, "What became of signals.", [*own, "verdict"])
        self._accepted = _counter(registry, names.WEBHOOKS_ACCEPTED, "Deliveries that were taken.", own)
        self._refused = _counter(registry, names.WEBHOOKS_REFUSED, "Deliveries that were not.", [*own, "reason"])

    def expect(self, gateways: Iterable[str]) -> None:
        """Show every series from zero, so that the first event is an increase."""
        for name in gateways:
            # The age of no comparison at all is that of the engine.
            self._checked.labels(name).set(datetime.now(UTC).timestamp())
            for gauge in (self._papers, self._waiting, self._parked):
                gauge.labels(name)
            self._accepted.labels(name)
            for kind in Difference:
                self._differs.labels(name, kind.value)
            for verdict in Verdict:
                self._settled.labels(name, verdict.value)
            for reason in Refusal:
                self._refused.labels(name, reason.value)

    def accepted(self, gateway: str, new: bool) -> None:
        self._accepted.labels(gateway).inc()

    def refused(self, gateway: str, reason: Refusal) -> None:
        self._refused.labels(gateway, reason.value).inc()

    def settled(self, gateway: str, verdict: Verdict) -> None:
        self._settled.labels(gateway, verdict.value).inc()

    def waiting(self, gateway: str, waiting: int, *, signals: int, papers: int) -> None:
        """How many signals wait to be settled, and how many signals and papers wait for a person."""
        self._waiting.labels(gateway).set(waiting)
        self._parked.labels(gateway).set(signals)
        self._papers.labels(gateway).set(papers)

    def compared(self, gateway: str, at: datetime, counts: Mapping[Difference, int]) -> None:
        self._checked.labels(gateway).set(at.timestamp())
        for kind in Difference:
            self._differs.labels(gateway, kind.value).set(counts.get(kind, 0))


def _counter(registry: CollectorRegistry, name: str, what: str, labels: list[str]) -> Counter:
    return Counter(name.removesuffix("_total"), what, labels, registry=registry)
