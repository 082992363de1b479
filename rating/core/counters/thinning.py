"""Which samples of a counter decide what it counted: where it begins and ends, falls, changes its process, and where
the window begins. Those in between only rise, and `rebuild` makes the same of a counter without them.

That holds for a counter that nobody else saw. Of several replicas every sample may tell which life another one saw.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rating.core.counters.epochs import SAME_PROCESS
from rating.core.counters.readings import Series

Array = NDArray[Any]


def first_at(times: Array, low: Array, high: Array, instants: Array | int) -> Array:
    """For each series, whose samples lie at the places low to high, that of its first one at or after an instant: the
    same for all, or one for each; its high where there is none."""
    found, beyond = low.copy(), high.copy()
    while (open_ := found < beyond).any():
        middle = (found + beyond) >> 1
        earlier = open_ & (times[np.where(open_, middle, 0)] < instants)
        np.copyto(found, middle + 1, where=earlier)
        np.copyto(beyond, middle, where=open_ & ~earlier)
    return found


def deciding(times: Array, values: Array, instants: Iterable[int]) -> Array:
    """The places of the samples of one counter to keep, rising; `instants` are the window's start and those at which a
    new process was first seen."""
    at = np.array([*instants], dtype=np.int64)
    low, high = np.array([0]), np.array([len(times)])
    return deciding_all(times, falls(values), low, high, np.zeros(len(at), dtype=np.int64), at)


def deciding_all(times: Array, falls: Array, low: Array, high: Array, owners: Array, instants: Array) -> Array:
    """The places of the samples of many counters to keep, rising.

    Args:
        times: of all counters, one after the other.
        falls: the places that `falls` finds among their values.
        low: where each counter begins, rising.
        high: where it ends, never where it begins; what lies between one's end and another's beginning is nobody's.
        owners: for each of `instants` the index of the counter that it is meant for.
    """
    place = first_at(times, low[owners], high[owners], instants)
    mine = np.searchsorted(low, falls, side="right") - 1
    fell = falls[(mine >= 0) & (falls > low[mine]) & (falls < high[mine])] if len(low) else falls[:0]
    after, before = place < high[owners], place > low[owners]
    return np.unique(np.concatenate((low, high - 1, place[after], place[before] - 1, fell, fell - 1)))


def falls(values: Array) -> Array:
    """The places of readings lower than the one before."""
    return np.flatnonzero(values[1:] < values[:-1]) + 1


def changes(starts: Iterable[Series]) -> set[int]:
    """When a new process was first seen in these readings of process starts, by whichever replica."""
    return {
        time
        for series in starts
        for before, units, time in zip(series.units, series.units[1:], series.times[1:], strict=False)
        if abs(units - before) > SAME_PROCESS
    }
