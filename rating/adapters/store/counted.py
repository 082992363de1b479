"""Usage in the tables: closings and their rows, held windows, and sums of them. Runs inside a caller's transaction."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import repeat
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Subquery,
    Table,
    and_,
    exists,
    func,
    literal_column,
    select,
    union_all,
)

from rating.adapters.store.bulk import batched, insert_new, insert_rows
from rating.adapters.store.tables import (
    closings,
    holds,
    rolled_days,
    rolled_usage,
    rolled_windows,
    rollups,
    series,
    usage,
)
from rating.core.canonical import canonical, read
from rating.core.checks import ClosingRecord
from rating.core.entries import adjusted, keepable_closing, same_closing, usage_digest, whole_seconds
from rating.core.periods import EPOCH, Period, from_milliseconds, from_seconds, milliseconds, seconds
from rating.core.rollup import rolled_already
from rating.core.windows import Closing, Completeness, Evidence, Held, Usage
from rating.errors import Overtaken
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
    names = [row[:2] for row in closing.usage]
    known = numbers.known(closing.meter)
    found = list(map(known.get, names))
    if None in found:
        known = numbers.numbers(connection, closing.meter, names)
        found = [known[name] for name in names]
    # In the order of the primary key, which is the order on the disk.
    rows = sorted(zip(repeat(number), found, [row[2] for row in closing.usage], strict=False))
    insert_rows(connection, usage, ("closing", "series", "quantity"), rows)
    return known


def _kept(connection: Connection, closing: Closing, digest: str) -> Closing:
    """The closing in the book that has the same key; its rows are only read when they differ."""
    row = connection.execute(
        select(closings).where(closings.c.meter == closing.meter, closings.c.start == seconds(closing.window.start))
    ).one()
    if row.usage_digest != digest:
        archive = archive_of(connection, row.id)
        if archive is not None:
            raise rolled_already(row.meter, window_of(row), archive)
    rows = closing.usage if row.usage_digest == digest else next(_usage_of(connection, [row]))[1]
    return Closing(row.meter, window_of(row), Completeness(row.completeness), tuple(rows))


def archive_of(connection: Connection, closing: int) -> str | None:
    """The file with the rows of that closing, None when the book has them."""
    statement = (
        select(rollups.c.archive)
        .join(rolled_days, rolled_days.c.rollup == rollups.c.sequence)
        .join(rolled_windows, rolled_windows.c.day == rolled_days.c.id)
        .where(rolled_windows.c.closing == closing)
    )
    return connection.scalar(statement)


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
            row.day is not None,
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
    """The rows of `closings` that start inside the period, by meter and start, each with its rolled-up `day`."""
    statement = (
        select(closings, rolled_windows.c.day)
        .outerjoin(rolled_windows, rolled_windows.c.closing == closings.c.id)
        .order_by(closings.c.meter, closings.c.start)
    )
    if period is not None:
        statement = statement.where(inside(closings.c.start, period))
    if meter is not None:
        statement = statement.where(closings.c.meter == meter)
    return list(connection.execute(statement))


class Measured(Protocol):
    """Anything that has so many usage rows."""

    @property
    def meter(self) -> str: ...
    @property
    def rows(self) -> int: ...


M = TypeVar("M", bound=Measured)


def portions(rows: Sequence[M], consumer: str | None) -> Iterator[list[M]]:
    """Closings, or days, in portions of one meter, such that the usage of each can be read at once."""
    portion: list[M] = []
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


class Source(NamedTuple):
    """Where usage rows hang: a closing, or a day that windows are rolled up to."""

    id: int
    meter: str
    window: Period
    completeness: Completeness
    rows: int
    rolled: bool


def sources(connection: Connection, closed: Sequence[Row[Any]]) -> list[Source]:
    """The closings in their order, those that are rolled up as their days."""
    days = _days(connection, sorted({row.day for row in closed if row.day is not None}))
    found: list[Source] = []
    for row in closed:
        if row.day is None:
            state = Completeness(row.completeness)
            found.append(Source(row.id, row.meter, window_of(row), state, row.rows, rolled=False))
        elif row.start == days[row.day].first:
            day = days[row.day]
            # At least as many rows as the day has; the bound on memory holds.
            state = Completeness(day.completeness)
            span = Period(from_seconds(day.first), from_seconds(day.end))
            found.append(Source(day.id, day.meter, span, state, day.rows, rolled=True))
    return found


def _days(connection: Connection, numbers: Sequence[int]) -> dict[int, Row[Any]]:
    found: dict[int, Row[Any]] = {}
    for some in batched(numbers, 500):
        statement = select(rolled_days).where(rolled_days.c.id.in_(some))
        found |= {row.id: row for row in connection.execute(statement)}
    return found


def usage_of(
    connection: Connection,
    portion: Sequence[Source],
    consumer: str | None,
    differences: Mapping[int, Sequence[Usage]],
) -> list[UsageRow]:
    """Usage of these, all closings or all days, adjusted by `differences`, in their order, each sorted.

    Raises:
        Overtaken: a closing was rolled up since it was listed.
    """
    key = rolled_usage.c.day if portion[0].rolled else usage.c.closing
    found: dict[int, list[Usage]] = {one.id: [] for one in portion}
    for number, row in usage_rows(connection, key, list(found), portion[0].meter, consumer, parser()):
        found[number].append(row)
    if not portion[0].rolled:
        still_there(connection, list(found))
    return [
        UsageRow(one.meter, one.window, row, one.completeness)
        for one in portion
        for row in (adjusted(found[one.id], differences[one.id]) if one.id in differences else sorted(found[one.id]))
    ]


def still_there(connection: Connection, numbers: Sequence[int]) -> None:
    """Asked after rows were read: had they been removed meanwhile, nothing would show it.

    Raises:
        Overtaken: the rows of one of these closings are rolled up.
    """
    if connection.scalar(select(rolled_windows.c.closing).where(rolled_windows.c.closing.in_(numbers)).limit(1)):
        raise Overtaken("windows were rolled up to days while their usage was read; run the command again")


def closing_records(connection: Connection, portion: Sequence[Row[Any]]) -> list[ClosingRecord]:
    """These closings as stored."""
    found = [
        ClosingRecord(
            row.meter,
            window_of(row),
            row.rows,
            row.consumers,
            row.usage_digest,
            tuple(rows),
            Completeness(row.completeness),
            row.day is not None,
        )
        for row, rows in _usage_of(connection, portion)
    ]
    still_there(connection, [row.id for row in portion if row.day is None])
    return found


def _usage_of(connection: Connection, portion: Sequence[Row[Any]]) -> Iterator[tuple[Row[Any], list[Usage]]]:
    found: dict[int, list[Usage]] = {row.id: [] for row in portion}
    for number, row in stored_rows(connection, usage.c.closing, list(found), portion[0].meter):
        found[number].append(row)
    for closing in portion:
        yield closing, sorted(found[closing.id])


def usage_rows(
    connection: Connection,
    key: Column[int],
    numbers: Sequence[int],
    meter: str,
    consumer: str | None,
    values: Callable[[str], tuple[str, ...]],
) -> Iterator[tuple[int, Usage]]:
    """The rows that hang on these numbers, in no particular order. `key` is `usage.closing` or `rolled_usage.day`."""
    table = key.table
    statement = (
        select(key, series.c.consumer, series.c.dimensions, table.c.quantity)
        .join_from(table, series, series.c.id == table.c.series)
        .where(key.in_(numbers), series.c.meter == meter)
    )
    if consumer is not None:
        # By number, so that the rows are found by their primary key instead of reading whole windows.
        theirs = select(series.c.id).where(series.c.consumer == consumer)
        statement = statement.where(table.c.series.in_(theirs))
    for number, name, text, quantity in connection.execute(statement):
        yield number, Usage(name, values(text), quantity)


def stored_rows(
    connection: Connection, key: Column[int], numbers: Sequence[int], meter: str
) -> Iterator[tuple[int, Usage]]:
    """All rows on these numbers, for `core.checks`. One of another meter's series shows it in its dimensions."""
    table = key.table
    statement = (
        select(key, series.c.meter, series.c.consumer, series.c.dimensions, table.c.quantity)
        .join_from(table, series, series.c.id == table.c.series)
        .where(key.in_(numbers))
    )
    values = parser()
    for number, named, consumer, text, quantity in connection.execute(statement):
        dimensions = values(text) if named == meter else (named, *values(text))
        yield number, Usage(consumer, dimensions, quantity)


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
    """Usage by series, in one statement that sees windows' rows or the days in their place, never both or neither."""
    those = select(closings.c.id).where(closings.c.meter == meter, inside(closings.c.start, period))
    days = select(rolled_days.c.id).where(rolled_days.c.meter == meter, inside(rolled_days.c.first, period))
    parts = [halves_of(usage, usage.c.closing.in_(those)), halves_of(rolled_usage, rolled_usage.c.day.in_(days))]
    if consumer is not None:
        theirs = select(series.c.id).where(series.c.meter == meter, series.c.consumer == consumer)
        parts = [part.where(part.selected_columns[0].in_(theirs)) for part in parts]
    return union_all(*parts).subquery()


def halves_of(table: Table, those: ColumnElement[bool]) -> Select[Any]:
    """Usage by series, summed in two halves of 32 bits: exact where SUM over 64 bits would overflow on SQLite."""
    high = func.sum(table.c.quantity.bitwise_rshift(literal_column("32"))).label("high")
    low = func.sum(table.c.quantity.bitwise_and(literal_column("4294967295"))).label("low")
    return select(table.c.series, high, low).where(those).group_by(table.c.series)


def parser() -> Callable[[str], tuple[str, ...]]:
    """Reads dimension values. A meter has few combinations and many consumers: each text is parsed once."""
    return cache(lambda text: tuple(json.loads(text)))


def inside(start: Column[int], period: Period) -> ColumnElement[bool]:
    """What starts inside the period. Starts are whole seconds, the period need not be."""
    return and_(start >= ceiling(period.start), start < ceiling(period.end))


def ceiling(instant: datetime) -> int:
    """The first whole second at or after the instant."""
    return -((EPOCH - instant) // timedelta(seconds=1))


def window_of(row: Row[Any]) -> Period:
    return Period(from_seconds(row.start), from_seconds(row.end))
