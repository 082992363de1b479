"""Usage window by window: of the book, and of the archive where the book has rolled windows up to days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from rating.core.archived import ArchivedWindow
from rating.core.entries import adjusted, recorded
from rating.core.periods import Period
from rating.core.windows import Completeness, Usage
from rating.ports import Archive, Book, UsageRow


class Hours:
    """Without an archive, what the book says itself: rolled-up windows as their days."""

    def __init__(self, book: Book, archive: Archive | None = None) -> None:
        self._book = book
        self._archive = archive

    def usage(
        self, period: Period, meter: str, consumer: str | None = None, *, as_of: datetime | None = None
    ) -> Iterator[UsageRow]:
        """As `Book.usage` of one meter, and no window is known by its day alone where there is an archive.

        Raises:
            EdgeUnavailable: the archive lacks a file.
            EdgeDisagrees: a file has another digest than the book says.
        """
        rollups = self._book.rollups(meter, period)
        if self._archive is None or not rollups:
            yield from self._book.usage(period, meter, consumer, as_of=as_of)
            return
        differences = self._differences(period, meter, consumer, as_of)
        states = self._book.closed(meter, period)
        files = [self._archive.read(one.rollup.archive, one.rollup.archive_digest) for one in rollups]
        days = sorted((day.first, place) for place, one in enumerate(rollups) for day in one.rollup.days)
        heads = {day.first: day for one in rollups for day in one.rollup.days}
        through = period.start
        for first, place in days:
            # The windows of a file are those of its days, in their order.
            windows = list(islice(files[place], heads[first].windows))
            if not heads[first].meets(period):
                continue
            if through < first:
                yield from self._book.usage(Period(through, first), meter, consumer, as_of=as_of)
            for one in windows:
                if period.contains(one.window.start):
                    yield from _rows(one, consumer, states[one.window.start], differences.get(one.window.start, []))
            through = heads[first].end
        if through < period.end:
            yield from self._book.usage(Period(through, period.end), meter, consumer, as_of=as_of)

    def _differences(
        self, period: Period, meter: str, consumer: str | None, as_of: datetime | None
    ) -> dict[datetime, list[Usage]]:
        found: dict[datetime, list[Usage]] = {}
        for entry in self._book.adjustments(period, meter):
            if as_of is None or entry.at <= recorded(as_of):
                own = [row for row in entry.adjustment.rows if consumer in (None, row.consumer)]
                found.setdefault(entry.adjustment.window.start, []).extend(own)
        return found


def _rows(
    one: ArchivedWindow, consumer: str | None, state: Completeness, differences: list[Usage]
) -> Iterator[UsageRow]:
    named = consumer is None or one.names(consumer)
    booked = [row for row in one.usage if consumer in (None, row.consumer)] if named else []
    for row in adjusted(booked, differences):
        yield UsageRow(one.meter, one.window, row, state)
