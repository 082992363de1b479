"""Lays what several replicas saw of one counter on one sequence of lives, each of which began at zero.

A fall in one replica's own samples proves a reset, but not which of another's falls was the same one, nor on which side
of it a replica that was blind stood: their clocks differ. Of all explanations the clocks allow, the one that counts
least is taken. What truly happened is one of them, so nothing is billed that did not happen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain, combinations, pairwise, product
from math import inf
from typing import NamedTuple

CLOCKS_APART = 60_000
"""Milliseconds by which the clocks of two replicas may differ."""

_PATIENCE = 20_000
"""Steps after which three or more replicas with many resets close together are no longer weighed at once."""


class Sample(NamedTuple):
    time: int
    units: int
    observer: int
    """Who saw it: one replica's own unbroken sequence."""


Lives = list[list[Sample]]
Border = tuple[int, ...]
"""How many samples of each track lie before a reset."""
Cost = tuple[int, int, int, float]
"""What is counted from the window's start on, what is counted at all, resets, how far apart the clocks must be."""


class _Track:
    """One observer's samples, and where they fall."""

    def __init__(self, samples: Sequence[Sample], start: int) -> None:
        self.samples = samples
        self.size = len(samples)
        self.times = [-inf, *(sample.time for sample in samples), inf]
        """`times[n]` is when the last of the first n samples was taken, `times[n + 1]` the first of all others."""
        self.falls = [n for n, (before, after) in enumerate(pairwise(samples), 1) if after.units < before.units]
        self.before = bisect_left(self.times, start) - 1
        """Samples before the window."""

    def next_fall(self, index: int) -> int:
        place = bisect_right(self.falls, index)
        return self.falls[place] if place < len(self.falls) else self.size

    def reached(self, low: int, high: int) -> int:
        """The greatest value of a part without falls; 0 where there is none."""
        return self.samples[high - 1].units if high > low else 0

    def beside(self, other: _Track, index: int, low: int, high: int) -> range:
        """The places low..high of this track at which the clocks allow the reset that is at `index` of the other."""
        first = bisect_right(self.times, other.times[index] - CLOCKS_APART) - 1
        last = bisect_left(self.times, other.times[index + 1] + CLOCKS_APART) - 1
        return range(max(first, low), min(last, high) + 1)


def lives(observed: Sequence[Sequence[Sample]], start: int) -> Lives:
    """Split the samples of all observers into lives, oldest first, so that the window from `start` counts least.

    Each observer's samples come by rising time; so do those of each life, whoever saw them. Where three or more
    observers are too much to be weighed together, the two that prove most are believed and the others left out.
    """
    tracks = sorted((_Track(samples, start) for samples in observed), key=lambda track: list(track.samples))
    if not any(track.falls for track in tracks):
        return [sorted(chain.from_iterable(observed))]
    found = _least(tracks, _PATIENCE if len(tracks) > 2 else inf)
    if found is None:
        pairs = (_least(pair, inf) for pair in combinations(tracks, 2))
        found = max((pair for pair in pairs if pair is not None), key=lambda pair: pair[0][:2])
    return found[1]


def _least(tracks: Sequence[_Track], patience: float) -> tuple[Cost, Lives] | None:
    """The cheapest way from border to border, and its cost; None when it takes more than `patience` steps."""
    begin, end = tuple(0 for _ in tracks), tuple(track.size for track in tracks)
    best: dict[Border, tuple[Cost, Border]] = {begin: ((0, 0, 0, 0), begin)}
    # A border only leads to borders with more samples before them.
    waiting = [(0, begin)]
    while waiting:
        _, here = heappop(waiting)
        so_far = best[here][0]
        for there in _onward(tracks, here):
            patience -= 1
            if patience < 0:
                return None
            if _apart(tracks, there) >= CLOCKS_APART:
                continue
            cost = _plus(so_far, _cost(tracks, here, there))
            known = best.get(there)
            if known is None:
                heappush(waiting, (sum(there), there))
            if known is None or (cost, here) < known:
                best[there] = cost, here
    borders = [end]
    while borders[-1] != begin:
        borders.append(best[borders[-1]][1])
    return best[end][0], [_between(tracks, *life) for life in pairwise(reversed(borders))]


def _between(tracks: Sequence[_Track], here: Border, there: Border) -> list[Sample]:
    return sorted(chain(*(track.samples[low:high] for track, low, high in zip(tracks, here, there, strict=True))))


def _onward(tracks: Sequence[_Track], here: Border) -> Iterator[Border]:
    """Where the life that begins `here` may end: at the next fall of one track, and no later than that of any other.

    Each place suits the clock of the track that falls, but not yet those of all others.
    """
    falls = [track.next_fall(index) for track, index in zip(tracks, here, strict=True)]
    for falling, fall in zip(tracks, falls, strict=True):
        if fall == falling.size:
            continue
        places = [
            range(fall, fall + 1) if track is falling else track.beside(falling, fall, low, high)
            for track, low, high in zip(tracks, here, falls, strict=True)
        ]
        yield from product(*places)
    if all(fall == track.size for track, fall in zip(tracks, falls, strict=True)):
        yield tuple(falls)


def _apart(tracks: Sequence[_Track], border: Border) -> float:
    """How far apart the clocks must be for this border: the latest sample before it less the earliest after it."""
    latest = max(track.times[index] for track, index in zip(tracks, border, strict=True))
    return latest - min(track.times[index + 1] for track, index in zip(tracks, border, strict=True))


def _cost(tracks: Sequence[_Track], here: Border, there: Border) -> Cost:
    parts = list(zip(tracks, here, there, strict=True))
    total = max(track.reached(low, high) for track, low, high in parts)
    before = max(track.reached(low, min(high, track.before)) for track, low, high in parts)
    return max(0, total - before), total, 1, max(0, _apart(tracks, there))


def _plus(one: Cost, other: Cost) -> Cost:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]
