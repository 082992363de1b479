"""Invoices in the tables: issuing them once, numbered without gaps and chained, and reading them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from rating.adapters.store.bulk import batched, insert_rows
from rating.adapters.store.counted import inside
from rating.adapters.store.engine import in_turn
from rating.adapters.store.prepaid import insert_moves, select_wallets
from rating.adapters.store.tables import invoices, lines
from rating.core.canonical import read
from rating.core.checks import Line, Record, record
from rating.core.entries import GENESIS, Paper, issue, recorded, same_draft
from rating.core.funding import burned_by
from rating.core.invoices import Draft, Invoice
from rating.core.periods import Period

_HEADS = tuple(column.name for column in invoices.columns)
_LINES = tuple(column.name for column in lines.columns)


def issue_all(connection: Connection, drafts: Sequence[Draft], at: datetime) -> tuple[Invoice, ...]:
    in_turn(connection)
    issued = {invoice.draft.key: invoice for invoice in _with_keys(connection, [draft.key for draft in drafts])}
    last = connection.execute(
        select(invoices.c.sequence, invoices.c.content_hash).order_by(invoices.c.sequence.desc()).limit(1)
    ).one_or_none()
    sequence, previous = (0, GENESIS) if last is None else last
    records = []
    owed = []
    for draft in drafts:
        if draft.key in issued:
            same_draft(draft, issued[draft.key])
            continue
        sequence += 1
        invoice, content = issue(draft, sequence, previous, at)
        issued[draft.key] = invoice
        records.append(record(sequence, invoice, content))
        owed.append((draft.customer, invoice.number, invoice.total))
        previous = invoice.content_hash
    insert_rows(connection, invoices, _HEADS, (one[: len(_HEADS)] for one in records))
    insert_rows(connection, lines, _LINES, ((one.sequence, *line) for one in records for line in one.lines))
    wallets = select_wallets(connection, {customer for customer, _, _ in owed})
    insert_moves(connection, burned_by(wallets, owed, recorded(at)))
    return tuple(issued[draft.key] for draft in drafts)


def select_invoices(connection: Connection, period: Period | None, consumer: str | None) -> tuple[Invoice, ...]:
    statement = select(invoices).order_by(invoices.c.sequence)
    if consumer is not None:
        statement = statement.where(invoices.c.consumer == consumer)
    if period is not None:
        statement = statement.where(inside(invoices.c.period_start, period))
    return tuple(map(_invoice, connection.execute(statement)))


def keys(connection: Connection) -> frozenset[str]:
    return frozenset(connection.scalars(select(invoices.c.key)))


def numbered(connection: Connection, number: str) -> Invoice | None:
    row = connection.execute(select(invoices).where(invoices.c.number == number)).one_or_none()
    return None if row is None else _invoice(row)


def records(connection: Connection) -> Iterator[Record]:
    """Every invoice exactly as it is stored, in order of sequence."""
    parts: dict[int, list[Line]] = {}
    for invoice, *line in connection.execute(select(lines).order_by(lines.c.invoice, lines.c.line)):
        parts.setdefault(invoice, []).append(Line(*line))
    for row in connection.execute(select(invoices).order_by(invoices.c.sequence)):
        yield Record._make((*row, tuple(parts.get(row.sequence, ()))))


def _with_keys(connection: Connection, keys: Sequence[str]) -> Iterator[Invoice]:
    for some in batched(keys, 500):
        yield from map(_invoice, connection.execute(select(invoices).where(invoices.c.key.in_(some))))


def _invoice(row: Row[Any]) -> Invoice:
    paper = read(Paper, row.content)
    return Invoice(paper.number, paper.issued_at, paper.draft, row.content_hash, paper.previous_hash)
