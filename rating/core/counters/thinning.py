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


def deciding(times: NDArray[Any], values: NDArray[Any], instants: Iterable[int]) -> NDArray[Any]:
    """The places of the samples to keep, rising; `instants` are the window's start and those at which a new process was
    first seen."""
    size = len(times)
    falls = np.flatnonzero(values[1:] < values[:-1])
    cuts = np.searchsorted(times, np.array([*instants], dtype=np.int64))
    places = np.concatenate((np.array([0, size - 1]), falls, falls + 1, cuts, cuts - 1))
    return np.unique(places[(places >= 0) & (places < size)])


def changes(starts: Iterable[Series]) -> set[int]:
    """When a new process was first seen in these readings of process starts, by whichever replica."""
    return {
        time
        for series in starts
        for before, units, time in zip(series.units, series.units[1:], series.times[1:], strict=False)
        if abs(units - before) > SAME_PROCESS
    }
