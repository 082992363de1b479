"""What each Prometheus stores of a world: which scrapes it makes, what they find, and when their samples arrive.

Decides nothing about what that proves. Seeded by the world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rating.core.periods import milliseconds
from rating_demo.faults import Disordered, Late, Outage, Replica, Unreachable
from rating_demo.openmetrics import Series
from rating_demo.traffic import Integers, length

if TYPE_CHECKING:
    from rating_demo.truth import Counter, Life, World

WATCHED_BEFORE = timedelta(minutes=10)
"""How long before the world's start each Prometheus began to watch."""

_Key = tuple[str, tuple[tuple[str, str], ...]]
_ITSELF = -1
"""The slot of a Prometheus that scrapes itself."""


class Scrapes:
    """Every scrape of every replica. Times are the world's; each replica's clock stamps them with its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._interval = length(world.interval)
        self._first, self._last = milliseconds(world.start), milliseconds(world.end)

    def seen(self, life: Life, replica: Replica) -> Integers:
        """When this replica scraped this process."""
        times = self._attempts[life.slot, replica]
        low, high = np.searchsorted(times, (life.born, life.died))
        times = times[low:high]
        for fault in self.world.faults:
            if isinstance(fault, Unreachable) and fault.instance == life.slot:
                times = times[~self._within(fault, times)]
        return times

    def exposed(self, counter: Counter) -> int:
        """The first moment at which a scrape of its target shows this counter."""
        if self.world.zero_initialised or counter.base or not len(counter.moments):
            return counter.lives[0].born
        return int(counter.moments[0])

    def series(self) -> Iterator[Series]:
        """Everything that is stored in the end.

        Prometheus began to watch itself a little before the world's start: what is born later was born in its sight.
        """
        for series, _ in self._stored():
            yield series

    def arrivals(self) -> tuple[list[Series], list[Series]]:
        """What arrives at once, and what arrives when all of that is there; each with the markers of its scrapes."""
        prompt, late = [], []
        for series, attempts in self._stored():
            delayed = np.isin(series.times, attempts)
            gone = np.isin(series.stale, attempts)
            for batch, samples, markers in ((prompt, ~delayed, ~gone), (late, delayed, gone)):
                if samples.any() or markers.any():
                    of_batch = {"values": series.values[samples], "stale": series.stale[markers]}
                    batch.append(replace(series, times=series.times[samples], **of_batch))
        return prompt, late

    # which scrapes there are ----------------------------------------------------------------------------------------

    @cached_property
    def _attempts(self) -> dict[tuple[int, Replica], Integers]:
        """When each replica tries to scrape each slot, and itself."""
        attempts = {}
        for index, replica in enumerate(self.world.replicas):
            attempts[_ITSELF, replica] = self._awake(replica, milliseconds(self.world.start - WATCHED_BEFORE))
            for slot in range(self.world.instances):
                phase = int(self.world.rng(3, slot, index).integers(1, self._interval))
                attempts[slot, replica] = self._awake(replica, self._first + phase)
        for (slot, replica), late in self._late(attempts, self.world.missed).items():
            attempts[slot, replica] = attempts[slot, replica][~late]
        return attempts

    def _awake(self, replica: Replica, first: int) -> Integers:
        """Every interval from `first` on, but for the replica's outages."""
        times = np.arange(first, self._last, self._interval, dtype=np.int64)
        for fault in self.world.faults:
            if isinstance(fault, Outage) and fault.replica in (None, replica.name):
                times = times[~self._within(fault, times)]
        return times

    def _late(
        self, attempts: dict[tuple[int, Replica], Integers], faults: tuple[Any, ...]
    ) -> dict[tuple[int, Replica], NDArray[np.bool_]]:
        """Which scrapes these faults delay."""
        late = {}
        for number, ((slot, replica), times) in enumerate(attempts.items()):
            delayed = np.zeros(len(times), dtype=np.bool_)
            for fault in faults:
                if isinstance(fault, Late) and fault.replica in (None, replica.name):
                    delayed |= self._within(fault, times)
                if isinstance(fault, Disordered):
                    delayed |= self.world.rng(4, number).random(len(times)) < fault.share
            late[slot, replica] = delayed
        return late

    def _within(self, fault: Outage | Unreachable | Late, times: Integers) -> NDArray[np.bool_]:
        begins = milliseconds(self.world.start + fault.after)
        return (times >= begins) & (times < begins + length(fault.length))

    # what they store ------------------------------------------------------------------------------------------------

    def _stored(self) -> Iterator[tuple[Series, Integers]]:
        """Each series with the stamps of its target's scrapes that arrive late."""
        world = self.world
        parts: dict[_Key, list[tuple[Integers, NDArray[Any]]]] = {}
        places: dict[_Key, tuple[int, Replica]] = {}

        def store(
            metric: str, labels: dict[str, str], times: Integers, values: NDArray[Any], place: tuple[int, Replica]
        ) -> None:
            for names, low, high in self._relabelled(labels, times):
                if low < high:
                    key = metric, tuple(names.items())
                    places[key] = place
                    parts.setdefault(key, []).append((times[low:high], values[low:high]))

        for replica in world.replicas:
            itself = {"job": "prometheus", "instance": "localhost:9090", "replica": replica.name}
            awake = self._attempts[_ITSELF, replica]
            store("up", itself, awake, np.ones(len(awake), dtype=np.int64), (_ITSELF, replica))
            for life in world.lives:
                target = {"job": world.job, world.target_label: life.instance, "replica": replica.name}
                seen, place = self.seen(life, replica), (life.slot, replica)
                store("process_start_time_seconds", target, seen, np.full(len(seen), life.born / 1000), place)
                tried = self._tried(life, replica)
                store("up", target, tried, np.isin(tried, seen).astype(np.int64), place)
            for counter in world.counters:
                created = self.exposed(counter)
                for life in counter.lives:
                    times = self.seen(life, replica)
                    times = times[times >= created]
                    values = counter.at(times)
                    if world.created_samples and len(times) and self._first <= created < times[0]:
                        times, values = np.insert(times, 0, created), np.insert(values, 0, 0)
                    labels = self._labels(counter, life, replica)
                    store(world.metric, labels, times, self._printed(values), (life.slot, replica))
        late = self._late(self._attempts, world.faults)
        for (metric, names), pieces in parts.items():
            times, values = (np.concatenate([piece[column] for piece in pieces]) for column in (0, 1))
            slot, replica = places[metric, names]
            attempts, clock = self._attempts[slot, replica], length(replica.skew)
            stale = self._stale(times, attempts)
            yield (
                Series(metric, dict(names), times + clock, values, stale + clock),
                attempts[late[slot, replica]] + clock,
            )

    def _stale(self, times: Integers, attempts: Integers) -> Integers:
        """Scrapes that come right after a sample of a series and no longer find it. Whoever is down marks nothing."""
        following = np.searchsorted(attempts, times, side="right")
        known = following < len(attempts)
        after, before = attempts[following[known]], times[known]
        return np.setdiff1d(after[2 * (after - before) <= 3 * self._interval], times)

    def _tried(self, life: Life, replica: Replica) -> Integers:
        """Scrapes of this target, answered or not: a pod that is gone is none, a process that restarts still is."""
        times = self._attempts[life.slot, replica]
        restarts, until = self.world.restarts, life.died
        if restarts is not None and not restarts.renamed:
            until += length(restarts.pause)
        low, high = np.searchsorted(times, (life.born, until))
        return times[low:high]

    def _labels(self, counter: Counter, life: Life, replica: Replica) -> dict[str, str]:
        return {
            **self.world.labels,
            self.world.consumer_label: counter.who.consumer,
            "endpoint": counter.who.endpoint,
            "status": counter.status,
            "job": self.world.job,
            self.world.target_label: life.instance,
            "replica": replica.name,
        }

    def _relabelled(self, labels: dict[str, str], times: Integers) -> Iterator[tuple[dict[str, str], int, int]]:
        """Spans of `times` with the labels that hold in them."""
        relabels = self.world.relabels
        if not relabels or not len(times) or labels["job"] != self.world.job:
            yield labels, 0, len(times)
            return
        terms = np.stack([(times - self._first) // length(change.every) for change in relabels])
        edges = [0, *(np.flatnonzero(np.any(np.diff(terms, axis=1), axis=0)) + 1).tolist(), len(times)]
        for low, high in pairwise(edges):
            changed = {
                change.label: f"{labels.get(change.label, change.label)}-{term}"
                for change, term in zip(relabels, terms[:, low].tolist(), strict=True)
            }
            yield {**labels, **changed}, low, high

    def _printed(self, values: Integers) -> NDArray[Any]:
        return values / 10**self.world.digits if self.world.digits else values
