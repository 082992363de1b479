"""What happens to counters in the field, one world per sentence, each with the meter that a careful author would write.

The worlds follow each other day by day, so that one Prometheus can hold them all and no world sees another's scrapes.
Decides no results: those are the worlds' own truth.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rating.core.meters import Lifetime, Matcher, Meter
from rating.core.periods import Period
from rating_demo.faults import Outage, Relabel, Replica, Restarts, Shape, Traffic, Unreachable
from rating_demo.truth import World

FIRST_DAY = datetime(2026, 9, 1, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
SPAN = 20 * HOUR
WINDOW = HOUR

PAIR = (Replica("a"), Replica("b"))
SKEWED = (Replica("a", timedelta(milliseconds=1700)), Replica("b", timedelta(milliseconds=-900)))
GAPS = (
    Outage(3 * HOUR + 7 * MINUTE, 2 * MINUTE),
    Outage(6 * HOUR + 50 * MINUTE, 12 * MINUTE),
    Outage(9.4 * HOUR, 2 * HOUR),
)
BLIND_IN_TURN = (
    Outage(2.3 * HOUR, 2 * MINUTE, "a"),
    Outage(4.1 * HOUR, 12 * MINUTE, "b"),
    Outage(7.6 * HOUR, 2 * HOUR, "a"),
    Outage(12.9 * HOUR, 40 * MINUTE, "b"),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    sentence: str
    world: World
    meter: Meter

    @property
    def period(self) -> Period:
        """The windows to collect: all that hold a sample."""
        return Period(self.world.start, self.world.end + WINDOW)


def _steady(world: World) -> World:
    return world


def _busy(shape: Shape, per_hour: float, consumers: int = 5) -> dict[str, Traffic]:
    return {f"c{number}": Traffic(per_hour * (0.3 + 0.35 * number), shape) for number in range(consumers)}


def _newborns() -> dict[str, Traffic]:
    return {f"c{number}": Traffic(90, begins=number * 77 * MINUTE + 13 * SECOND) for number in range(12)}


_WORLDS: dict[str, Callable[[World], World]] = {
    "steady traffic": _steady,
    "bursty traffic": lambda w: replace(w, consumers=_busy(Shape.BURSTY, 400)),
    "sparse: a request every few hours": lambda w: replace(
        w, consumers={f"c{number}": Traffic(0.1 + number / 30) for number in range(15)}
    ),
    "series born mid-window": lambda w: replace(w, consumers=_newborns()),
    "series born, but initialised at zero": lambda w: replace(w, consumers=_newborns(), zero_initialised=True),
    "series born behind a created-timestamp zero": lambda w: replace(w, consumers=_newborns(), created_samples=True),
    "processes restart": lambda w: replace(w, restarts=Restarts(20 * MINUTE, 3 * HOUR)),
    "processes restart and pass their old value unseen": lambda w: replace(
        w, restarts=Restarts(30 * MINUTE, 3 * HOUR, hidden=True)
    ),
    "pods replaced by pods of another name": lambda w: replace(
        w, restarts=Restarts(20 * MINUTE, 3 * HOUR, renamed=True)
    ),
    "pods that live 5 to 240 s": lambda w: replace(
        w, end=w.start + 6 * HOUR, restarts=Restarts(5 * SECOND, 240 * SECOND, renamed=True)
    ),
    "Prometheus down 2 min, 12 min, 2 h": lambda w: replace(w, faults=GAPS),
    "Prometheus down while processes restart": lambda w: replace(
        w, faults=GAPS, restarts=Restarts(20 * MINUTE, 3 * HOUR)
    ),
    "target unreachable, process alive": lambda w: replace(
        w,
        faults=(
            Unreachable(3.2 * HOUR, 4 * MINUTE, 1),
            Unreachable(5.7 * HOUR, 3 * HOUR),
            Unreachable(11 * HOUR, HOUR, 1),
        ),
    ),
    "two HA replicas": lambda w: replace(w, replicas=PAIR),
    "two HA replicas, blind in turn": lambda w: replace(w, replicas=PAIR, faults=BLIND_IN_TURN),
    "two HA replicas, clocks 2.6 s apart, processes restart": lambda w: replace(
        w, replicas=SKEWED, faults=BLIND_IN_TURN, restarts=Restarts(10 * MINUTE, 2 * HOUR)
    ),
    "targets move to another address": lambda w: replace(
        w, target_label="pod", relabels=(Relabel("instance", 2.6 * HOUR),), restarts=Restarts(3 * HOUR, 9 * HOUR)
    ),
    "a label changes while the counter goes on": lambda w: replace(
        w, relabels=(Relabel("version", 1.7 * HOUR),), restarts=Restarts(3 * HOUR, 9 * HOUR)
    ),
    "durations in float seconds": lambda w: replace(
        w,
        metric=w.metric.replace("requests", "seconds"),
        digits=3,
        consumers={f"c{number}": Traffic(300, amount=(1, 4000)) for number in range(5)},
        restarts=Restarts(20 * MINUTE, 3 * HOUR),
    ),
    "bytes close under 2^53": lambda w: replace(
        w,
        metric=w.metric.replace("requests", "bytes"),
        consumers={f"c{number}": Traffic(300, amount=(200, 60_000_000)) for number in range(5)},
        carried=2**53 - 2**43,
    ),
    "durable counters in pods that come and go": lambda w: replace(
        w, durable=True, restarts=Restarts(20 * MINUTE, 3 * HOUR), carried=70_000, replicas=PAIR
    ),
    "one leader among exporters holds the counter": lambda w: replace(
        w, durable=True, instances=1, restarts=Restarts(20 * MINUTE, 3 * HOUR, renamed=True), carried=70_000
    ),
    "processes older than Prometheus": lambda w: replace(w, carried=3_000_000, faults=GAPS),
    "everything together": lambda w: replace(
        w,
        consumers={**_busy(Shape.BURSTY, 300, 3), **_newborns()},
        statuses={"200": 0.96, "500": 0.04},
        replicas=SKEWED,
        faults=(*GAPS, *BLIND_IN_TURN, Unreachable(5.7 * HOUR, 3 * HOUR), Unreachable(13.5 * HOUR, 20 * MINUTE, 1)),
        restarts=Restarts(10 * MINUTE, 3 * HOUR, hidden=True),
        carried=1_000,
    ),
}

_METERS: dict[str, Callable[[Meter], Meter]] = {
    "targets move to another address": lambda m: replace(
        m, volatile_labels=("instance",), target_labels=("job", "pod")
    ),
    "a label changes while the counter goes on": lambda m: replace(m, volatile_labels=("version",)),
    "durations in float seconds": lambda m: replace(m, unit="second", digits=3),
    "bytes close under 2^53": lambda m: replace(m, unit="byte"),
    "durable counters in pods that come and go": lambda m: replace(m, lifetime=Lifetime.DURABLE),
    "one leader among exporters holds the counter": lambda m: replace(
        m, lifetime=Lifetime.DURABLE, volatile_labels=("instance",)
    ),
}


def scenarios() -> tuple[Scenario, ...]:
    """Every scenario, each on a day of its own from `FIRST_DAY` on."""
    return tuple(_scenario(number, sentence) for number, sentence in enumerate(_WORLDS))


def _scenario(number: int, sentence: str) -> Scenario:
    word = re.sub(r"[^a-z0-9]+", "_", sentence.lower()).strip("_")
    start = FIRST_DAY + number * timedelta(days=1)
    world = _WORLDS[sentence](
        World(
            seed=number,
            start=start,
            end=start + SPAN,
            consumers=_busy(Shape.STEADY, 120),
            metric=f"{word}_requests_total",
            job=word,
        )
    )
    meter = Meter(
        name=word,
        metric=world.metric,
        consumer=world.consumer_label,
        dimensions=("endpoint",),
        where=(Matcher("status", "2.."),),
        scrape_interval=world.interval,
        # What the samples prove is compared here; windows held for their gaps are a test of their own.
        coverage=Fraction(0),
    )
    return Scenario(sentence, world, _METERS.get(sentence, lambda same: same)(meter))
