"""Sifts a stream of samples: of most counters two readings are kept, of the doubtful ones their samples.

Decides nothing about usage: what is kept is what `core.counters` asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rating.adapters.prometheus.asking import Names, Samples, Spelling
from rating.adapters.prometheus.remote.streams import Block
from rating.core.counters import EXACT, Column, Integers, Scale, quantised


class Span(NamedTuple):
    """A window in milliseconds, and how far before it bases, falls and samples are looked for."""

    start: int
    end: int
    base: int
    """The earliest base."""
    fall: int
    """The earliest sample a fall is seen from."""
    low: int
    """The earliest sample kept."""


@dataclass(slots=True)
class Sifted:
    """What one window needs of all series."""

    ends: list[Column] = field(default_factory=list)
    bases: list[Column] = field(default_factory=list)
    fallen: list[Integers] = field(default_factory=list)
    kept: dict[int, Samples] = field(default_factory=dict)
    """Samples, by series, of those that cannot be clean: without a base or an end, fallen, or restarted."""
    thinned: set[int] = field(default_factory=set)
    """Those of them of which only the samples that decide were kept."""


class Sieve:
    """One pass over a stream."""

    def __init__(
        self,
        names: Names,
        span: Span,
        restarted: Collection[tuple[str, ...]],
        thin: Callable[[int, Samples], Samples],
        scale: Scale,
        lone: bool,
    ) -> None:
        """`thin` leaves of a series' samples those that decide; asked only where `lone`: there is no other server."""
        self._names, self._span, self._scale, self._lone = names, span, scale, lone
        self._restarted, self._thin = restarted, thin
        self.found = Sifted()
        self.series = self.samples = 0

    def sift(self, server: int, spelling: Spelling, blocks: Iterable[Block]) -> None:
        """Raises ValueError: a reading is not finite."""
        for block in blocks:
            numbers = self._names.of(server, block.heads, spelling)
            self.series += len(numbers)
            self._one(numbers, block.decoded.bounds, block.decoded.times, block.decoded.values)

    def _one(self, numbers: Integers, bounds: Integers, times: Any, values: Any) -> None:
        span, found, roster = self._span, self.found, self._names.roster
        changed = roster.marked(self._restarted)
        # A reading that is no number has no order: looked for before anything is compared.
        if not np.isfinite(values).all():
            raise ValueError("a reading is not a finite number")
        # Where each series' samples before and in the window lie: places among all of the block's.
        base, start = (_before(times, bounds, instant) for instant in (span.base, span.start))
        low, end = bounds[:-1], bounds[1:]
        self.samples += len(times)
        ended, based = end > start, start > base
        ends = quantised(values[end[ended] - 1], self._scale)
        found.ends.append(Column(numbers[ended], ends))
        found.bases.append(Column(numbers[based], quantised(values[start[based] - 1], self._scale)))
        fell = _fallen(_before(times, bounds, span.fall), end, values)
        found.fallen.append(numbers[fell])
        doubtful = fell | changed[roster.target_of[numbers]] | ~(ended & based)
        doubtful[np.flatnonzero(ended)[ends >= EXACT]] = True
        doubtful &= end > low
        alone = roster.alone[numbers] & self._lone
        for at in np.flatnonzero(doubtful).tolist():
            number = int(numbers[at])
            samples = times[low[at] : end[at]], values[low[at] : end[at]]
            if alone[at]:
                found.kept[number] = self._thin(number, samples)
                found.thinned.add(number)
            else:
                found.kept[number] = samples[0].copy(), samples[1].copy()


def _fallen(first: Integers, last: Integers, values: Any) -> Any:
    """Which series have a sample lower than the one before it, both at the places first to last."""
    falls = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values[1:] < values[:-1], out=falls[2:])
    # falls[i]: how many of the samples up to number i - 1 are lower than the one before them.
    return (last > first) & (falls[last] - falls[np.minimum(first + 1, last)] > 0)


def _before(times: Any, bounds: Integers, instant: int) -> Integers:
    """For each series, the place of its first sample at or after an instant."""
    earlier = np.zeros(len(times) + 1, dtype=np.int64)
    np.cumsum(times < instant, out=earlier[1:])
    return bounds[:-1] + earlier[bounds[1:]] - earlier[bounds[:-1]]
