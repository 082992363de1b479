"""Usage in the tables: closings and their rows, held windows, and sums of them. Runs inside a caller's transaction."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Subquery, and_, exists, func, literal_column, select

from rating.adapters.store.bulk import insert_new, insert_rows
from rating.adapters.store.tables import closings, holds, series, usage
from rating.core.canonical import canonical, read
from rating.core.checks import ClosingRecord
from rating.core.entries import adjusted, keepable_closing, same_closing, usage_digest, whole_seconds
from rating.core.periods import EPOCH, Period, from_milliseconds, from_seconds, milliseconds, seconds
from rating.core.windows import Closing, Completeness, Evidence, Held, Usage
from rating.ports import ClosingHead, HeldEntry, UsageRow

ROWS_AT_ONCE = 100_000
"""How many usage rows are read before any is handed out: the bound on memory, not on the result."""

Names = tuple[str, tuple[str, ...]]
"""Consumer and dimensions of one series."""


class Series:
    """The short numbers of a meter's series, remembered once they are committed."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Names, int]] = {}
        self._guard = threading.Lock()

    def known(self, meter: str) -> dict[Names, int]:
        return self._known.get(meter, {})

    def remember(self, meter: str, found: dict[Names, int]) -> None:
        if found is self.known(meter):
            return
        with self._guard:
            self._known[meter] = {**self.known(meter), **found}

    def numbers(self, connection: Connection, meter: str, names: Iterable[Names]) -> dict[Names, int]:
        """The numbers of these and perhaps other series of the meter; new ones are made in this transaction."""
        known = self.known(meter)
        missing = set(names) - known.keys()
        if not missing:
            return known
        found = _newer(connection, meter, max(known.values(), default=-1))
        missing -= found.keys()
        if missing:
            # In sorted order, so that two writers on PostgreSQL meet in one order and cannot wait for each other.
            rows = ((meter, consumer, _dimensions(values)) for consumer, values in sorted(missing))
            insert_rows(connection, series, ("meter", "consumer", "dimensions"), rows, keep=True)
            found |= _newer(connection, meter, max((*known.values(), *found.values()), default=-1))
        # On PostgreSQL another writer's lower numbers may be committed after higher ones were seen.
        for name in missing:
            if name not in found:
                found[name] = _number(connection, meter, name)
        return {**known, **found}


def _newer(connection: Connection, meter: str, number: int) -> dict[Names, int]:
    statement = select(series.c.id, series.c.consumer, series.c.dimensions).where(
        series.c.meter == meter, series.c.id > number
    )
    return {(consumer, tuple(json.loads(values))): id for id, consumer, values in connection.execute(statement)}


def _number(connection: Connection, meter: str, name: Names) -> int:
    consumer, values = name
    statement = select(series.c.id).where(
        series.c.meter == meter, series.c.consumer == consumer, series.c.dimensions == _dimensions(values)
    )
    return int(connection.execute(statement).scalar_one())


def _dimensions(values: tuple[str, ...]) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def close(
    connection: Connection, numbers: Series, closing: Closing, meter_digest: str, at: datetime
) -> dict[Names, int] | None:
    """Keep the closing. Returns the series numbers to remember after the commit, None when it was kept before."""
    keepable_closing(closing)
    digest = usage_digest(closing.usage)
    entry = {
        "meter": closing.meter,
        "start": seconds(closing.window.start),
        "end": seconds(closing.window.end),
        "completeness": closing.completeness.value,
        "rows": len(closing.usage),
        "consumers": len({row.consumer for row in closing.usage}),
        "usage_digest": digest,
        "meter_digest": meter_digest,
        "evidence": canonical(closing.evidence),
        "closed_at": milliseconds(at),
    }
    number = insert_new(connection, closings, entry, closings.c.id)
    if number is None:
        same_closing(closing, _kept(connection, closing, digest))
        return None
    names = [(consumer, dimensions) for consumer, dimensions, _ in closing.usage]
    ids = numbers.numbers(connection, closing.meter, names)
    # In the order of the primary key, which is the order on the disk.
    rows = sorted((number, ids[name], row.quantity) for name, row in zip(names, closing.usage, strict=True))
    insert_rows(connection, usage, ("closing", "series", "quantity"), rows)
    return ids


def _kept(connection: Connection, closing: Closing, digest: str) -> Closing:
    """The closing in the book that has the same key; its rows are only read when they differ."""
    row = connection.execute(
        select(closings).where(closings.c.meter == closing.meter, closings.c.start == seconds(closing.window.start))
    ).one()
    rows = closing.usage if row.usage_digest == digest else next(_usage_of(connection, [row], None))[1]
    return Closing(row.meter, window_of(row), Completeness(row.completeness), tuple(rows))


def hold(connection: Connection, held: Held, at: datetime) -> None:
    entry = {
        "meter": held.meter,
        "start": whole_seconds(held.window.start, f"window {held.meter}"),
        "end": whole_seconds(held.window.end, f"window {held.meter}"),
        "reason": held.reason,
        "evidence": canonical(held.evidence),
        "at": milliseconds(at),
    }
    insert_new(connection, holds, entry, holds.c.id)


def held(connection: Connection) -> tuple[HeldEntry, ...]:
    closed = exists().where(closings.c.meter == holds.c.meter, closings.c.start == holds.c.start)
    statement = select(holds).where(~closed).order_by(holds.c.start, holds.c.meter, holds.c.at, holds.c.id)
    latest = {(row.start, row.meter): row for row in connection.execute(statement)}
    return tuple(
        HeldEntry(Held(row.meter, window_of(row), row.reason, read(Evidence, row.evidence)), from_milliseconds(row.at))
        for row in latest.values()
    )


def heads(connection: Connection, meter: str, period: Period) -> tuple[ClosingHead, ...]:
    return tuple(
        ClosingHead(
            row.meter,
            window_of(row),
            Completeness(row.completeness),
            row.consumers,
            row.meter_digest,
            from_milliseconds(row.closed_at),
            read(Evidence, row.evidence),
        )
        for row in closed(connection, period, meter)
    )


def completeness(connection: Connection, meter: str, period: Period) -> dict[datetime, Completeness]:
    columns = select(closings.c.start, closings.c.completeness)
    statement = columns.where(closings.c.meter == meter, inside(closings.c.start, period)).order_by(closings.c.start)
    return {from_seconds(start): Completeness(name) for start, name in connection.execute(statement)}


def closed_through(connection: Connection, meter: str) -> datetime | None:
    end = connection.scalar(select(func.max(closings.c.end)).where(closings.c.meter == meter))
    return None if end is None else from_seconds(end)


def closed(connection: Connection, period: Period | None, meter: str | None) -> list[Row[Any]]:
    """The rows of `closings` that start inside the period, by meter and start."""
    statement = select(closings).order_by(closings.c.meter, closings.c.start)
    if period is not None:
        statement = statement.where(inside(closings.c.start, period))
    if meter is not None:
        statement = statement.where(closings.c.meter == meter)
    return list(connection.execute(statement))


def portions(rows: Sequence[Row[Any]], consumer: str | None) -> Iterator[list[Row[Any]]]:
    """Closings in portions of one meter, such that the usage of each can be read at once."""
    portion: list[Row[Any]] = []
    size = 0
    for row in rows:
        # One consumer has few rows in a window, but there is a bound on the closings named in one statement too.
        weight = row.rows if consumer is None else ROWS_AT_ONCE // 500
        if portion and (size + weight > ROWS_AT_ONCE or portion[0].meter != row.meter):
            yield portion
            portion, size = [], 0
        size += weight
        portion.append(row)
    if portion:
        yield portion


def usage_of(
    connection: Connection,
    portion: Sequence[Row[Any]],
    consumer: str | None,
    differences: Mapping[int, Sequence[Usage]],
) -> list[UsageRow]:
    """Usage of these closings, adjusted by `differences`, in their order, sorted by consumer and dimensions in each."""
    return [
        UsageRow(row.meter, window_of(row), one, Completeness(row.completeness))
        for row, rows in _usage_of(connection, portion, consumer)
        for one in (adjusted(rows, differences[row.id]) if row.id in differences else rows)
    ]


def closing_records(connection: Connection, portion: Sequence[Row[Any]]) -> list[ClosingRecord]:
    """These closings as stored."""
    return [
        ClosingRecord(row.meter, window_of(row), row.rows, row.consumers, row.usage_digest, tuple(rows))
        for row, rows in _usage_of(connection, portion, None)
    ]


def _usage_of(
    connection: Connection, portion: Sequence[Row[Any]], consumer: str | None
) -> Iterator[tuple[Row[Any], list[Usage]]]:
    statement = (
        select(usage.c.closing, series.c.consumer, series.c.dimensions, usage.c.quantity)
        .join_from(usage, series, series.c.id == usage.c.series)
        .where(usage.c.closing.in_([row.id for row in portion]), series.c.meter == portion[0].meter)
    )
    if consumer is not None:
        # By number, so that the rows are found by their primary key instead of reading whole windows.
        theirs = select(series.c.id).where(series.c.consumer == consumer)
        statement = statement.where(usage.c.series.in_(theirs))
    found: dict[int, list[Usage]] = {row.id: [] for row in portion}
    values = parser()
    for closing, name, text, quantity in connection.execute(statement):
        found[closing].append(Usage(name, values(text), quantity))
    for row in portion:
        yield row, sorted(found[row.id])


def totals(connection: Connection, meter: str, period: Period, consumer: str | None) -> tuple[Usage, ...]:
    halves = _halves(meter, period, consumer)
    statement = select(series.c.consumer, series.c.dimensions, halves.c.high, halves.c.low).join_from(
        halves, series, series.c.id == halves.c.series
    )
    values = parser()
    return tuple(
        sorted(
            Usage(name, values(text), (int(high) << 32) + int(low))
            for name, text, high, low in connection.execute(statement)
        )
    )


def sums(connection: Connection, meter: str, period: Period, consumer: str | None) -> dict[str, int]:
    halves = _halves(meter, period, consumer)
    high, low = func.sum(halves.c.high), func.sum(halves.c.low)
    statement = (
        select(series.c.consumer, high, low)
        .join_from(halves, series, series.c.id == halves.c.series)
        .group_by(series.c.consumer)
    )
    return {name: (int(high) << 32) + int(low) for name, high, low in connection.execute(statement)}


def _halves(meter: str, period: Period, consumer: str | None) -> Subquery:
    """Usage by series, summed in two halves of 32 bits: exact where SUM over 64 bits would overflow on SQLite."""
    those = select(closings.c.id).where(closings.c.meter == meter, inside(closings.c.start, period))
    high = func.sum(usage.c.quantity.bitwise_rshift(literal_column("32"))).label("high")
    low = func.sum(usage.c.quantity.bitwise_and(literal_column("4294967295"))).label("low")
    rows = select(usage.c.series, high, low).where(usage.c.closing.in_(those)).group_by(usage.c.series)
    if consumer is not None:
        theirs = select(series.c.id).where(series.c.meter == meter, series.c.consumer == consumer)
        rows = rows.where(usage.c.series.in_(theirs))
    return rows.subquery()


def parser() -> Callable[[str], tuple[str, ...]]:
    """Reads dimension values. A meter has few combinations and many consumers: each text is parsed once."""
    return cache(lambda text: tuple(json.loads(text)))


def inside(start: Column[int], period: Period) -> ColumnElement[bool]:
    """What starts inside the period. Starts are whole seconds, the period need not be."""
    return and_(start >= _ceiling(period.start), start < _ceiling(period.end))


def _ceiling(instant: datetime) -> int:
    return -((EPOCH - instant) // timedelta(seconds=1))


def window_of(row: Row[Any]) -> Period:
    return Period(from_seconds(row.start), from_seconds(row.end))
