"""A world of counters whose truth is known: what was counted, what Prometheus saw of it, and what that proves.

Decides which increments the samples prove (the *observable* truth), from its own knowledge of which process each sample
came from; it shares no code with `rating.core.counters`, which has to find out. Seeded and pure: the same arguments are
the same world, to the sample. Writing it down is left to `openmetrics` and `blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rating.core.periods import EPOCH, Period, milliseconds
from rating_demo import openmetrics
from rating_demo.faults import Outage, Relabel, Replica, Restarts, Traffic, Unreachable
from rating_demo.openmetrics import Series
from rating_demo.traffic import Integers, calls, length

WATCHED_BEFORE = timedelta(minutes=10)
"""How long before the world's start each Prometheus began to watch."""


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
    faults: tuple[Outage | Unreachable, ...] = ()
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
            rng, born, number = self._rng(1, slot), origin, 0
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
                        rng = self._rng(2, index, other, third, slot)
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
    def _attempts(self) -> dict[tuple[int, Replica], Integers]:
        """When each replica tries to scrape each slot, by the world's clock."""
        first, step = milliseconds(self.start), length(self.interval)
        attempts = {}
        for slot in range(self.instances):
            for index, replica in enumerate(self.replicas):
                attempts[slot, replica] = self._awake(replica, first + int(self._rng(3, slot, index).integers(1, step)))
        return attempts

    def _awake(self, replica: Replica, first: int) -> Integers:
        """Every interval from `first` on, but for the replica's outages."""
        times = np.arange(first, milliseconds(self.end), length(self.interval), dtype=np.int64)
        for fault in self.faults:
            if isinstance(fault, Outage) and fault.replica in (None, replica.name):
                times = times[~self._within(fault, times)]
        return times

    def _seen(self, life: Life, replica: Replica) -> Integers:
        """When this replica scraped this process."""
        times = self._attempts[life.slot, replica]
        low, high = np.searchsorted(times, (life.born, life.died))
        return self._reached(life.slot, times[low:high])

    def _reached(self, slot: int, times: Integers) -> Integers:
        for fault in self.faults:
            if isinstance(fault, Unreachable) and fault.instance == slot:
                times = times[~self._within(fault, times)]
        return times

    def _exposed(self, counter: Counter) -> int:
        """The first moment at which a scrape of its target shows this counter."""
        if self.zero_initialised or counter.base or not len(counter.moments):
            return counter.lives[0].born
        return int(counter.moments[0])

    def series(self) -> Iterator[Series]:
        """Every series every replica stores: the counters, `process_start_time_seconds`, and `up`, also its own.

        Prometheus began to watch itself a little before the world's start: what is born later was born in its sight.
        """
        stored: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[Integers, NDArray[Any]]]] = {}

        def store(metric: str, labels: dict[str, str], times: Integers, values: NDArray[Any], replica: Replica) -> None:
            for names, low, high in self._relabelled(labels, times):
                if low < high:
                    stamps = times[low:high] + length(replica.skew)
                    stored.setdefault((metric, tuple(names.items())), []).append((stamps, values[low:high]))

        for replica in self.replicas:
            itself = {"job": "prometheus", "instance": "localhost:9090", "replica": replica.name}
            awake = self._awake(replica, milliseconds(self.start - WATCHED_BEFORE))
            store("up", itself, awake, np.ones(len(awake), dtype=np.int64), replica)
            for life in self.lives:
                target = {"job": self.job, self.target_label: life.instance, "replica": replica.name}
                seen = self._seen(life, replica)
                store("process_start_time_seconds", target, seen, np.full(len(seen), life.born / 1000), replica)
                tried = self._tried(life, replica)
                store("up", target, tried, np.isin(tried, seen).astype(np.int64), replica)
            for counter in self.counters:
                created = self._exposed(counter)
                for life in counter.lives:
                    times = self._seen(life, replica)
                    times = times[times >= created]
                    values = counter.at(times)
                    if self.created_samples and len(times) and milliseconds(self.start) <= created < times[0]:
                        times, values = np.insert(times, 0, created), np.insert(values, 0, 0)
                    store(self.metric, self._labels(counter, life, replica), times, self._printed(values), replica)
        for (metric, names), parts in stored.items():
            times, values = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
            yield Series(metric, dict(names), times, values)

    def write_openmetrics(self, path: Path) -> int:
        """Everything Prometheus stores, as one OpenMetrics file; returns the number of samples."""
        return openmetrics.write(path, self.series())

    def _tried(self, life: Life, replica: Replica) -> Integers:
        """Scrapes of this target, answered or not: a pod that is gone is none, a process that restarts still is."""
        times = self._attempts[life.slot, replica]
        until = life.died
        if self.restarts is not None and not self.restarts.renamed:
            until += length(self.restarts.pause)
        low, high = np.searchsorted(times, (life.born, until))
        return times[low:high]

    def _labels(self, counter: Counter, life: Life, replica: Replica) -> dict[str, str]:
        return {
            **self.labels,
            self.consumer_label: counter.who.consumer,
            "endpoint": counter.who.endpoint,
            "status": counter.status,
            "job": self.job,
            self.target_label: life.instance,
            "replica": replica.name,
        }

    def _relabelled(self, labels: dict[str, str], times: Integers) -> Iterator[tuple[dict[str, str], int, int]]:
        """Spans of `times` with the labels that hold in them."""
        if not self.relabels or not len(times) or labels["job"] != self.job:
            yield labels, 0, len(times)
            return
        terms = np.stack([(times - milliseconds(self.start)) // length(change.every) for change in self.relabels])
        edges = [0, *(np.flatnonzero(np.any(np.diff(terms, axis=1), axis=0)) + 1).tolist(), len(times)]
        for low, high in pairwise(edges):
            changed = {
                change.label: f"{labels.get(change.label, change.label)}-{term}"
                for change, term in zip(self.relabels, terms[:, low].tolist(), strict=True)
            }
            yield {**labels, **changed}, low, high

    def _printed(self, values: Integers) -> NDArray[Any]:
        return values / 10**self.digits if self.digits else values

    # what that proves -----------------------------------------------------------------------------------------------

    @cached_property
    def _observable(self) -> tuple[Rises, ...]:
        return tuple(self._proven(counter) for counter in self.counters if counter.status.startswith("2"))

    def _proven(self, counter: Counter) -> Rises:
        """How far the samples of one counter, in the order of their stamps, raise its running maximum."""
        exposed, shown, scraped = self._exposed(counter), [], []
        for replica in self.replicas:
            for life in counter.lives:
                times = self._seen(life, replica)
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

    def _within(self, fault: Outage | Unreachable, times: Integers) -> NDArray[np.bool_]:
        begins = milliseconds(self.start + fault.after)
        return (times >= begins) & (times < begins + length(fault.length))

    def _rng(self, *about: int) -> np.random.Generator:
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
