"""Archive: copies of closed windows, and the days they roll up to, as tables with a hash to keep beside them.

Nothing is removed from the book. These are copies for other tools; what takes windows' rows out of the book writes its
own (`prune`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from zoneinfo import ZoneInfo

from rating.core.checks import ClosingRecord
from rating.core.rollup import rolled
from rating.ports import Kind, StoredBook, Table

TEXT, WHOLE, DAY, INSTANT = Kind.TEXT, Kind.WHOLE, Kind.DAY, Kind.INSTANT

_WINDOWS = {
    "meter": TEXT, "start": INSTANT, "end": INSTANT, "consumer": TEXT, "dimensions": TEXT, "quantity": WHOLE,
    "usage_digest": TEXT,
}  # fmt: skip
_DAYS = {
    "meter": TEXT, "day": DAY, "consumer": TEXT, "dimensions": TEXT, "quantity": WHOLE, "windows": WHOLE,
    "digest": TEXT,
}  # fmt: skip


def windows(book: StoredBook, before: date, zone: ZoneInfo) -> Table:
    """Every row of every window that starts before that day, with its window's digest."""

    def rows() -> Iterator[tuple[object, ...]]:
        for one in _closings(book, before, zone):
            for row in one.usage:
                name = json.dumps(row.dimensions, ensure_ascii=False)
                yield one.meter, one.window.start, one.window.end, row.consumer, name, row.quantity, one.usage_digest

    return Table("windows", _WINDOWS, rows())


def days(book: StoredBook, before: date, zone: ZoneInfo) -> Table:
    """What those windows come to, by day and series."""

    def rows() -> Iterator[tuple[object, ...]]:
        for one in rolled(_closings(book, before, zone), [zone]):
            for row in one.usage:
                name = json.dumps(row.dimensions, ensure_ascii=False)
                yield one.meter, one.day, row.consumer, name, row.quantity, one.head.windows, one.head.digest

    return Table("days", _DAYS, rows())


def counted(book: StoredBook, before: date, zone: ZoneInfo) -> tuple[int, int]:
    """How many windows and rows would be copied."""
    found = [one.rows for one in _closings(book, before, zone)]
    return len(found), sum(found)


def _closings(book: StoredBook, before: date, zone: ZoneInfo) -> Iterator[ClosingRecord]:
    return (one for one in book.closing_records() if one.window.start.astimezone(zone).date() < before)
