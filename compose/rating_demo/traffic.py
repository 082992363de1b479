"""Calls over time: when each increment of a counter happens and by how much. Knows nothing of processes or scrapes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rating.core.periods import milliseconds
from rating_demo.faults import Shape, Traffic

_HOUR = 3_600_000
_SPELL = 300_000
_BUSY_SPELLS = 0.05
_BUSY_SHARE = 0.9

Integers = NDArray[np.int64]


def length(span: timedelta) -> int:
    """Whole milliseconds."""
    return span // timedelta(milliseconds=1)


def calls(
    rng: np.random.Generator, traffic: Traffic, share: float, start: datetime, end: datetime, tick: int
) -> tuple[Integers, Integers]:
    """Moments (milliseconds since the epoch, rising) and amounts of the increments that `share` of the traffic makes.

    All calls within one `tick` (milliseconds) happen at one random moment of it.
    """
    first, last = milliseconds(start), milliseconds(end)
    begins = first + length(traffic.begins)
    ends = last if traffic.ends is None else min(last, first + length(traffic.ends))
    ticks = np.arange(first, last, tick, dtype=np.int64)
    rate = _shape(rng, traffic.shape, ticks) * _growth(traffic.growth, len(ticks))
    counts = rng.poisson(rate * (traffic.per_hour * share * tick / _HOUR))
    busy = np.flatnonzero(counts)
    moments = ticks[busy] + rng.integers(0, tick, len(busy))
    low, high = traffic.amount
    amounts = rng.integers(counts[busy] * low, counts[busy] * high + 1)
    inside = (moments >= begins) & (moments < ends)
    return moments[inside], amounts[inside]


def _shape(rng: np.random.Generator, shape: Shape, ticks: Integers) -> NDArray[Any]:
    """Relative rate per tick, about 1 on average."""
    if shape is Shape.STEADY:
        return np.ones(len(ticks))
    if shape is Shape.BURSTY:
        spell = (ticks - ticks[0]) // _SPELL
        busy = rng.random(int(spell[-1]) + 1) < _BUSY_SPELLS
        return np.where(busy, _BUSY_SHARE / _BUSY_SPELLS, (1 - _BUSY_SHARE) / (1 - _BUSY_SPELLS))[spell]
    hour = ticks / _HOUR % 24
    # 1970-01-01 was a Thursday: two and three days later is the weekend.
    weekend = np.isin(ticks // (24 * _HOUR) % 7, (2, 3))
    return (1 + 0.7 * np.cos((hour - 14) / 24 * 2 * np.pi)) * np.where(weekend, 0.4, 1.24)


def _growth(growth: float, ticks: int) -> NDArray[Any]:
    return np.linspace(2 / (1 + growth), 2 * growth / (1 + growth), ticks)
