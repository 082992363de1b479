"""What a gauge came to in a window: its value times the time it lasted, by the step rule.

A sample holds from its own time until the first of three: the next sample of the gauge; a scrape of its target, by the
same replica, that succeeded and did not find the gauge any more; the end of the meter's `hold`. Time in which nothing
holds counts nothing. Whatever happens before a moment is decided by the samples before it: so every split of a period
gives the same total, and no later sample changes what a window came to.

Of several replicas the latest sample that still holds is believed, at every moment: they never add up. What one of them
saw gone is gone for all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from rating.core.counters.identities import Name, Naming
from rating.core.counters.readings import Series
from rating.core.counters.rebuild import Rebuilt

Place = tuple[str, ...]

REACH = 2
"""Times `hold` before a window from which samples decide it: one that holds into it may be ended by a scrape that
misses the gauge, and what it misses was there one `hold` earlier at most."""


class Scraped:
    """When targets were scraped, by whom, and when anything was."""

    def __init__(self, naming: Naming, up: Iterable[Series], alive: Sequence[int]) -> None:
        self._well: dict[tuple[Place, Place], list[int]] = {}
        self._tried: dict[Place, int] = {}
        self._alive = sorted(alive)
        for series in up:
            target = naming.target(series.labels)
            well = self._well.setdefault((target, naming.replica(series.labels)), [])
            well += [time for time, value in zip(series.times, series.units, strict=True) if value == 1]
            self._tried[target] = max(self._tried.get(target, series.times[-1]), series.times[-1])
        for times in self._well.values():
            times.sort()

    def after(self, name: Name, time: int) -> int | None:
        """The next successful scrape after the one at `time`; None where there is none, or `time` is no scrape.

        A sample that brings a time of its own proves nothing by not being in the next scrape.
        """
        times = self._well.get((name.target, name.replica), [])
        place = bisect_right(times, time)
        return times[place] if 0 < place < len(times) and times[place - 1] == time else None

    def taken_away(self, targets: Iterable[Place], since: int, end: int) -> bool:
        """Whether nobody tried to scrape these targets any more while others were scraped."""
        if any(self._tried.get(target, since) >= since for target in targets):
            return False
        place = bisect_right(self._alive, since)
        return place < len(self._alive) and self._alive[place] < end


class _Span(NamedTuple):
    """A sample and the span in which it holds."""

    since: int
    until: int
    units: int
    gone: bool
    """Whether it ended because the target no longer had the gauge."""


def integrate(members: Sequence[tuple[Name, Series]], scraped: Scraped, *, start: int, end: int, hold: int) -> Rebuilt:
    """One identity's samples from `start - REACH * hold` on, over the window start <= t < end in milliseconds.

    Usage is in units times milliseconds; what is unseen is estimated at the value before each gap.
    """
    samples = sorted(
        (time, units)
        for _, series in members
        for time, units in zip(series.times, series.units, strict=True)
        if time < end
    )
    spans = _spans(members, scraped, end, hold)
    usage = uncovered = unseen = 0
    reached, value, gone = start, 0, True
    for since, until, units, vanished in _laid(spans):
        if until > start:
            if since > reached and not gone:
                uncovered += since - reached
                unseen += (since - reached) * value
            usage += (min(until, end) - max(since, start)) * units
            reached = min(until, end)
        value, gone = units, vanished
    if reached < end and not gone and not scraped.taken_away({name.target for name, _ in members}, reached, end):
        uncovered += end - reached
        unseen += (end - reached) * value
    inside = sum(time >= start for time, _ in samples)
    return Rebuilt(
        usage,
        samples=inside,
        resets=0,
        births=int(0 < inside == len(samples)),
        unproven=0,
        unseen=unseen,
        largest=max((units for _, units in samples), default=0),
        uncovered=uncovered,
        lowest=min((units for _, units in samples), default=0),
    )


def _spans(members: Sequence[tuple[Name, Series]], scraped: Scraped, end: int, hold: int) -> list[_Span]:
    """What each sample would hold for if there were no others of its gauge but those of its own series."""
    spans, gone = [], []
    for name, series in members:
        for index, (time, units) in enumerate(zip(series.times, series.units, strict=True)):
            if time >= end:
                break
            following = series.times[index + 1] if index + 1 < len(series.times) else None
            missed = scraped.after(name, time)
            until = time + hold if following is None else min(following, time + hold)
            if missed is not None and missed <= time + hold and (following is None or missed < following):
                gone.append(missed)
            spans.append(_Span(time, until, units, False))
    gone.sort()
    return sorted(_cut(span, gone) for span in spans)


def _cut(span: _Span, gone: Sequence[int]) -> _Span:
    """The span, ended by the first moment after its sample at which somebody saw the gauge gone."""
    place = bisect_right(gone, span.since)
    if place < len(gone) and gone[place] <= span.until:
        return span._replace(until=gone[place], gone=True)
    return span


def _laid(spans: Sequence[_Span]) -> list[_Span]:
    """Spans that may overlap, by rising beginning, as spans that do not: at each moment the one that began last."""
    if all(span.until <= following.since for span, following in pairwise(spans)):
        return list(spans)
    laid: list[_Span] = []
    edges = sorted({edge for span in spans for edge in (span.since, span.until)})
    waiting: list[tuple[int, int, _Span]] = []
    place = 0
    for since, until in pairwise(edges):
        while place < len(spans) and spans[place].since <= since:
            # Of two that began together the higher one, so that the order of replicas does not matter.
            heappush(waiting, (-spans[place].since, -spans[place].units, spans[place]))
            place += 1
        while waiting and waiting[0][2].until <= since:
            heappop(waiting)
        if waiting:
            span = waiting[0][2]
            laid.append(_Span(since, until, span.units, span.gone and until == span.until))
    return laid
