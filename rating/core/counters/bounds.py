"""The most that a window may lack, where a rate limiter caps what one consumer can use.

What is counted unseen happens at known times: between the last scrape of a process and the first of the one that took
its place, and while the source recorded nothing at all. The limit times that time is a strict bound for every consumer,
seen or not. Where a bound of the time itself is missing (a target came or went: others may have lived and died between
two scrapes; a fall in value that no process explains) it is the whole window.

It rests on two things: a target is scraped for as long as it serves, and the limit holds over all targets together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from rating.core.counters.coverage import Scrapes
from rating.core.counters.epochs import Processes
from rating.core.counters.identities import Naming
from rating.core.counters.readings import Readings
from rating.core.meters import Meter, Rate

Place = tuple[str, ...]


class Blind(NamedTuple):
    """Milliseconds of a window in which usage may not have been counted."""

    lost: tuple[int, ...]
    """Spans of which nothing is ever seen."""
    tail: int
    """From the last scrape to the window's end: the next window counts it."""


def blind(
    meter: Meter,
    readings: Readings,
    found: Scrapes,
    *,
    unexplained: bool,
    start: int,
    end: int,
) -> Blind:
    """Where the window start <= t < end of one source could not see, in milliseconds.

    `unexplained`: a counter fell though its process went on, or began where nothing shows.
    """
    naming = Naming(meter)
    well = _scraped(naming, readings)
    present: dict[Place, int] = {}
    for series in readings.up:
        target = naming.target(series.labels)
        present[target] = min(present.get(target, series.times[0]), series.times[0])
    whole = Blind((end - start,), 0)
    if not present or found.gone or any(first >= start for first in present.values()):
        return whole
    if unexplained:
        return whole
    lost = list(_silent(meter, readings.alive, start, end))
    processes = Processes(naming, readings.starts)
    for target in present:
        for observed in processes.changes(target, start, end).values():
            # Each replica saw the same moment pass between two scrapes of its own.
            spans = [_between(well.get((target, replica), []), time) for replica, time in observed]
            known = [span for span in spans if span is not None]
            if not known:
                return whole
            lost.append(min(known))
    last: dict[Place, int] = {}
    for (target, _), times in well.items():
        inside = bisect_left(times, end)
        if inside:
            last[target] = max(last.get(target, times[inside - 1]), times[inside - 1])
    tail = max((end - last.get(target, start) for target in present), default=end - start)
    return Blind(tuple(lost), min(tail, end - start))


def bound(rate: Rate, digits: int, spans: Iterable[int], longest: int) -> int:
    """The most one consumer can use in these spans, in the meter's resolution; never more than in all of `longest`."""
    most = min(sum((rate.most(span) for span in spans), Fraction(0)), rate.most(longest))
    scale: int = 10**digits
    return ceil(most * scale)


def _scraped(naming: Naming, readings: Readings) -> dict[tuple[Place, Place], list[int]]:
    """Times of the successful scrapes of each target by each replica."""
    well: dict[tuple[Place, Place], list[int]] = {}
    for series in readings.up:
        times = well.setdefault((naming.target(series.labels), naming.replica(series.labels)), [])
        times += [time for time, value in zip(series.times, series.units, strict=True) if value == 1]
    return {key: sorted(times) for key, times in well.items()}


def _between(times: Sequence[int], first: int) -> int | None:
    """From the last scrape before `first` to it."""
    place = bisect_left(times, first)
    return first - times[place - 1] if place else None


def _silent(meter: Meter, alive: Sequence[int], start: int, end: int) -> Iterable[int]:
    """Spans in which the source recorded no scrape, though two were due."""
    interval = meter.scrape_interval // timedelta(milliseconds=1)
    for before, after in pairwise([*sorted({time for time in alive if time < end})]):
        if after - before > 2 * interval and after > start:
            yield min(after, end) - max(before, start)
