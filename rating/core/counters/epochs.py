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
from rating.core.counters.readings import Series

SAME_PROCESS = 2_000
"""Start times this many milliseconds apart are one process: they are computed from uptimes and jitter by a tick."""


class Sample(NamedTuple):
    time: int
    units: int
    observer: int
    """Who saw it: one replica's own unbroken sequence."""


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
        for replicas in self._by_target.values():
            self._unify(replicas.values())

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
        replicas = self._by_target.get(target)
        if not replicas:
            return None
        times, values = replicas.get(replica) or max(replicas.values(), key=lambda column: len(column[0]))
        if not times:
            return None
        return values[max(0, bisect_right(times, time) - 1)]


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


def epochs(
    sequences: Sequence[Sequence[tuple[int, int, int | None]]],
    tolerance: int,
) -> list[Epoch]:
    """Split the samples (time, units, process) of each observer into epochs, oldest process first.

    `tolerance`, in milliseconds, is how far apart replicas may see one and the same reset.
    """
    by_process: dict[int | None, list[Sample]] = {}
    for observer, sequence in enumerate(sequences):
        for time, units, process in sequence:
            by_process.setdefault(process, []).append(Sample(time, units, observer))
    result: list[Epoch] = []
    for process in sorted(by_process, key=lambda start: -1 if start is None else start):
        lives = _lives(by_process[process], tolerance)
        result.extend(Epoch(process, life, samples) for life, samples in enumerate(lives) if samples)
    return result


class _Reset(NamedTuple):
    """One reset as far as each observer can date it."""

    seen: dict[int, int]
    """Observer -> its first sample after."""
    latest_before: int
    earliest_after: int


def _lives(samples: list[Sample], tolerance: int) -> list[list[Sample]]:
    samples.sort()
    resets = _align(_falls(samples), tolerance)
    if not resets:
        return [samples]
    lives: list[list[Sample]] = [[] for _ in range(len(resets) + 1)]
    for sample in samples:
        # An observer that saw the fall knows its own side of it; for one that was blind, the others' time decides.
        passed = sum(sample.time >= reset.seen.get(sample.observer, reset.earliest_after) for reset in resets)
        lives[passed].append(sample)
    return lives


def _falls(samples: Sequence[Sample]) -> list[tuple[int, int, int]]:
    """(time after, time before, observer) of each fall in value within one observer's own samples."""
    last: dict[int, Sample] = {}
    result: list[tuple[int, int, int]] = []
    for sample in samples:
        before = last.get(sample.observer)
        if before is not None and sample.units < before.units:
            result.append((sample.time, before.time, sample.observer))
        last[sample.observer] = sample
    return sorted(result)


def _align(falls: Sequence[tuple[int, int, int]], tolerance: int) -> list[_Reset]:
    """The fewest resets that explain all falls: one reset is seen at most once by each observer.

    Fewest, because a reset counted twice bills the counter's new total twice. Whoever saw the most falls missed the
    fewest resets: the others' falls are laid against that one's, each where it shares the most time. The first place
    that would do is not good enough: beside a reset one interval earlier it would divide the samples wrongly.
    """
    by_observer: dict[int, list[tuple[int, int]]] = {}
    for after, before, observer in falls:
        by_observer.setdefault(observer, []).append((after, before))
    resets: list[_Reset] = []
    for observer, spans in sorted(by_observer.items(), key=lambda item: (-len(item[1]), item[0])):
        for after, before in spans:
            shared = [
                (min(after, reset.earliest_after) - max(before, reset.latest_before), -index)
                for index, reset in enumerate(resets)
                if observer not in reset.seen
            ]
            most, index = max(shared, default=(-tolerance - 1, 0))
            if most < -tolerance:
                resets.append(_Reset({observer: after}, before, after))
                continue
            reset = resets[-index]
            resets[-index] = _Reset(
                {**reset.seen, observer: after}, max(before, reset.latest_before), min(after, reset.earliest_after)
            )
    return resets
