"""What happened before the demonstration began: two months of usage whose truth is known. Writes nothing by itself.

Last month whole and this month until now, per meter, with what really happens to counters: processes restart, a
Prometheus was down, a target was out of reach, and for a week two replicas scraped everything. On the first of each
month everything is deployed anew. Sizes are chosen so that each price kind shows a bill worth looking at, and so that
this month one customer is past 80 % of the allowance and another a burst of calls away from all of it, whatever day
it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any

from rating.core.periods import Period
from rating_demo.faults import Outage, Replica, Restarts, Shape, Traffic, Unreachable
from rating_demo.openmetrics import Series
from rating_demo.truth import World

INTERVAL = timedelta(minutes=2)
"""Between scrapes, as the demonstration's catalogue says."""
_SHORTEST = timedelta(minutes=10)
"""This month has no history before it is as old as this."""
_DAY = timedelta(days=1)

GAP = 9 * _DAY + timedelta(hours=10, minutes=12)
"""After last month's start: nobody scrapes for 17 minutes."""
ALMOST_OUT = "hooli"
"""Uses its allowance up while one looks."""
RUNNING_OUT = "umbrella"
"""Past 80 % of its allowance, and on the way to use it up before the month ends."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How one meter's history is made: the service that counts it and what each consumer uses."""

    metric: str
    job: str
    endpoints: Mapping[str, float]
    statuses: Mapping[str, float]
    labels: Mapping[str, str]
    digits: int
    call: tuple[int, int]
    """Least and most that one call adds, in the meter's resolution."""
    monthly: Mapping[str, int]
    """Expected usage of a whole month by consumer, in the meter's resolution."""
    by_now: Mapping[str, int]
    """Consumers whose expected usage this month is this, however young the month is."""


MEASURED = {
    "api_calls": Measured(
        "api_requests_total",
        "api",
        {"/v1/search": 0.75, "/v1/items/{item}": 0.25},
        {"200": 0.97, "500": 0.03},
        {"method": "GET"},
        0,
        (1, 1),
        {"acme": 320_000, "globex": 640_000, "initech": 31_000, "umbrella": 90_000, "hooli": 9_100, "wayne": 150_000},
        {"hooli": 7_500},
    ),
    "tokens": Measured(
        "api_tokens_total",
        "answers",
        {"": 1.0},
        {"200": 1.0},
        {},
        0,
        (20, 400),
        {"acme": 2_400_000, "globex": 7_300_000, "initech": 350_000, "umbrella": 800_000, "wayne": 5_200_000},
        {},
    ),
    "streaming": Measured(
        "api_stream_seconds_total",
        "streams",
        {"": 1.0},
        {"200": 1.0},
        {},
        3,
        (200, 30_000),
        {"acme": 52_000_000, "globex": 96_000_000, "umbrella": 7_500_000, "wayne": 3_000_000},
        {},
    ),
}


@dataclass(frozen=True)
class History:
    """Two months until `now`, equal for equal arguments."""

    now: datetime
    seed: int = 20

    @cached_property
    def last_month(self) -> Period:
        first = self.this_month.start
        return Period((first - _DAY).replace(day=1), first)

    @cached_property
    def this_month(self) -> Period:
        """From its first midnight (UTC) to now."""
        return Period(self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), self.now)

    @property
    def month_passed(self) -> float:
        """How much of this month, as long as it is, has passed."""
        first = self.this_month.start
        return self.this_month.length / ((first + 32 * _DAY).replace(day=1) - first)

    @cached_property
    def worlds(self) -> dict[str, tuple[World, ...]]:
        """By meter: last month's world, and this month's when it is old enough to have one."""
        found: dict[str, tuple[World, ...]] = {}
        for number, (meter, measured) in enumerate(MEASURED.items()):
            seed = self.seed + 10 * number
            found[meter] = (_world(measured, self.last_month, seed, measured.monthly, _BUSY_MONTH),)
            if self.this_month.length >= _SHORTEST:
                part = self.this_month.length / self.last_month.length
                expected = {name: total * part for name, total in measured.monthly.items()}
                expected.update(measured.by_now)
                if RUNNING_OUT in expected and meter == "api_calls":
                    # Of its calls those that were answered are billed.
                    expected[RUNNING_OUT] = _running_out(self.month_passed) / measured.statuses["200"]
                found[meter] += (_world(measured, self.this_month, seed + 1, expected, _QUIET_MONTH),)
        return found

    def series(self) -> Iterator[Series]:
        """Everything Prometheus would have stored, last month before this one."""
        stored_until: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        by_month = zip(*self.worlds.values(), strict=True)
        for one in chain.from_iterable(world.series() for month in by_month for world in month):
            # Each world brings the `up` of the Prometheus that watched it, which is the same one.
            name = (one.metric, tuple(sorted(one.labels.items())))
            new = one.times > stored_until.get(name, 0)
            if new.any():
                stored_until[name] = int(one.times[-1])
                yield Series(one.metric, one.labels, one.times[new], one.values[new])

    def usage(self, meter: str, period: Period) -> dict[str, int]:
        """What the samples prove, by consumer, in the meter's resolution."""
        return self._by_consumer(meter, period, "usage")

    def counted(self, meter: str, period: Period) -> dict[str, int]:
        """What was truly counted, whether or not a scrape saw it."""
        return self._by_consumer(meter, period, "increments")

    def _by_consumer(self, meter: str, period: Period, what: str) -> dict[str, int]:
        totals: dict[str, int] = {}
        for world in self.worlds[meter]:
            for who, amount in getattr(world, what)(period).items():
                totals[who.consumer] = totals.get(who.consumer, 0) + amount
        return totals


def _running_out(part: float) -> float:
    """Usage of 100,000 included that is past 80 % and will not last, however much of the month has passed.

    In its first tenth nobody predicts, and in its last day there is no telling any more. A thousand calls may still be
    made while one looks.
    """
    return 100_000 * max(0.84, min(0.98, part + 0.04))


_BUSY_MONTH: Mapping[str, Any] = {
    "replicas": (Replica("a"), Replica("b", skew=timedelta(milliseconds=350))),
    "restarts": Restarts(shortest=2 * _DAY, longest=6 * _DAY, pause=timedelta(seconds=20)),
    "faults": (
        # The second replica was only there for the third week ...
        Outage(after=timedelta(0), length=14 * _DAY, replica="b"),
        Outage(after=21 * _DAY, length=30 * _DAY, replica="b"),
        # ... and so was of no help when the first one was down, nor when a target could not be reached.
        Outage(after=GAP, length=timedelta(minutes=17), replica="a"),
        Unreachable(after=12 * _DAY + timedelta(hours=15, minutes=31), length=timedelta(minutes=9)),
        # This one it covered.
        Outage(after=17 * _DAY + timedelta(hours=3), length=timedelta(hours=2), replica="a"),
    ),
}
_QUIET_MONTH: Mapping[str, Any] = {
    "replicas": (Replica("a"),),
    "restarts": Restarts(shortest=3 * _DAY, longest=8 * _DAY),
}


def _world(
    measured: Measured, period: Period, seed: int, expected: Mapping[str, float], events: Mapping[str, Any]
) -> World:
    hours = period.length / timedelta(hours=1)
    mean = sum(measured.call) / 2
    return World(
        seed=seed,
        start=period.start,
        end=period.end,
        consumers={
            name: Traffic(total / mean / hours, _SHAPES.get(name, Shape.DAILY), amount=measured.call)
            for name, total in expected.items()
        },
        endpoints=measured.endpoints,
        statuses=measured.statuses,
        metric=measured.metric,
        job=measured.job,
        labels=measured.labels,
        digits=measured.digits,
        interval=INTERVAL,
        **events,
    )


# Steady where usage by now is given: it must not depend on the hour.
_SHAPES = {"initech": Shape.BURSTY} | dict.fromkeys(("globex", "umbrella", ALMOST_OUT), Shape.STEADY)
