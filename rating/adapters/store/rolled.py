"""Roll-ups in the tables: days in the place of windows' rows, all in one transaction. Runs inside a caller's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, or_, select

from rating.adapters.store.bulk import insert_rows
from rating.adapters.store.counted import Names, Series, ceiling, halves_of, inside, stored_rows, window_of
from rating.adapters.store.engine import in_turn
from rating.adapters.store.tables import (
    closings,
    rolled_days,
    rolled_usage,
    rolled_windows,
    rollups,
    usage,
)
from rating.core.canonical import read
from rating.core.checks import DayRecord, RollUpRecord, rollup_record
from rating.core.entries import genesis
from rating.core.periods import Period, from_seconds, seconds
from rating.core.rollup import (
    SERIES,
    Day,
    KeptRollUp,
    RollUp,
    WindowHead,
    cut,
    keep_rollup,
    not_the_sum,
    rollable,
    rolled_meanwhile,
    same_rollup,
)

_HEADS = tuple(column.name for column in rollups.columns)
_DAYS = ("meter", "first", "last", "end", "windows", "rows", "completeness", "digest", "usage_digest")


def roll_up(
    connection: Connection, numbers: Series, rollup: RollUp, days: Sequence[Day], at: datetime
) -> dict[Names, int] | None:
    """The numbers of the meter's series, for `Series.remember`; None when the book has this roll-up."""
    # Nobody adjusts a window meanwhile.
    in_turn(connection)
    kept = _kept(connection, rollup)
    if kept is not None:
        same_rollup(rollup, kept)
        return None
    closed = [_closings(connection, rollup.meter, day) for day in days]
    rollable(rollup, days, [[_head(row) for row in rows] for rows in closed])
    for day, rows in zip(days, closed, strict=True):
        if any(row.day is not None for row in rows):
            raise rolled_meanwhile(rollup.meter, day.head)
    last = connection.execute(
        select(rollups.c.sequence, rollups.c.content_hash).order_by(rollups.c.sequence.desc()).limit(1)
    ).one_or_none()
    sequence, previous = (0, genesis(SERIES)) if last is None else last
    entry, content = keep_rollup(rollup, previous, at)
    record = rollup_record(sequence + 1, entry, content)
    insert_rows(connection, rollups, _HEADS, [record[: len(_HEADS)]])
    found = ((record.sequence, *day[: len(_DAYS)]) for day in record.days)
    insert_rows(connection, rolled_days, ("rollup", *_DAYS), found)
    ids = _ids(connection, record.sequence)
    members = ((row.id, ids[seconds(day.head.first)]) for day, rows in zip(days, closed, strict=True) for row in rows)
    insert_rows(connection, rolled_windows, ("closing", "day"), members)
    names = numbers.numbers(connection, rollup.meter, {row[:2] for day in days for row in day.usage})
    for day in days:
        _replace(connection, names, day, ids[seconds(day.head.first)])
    return names


def _replace(connection: Connection, names: dict[Names, int], day: Day, number: int) -> None:
    """The day's rows in, those of its windows out, once they are seen to come to the same."""
    members = select(rolled_windows.c.closing).where(rolled_windows.c.day == number)
    sums = halves_of(usage, usage.c.closing.in_(members)).order_by(usage.c.series)
    booked = ((series, (int(high) << 32) + int(low)) for series, high, low in connection.execute(sums))
    rows = sorted((names[row[:2]], row.quantity) for row in day.usage)
    pairs = zip_longest((one for one in booked if one[1]), rows)
    if not all(one == other for one, other in pairs):
        raise not_the_sum(day.meter, day.head)
    insert_rows(connection, rolled_usage, ("day", "series", "quantity"), ((number, *row) for row in rows))
    removed = connection.execute(delete(usage).where(usage.c.closing.in_(members))).rowcount
    if removed != day.head.rows:
        raise not_the_sum(day.meter, day.head)


def _kept(connection: Connection, rollup: RollUp) -> RollUp | None:
    start = seconds(rollup.span.start)
    content = connection.scalar(
        select(rollups.c.content).where(rollups.c.meter == rollup.meter, rollups.c.start == start)
    )
    return None if content is None else read(KeptRollUp, content).rollup


def _closings(connection: Connection, meter: str, day: Day) -> list[Row[Any]]:
    statement = (
        select(closings, rolled_windows.c.day)
        .outerjoin(rolled_windows, rolled_windows.c.closing == closings.c.id)
        .where(closings.c.meter == meter, inside(closings.c.start, day.head.span))
        .order_by(closings.c.start)
    )
    return list(connection.execute(statement))


def _head(row: Row[Any]) -> WindowHead:
    return WindowHead(window_of(row), row.rows, row.usage_digest)


def _ids(connection: Connection, sequence: int) -> dict[int, int]:
    statement = select(rolled_days.c.first, rolled_days.c.id).where(rolled_days.c.rollup == sequence)
    return {row.first: row.id for row in connection.execute(statement)}


def select_rollups(connection: Connection, meter: str | None, period: Period | None) -> tuple[KeptRollUp, ...]:
    statement = select(rollups.c.content).order_by(rollups.c.sequence)
    if meter is not None or period is not None:
        days = select(rolled_days.c.rollup)
        if meter is not None:
            days = days.where(rolled_days.c.meter == meter)
        if period is not None:
            start, end = ceiling(period.start), ceiling(period.end)
            days = days.where(rolled_days.c.first < end, rolled_days.c.last >= start)
        statement = statement.where(rollups.c.sequence.in_(days))
    return tuple(read(KeptRollUp, content) for content in connection.scalars(statement))


def uncut(connection: Connection, meter: str | None, period: Period) -> None:
    """Raises:
    BookError: the period begins or ends inside a day that is rolled up.
    """
    first, last = rolled_days.c.first, rolled_days.c.last
    borders = [and_(first < border, last >= border) for border in (ceiling(period.start), ceiling(period.end))]
    statement = select(first, rolled_days.c.end).where(or_(*borders)).limit(1)
    if meter is not None:
        statement = statement.where(rolled_days.c.meter == meter)
    found = connection.execute(statement).one_or_none()
    if found is not None:
        raise cut(Period(from_seconds(found[0]), from_seconds(found[1])), period)


def removed_rows(connection: Connection) -> int:
    return int(connection.scalar(select(func.sum(rollups.c.rows))) or 0)


def records(connection: Connection, after: int) -> RollUpRecord | None:
    """The next roll-up exactly as it is stored, with all that hangs on it; None after the last."""
    row = connection.execute(
        select(rollups).where(rollups.c.sequence > after).order_by(rollups.c.sequence).limit(1)
    ).one_or_none()
    return None if row is None else RollUpRecord._make((*row, tuple(_days(connection, row.sequence))))


def _days(connection: Connection, sequence: int) -> Iterator[DayRecord]:
    statement = select(rolled_days).where(rolled_days.c.rollup == sequence).order_by(rolled_days.c.first)
    for day in connection.execute(statement).all():
        members = (
            select(closings)
            .join(rolled_windows, rolled_windows.c.closing == closings.c.id)
            .where(rolled_windows.c.day == day.id)
            .order_by(closings.c.start)
        )
        heads = tuple(map(_head, connection.execute(members)))
        rows = stored_rows(connection, rolled_usage.c.day, [day.id], day.meter)
        stored = (getattr(day, name) for name in _DAYS)
        yield DayRecord._make((*stored, heads, tuple(sorted(one for _, one in rows))))
