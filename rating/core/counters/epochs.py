"""Sorts the samples of one counter into epochs, each one life of the counter that began at zero.

Best evidence first: the start time of the process behind the scrape, read in that same scrape; then, inside one
process or where none is known, a fall in value within one replica's own samples. A fall in the merged sequence of
several replicas proves nothing: clock skew makes them up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rating.core.counters.identities import Naming
from rating.core.counters.lives import Sample, lives
from rating.core.counters.readings import Series

SAME_PROCESS = 2_000
"""Start times this many milliseconds apart are one process: they are computed from uptimes and jitter by a tick."""


class Epoch(NamedTuple):
    """One life of a counter, as far as the samples show it."""

    process: int | None
    """Start of its process in milliseconds, where known."""
    life: int
    """Its place among the lives within that process; 0 is the first one seen."""
    samples: list[Sample]
    """By rising time, replicas mixed."""


class Processes:
    """Which process stood behind a target when a replica scraped it."""

    def __init__(self, naming: Naming, starts: Iterable[Series]) -> None:
        self._by_target: dict[tuple[str, ...], dict[tuple[str, ...], tuple[list[int], list[int]]]] = {}
        for series in starts:
            replicas = self._by_target.setdefault(naming.target(series.labels), {})
            times, values = replicas.setdefault(naming.replica(series.labels), ([], []))
            merged = sorted({*zip(times, values, strict=True), *zip(series.times, series.units, strict=True)})
            times[:], values[:] = [time for time, _ in merged], [value for _, value in merged]
        self._first_seen: dict[tuple[str, ...], dict[int, int]] = {}
        for target, replicas in self._by_target.items():
            self._unify(replicas.values())
            first = self._first_seen.setdefault(target, {})
            for times, values in replicas.values():
                for time, value in zip(times, values, strict=True):
                    first[value] = min(time, first.get(value, time))

    @staticmethod
    def _unify(columns: Iterable[tuple[list[int], list[int]]]) -> None:
        """Replace jittering start times by the first of their cluster."""
        columns = list(columns)
        first: dict[int, int] = {}
        head = last = None
        for value in sorted({value for _, values in columns for value in values}):
            if last is None or value - last > SAME_PROCESS:
                head = value
            assert head is not None
            first[value] = head
            last = value
        for _, values in columns:
            values[:] = [first[value] for value in values]

    def at(self, target: tuple[str, ...], replica: tuple[str, ...], time: int) -> int | None:
        """The start of the process this replica saw at `time`, or None when the target exposes none.

        A sample's own scrape carries its process start at the very same instant. Where that one is missing, the last
        before it, else the first after it, else what another replica saw.
        """
        times, values = self.column(target, replica)
        return values[max(0, bisect_right(times, time) - 1)] if times else None

    def column(self, target: tuple[str, ...], replica: tuple[str, ...]) -> tuple[Sequence[int], Sequence[int]]:
        """The readings that `at` goes by: their times, and which process each saw."""
        replicas = self._by_target.get(target)
        if not replicas:
            return (), ()
        return replicas.get(replica) or max(replicas.values(), key=lambda column: len(column[0]))

    def succeeded(self, target: tuple[str, ...], process: int) -> int | None:
        """When a later process of this target was first scraped, None while there is none."""
        return min((time for start, time in self._first_seen.get(target, {}).items() if start > process), default=None)

    def changes(self, target: tuple[str, ...], start: int, end: int) -> dict[int, list[tuple[tuple[str, ...], int]]]:
        """Processes first scraped at start <= t < end in another's place: by which replicas, and when."""
        found: dict[int, list[tuple[tuple[str, ...], int]]] = {}
        for replica, (times, values) in self._by_target.get(target, {}).items():
            for before, (time, value) in zip(values, zip(times[1:], values[1:], strict=True), strict=False):
                if value != before and start <= time < end:
                    found.setdefault(value, []).append((replica, time))
        return found


def observers(series: Sequence[tuple[tuple[str, ...], Series]]) -> list[list[tuple[int, int, int]]]:
    """Join one identity's series, given with their replicas, into sequences each seen by one observer.

    A volatile label that changes cuts one counter into several series of one replica, one after the other: these are
    one sequence, so that a fall across the cut is seen. Series of one replica that overlap in time are two observers.
    Each sample is (time, units, index of its series).
    """
    result: list[tuple[tuple[str, ...], list[tuple[int, int, int]]]] = []
    order = sorted((i for i in range(len(series)) if len(series[i][1].times)), key=lambda i: series[i][1].times[0])
    for index in order:
        replica, one = series[index]
        points = [(time, units, index) for time, units in zip(one.times, one.units, strict=True)]
        for other, sequence in result:
            if other == replica and sequence[-1][0] < points[0][0]:
                sequence.extend(points)
                break
        else:
            result.append((replica, points))
    return [sequence for _, sequence in result]


def epochs(sequences: Sequence[Sequence[tuple[int, int, int | None]]], start: int) -> list[Epoch]:
    """Split the samples (time, units, process) of each observer into epochs, oldest process first.

    `start`, in milliseconds, is the window's: where clocks leave a doubt, what is counted from there on is the least.
    """
    by_process: dict[int | None, dict[int, list[Sample]]] = {}
    for observer, sequence in enumerate(sequences):
        for time, units, process in sequence:
            by_process.setdefault(process, {}).setdefault(observer, []).append(Sample(time, units, observer))
    return [
        Epoch(process, life, samples)
        for process in sorted(by_process, key=lambda began: -1 if began is None else began)
        for life, samples in enumerate(lives([*by_process[process].values()], start))
    ]
