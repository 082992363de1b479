"""How many different values a label may take, and what becomes of the rest.

A value beyond its label's bound is counted under `<overflow>`, and each such count is itself counted in
`rating_exporters_overflow_total{metric,label}`: the sum over all consumers stays true, and somebody can be woken.
Decides values only. Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from prometheus_client import REGISTRY, CollectorRegistry

from .counters import CounterFactory, plain_counter
from .vocabulary import CONSUMER, ENDPOINT, MODEL, OVERFLOW, OVERFLOWS, UNKNOWN, cleaned, reserved

DEFAULT_BOUNDS: Mapping[str, int] = {CONSUMER: 10_000, ENDPOINT: 1_000, MODEL: 500}
MAX_LENGTH = 1_024  # characters: longer ids are nobody's account number


class Guard:
    """Bounds per label (`bounds`), lists of the only values allowed (`allow`), a longest value (`max_length`).

    A label with neither bound nor list passes freely. Reserved words (`<anonymous>` ...) never count against a bound.
    """

    def __init__(
        self,
        bounds: Mapping[str, int] | None = None,
        allow: Mapping[str, Iterable[str]] | None = None,
        *,
        max_length: int = MAX_LENGTH,
        registry: CollectorRegistry | None = REGISTRY,
        counter: CounterFactory = plain_counter,
    ) -> None:
        self.bounds = dict(DEFAULT_BOUNDS if bounds is None else bounds)
        self.allow = {label: frozenset(values) for label, values in (allow or {}).items()}
        self.max_length = max_length
        self._seen: dict[str, set[str]] = {label: set() for label in self.bounds}
        self._lock = Lock()
        text = "Counts that went to <overflow> because a label's bound was reached."
        self._overflows = counter(OVERFLOWS, text, ("metric", "label"), registry, scale=1)

    def admit(self, metric: str, label: str, value: str) -> str:
        """The value to count under: itself, or `<overflow>` (which is then counted)."""
        seen = self._seen.get(label)
        if seen is not None and value in seen:
            return value
        value = cleaned(value)
        if reserved(value):
            return value
        if self._fits(label, value):
            return value
        self._overflows.labels(metric, label).inc()
        return OVERFLOW

    def _fits(self, label: str, value: str) -> bool:
        if len(value) > self.max_length:
            return False
        if label in self.allow and value not in self.allow[label]:
            return False
        if label not in self.bounds:
            return True
        with self._lock:
            seen = self._seen[label]
            if value in seen:
                return True
            if len(seen) >= self.bounds[label]:
                return False
            seen.add(value)
            return True

    def remember(self, label: str, values: Iterable[str]) -> None:
        """Values known from before (a durable store after a restart): they keep their place, even above the bound."""
        if label in self._seen:
            with self._lock:
                self._seen[label].update(value for value in values if not reserved(value))


def named(answer: object, anonymous: str) -> str:
    """A rule's answer as a consumer label: None and "" are `anonymous`, an impostor of a reserved word is UNKNOWN."""
    if answer is None or answer == "":
        return anonymous
    value = str(answer)
    return UNKNOWN if reserved(value) else value
