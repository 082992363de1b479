"""A world of counters whose truth is known: what was counted, what Prometheus saw of it, and what that proves.

Decides which increments the samples prove (the *observable* truth), from its own knowledge of which process each sample
came from; it shares no code with `rating.core.counters`, which has to find out. Seeded and pure: the same arguments are
the same world, to the sample. Which scrapes there are is `scrapes`; writing them down is left to `openmetrics`,
`blocks` and `remote_write`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rating.core.periods import EPOCH, Period, milliseconds
from rating_demo import openmetrics
from rating_demo.faults import Disordered, Fault, Late, Relabel, Replica, Restarts, Traffic
from rating_demo.openmetrics import Series
from rating_demo.scrapes import Scrapes
from rating_demo.traffic import Integers, calls, length


class Who(NamedTuple):
    """What usage is kept by."""

    consumer: str
    endpoint: str


class Cell(NamedTuple):
    consumer: str
    endpoint: str
    start: datetime


@dataclass(frozen=True, slots=True)
class Life:
    """One process of one slot, alive from `born` until just before `died` (milliseconds)."""

    slot: int
    instance: str
    born: int
    died: int


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """One physical counter: it begins at `base` and only rises, in one process or, when durable, across several."""

    who: Who
    status: str
    lives: tuple[Life, ...]
    moments: Integers
    amounts: Integers
    base: int

    def at(self, times: Integers) -> Integers:
        """Its value at each time; an increment at that very millisecond is in it."""
        running = np.concatenate(([self.base], self.base + np.cumsum(self.amounts)))
        return running[np.searchsorted(self.moments, times, side="right")]


@dataclass(frozen=True, slots=True, eq=False)
class Rises:
    """Increases with the moment they belong to, of one consumer and endpoint."""

    who: Who
    moments: Integers
    amounts: Integers


@dataclass(frozen=True)
class World:
    """Consumers call endpoints; instances count; replicas of Prometheus look every `interval`; faults happen.

    Quantities are integers in the world's resolution (`10**-digits`).
    """

    seed: int
    start: datetime
    end: datetime
    consumers: Mapping[str, Traffic]
    endpoints: Mapping[str, float] = field(default_factory=lambda: {"/search": 0.7, "/chat": 0.3})
    """Share of each consumer's calls."""
    statuses: Mapping[str, float] = field(default_factory=lambda: {"200": 1.0})
    """Share of each status; usage counts those that begin with 2."""
    metric: str = "api_requests_total"
    job: str = "api"
    consumer_label: str = "consumer_id"
    labels: Mapping[str, str] = field(default_factory=lambda: {"method": "GET"})
    target_label: str = "instance"
    """The label that names a target; with `pod`, its `instance` may be relabelled as it moves."""
    digits: int = 0
    instances: int = 2
    replicas: tuple[Replica, ...] = (Replica(),)
    interval: timedelta = timedelta(seconds=15)
    faults: tuple[Fault, ...] = ()
    missed: tuple[Late | Disordered, ...] = ()
    """Scrapes that would have arrived late, and have not."""
    restarts: Restarts | None = None
    relabels: tuple[Relabel, ...] = ()
    durable: bool = False
    """Counters outlive their processes."""
    zero_initialised: bool = False
    """Every series is there, at zero, from its process's first moment."""
    created_samples: bool = False
    """Prometheus puts a zero at the moment a series was created in front of its first sample."""
    carried: int = 0
    """Processes have run for 40 days when the world starts, and each counter stands at this."""

    # what happens ---------------------------------------------------------------------------------------------------

    @cached_property
    def lives(self) -> tuple[Life, ...]:
        first, last = milliseconds(self.start), milliseconds(self.end)
        # Before anybody looked, by less than a scrape: nothing of the first processes is lost.
        origin = first - length(timedelta(days=40)) if self.carried else first
        lives = []
        for slot in range(self.instances):
            name = f"{self.job}-{slot + 1}:8000"
            if self.restarts is None:
                lives.append(Life(slot, name, origin, last))
                continue
            rng, born, number = self.rng(1, slot), origin, 0
            shortest, longest = length(self.restarts.shortest), length(self.restarts.longest)
            while born < last:
                died = max(born, first) + int(rng.integers(shortest, longest + 1))
                pod = f"{self.job}-{slot + 1}-{number}:8000" if self.restarts.renamed else name
                lives.append(Life(slot, pod, born, min(died, last)))
                born, number = died + length(self.restarts.pause), number + 1
        return tuple(lives)

    @cached_property
    def counters(self) -> tuple[Counter, ...]:
        tick = max(500, length(self.interval) // 10)
        found = []
        for index, (consumer, traffic) in enumerate(self.consumers.items()):
            for other, (endpoint, share) in enumerate(self.endpoints.items()):
                for third, (status, part) in enumerate(self.statuses.items()):
                    for slot in range(self.instances):
                        rng = self.rng(2, index, other, third, slot)
                        each = share * part / self.instances
                        happened = calls(rng, traffic, each, self.start, self.end, tick)
                        found += self._counted(Who(consumer, endpoint), status, slot, *happened)
        return tuple(found)

    def _counted(self, who: Who, status: str, slot: int, moments: Integers, amounts: Integers) -> Iterator[Counter]:
        """Calls meet processes: what arrives while none runs was never served."""
        lives = tuple(life for life in self.lives if life.slot == slot)
        served, before = [], 0
        for life in lives:
            low, high = np.searchsorted(moments, (life.born, life.died))
            when, much = moments[low:high], amounts[low:high]
            if self.restarts is not None and self.restarts.hidden and before:
                when, much = np.insert(when, 0, life.born), np.insert(much, 0, before + 1)
            before = int(much.sum())
            served.append((life, when, much))
        if self.durable:
            parts = [np.concatenate([part[column] for part in served]) for column in (1, 2)]
            yield Counter(who, status, lives, parts[0], parts[1], self.carried)
            return
        for life, when, much in served:
            base = self.carried if life.born < milliseconds(self.start) else 0
            if len(when) or base or self.zero_initialised:
                yield Counter(who, status, (life,), when, much, base)

    # what Prometheus sees -------------------------------------------------------------------------------------------

    @cached_property
    def scrapes(self) -> Scrapes:
        return Scrapes(self)

    def series(self) -> Iterator[Series]:
        """Every series every replica stores in the end: the counters, `process_start_time_seconds`, and `up`."""
        return self.scrapes.series()

    def arrivals(self) -> tuple[list[Series], list[Series]]:
        """The samples of `series` that arrive at once, and those that arrive when all of these are there."""
        return self.scrapes.arrivals()

    def as_of_arrival(self) -> World:
        """The world as it looks before its late samples arrive: nobody made those scrapes."""
        missed = tuple(fault for fault in self.faults if isinstance(fault, Late | Disordered))
        return replace(self, faults=tuple(fault for fault in self.faults if fault not in missed), missed=missed)

    def write_openmetrics(self, path: Path) -> int:
        """Everything Prometheus stores, as one OpenMetrics file; returns the number of samples."""
        return openmetrics.write(path, self.series())

    # what that proves -----------------------------------------------------------------------------------------------

    @cached_property
    def _observable(self) -> tuple[Rises, ...]:
        return tuple(self._proven(counter) for counter in self.counters if counter.status.startswith("2"))

    def _proven(self, counter: Counter) -> Rises:
        """How far the samples of one counter, in the order of their stamps, raise its running maximum."""
        exposed, shown, scraped = self.scrapes.exposed(counter), [], []
        for replica in self.replicas:
            for life in counter.lives:
                times = self.scrapes.seen(life, replica)
                scraped.append(times + length(replica.skew))
                times = times[times >= exposed]
                shown.append((times + length(replica.skew), counter.at(times)))
        stamps = np.concatenate([part[0] for part in shown])
        order = np.argsort(stamps, kind="stable")
        stamps, values = stamps[order], np.concatenate([part[1] for part in shown])[order]
        if not len(stamps):
            return Rises(counter.who, stamps, values)
        # Proof that it began at zero: a process younger than the world, or an earlier scrape without it.
        young = not self.durable and counter.lives[0].born >= milliseconds(self.start)
        absent_before = any(len(part) and part.min() < stamps[0] for part in scraped)
        known = 0 if young or absent_before else int(values[0])
        return Rises(counter.who, stamps, np.diff(np.maximum.accumulate(values), prepend=known))

    @cached_property
    def _true(self) -> tuple[Rises, ...]:
        return tuple(
            Rises(counter.who, counter.moments, counter.amounts)
            for counter in self.counters
            if counter.status.startswith("2")
        )

    def usage(self, period: Period | None = None) -> dict[Who, int]:
        """What the samples with start <= t < end prove; without a period, all samples."""
        return _summed(self._observable, period or Period(self.start, self.end + timedelta(days=1)))

    def increments(self, period: Period | None = None) -> dict[Who, int]:
        """What was truly counted with start <= t < end, whether or not anybody saw it."""
        return _summed(self._true, period or Period(self.start, self.end))

    def cells(self, period: Period, window: timedelta) -> dict[Cell, int]:
        """Observable usage by consumer, endpoint and window (aligned to the epoch); zeros left out."""
        return _cells(self._observable, period, window)

    def true_cells(self, period: Period, window: timedelta) -> dict[Cell, int]:
        """True usage by consumer, endpoint and window."""
        return _cells(self._true, period, window)

    def true_increments(self) -> Iterator[tuple[datetime, Who, int]]:
        """Every billed increment one by one, counter after counter."""
        for rises in self._true:
            for moment, amount in zip(rises.moments.tolist(), rises.amounts.tolist(), strict=True):
                yield EPOCH + timedelta(milliseconds=moment), rises.who, amount

    def rng(self, *about: int) -> np.random.Generator:
        """One stream of randomness per thing it is about: a changed fault leaves the traffic as it was."""
        return np.random.default_rng([self.seed, *about])


def _summed(all_rises: tuple[Rises, ...], period: Period) -> dict[Who, int]:
    totals: dict[Who, int] = {}
    first, last = milliseconds(period.start), milliseconds(period.end)
    for rises in all_rises:
        low, high = np.searchsorted(rises.moments, (first, last))
        totals[rises.who] = totals.get(rises.who, 0) + int(rises.amounts[low:high].sum())
    return {who: total for who, total in totals.items() if total}


def _cells(all_rises: tuple[Rises, ...], period: Period, window: timedelta) -> dict[Cell, int]:
    cells: dict[Cell, int] = {}
    first, last, step = milliseconds(period.start), milliseconds(period.end), length(window)
    for rises in all_rises:
        low, high = np.searchsorted(rises.moments, (first, last))
        number = rises.moments[low:high] // step
        edges = np.flatnonzero(np.diff(number, prepend=-1))
        sums = np.add.reduceat(rises.amounts[low:high], edges) if len(edges) else edges
        for index, amount in zip(number[edges].tolist(), sums.tolist(), strict=True):
            if amount:
                cell = Cell(*rises.who, EPOCH + timedelta(milliseconds=index * step))
                cells[cell] = cells.get(cell, 0) + amount
    return cells
