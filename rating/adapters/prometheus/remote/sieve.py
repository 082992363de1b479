"""Sifts a stream of samples: of most counters two readings are kept, of the doubtful ones their samples.

Decides nothing about usage: what is kept is what `core.counters` asks for. One stream may serve several windows, each
with a sieve of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rating.adapters.prometheus.asking import Names, Spelling
from rating.adapters.prometheus.remote.places import places
from rating.adapters.prometheus.remote.streams import Block
from rating.core.counters import EXACT, Column, Integers, Samples, Scale, quantised

Keep = Callable[[Integers, Any, Any, Integers, Integers, Integers], tuple[Samples, Integers]]
"""Takes numbers of series, times, values, places of falls, and where among these each series begins and ends. Gives
their samples, of series that nobody else can see only those that decide, and which series these are."""


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
    kept: list[Samples] = field(default_factory=list)
    """Samples of those that cannot be clean: without a base or an end, fallen, or restarted."""
    thinned: list[Integers] = field(default_factory=list)
    """Those of them of which only the samples that decide were kept."""


class Sieve:
    """What one window takes out of a stream."""

    def __init__(
        self,
        names: Names,
        span: Span,
        restarted: Collection[tuple[str, ...]],
        keep: Keep,
        scale: Scale,
    ) -> None:
        self._names, self.span, self._scale = names, span, scale
        self._restarted, self._keep = restarted, keep
        self.found = Sifted()
        self.series = self.samples = 0
        """With samples in the window or what is looked at before it."""

    def take(self, numbers: Integers, bounds: Integers, times: Any, values: Any, falls: Integers) -> None:
        """`falls` are the places of samples lower than the one before them."""
        span, found, roster = self.span, self.found, self._names.roster
        changed = roster.marked(self._restarted)
        # Where each series' samples before and in the window lie: places among all of the block's.
        low, high, before = bounds[:-1], bounds[1:], places()
        end = before(times, low, high, span.end)
        start = before(times, low, end, span.start)
        base, fall, low = (before(times, low, start, instant) for instant in (span.base, span.fall, span.low))
        self.series += int(np.count_nonzero(end > low))
        self.samples += int((end - low).sum())
        ended, based = end > start, start > base
        ends = quantised(values[end[ended] - 1], self._scale)
        found.ends.append(Column(numbers[ended], ends))
        found.bases.append(Column(numbers[based], quantised(values[start[based] - 1], self._scale)))
        fell = np.searchsorted(falls, end) > np.searchsorted(falls, fall + 1)
        found.fallen.append(numbers[fell])
        doubtful = fell | changed[roster.target_of[numbers]] | ~(ended & based)
        doubtful[np.flatnonzero(ended)[ends >= EXACT]] = True
        doubtful &= end > low
        numbers, low, end = numbers[doubtful], low[doubtful], end[doubtful]
        if len(numbers):
            kept, thinned = self._keep(numbers, times, values, falls, low, end)
            found.kept.append(kept)
            found.thinned.append(thinned)


def sift(names: Names, server: int, spelling: Spelling, blocks: Iterable[Block], sieves: Sequence[Sieve]) -> None:
    """One pass over a stream. Raises ValueError: a reading is not finite."""
    for block in blocks:
        numbers = names.of(server, block.heads, spelling)
        bounds, times, values = block.decoded.bounds, block.decoded.times, block.decoded.values
        # A reading that is no number has no order: looked for before anything is compared.
        if not np.isfinite(values).all():
            raise ValueError("a reading is not a finite number")
        falls = np.flatnonzero(values[1:] < values[:-1]) + 1
        for sieve in sieves:
            sieve.take(numbers, bounds, times, values, falls)
