"""What happens to counters in the field, one world per sentence, each with the meter that a careful author would write.

Each is a change to a calm world, so that several can happen to one. `scenarios` lets the worlds follow each other day
by day: one Prometheus can hold them all and no world sees another's scrapes. Decides no results: those are the worlds'
own truth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rating.core.meters import Lifetime, Matcher, Meter
from rating.core.periods import Period
from rating.errors import RatingError
from rating_demo.faults import Disordered, Fault, Late, Outage, Relabel, Replica, Restarts, Shape, Traffic, Unreachable
from rating_demo.truth import World

FIRST_DAY = datetime(2026, 9, 1, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
SPAN = 20 * HOUR
WINDOW = HOUR

PAIR = (Replica("a"), Replica("b"))
APART = (Replica("a", timedelta(seconds=24)), Replica("b", timedelta(seconds=-16)))
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
    name: str
    sentence: str
    world: World
    meter: Meter

    @property
    def period(self) -> Period:
        """The windows to collect: all that hold a sample."""
        return Period(self.world.start, self.world.end + WINDOW)


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happens, and what the author of a meter has to say about it."""

    sentence: str
    world: Callable[[World], World] = lambda world: world
    meter: Callable[[Meter], Meter] = lambda meter: meter


def _busy(shape: Shape, per_hour: float, consumers: int) -> dict[str, Traffic]:
    return {f"c{number}": Traffic(per_hour * (0.3 + 0.35 * (number % 5)), shape) for number in range(consumers)}


def _newborns(world: World) -> dict[str, Traffic]:
    """At least a dozen, one after the other."""
    return {
        f"c{number}": Traffic(90, begins=(number * 77 * MINUTE + 13 * SECOND) % (world.end - world.start))
        for number in range(max(12, len(world.consumers)))
    }


def _with(world: World, *faults: Fault) -> World:
    return replace(world, faults=(*world.faults, *faults))


HAPPENINGS: dict[str, Happening] = {
    "steady": Happening("steady traffic"),
    "bursty": Happening("bursty traffic", lambda w: replace(w, consumers=_busy(Shape.BURSTY, 400, len(w.consumers)))),
    "sparse": Happening(
        "sparse: a request every few hours",
        lambda w: replace(
            w, consumers={f"c{number}": Traffic(0.1 + number / 30) for number in range(max(15, len(w.consumers)))}
        ),
    ),
    "births": Happening("series born mid-window", lambda w: replace(w, consumers=_newborns(w))),
    "zero-births": Happening(
        "series born, but initialised at zero", lambda w: replace(w, consumers=_newborns(w), zero_initialised=True)
    ),
    "created-births": Happening(
        "series born behind a created-timestamp zero",
        lambda w: replace(w, consumers=_newborns(w), created_samples=True),
    ),
    "restarts": Happening("processes restart", lambda w: replace(w, restarts=Restarts(20 * MINUTE, 3 * HOUR))),
    "hidden-restarts": Happening(
        "processes restart and pass their old value unseen",
        lambda w: replace(w, restarts=Restarts(30 * MINUTE, 3 * HOUR, hidden=True)),
    ),
    "churn": Happening(
        "pods replaced by pods of another name",
        lambda w: replace(w, restarts=Restarts(20 * MINUTE, 3 * HOUR, renamed=True)),
    ),
    "short-lived": Happening(
        "pods that live 5 to 240 s",
        lambda w: replace(w, end=w.start + 6 * HOUR, restarts=Restarts(5 * SECOND, 240 * SECOND, renamed=True)),
    ),
    "gaps": Happening("Prometheus down 2 min, 12 min, 2 h", lambda w: _with(w, *GAPS)),
    "restarts-in-gaps": Happening(
        "Prometheus down while processes restart",
        lambda w: replace(_with(w, *GAPS), restarts=Restarts(20 * MINUTE, 3 * HOUR)),
    ),
    "unreachable": Happening(
        "target unreachable, process alive",
        lambda w: _with(
            w,
            Unreachable(3.2 * HOUR, 4 * MINUTE, 1),
            Unreachable(5.7 * HOUR, 3 * HOUR),
            Unreachable(11 * HOUR, HOUR, 1),
        ),
    ),
    "pair": Happening("two HA replicas", lambda w: replace(w, replicas=PAIR)),
    "pair-gaps": Happening(
        "two HA replicas, blind in turn", lambda w: replace(_with(w, *BLIND_IN_TURN), replicas=PAIR)
    ),
    "pair-skew": Happening(
        "two HA replicas, clocks 2.6 s apart, processes restart",
        lambda w: replace(_with(w, *BLIND_IN_TURN), replicas=SKEWED, restarts=Restarts(10 * MINUTE, 2 * HOUR)),
    ),
    "moves": Happening(
        "targets move to another address",
        lambda w: replace(
            w,
            target_label="pod",
            relabels=(*w.relabels, Relabel("instance", 2.6 * HOUR)),
            restarts=Restarts(3 * HOUR, 9 * HOUR),
        ),
        lambda m: replace(m, volatile_labels=(*m.volatile_labels, "instance"), target_labels=("job", "pod")),
    ),
    "label-changes": Happening(
        "a label changes while the counter goes on",
        lambda w: replace(
            w, relabels=(*w.relabels, Relabel("version", 1.7 * HOUR)), restarts=Restarts(3 * HOUR, 9 * HOUR)
        ),
        lambda m: replace(m, volatile_labels=(*m.volatile_labels, "version")),
    ),
    "seconds": Happening(
        "durations in float seconds",
        lambda w: replace(
            w,
            metric=w.metric.replace("requests", "seconds"),
            digits=3,
            consumers={f"c{number}": Traffic(300, amount=(1, 4000)) for number in range(len(w.consumers))},
            restarts=Restarts(20 * MINUTE, 3 * HOUR),
        ),
        lambda m: replace(m, unit="second", digits=3),
    ),
    "bytes": Happening(
        "bytes close under 2^53",
        lambda w: replace(
            w,
            metric=w.metric.replace("requests", "bytes"),
            consumers={f"c{number}": Traffic(300, amount=(200, 60_000_000)) for number in range(len(w.consumers))},
            carried=2**53 - 2**43,
        ),
        lambda m: replace(m, unit="byte"),
    ),
    "durable": Happening(
        "durable counters in pods that come and go",
        lambda w: replace(w, durable=True, restarts=Restarts(20 * MINUTE, 3 * HOUR), carried=70_000, replicas=PAIR),
        lambda m: replace(m, lifetime=Lifetime.DURABLE),
    ),
    "leader": Happening(
        "one leader among exporters holds the counter",
        lambda w: replace(
            w, durable=True, instances=1, restarts=Restarts(20 * MINUTE, 3 * HOUR, renamed=True), carried=70_000
        ),
        lambda m: replace(m, lifetime=Lifetime.DURABLE, volatile_labels=(*m.volatile_labels, "instance")),
    ),
    "older": Happening("processes older than Prometheus", lambda w: replace(_with(w, *GAPS), carried=3_000_000)),
    "everything": Happening(
        "everything together",
        lambda w: replace(
            _with(
                w,
                *(*GAPS, *BLIND_IN_TURN, Unreachable(5.7 * HOUR, 3 * HOUR), Unreachable(13.5 * HOUR, 20 * MINUTE, 1)),
            ),
            consumers={**_busy(Shape.BURSTY, 300, len(w.consumers) - 2), **_newborns(w)},
            statuses={"200": 0.96, "500": 0.04},
            replicas=SKEWED,
            restarts=Restarts(10 * MINUTE, 3 * HOUR, hidden=True),
            carried=1_000,
        ),
    ),
    "pair-apart": Happening(
        "two HA replicas, clocks 40 s apart, processes restart",
        lambda w: replace(_with(w, *BLIND_IN_TURN), replicas=APART, restarts=Restarts(10 * MINUTE, 2 * HOUR)),
    ),
    "pair-created": Happening(
        "two HA replicas, each puts created-timestamp zeros",
        lambda w: replace(
            w, consumers=_newborns(w), replicas=PAIR, created_samples=True, restarts=Restarts(30 * MINUTE, 4 * HOUR)
        ),
    ),
    "late": Happening(
        "blocks that arrive late, processes restart",
        lambda w: replace(
            _with(w, Late(4.3 * HOUR, 2 * HOUR), Late(11 * HOUR, 25 * MINUTE)), restarts=Restarts(20 * MINUTE, 3 * HOUR)
        ),
    ),
    "disordered": Happening(
        "a tenth of all scrapes arrives out of order",
        lambda w: replace(_with(w, Disordered(0.1)), restarts=Restarts(20 * MINUTE, 3 * HOUR)),
    ),
    "backfill": Happening(
        "one of two HA replicas was cut off and backfills",
        lambda w: replace(
            _with(w, Outage(6 * HOUR, 3 * HOUR, "a"), Late(5 * HOUR, 5 * HOUR, "b")),
            replicas=PAIR,
            restarts=Restarts(20 * MINUTE, 3 * HOUR),
        ),
    ),
}


class NoSuchHappening(RatingError):
    """The names there are, are in the message."""


def scenarios() -> tuple[Scenario, ...]:
    """Every scenario, each on a day of its own from `FIRST_DAY` on."""
    days = (FIRST_DAY + number * timedelta(days=1) for number in range(len(HAPPENINGS)))
    return tuple(
        scenario((name,), seed, start) for seed, (name, start) in enumerate(zip(HAPPENINGS, days, strict=True))
    )


def scenario(
    names: Sequence[str],
    seed: int,
    start: datetime,
    span: timedelta = SPAN,
    *,
    consumers: int = 5,
    instances: int = 2,
) -> Scenario:
    """All of these happening to one world of `span`, with so many instances and at least so many consumers.

    Each changes what the one before it made: the last that says which consumers there are, or how processes restart, is
    heard; faults add up.

    Raises:
        NoSuchHappening: a name is none of `HAPPENINGS`.
    """
    unknown = [name for name in names if name not in HAPPENINGS]
    if unknown:
        raise NoSuchHappening(f"nothing is called {', '.join(unknown)}; there are {', '.join(HAPPENINGS)}")
    found = [HAPPENINGS[name] for name in names]
    sentence = " + ".join(happening.sentence for happening in found)
    word = re.sub(r"[^a-z0-9]+", "_", sentence.lower()).strip("_")
    world = World(
        seed=seed,
        start=start,
        end=start + span,
        consumers=_busy(Shape.STEADY, 120, consumers),
        metric=f"{word}_requests_total",
        job=word,
        instances=instances,
    )
    for happening in found:
        world = happening.world(world)
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
    for happening in found:
        meter = happening.meter(meter)
    return Scenario("+".join(names), sentence, world, meter)
