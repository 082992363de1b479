"""What can happen to counters between a request and its scrape: values that say when and to whom, nothing else.

Decides no numbers. `truth` lets them happen to a world.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Shape(StrEnum):
    """How requests spread over time."""

    STEADY = "steady"
    DAILY = "daily"
    """Quiet nights and weekends (UTC), busy afternoons; the mean stays the rate."""
    BURSTY = "bursty"
    """Nineteen five-minute spells out of twenty are quiet; the twentieth carries nearly everything."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """One consumer's calls, over all endpoints and instances."""

    per_hour: float
    shape: Shape = Shape.STEADY
    begins: timedelta = timedelta(0)
    """After the world's start; its series are born then."""
    ends: timedelta | None = None
    growth: float = 1.0
    """The rate at the world's end over the rate at its start; the mean over the whole world stays `per_hour`."""
    amount: tuple[int, int] = (1, 1)
    """Least and most that one call adds to the counter, in the world's resolution."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One Prometheus that scrapes every target by its own schedule and its own clock."""

    name: str = ""
    """Value of the `replica` label; empty: no such label."""
    skew: timedelta = timedelta(0)
    """How far its clock runs ahead."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """Processes live for a random while, pause, and begin again at zero."""

    shortest: timedelta
    longest: timedelta
    pause: timedelta = timedelta(seconds=3)
    renamed: bool = False
    """A new pod: another `instance` each time."""
    hidden: bool = False
    """Each new process counts past its predecessor's last value before anybody scrapes it."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A Prometheus is down: it neither scrapes nor records `up`. The processes go on counting."""

    after: timedelta
    length: timedelta
    replica: str | None = None
    """None: all of them."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """One target cannot be scraped (`up` is 0) although its process lives and counts."""

    after: timedelta
    length: timedelta
    instance: int = 0


@dataclass(frozen=True, slots=True)
class Relabel:
    """A label takes a new value every so often while the counter behind it goes on: a moved target, a new version."""

    label: str
    every: timedelta


@dataclass(frozen=True, slots=True)
class Late:
    """What a Prometheus scrapes in this span reaches the server after everything else: a replica that backfills."""

    after: timedelta
    length: timedelta
    replica: str | None = None
    """None: all of them."""


@dataclass(frozen=True, slots=True)
class Disordered:
    """This share of all scrapes reaches the server after later ones: a sender that retries."""

    share: float


Fault = Outage | Unreachable | Late | Disordered
"""What may go wrong between a counter and the server that answers for it."""
