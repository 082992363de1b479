"""Invoices in the tables: issuing them once, numbered without gaps and chained, and reading them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, or_, select

from rating.adapters.store.bulk import among, batched, insert_rows
from rating.adapters.store.counted import inside
from rating.adapters.store.engine import in_turn
from rating.adapters.store.followed import invoice_of, taken
from rating.adapters.store.prepaid import insert_moves, select_wallets
from rating.adapters.store.tables import adjusted, invoices, lines, sections, series
from rating.core.checks import Line, Record, SectionRow, record
from rating.core.entries import (
    billed_before,
    corrected_meanwhile,
    genesis,
    issue,
    place_of,
    placed_before,
    recorded,
    same_draft,
)
from rating.core.funding import burned_by
from rating.core.invoices import Draft, Invoice, LineKind
from rating.core.lifecycle import State, replaceable
from rating.core.money import Money
from rating.core.periods import Period

_KEYS_AT_ONCE = 10_000
_RECORDS_AT_ONCE = 5_000
"""Invoices whose rows are held before they are inserted, all in the one transaction."""
_HEADS = tuple(column.name for column in invoices.columns)
_LINES = tuple(column.name for column in lines.columns)
_SECTIONS = tuple(column.name for column in sections.columns)


def issue_all(
    connection: Connection, drafts: Sequence[Draft], at: datetime, known: int | None = None
) -> tuple[Invoice, ...]:
    in_turn(connection)
    # Named once: a key is made of several fields, and there may be a hundred thousand drafts.
    named = [(draft.key, draft) for draft in drafts]
    issued = {invoice.draft.key: invoice for invoice in _with_keys(connection, [key for key, _ in named])}
    new = [draft for key, draft in named if key not in issued]
    if known is not None and new:
        _nothing_corrected(connection, new, known)
    billed = _billed_by(connection, new)
    _items_free(connection, new)
    sequence = connection.scalar(select(func.max(invoices.c.sequence))) or 0
    heads = {series: _head(connection, series) for series in {draft.series for draft in new}}
    records: list[Record] = []
    owed: list[tuple[str, str, Money]] = []
    for key, draft in named:
        if key in issued:
            same_draft(draft, issued[key])
            continue
        parts = draft.keys if draft.sections else (key,)
        for part in parts:
            if part in billed:
                raise billed_before(part, billed[part])
        replaced = {paper.replaces for _, paper in draft.parts} if draft.sections else {draft.replaces}
        for number in replaced - {""}:
            replaceable(number, *taken(connection, number))
        series = draft.series
        place, previous = heads[series]
        sequence += 1
        invoice, content = issue(draft, place + 1, previous, at)
        issued[key] = invoice
        billed.update(dict.fromkeys(parts, invoice.number))
        records.append(record(sequence, invoice, content))
        owed.append((draft.customer, invoice.number, Money(records[-1].total_minor, draft.currency)))
        heads[series] = place + 1, invoice.content_hash
        if len(records) == _RECORDS_AT_ONCE:
            _insert(connection, records)
            records = []
    _insert(connection, records)
    wallets = select_wallets(connection, {customer for customer, _, _ in owed})
    insert_moves(connection, burned_by(wallets, owed, recorded(at)))
    return tuple(issued[key] for key, _ in named)


def _insert(connection: Connection, records: Sequence[Record]) -> None:
    insert_rows(connection, invoices, _HEADS, (one[: len(_HEADS)] for one in records))
    insert_rows(connection, lines, _LINES, ((one.sequence, *line) for one in records for line in one.lines))
    insert_rows(connection, sections, _SECTIONS, ((one.sequence, *row) for one in records for row in one.sections))


def _head(connection: Connection, series: str) -> tuple[int, str]:
    """Place and hash of the last invoice of a series."""
    last = connection.execute(
        select(invoices.c.number, invoices.c.content_hash)
        .where(invoices.c.series == series)
        .order_by(invoices.c.sequence.desc())
        .limit(1)
    ).one_or_none()
    return (0, genesis(series)) if last is None else (place_of(last.number), last.content_hash)


def _nothing_corrected(connection: Connection, drafts: Sequence[Draft], known: int) -> None:
    """No adjustment about these consumers came after the known ones: their usage is what it was drafted from."""
    consumers = {part.consumer for draft in drafts for _, part in draft.parts}
    rows = (
        select(series.c.consumer)
        .join(adjusted, adjusted.c.series == series.c.id)
        .where(adjusted.c.adjustment > known)
        .distinct()
    )
    if met := sorted(consumers.intersection(connection.scalars(rows))):
        raise corrected_meanwhile(met[0])


def _billed_by(connection: Connection, drafts: Sequence[Draft]) -> dict[str, str]:
    """By what is billed: the number of the invoice that bills it, among what these drafts would."""
    found: dict[str, str] = {}
    for some in batched(sorted({key for draft in drafts for key in draft.keys}), _KEYS_AT_ONCE):
        heads = select(invoices.c.key, invoices.c.number).where(among(connection, invoices.c.key, some))
        found.update(connection.execute(heads).all())
        parts = select(sections.c.key, invoices.c.number).join(invoices, invoices.c.sequence == sections.c.invoice)
        found.update(connection.execute(parts.where(among(connection, sections.c.key, some))).all())
    return found


def _items_free(connection: Connection, drafts: Sequence[Draft]) -> None:
    """No item of these drafts stands on an invoice that was not taken back."""
    items = sorted({line.card for draft in drafts for line in draft.lines if line.kind is LineKind.ITEM})
    for some in batched(items, _KEYS_AT_ONCE):
        placed = (
            select(lines.c.card, invoices.c.number)
            .join(invoices, invoices.c.sequence == lines.c.invoice)
            .where(lines.c.kind == LineKind.ITEM.value, among(connection, lines.c.card, some))
        )
        for item, number in connection.execute(placed):
            before, most = taken(connection, number)
            if before is not None and most is not None and before.state is not State.VOID and before.credited < most:
                raise placed_before(item, number)


def select_invoices(connection: Connection, period: Period | None, consumer: str | None) -> tuple[Invoice, ...]:
    statement = select(invoices).order_by(invoices.c.sequence)
    if consumer is not None:
        among = select(sections.c.invoice).where(sections.c.consumer == consumer)
        statement = statement.where(or_(invoices.c.consumer == consumer, invoices.c.sequence.in_(among)))
    if period is not None:
        statement = statement.where(inside(invoices.c.period_start, period))
    return tuple(map(invoice_of, connection.execute(statement)))


def keys(connection: Connection) -> frozenset[str]:
    return frozenset(connection.scalars(select(invoices.c.key).union_all(select(sections.c.key))))


def numbered(connection: Connection, number: str) -> Invoice | None:
    row = connection.execute(select(invoices).where(invoices.c.number == number)).one_or_none()
    return None if row is None else invoice_of(row)


def records(connection: Connection) -> Iterator[Record]:
    """Every invoice exactly as it is stored, in order of sequence."""
    parts: dict[int, list[Line]] = {}
    for invoice, *line in connection.execute(select(lines).order_by(lines.c.invoice, lines.c.line)):
        parts.setdefault(invoice, []).append(Line(*line))
    own: dict[int, list[SectionRow]] = {}
    for invoice, *section in connection.execute(select(sections).order_by(sections.c.invoice, sections.c.section)):
        own.setdefault(invoice, []).append(SectionRow(*section))
    for row in connection.execute(select(invoices).order_by(invoices.c.sequence)):
        yield Record._make((*row, tuple(parts.get(row.sequence, ())), tuple(own.get(row.sequence, ()))))


def _with_keys(connection: Connection, keys: Sequence[str]) -> Iterator[Invoice]:
    for some in batched(keys, _KEYS_AT_ONCE):
        yield from map(invoice_of, connection.execute(select(invoices).where(among(connection, invoices.c.key, some))))
