"""The counters of an API, and the one way to add to them.

Decides names, labels and that one finished response is counted exactly once with all its figures. Leaves who the
consumer is to `consumers`, how many there may be to `guard`, and when a response is finished to the middleware.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock

from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from .counters import Adds, CounterFactory, Remembers, plain_counter
from .guard import Guard
from .vocabulary import (
    BILLABLE,
    CONNECTION_SECONDS,
    CONSUMER,
    DURATION,
    ENDPOINT,
    FAULTS,
    METHOD,
    METHODS,
    OTHER,
    REQUEST_BYTES,
    REQUESTS,
    RESPONSE_BYTES,
    STALE,
    STATUS,
)

log = logging.getLogger(__name__)

# Seconds. Wider than the client's default: streamed answers of models take minutes.
BUCKETS: Sequence[float] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class UsageMetrics:
    """`api_requests_total{consumer_id,endpoint,method,status}`, bytes both ways, durations and connection seconds.

    `billable=True` adds the label `billable` ("true"/"false") to the request counter, for a middleware that was given
    a rule. Nothing is ever left out of the count: what is not billed is counted and says so.
    `duration_by_consumer=True` gives the histogram a consumer label, at 15 series per consumer and endpoint.
    `counter` makes the counters: with `DurableStore.counter` they survive a crash. The histogram never does, and of
    several workers behind one port each has its own: give `duration=False` there.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = REGISTRY,
        *,
        guard: Guard | None = None,
        billable: bool = False,
        duration: bool = True,
        duration_by_consumer: bool = False,
        buckets: Sequence[float] = BUCKETS,
        counter: CounterFactory = plain_counter,
    ) -> None:
        self.registry = registry
        self.guard = guard or Guard(registry=registry, counter=counter)
        self.billable = billable
        base = (CONSUMER, ENDPOINT, METHOD)
        labels = (*base, STATUS, BILLABLE) if billable else (*base, STATUS)
        self.requests = counter(
            REQUESTS, "Responses completed, by consumer and route template.", labels, registry, scale=1
        )
        self.request_bytes = counter(REQUEST_BYTES, "Request body bytes received.", base, registry, scale=1)
        self.response_bytes = counter(RESPONSE_BYTES, "Response body bytes sent.", base, registry, scale=1)
        text = "Seconds WebSockets and event streams were open, counted while open."
        self.connection_seconds = counter(CONNECTION_SECONDS, text, base[:2], registry, scale=1000)
        self.duration_by_consumer = duration_by_consumer
        self.durations: Histogram | None = None
        if duration:
            by = base if duration_by_consumer else base[1:]
            text = "From the request's arrival to the response's last byte."
            self.durations = Histogram(DURATION, text, by, buckets=tuple(buckets), registry=registry)
        stale = "Connections charged no further, for no byte had passed for too long."
        self._stale = counter(STALE, stale, (), registry, scale=1)
        text = "Rules of the exporter that raised; the request was counted all the same."
        self._faults = counter(FAULTS, text, ("where",), registry, scale=1)
        if isinstance(self.requests, Remembers):
            for label in (CONSUMER, ENDPOINT):
                self.guard.remember(label, self.requests.label_values(label))
        self._bound: dict[tuple[str, str, str, int, bool], Series] = {}
        self._warned: set[str] = set()
        self._lock = Lock()

    def record(
        self,
        consumer: str,
        endpoint: str,
        method: str,
        status: int,
        *,
        seconds: float = 0.0,
        received: int = 0,
        sent: int = 0,
        billable: bool = True,
    ) -> None:
        """Count one finished response. Bytes already counted while it streamed are not passed again."""
        self.series(consumer, endpoint, method, status, billable).record(seconds, received, sent)

    def series(self, consumer: str, endpoint: str, method: str, status: int, billable: bool) -> Series:
        """What one kind of response adds to. Looked up before a response leaves, it is counted at once when it has."""
        series = self._bound.get((consumer, endpoint, method, status, billable))
        return self._bind(consumer, endpoint, method, status, billable) if series is None else series

    def record_bytes(self, consumer: str, endpoint: str, method: str, received: int = 0, sent: int = 0) -> None:
        """Count bytes of a response that is still streaming."""
        consumer, endpoint, method = self._labels(RESPONSE_BYTES, consumer, endpoint, method)
        if received:
            self.request_bytes.labels(consumer, endpoint, method).inc(received)
        if sent:
            self.response_bytes.labels(consumer, endpoint, method).inc(sent)

    def record_connection(self, consumer: str, endpoint: str, seconds: float) -> None:
        """Count a further `seconds` of an open connection."""
        consumer, endpoint, _ = self._labels(CONNECTION_SECONDS, consumer, endpoint, "WEBSOCKET")
        self.connection_seconds.labels(consumer, endpoint).inc(max(seconds, 0.0))

    def prime(self, consumers: Iterable[str], endpoints: Iterable[str], statuses: Iterable[int] = (200,)) -> int:
        """Create the series of known consumers at zero, so the first request is an increase and not a birth.

        `endpoints` reads "GET /search/{term}". Returns how many request series now exist for the product. Consumers
        are primed in the given order until the guard's bound; the rest would overflow as they will when they call.
        """
        primed = 0
        pairs = [_method_and_template(endpoint) for endpoint in endpoints]
        codes = list(statuses)
        for consumer in consumers:
            for method, template in pairs:
                for status in codes:
                    for billable in (True, False) if self.billable else (True,):
                        self._bind(consumer, template, method, status, billable)
                        primed += 1
        return primed

    @contextmanager
    def faults(self, where: str) -> Iterator[None]:
        """What raises in the block is counted and logged, and goes no further: a full disk under a durable counter must
        not take the API down with it."""
        try:
            yield
        except Exception:  # noqa: BLE001 - see above
            self.fault(where)

    def stale(self) -> None:
        """A connection has been silent for so long that it is charged no further."""
        self._stale.inc()

    def fault(self, where: str) -> None:
        """A rule raised: count it, and log the first of each kind with its traceback. Call inside `except`."""
        with suppress(OSError):  # the disk that is full under the other counters is full under this one
            self._faults.labels(where).inc()
        if where not in self._warned:
            self._warned.add(where)
            log.exception("%s raised; the request is counted without its answer (logged once, counted always)", where)

    def _labels(self, metric: str, consumer: str, endpoint: str, method: str) -> tuple[str, str, str]:
        admit = self.guard.admit
        known = method if method in METHODS else OTHER
        return admit(metric, CONSUMER, consumer), admit(metric, ENDPOINT, endpoint), known

    def _bind(self, consumer: str, endpoint: str, method: str, status: int, billable: bool) -> Series:
        labels = self._labels(REQUESTS, consumer, endpoint, method)
        code = str(status) if 100 <= status <= 599 else OTHER
        full = (*labels, code, "true" if billable else "false") if self.billable else (*labels, code)
        durations = None
        if self.durations is not None:
            durations = self.durations.labels(*(labels if self.duration_by_consumer else labels[1:]))
        series = Series(
            self.requests.labels(*full),
            self.request_bytes.labels(*labels),
            self.response_bytes.labels(*labels),
            durations,
        )
        # An overflow must be counted each time, so only a key that became its own labels is remembered.
        if labels == (consumer, endpoint, method) and code is not OTHER:
            with self._lock:
                self._bound[(consumer, endpoint, method, status, billable)] = series
        return series


class Series:
    """The children one kind of response adds to, looked up once."""

    __slots__ = ("durations", "request_bytes", "requests", "response_bytes")

    def __init__(self, requests: Adds, request_bytes: Adds, response_bytes: Adds, durations: Histogram | None) -> None:
        self.requests = requests
        self.request_bytes = request_bytes
        self.response_bytes = response_bytes
        self.durations = durations

    def record(self, seconds: float, received: int, sent: int) -> None:
        """Count one response, and that it was one last of all: that count stands right before its last byte leaves."""
        if received:
            self.request_bytes.inc(received)
        if sent:
            self.response_bytes.inc(sent)
        if self.durations is not None:
            self.durations.observe(seconds)
        self.requests.inc()


def _method_and_template(endpoint: str) -> tuple[str, str]:
    method, gap, template = endpoint.partition(" ")
    if not gap or not template or method not in METHODS:
        raise ValueError(f'endpoint {endpoint!r} is not "METHOD /template"; write for example "GET /search/{{term}}"')
    return method, template
