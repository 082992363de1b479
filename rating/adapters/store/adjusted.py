"""Adjustments in the tables: keeping one beside its closing, and what they add. Runs inside a caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from rating.adapters.store.bulk import insert_new, insert_rows
from rating.adapters.store.counted import Names, Series, archive_of, inside, parser, window_of
from rating.adapters.store.engine import in_turn
from rating.adapters.store.tables import adjusted, adjustments, closings, invoices, series
from rating.core.canonical import canonical, read
from rating.core.checks import AdjustmentRecord
from rating.core.entries import adjustable, recorded_after, same_adjustment, usage_digest
from rating.core.periods import Period, from_milliseconds, milliseconds, seconds
from rating.core.rollup import not_adjustable
from rating.core.windows import Adjustment, Evidence, Usage
from rating.ports import AdjustmentEntry


def adjust(connection: Connection, numbers: Series, adjustment: Adjustment, at: datetime) -> Mapping[Names, int] | None:
    """The numbers of the meter's series, for `Series.remember`; None when the book has this adjustment."""
    # Whoever issues an invoice meanwhile either knows this adjustment or is of an earlier instant.
    in_turn(connection)
    start = seconds(adjustment.window.start)
    closing = connection.execute(
        select(closings).where(closings.c.meter == adjustment.meter, closings.c.start == start)
    ).one_or_none()
    kept = closing and connection.scalar(
        select(func.max(adjustments.c.revision)).where(adjustments.c.closing == closing.id)
    )
    adjustable(adjustment, None if closing is None else window_of(closing), kept or 0)
    assert closing is not None
    if adjustment.revision > (kept or 0):
        archive = archive_of(connection, closing.id)
        if archive is not None:
            raise not_adjustable(adjustment, archive)
    issued = connection.scalar(select(func.max(invoices.c.issued_at)))
    entry = {
        "closing": closing.id,
        "revision": adjustment.revision,
        "rows": len(adjustment.rows),
        "usage_digest": usage_digest(adjustment.rows),
        "reason": adjustment.reason,
        "author": adjustment.author,
        "evidence": canonical(adjustment.evidence),
        "at": milliseconds(recorded_after(at, None if issued is None else from_milliseconds(issued))),
    }
    number = insert_new(connection, adjustments, entry, adjustments.c.id)
    if number is None:
        one = adjustments.c
        its = connection.scalar(select(one.id).where(one.closing == closing.id, one.revision == adjustment.revision))
        statement = _rows().where(adjustments.c.id == its)
        same_adjustment(adjustment, sorted(row for _, row in _parsed(connection, statement)))
        return None
    names = [(consumer, dimensions) for consumer, dimensions, _ in adjustment.rows]
    ids = numbers.numbers(connection, adjustment.meter, names)
    rows = sorted((number, ids[name], row.quantity) for name, row in zip(names, adjustment.rows, strict=True))
    insert_rows(connection, adjusted, ("adjustment", "series", "quantity"), rows)
    return ids


def latest(connection: Connection) -> int:
    return connection.scalar(select(func.max(adjustments.c.id))) or 0


def entries(connection: Connection, period: Period | None, meter: str | None) -> list[tuple[AdjustmentEntry, Row[Any]]]:
    """Adjustments by meter, start and revision, each with its row as stored."""
    statement = (
        select(
            adjustments.c.id, adjustments.c.revision, adjustments.c.rows, adjustments.c.usage_digest,
            adjustments.c.reason, adjustments.c.author, adjustments.c.evidence, adjustments.c.at,
            closings.c.meter, closings.c.start, closings.c.end,
        )
        .join_from(adjustments, closings, closings.c.id == adjustments.c.closing)
        .order_by(closings.c.meter, closings.c.start, adjustments.c.revision)
    )  # fmt: skip
    heads = list(connection.execute(_of(statement, period, meter)))
    rows: dict[int, list[Usage]] = {head.id: [] for head in heads}
    if heads:
        for number, row in _parsed(connection, _of(_rows(), period, meter)):
            rows[number].append(row)
    return [(_entry(head, sorted(rows[head.id])), head) for head in heads]


def differences(
    connection: Connection, period: Period, meter: str | None, consumer: str | None, as_of: datetime | None
) -> dict[int, list[Usage]]:
    """What adjustments add to windows that start inside the period, by the closing's number."""
    statement = _of(_rows(adjustments.c.closing), period, meter)
    if consumer is not None:
        statement = statement.where(series.c.consumer == consumer)
    if as_of is not None:
        statement = statement.where(adjustments.c.at <= milliseconds(as_of))
    found: dict[int, list[Usage]] = {}
    for closing, row in _parsed(connection, statement):
        found.setdefault(closing, []).append(row)
    return found


def by_day(differences: Mapping[int, Sequence[Usage]], closed: Sequence[Row[Any]]) -> dict[int, list[Usage]]:
    """The differences of rolled-up windows, by the number of their day. `closed` are the closings with their days."""
    found: dict[int, list[Usage]] = {}
    for row in closed:
        if row.day is not None and row.id in differences:
            found.setdefault(row.day, []).extend(differences[row.id])
    return found


def consumers(connection: Connection, period: Period | None) -> frozenset[str]:
    those = select(adjusted.c.series)
    if period is not None:
        those = those.join(adjustments, adjustments.c.id == adjusted.c.adjustment).join(
            closings, closings.c.id == adjustments.c.closing
        )
    statement = select(series.c.consumer).where(series.c.id.in_(_of(those, period, None)))
    return frozenset(connection.scalars(statement))


def records(connection: Connection) -> Iterator[AdjustmentRecord]:
    """Every adjustment as stored."""
    for entry, head in entries(connection, None, None):
        one = entry.adjustment
        yield AdjustmentRecord(one.meter, one.window, one.revision, head.rows, head.usage_digest, one.rows)


def _rows(key: Any = adjustments.c.id) -> Select[Any]:
    return (
        select(key, series.c.consumer, series.c.dimensions, adjusted.c.quantity)
        .select_from(adjusted)
        .join(adjustments, adjustments.c.id == adjusted.c.adjustment)
        .join(series, series.c.id == adjusted.c.series)
        .join(closings, closings.c.id == adjustments.c.closing)
    )


def _of(statement: Select[Any], period: Period | None, meter: str | None) -> Select[Any]:
    if period is not None:
        statement = statement.where(inside(closings.c.start, period))
    if meter is not None:
        statement = statement.where(closings.c.meter == meter)
    return statement


def _parsed(connection: Connection, statement: Select[Any]) -> Iterator[tuple[int, Usage]]:
    values = parser()
    for key, name, text, quantity in connection.execute(statement):
        yield key, Usage(name, values(text), quantity)


def _entry(head: Row[Any], rows: list[Usage]) -> AdjustmentEntry:
    evidence = read(Evidence, head.evidence)
    adjustment = Adjustment(head.meter, window_of(head), head.revision, tuple(rows), head.reason, head.author, evidence)
    return AdjustmentEntry(adjustment, from_milliseconds(head.at))
