"""A meter: a thing we count, where its counter or gauge is found, and what to believe about it.

Decides nothing about prices. Everything a window's usage depends on besides the samples is written here, so that the
same samples and the same meter always give the same usage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction

from rating.core.money import Rounding

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")


MILLISECONDS = 3
"""Decimals by which a gauge's usage is finer than its readings: time is counted in thousandths of a second."""


class Kind(StrEnum):
    """What the samples of a metric say."""

    COUNTER = "counter"
    """How much there has been: usage is how far it rises."""
    GAUGE = "gauge"
    """How much there is now: usage is its value times the seconds it lasted, such as byte-seconds."""


class Lifetime(StrEnum):
    """What a counter lives and dies with."""

    PROCESS = "process"
    """It restarts at zero with its process, which exposes process_start_time_seconds."""
    DURABLE = "durable"
    """It outlives or spans processes; only a fall in value is a reset."""


class BirthPolicy(StrEnum):
    """What to do with a counter that appears with no sign of where it began."""

    ZERO = "zero"
    """Bill its first value in full."""
    BASELINE = "baseline"
    """Bill only what it counts from now on, and flag the window. The default: over-billing a whole total is worse."""
    HOLD = "hold"
    """Hold the window for a person."""


class Degraded(StrEnum):
    """What becomes of a window with gaps, restarts or unproven births, where its coverage is enough."""

    BILL = "bill"
    """Bill what was seen, and say what was not."""
    HOLD = "hold"
    """Hold the window for a person."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many whole units in any span of this length."""

    units: Fraction
    span: timedelta

    def __post_init__(self) -> None:
        if self.units < 0 or self.span <= timedelta(0):
            raise ValueError(f"a rate of {self.units} in {self.span} is none")

    def most(self, milliseconds: int) -> Fraction:
        """The most that can be counted in this time: it is covered by one more span than fit into it."""
        return (
            self.units * (milliseconds // (self.span // timedelta(milliseconds=1)) + 1) if milliseconds else Fraction(0)
        )


# RE2's special characters, which a literal label value must not bring along.
_SPECIAL = frozenset("\\.+*?()|[]{}^$")


def literally(values: Iterable[str]) -> str:
    """A regular expression that matches exactly these values."""
    return "|".join("".join(f"\\{char}" if char in _SPECIAL else char for char in value) for value in sorted(values))


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label must match a regular expression, anchored at both ends as in PromQL; or must not."""

    label: str
    pattern: str
    negated: bool = False

    def __post_init__(self) -> None:
        if not _LABEL.match(self.label):
            raise ValueError(f"label {self.label!r} is not a Prometheus label name")


@dataclass(frozen=True, slots=True)
class Meter:
    """A counter or gauge to bill from.

    Quantities of this meter are integers: whole multiples of `10**-digits` of `unit`.
    """

    name: str
    metric: str
    consumer: str
    """The label whose value is the consumer."""
    dimensions: tuple[str, ...] = ()
    """Labels kept beside the consumer, in the order in which usage carries their values."""
    where: tuple[Matcher, ...] = ()
    unit: str = "request"
    digits: int = 0
    """Resolution: 0 counts whole units, 3 counts thousandths. A gauge's is three finer than that of its readings."""
    lifetime: Lifetime = Lifetime.PROCESS
    births: BirthPolicy = BirthPolicy.BASELINE
    replica_labels: tuple[str, ...] = ("replica", "prometheus_replica")
    """Labels that tell Prometheus replicas apart; the same counter stands behind all their values."""
    volatile_labels: tuple[str, ...] = ()
    """Labels that may change while the physical counter goes on."""
    target_labels: tuple[str, ...] = ("job", "instance")
    """Labels that name one scrape target; they tie a counter to its process start time and its `up`."""
    window: timedelta = timedelta(hours=1)
    settling: timedelta = timedelta(minutes=5)
    """How long after its end a window waits for late samples before it is closed."""
    scrape_interval: timedelta = timedelta(seconds=15)
    lookback: timedelta = timedelta(days=15)
    """How far back a base is searched; usually the retention of the Prometheus behind it."""
    coverage: Fraction = Fraction(98, 100)
    """Share of the expected scrapes below which a window is held instead of billed as degraded."""
    added_metrics: tuple[str, ...] = ()
    """Metrics whose counters are counted as well: usage is the sum of them all."""
    consumers: tuple[tuple[str, str], ...] = ()
    """Pairs of the SHA-256 of a value of the consumer's label, such as an API key, and the consumer it stands for.

    Digests, because the catalogue is kept in the book and shown to people, and a key is a secret."""
    dimension_values: tuple[tuple[str, ...] | None, ...] = ()
    """For each dimension the values that are kept apart, None for all; empty when every dimension keeps them all."""
    kind: Kind = Kind.COUNTER
    hold: timedelta = timedelta(minutes=5)
    """Gauges: how long a sample speaks for what is there, where no next one follows."""
    conversion: Fraction = Fraction(1)
    """Units for each one that the metric counts."""
    rounding: Rounding = Rounding.HALF_UP
    """How a converted reading becomes a whole multiple of the resolution. Readings are rounded, never usage: the
    differences of rounded readings telescope."""
    max_rate: Rate | None = None
    """The most that any one consumer can use: what a rate limiter lets through."""
    degraded: Degraded = Degraded.BILL
    tolerated: Fraction | None = None
    """What a window may lack at most to be billed, in whole units; None for whatever its coverage allows."""
    tolerated_share: Fraction | None = None
    """The same as a share of what was counted."""
    sources: tuple[str, ...] = ()
    """The sources it is read from, shards of one whole; empty for the one that has no name."""

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if not _METRIC.match(metric):
                raise ValueError(f"metric {metric!r} is not a Prometheus metric name")
            if self.metrics.count(metric) > 1:
                raise ValueError(f"metric {metric!r} is listed twice and would be counted twice")
        if self.dimension_values and len(self.dimension_values) != len(self.dimensions):
            raise ValueError(f"{len(self.dimension_values)} lists of values for {len(self.dimensions)} dimensions")
        for label in (
            self.consumer,
            *self.dimensions,
            *self.replica_labels,
            *self.volatile_labels,
            *self.target_labels,
        ):
            if not _LABEL.match(label):
                raise ValueError(f"label {label!r} is not a Prometheus label name")
        if not 0 <= self.digits <= 12:
            raise ValueError(f"resolution of {self.digits} decimals is outside 0 to 12")
        if self.window <= timedelta(0) or timedelta(days=1) % self.window:
            raise ValueError(f"window {self.window} must divide a day, so that windows tile billing periods")
        if not 0 <= self.coverage <= 1:
            raise ValueError(f"coverage {self.coverage} must lie between 0 and 1")
        if self.conversion <= 0:
            raise ValueError(f"a conversion by {self.conversion} is not above zero")
        if self.kind is Kind.GAUGE and self.digits < MILLISECONDS:
            raise ValueError(f"{self.digits} decimals cannot hold a gauge's milliseconds")
        if self.hold <= timedelta(0):
            raise ValueError(f"a sample that holds for {self.hold} says nothing")

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric, *self.added_metrics)

    @property
    def reading_digits(self) -> int:
        """Decimals of one reading."""
        return self.digits - MILLISECONDS if self.kind is Kind.GAUGE else self.digits

    @property
    def as_scraped(self) -> bool:
        """Is it one metric on one source whose label names the consumers themselves?

        Then PromQL can tell its usage by consumer.
        """
        return len(self.sources) < 2 and not (self.added_metrics or self.consumers)

    @property
    def of_each_metric(self) -> tuple[Meter, ...]:
        """This meter over one of its metrics at a time."""
        return tuple(replace(self, metric=metric, added_metrics=()) for metric in self.metrics)

    def quantity(self, units: int) -> Fraction:
        """A stored integer quantity in whole units of this meter."""
        return Fraction(units, 10**self.digits)
