"""How many of the scrapes that should have happened in a window did happen.

Judged from `up` alone, replicas merged: a scrape that one of them made was made. Decides nothing about usage.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from rating.core.counters.identities import Naming
from rating.core.counters.readings import Series
from rating.core.money import round_ratio

MARGIN = 5 * 60_000
"""Milliseconds before and after a window in which a target's presence shows that it lived across the border."""


class Scrapes(NamedTuple):
    seen: int
    expected: int
    gone: Mapping[tuple[str, ...], int] = MappingProxyType({})
    """Targets last seen inside the window, with the milliseconds of it in which they were there."""


def scrapes(
    naming: Naming,
    up: Iterable[Series],
    alive: Sequence[int],
    *,
    start: int,
    end: int,
    interval: int,
    seen_from: int,
) -> Scrapes:
    """Scrapes seen and expected over all targets, for a window and a scrape interval in milliseconds.

    A target is expected from its first to its last appearance. Beyond these it is missed only while the source
    recorded nothing at all: a target that is gone while others are scraped was taken away, a source that is silent was
    down. A source that saw nothing in the whole window is one missed target.
    """
    alive = sorted(alive)
    present: dict[tuple[str, ...], set[int]] = {}
    scraped: dict[tuple[str, ...], set[int]] = {}
    for series in up:
        target = naming.target(series.labels)
        present.setdefault(target, set()).update(series.times)
        good = (time for time, up_now in zip(series.times, series.units, strict=True) if up_now == 1)
        scraped.setdefault(target, set()).update(good)

    first_possible = max(start, min(seen_from, end))
    if not _any_between(alive, start, end):
        return Scrapes(0, max(1, (end - first_possible) // interval))

    seen = expected = 0
    departed: dict[tuple[str, ...], int] = {}
    for target, times in present.items():
        first, last = min(times), max(times)
        born = start if first < start else first
        if first >= start and not _any_between(alive, first_possible, first - 2 * interval):
            born = min(first, first_possible + interval)
        gone = end if last >= end or not _any_between(alive, last + 2 * interval, end) else last
        life = max(0, round_ratio(gone - born, interval))
        missed = min(life, _missed(sorted(scraped[target]), born, gone, interval))
        expected += life
        seen += life - missed
        if _departed(last, alive, start, interval):
            departed[target] = max(interval, min(last, end) - born)
    return Scrapes(seen, expected, departed)


def _departed(last: int, alive: Sequence[int], start: int, interval: int) -> bool:
    """Whether others were scraped two intervals after this target's last appearance: they may lie beyond the window.

    Where two intervals reach further than anybody looks beyond a window, the next window has to notice.
    """
    missed_at = last + 2 * interval
    return bool(alive) and alive[-1] >= missed_at and (last >= start or missed_at >= start + MARGIN)


def _any_between(instants: Sequence[int], start: int, end: int) -> bool:
    index = bisect_left(instants, start)
    return index < len(instants) and instants[index] < end


def _missed(times: Sequence[int], born: int, gone: int, interval: int) -> int:
    """Scrapes missing between `born` and `gone`: what every gap longer than one and a half intervals leaves out."""
    missed = 0
    edges = [min(born, *times[:1]) - interval, *times, max(gone, *times[-1:])] if times else [born - interval, gone]
    for before, after in pairwise(edges):
        if 2 * (after - before) > 3 * interval:
            hole = min(after, gone) - max(before + interval, born)
            missed += max(0, round_ratio(hole, interval))
    return missed
