"""What happened in a span, out of the tables: its keys first, which are small, then papers a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Row, Table, select, union

from rating.adapters.store.bulk import batched
from rating.adapters.store.counted import ceiling
from rating.adapters.store.engine import Database
from rating.adapters.store.followed import entry_of, invoice_of, note_of
from rating.adapters.store.prepaid import select_accounts
from rating.adapters.store.stated import payout_of
from rating.adapters.store.tables import (
    credit_notes,
    invoice_entries,
    invoices,
    statements,
    wallet_grants,
    wallet_moves,
)
from rating.core.creditnotes import CreditNote
from rating.core.invoices import Invoice
from rating.core.lifecycle import InvoiceEntry
from rating.core.payouts import Payout
from rating.core.periods import Period, milliseconds
from rating.core.wallets import GrantAccount

T = TypeVar("T")

AT_ONCE = 200
"""Papers in memory; each is a few kilobytes of text and as much again as a value."""


class StoreJournaling:
    _database: Database

    def issued_in(self, period: Period) -> Iterator[Invoice]:
        return self._papers_in(invoices, period, invoice_of)

    def credited_in(self, period: Period) -> Iterator[CreditNote]:
        return self._papers_in(credit_notes, period, note_of)

    def stated_in(self, period: Period) -> Iterator[Payout]:
        return self._papers_in(statements, period, payout_of)

    def entered_on(self, day: date) -> Iterator[InvoiceEntry]:
        with self._database.reading() as connection:
            keys = connection.scalars(
                select(invoice_entries.c.key).where(invoice_entries.c.on == day.isoformat()).order_by("key")
            ).all()
        return self._read(invoice_entries.c.key, keys, entry_of)

    def moved_in(self, period: Period) -> Iterator[GrantAccount]:
        begin, end = milliseconds(period.start), milliseconds(period.end)
        moved = select(wallet_moves.c.grant).where(wallet_moves.c.at >= begin, wallet_moves.c.at < end)
        expires = wallet_grants.c.expires
        ended = select(wallet_grants.c.id).where(expires >= ceiling(period.start), expires < ceiling(period.end))
        with self._database.reading() as connection:
            numbers = sorted(connection.scalars(union(moved, ended)))
        for some in batched(numbers, AT_ONCE):
            with self._database.reading() as connection:
                accounts = select_accounts(connection, some)
            yield from accounts

    def papers(self, numbers: Collection[str]) -> Mapping[str, Invoice]:
        return {one.number: one for one in self._read(invoices.c.number, sorted(numbers), invoice_of)}

    def _papers_in(self, table: Table, period: Period, paper: Callable[[Row[Any]], T]) -> Iterator[T]:
        at = table.c.issued_at
        with self._database.reading() as connection:
            numbers = connection.scalars(
                select(table.c.number)
                .where(at >= milliseconds(period.start), at < milliseconds(period.end))
                .order_by(table.c.number)
            ).all()
        return self._read(table.c.number, numbers, paper)

    def _read(self, key: Column[str], keys: Collection[str], paper: Callable[[Row[Any]], T]) -> Iterator[T]:
        for some in batched(keys, AT_ONCE):
            with self._database.reading() as connection:
                found = _rows(connection, key, some, paper)
            yield from found


def _rows(connection: Connection, key: Column[str], keys: list[str], paper: Callable[[Row[Any]], T]) -> list[T]:
    return [paper(row) for row in connection.execute(select(key.table).where(key.in_(keys)).order_by(key))]
