"""What follows an issued invoice, in the tables: its steps and its credit notes, each kept once and chained."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from rating.adapters.store.bulk import insert_rows
from rating.adapters.store.engine import in_turn
from rating.adapters.store.prepaid import insert_moves, select_wallets
from rating.adapters.store.tables import credit_lines, credit_notes, invoice_entries, invoices
from rating.core.canonical import read
from rating.core.checks import CreditLine, CreditRecord, EntryRecord, credit_record, entry_record
from rating.core.creditnotes import CreditDraft, CreditNote, creditable, fits
from rating.core.entries import (
    CreditPaper,
    KeptEntry,
    Paper,
    genesis,
    issue_credit,
    keep,
    place_of,
    recorded,
    same_credit,
    same_entry,
    unknown_invoice,
)
from rating.core.funding import given_back, paid_of
from rating.core.invoices import Invoice
from rating.core.lifecycle import Account, InvoiceEntry, Step, account, allowed, creditable_in
from rating.core.money import Money

_STEPS = tuple(column.name for column in invoice_entries.columns if column.name != "id")
_HEADS = tuple(column.name for column in credit_notes.columns)
_LINES = tuple(column.name for column in credit_lines.columns)


def enter(connection: Connection, entry: InvoiceEntry, at: datetime) -> bool:
    in_turn(connection)
    return _enter(connection, entry, at)


def _enter(connection: Connection, entry: InvoiceEntry, at: datetime) -> bool:
    kept = connection.execute(select(invoice_entries).where(invoice_entries.c.key == entry.key)).one_or_none()
    if kept is not None:
        same_entry(entry, entry_of(kept))
        return False
    invoice = _paper(connection, entry.invoice)
    allowed(entry, _account(connection, invoice))
    last = connection.execute(
        select(invoice_entries.c.revision, invoice_entries.c.content_hash)
        .where(invoice_entries.c.invoice == entry.invoice)
        .order_by(invoice_entries.c.revision.desc())
        .limit(1)
    ).one_or_none()
    revision, previous = (0, invoice.content_hash) if last is None else last
    row = entry_record(0, *keep(entry, revision + 1, previous, at))
    connection.execute(invoice_entries.insert().values(dict(zip(_STEPS, row[1:], strict=True))))
    if entry.step is Step.VOID:
        _give_back(connection, invoice, entry.key, at)
    return True


def entries(connection: Connection, invoice: str | None) -> tuple[InvoiceEntry, ...]:
    statement = select(invoice_entries).order_by(invoice_entries.c.invoice, invoice_entries.c.revision)
    if invoice is not None:
        statement = statement.where(invoice_entries.c.invoice == invoice)
    return tuple(map(entry_of, connection.execute(statement)))


def credit(connection: Connection, draft: CreditDraft, at: datetime, entry: InvoiceEntry | None) -> CreditNote:
    in_turn(connection)
    kept = connection.execute(select(credit_notes).where(credit_notes.c.key == draft.key)).one_or_none()
    if kept is not None:
        same_credit(draft, note_of(kept))
        if entry is not None:
            _enter(connection, entry, at)
        return note_of(kept)
    invoice = _paper(connection, draft.invoice)
    creditable_in(_account(connection, invoice))
    fits(draft, invoice, notes(connection, draft.invoice))
    if entry is not None:
        _enter(connection, entry, at)
    last = connection.execute(
        select(credit_notes.c.number, credit_notes.c.content_hash)
        .where(credit_notes.c.series == draft.series)
        .order_by(credit_notes.c.sequence.desc())
        .limit(1)
    ).one_or_none()
    place, previous = (0, genesis(draft.series)) if last is None else (place_of(last.number), last.content_hash)
    note, content = issue_credit(draft, place + 1, previous, at)
    sequence = connection.scalar(select(func.max(credit_notes.c.sequence))) or 0
    row = credit_record(sequence + 1, note, content)
    insert_rows(connection, credit_notes, _HEADS, [row[: len(_HEADS)]])
    insert_rows(connection, credit_lines, _LINES, ((row.sequence, *line) for line in row.lines))
    _give_back(connection, invoice, note.number, at)
    return note


def notes(connection: Connection, invoice: str | None) -> tuple[CreditNote, ...]:
    statement = select(credit_notes).order_by(credit_notes.c.sequence)
    if invoice is not None:
        statement = statement.where(credit_notes.c.invoice == invoice)
    return tuple(map(note_of, connection.execute(statement)))


def taken(connection: Connection, number: str) -> tuple[Account | None, Money | None]:
    """What has become of an invoice, and the most that could be credited of it; None where there is none."""
    row = connection.execute(select(invoices).where(invoices.c.number == number)).one_or_none()
    if row is None:
        return None, None
    invoice = invoice_of(row)
    return _account(connection, invoice), creditable(invoice)


def invoice_of(row: Row[Any]) -> Invoice:
    paper = read(Paper, row.content)
    return Invoice(paper.number, paper.issued_at, paper.draft, row.content_hash, paper.previous_hash)


def entry_records(connection: Connection) -> Iterator[EntryRecord]:
    """Every step exactly as it is stored."""
    statement = select(invoice_entries).order_by(invoice_entries.c.invoice, invoice_entries.c.revision)
    yield from map(EntryRecord._make, connection.execute(statement))


def credit_records(connection: Connection) -> Iterator[CreditRecord]:
    """Every credit note exactly as it is stored, in order of sequence."""
    parts: dict[int, list[CreditLine]] = {}
    for note, *line in connection.execute(
        select(credit_lines).order_by(credit_lines.c.credit_note, credit_lines.c.line)
    ):
        parts.setdefault(note, []).append(CreditLine(*line))
    for row in connection.execute(select(credit_notes).order_by(credit_notes.c.sequence)):
        yield CreditRecord._make((*row, tuple(parts.get(row.sequence, ()))))


def _paper(connection: Connection, number: str) -> Invoice:
    row = connection.execute(select(invoices).where(invoices.c.number == number)).one_or_none()
    if row is None:
        raise unknown_invoice(number)
    return invoice_of(row)


def _account(connection: Connection, invoice: Invoice) -> Account:
    credited = [note.total for note in notes(connection, invoice.number)]
    wallets = select_wallets(connection, [invoice.draft.customer])
    return account(invoice, entries(connection, invoice.number), credited, None, paid_of(wallets, invoice))


def _give_back(connection: Connection, invoice: Invoice, cause: str, at: datetime) -> None:
    """What a wallet has paid too much now goes back to it, in the same transaction."""
    wallets = select_wallets(connection, [invoice.draft.customer])
    insert_moves(connection, given_back(wallets, _account(connection, invoice), cause, recorded(at)))


def entry_of(row: Row[Any]) -> InvoiceEntry:
    return read(KeptEntry, row.content).entry


def note_of(row: Row[Any]) -> CreditNote:
    paper = read(CreditPaper, row.content)
    return CreditNote(paper.number, paper.issued_at, paper.draft, row.content_hash, paper.previous_hash)
