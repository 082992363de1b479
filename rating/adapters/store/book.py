"""The Book of `ports` on SQLite or PostgreSQL: each method is one transaction, filled by the other files here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import groupby
from types import TracebackType

from sqlalchemy import delete, func, select

from rating.adapters.collector import collector_paused
from rating.adapters.store import adjusted, contracts, counted, followed, issued, prepaid, rolled, schema, stated
from rating.adapters.store.bulk import insert_rows
from rating.adapters.store.claims import Claims
from rating.adapters.store.engine import Database
from rating.adapters.store.journaled import StoreJournaling
from rating.adapters.store.notices import StoreNotices
from rating.adapters.store.published import StorePublications
from rating.adapters.store.tables import ENTRIES
from rating.adapters.store.tables import accruals as accruals_table
from rating.adapters.store.tables import closings as closings_table
from rating.core.checks import (
    AdjustmentRecord,
    ClosingRecord,
    CreditRecord,
    EntryRecord,
    MoveRecord,
    Record,
    RollUpRecord,
    StatementRecord,
)
from rating.core.creditnotes import CreditDraft, CreditNote
from rating.core.entries import GREATEST, keepable, whole_seconds
from rating.core.entries import adjusted as with_differences
from rating.core.invoices import Draft, Invoice
from rating.core.items import Item
from rating.core.lifecycle import InvoiceEntry
from rating.core.money import Money
from rating.core.payouts import Payout, StatementDraft
from rating.core.periods import Period, from_seconds, milliseconds
from rating.core.rollup import Day, KeptRollUp, RollUp
from rating.core.subscriptions import Pause, Subscription
from rating.core.wallets import Grant, LowBalance, Move, Wallet, WalletGlance
from rating.core.windows import Adjustment, Closing, Completeness, Held, Usage
from rating.ports import Accrual, AdjustmentEntry, ClosingHead, HeldEntry, KeptCatalogue, UsageRow


def open_book(url: str) -> StoreBook:
    """The book behind `sqlite:///FILE` or `postgresql+psycopg://...`; an empty database becomes a book.

    Raises:
        EdgeUnavailable: it cannot be reached, opened or locked.
        BookError: the URL names no database we know, or its schema is newer than this program.
    """
    database = Database(url)
    try:
        schema.prepare(database)
    except BaseException:
        database.close()
        raise
    return StoreBook(database)


def migrate(url: str) -> tuple[str | None, str]:
    """Bring the database behind `url` up to date. Returns its revisions before and after."""
    database = Database(url)
    try:
        return schema.migrate(database)
    finally:
        database.close()


def compact(url: str) -> tuple[int, int]:
    """Give back the space of removed rows. Returns the bytes that the database's tables took before and take now."""
    with open_book(url) as book:
        return schema.compact(book._database)


class StoreBook(StoreNotices, StorePublications, StoreJournaling):
    """Safe to share between threads. Closes its connections at the end of `with`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._series = counted.Series()
        self._claims = Claims(database)

    def __enter__(self) -> StoreBook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_connections()

    def close_connections(self) -> None:
        self._database.close()

    # usage
    def close(self, closing: Closing, *, meter_digest: str, at: datetime) -> bool:
        with self._database.writing() as connection:
            ids = counted.close(connection, self._series, closing, meter_digest, at)
        # Only now: a number made in a transaction that failed does not exist.
        if ids is not None:
            self._series.remember(closing.meter, ids)
        return ids is not None

    def hold(self, held: Held, *, at: datetime) -> None:
        with self._database.writing() as connection:
            counted.hold(connection, held, at)

    def closings(self, meter: str, period: Period) -> tuple[ClosingHead, ...]:
        with self._database.reading() as connection:
            return counted.heads(connection, meter, period)

    def closed(self, meter: str, period: Period) -> dict[datetime, Completeness]:
        with self._database.reading() as connection:
            return counted.completeness(connection, meter, period)

    def closed_through(self, meter: str) -> datetime | None:
        with self._database.reading() as connection:
            return counted.closed_through(connection, meter)

    def held(self) -> tuple[HeldEntry, ...]:
        with self._database.reading() as connection:
            return counted.held(connection)

    def adjust(self, adjustment: Adjustment, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            ids = adjusted.adjust(connection, self._series, adjustment, at)
        if ids is not None:
            self._series.remember(adjustment.meter, dict(ids))
        return ids is not None

    def adjustments(self, period: Period, meter: str | None = None) -> tuple[AdjustmentEntry, ...]:
        with self._database.reading() as connection:
            return tuple(entry for entry, _ in adjusted.entries(connection, period, meter))

    def adjusted(self, period: Period | None = None) -> frozenset[str]:
        with self._database.reading() as connection:
            return adjusted.consumers(connection, period)

    def usage(
        self,
        period: Period,
        meter: str | None = None,
        consumer: str | None = None,
        *,
        as_of: datetime | None = None,
    ) -> Iterator[UsageRow]:
        # A transaction for each portion: closings never change once they are there and adjustments are read once, so
        # the answer is of one moment, and a slow reader keeps no transaction open.
        with self._database.reading() as connection:
            closed = counted.closed(connection, period, meter)
            differences = adjusted.differences(connection, period, meter, consumer, as_of)
            sources = counted.sources(connection, closed)
            rolled.uncut(connection, meter, period)
        of_days = adjusted.by_day(differences, closed)
        for is_rolled, some in groupby(sources, lambda one: one.rolled):
            for portion in counted.portions(list(some), consumer):
                with self._database.reading() as connection:
                    rows = counted.usage_of(connection, portion, consumer, of_days if is_rolled else differences)
                yield from rows

    def totals(
        self, meter: str, period: Period, consumer: str | None = None, *, as_of: datetime | None = None
    ) -> tuple[Usage, ...]:
        with self._database.reading() as connection:
            summed = counted.totals(connection, meter, period, consumer)
            differences = adjusted.differences(connection, period, meter, consumer, as_of)
            rolled.uncut(connection, meter, period)
        return tuple(with_differences(summed, (row for rows in differences.values() for row in rows)))

    def sums(self, meter: str, period: Period, consumer: str | None = None) -> dict[str, int]:
        with self._database.reading() as connection:
            found = counted.sums(connection, meter, period, consumer)
            differences = adjusted.differences(connection, period, meter, consumer, None)
            rolled.uncut(connection, meter, period)
        for rows in differences.values():
            for name, _, quantity in rows:
                found[name] = found.get(name, 0) + quantity
        return found

    def roll_up(self, rollup: RollUp, days: Sequence[Day], *, at: datetime) -> bool:
        with self._database.writing() as connection:
            ids = rolled.roll_up(connection, self._series, rollup, days, at)
        if ids is not None:
            self._series.remember(rollup.meter, ids)
        return ids is not None

    def rollups(self, meter: str | None = None, period: Period | None = None) -> tuple[KeptRollUp, ...]:
        with self._database.reading() as connection:
            return rolled.select_rollups(connection, meter, period)

    # contracts
    def keep_catalogue(self, digest: str, text: str, *, in_force_from: datetime, at: datetime) -> bool:
        with self._database.writing() as connection:
            return contracts.keep_catalogue(connection, digest, text, in_force_from, at)

    def catalogues(self) -> tuple[KeptCatalogue, ...]:
        with self._database.reading() as connection:
            return contracts.kept_catalogues(connection)

    def subscribe(self, subscription: Subscription, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            return contracts.subscribe(connection, subscription, at)

    def cancel(self, key: str, *, end: datetime, at: datetime) -> None:
        with self._database.writing() as connection:
            contracts.cancel(connection, key, end, at)

    def subscriptions(self) -> tuple[Subscription, ...]:
        with self._database.reading() as connection:
            return contracts.kept_subscriptions(connection)

    def pause(self, subscription: str, *, start: datetime, at: datetime) -> bool:
        with self._database.writing() as connection:
            return contracts.pause(connection, subscription, start, at)

    def resume(self, subscription: str, *, end: datetime, at: datetime) -> bool:
        with self._database.writing() as connection:
            return contracts.resume(connection, subscription, end, at)

    def pauses(self) -> dict[str, tuple[Pause, ...]]:
        with self._database.reading() as connection:
            return contracts.kept_pauses(connection)

    # invoices
    def issue(self, drafts: Sequence[Draft], *, at: datetime, known: int | None = None) -> tuple[Invoice, ...]:
        with self._database.writing() as connection, collector_paused():
            return issued.issue_all(connection, drafts, at, known)

    def latest_adjustment(self) -> int:
        with self._database.reading() as connection:
            return adjusted.latest(connection)

    def invoices(self, period: Period | None = None, consumer: str | None = None) -> tuple[Invoice, ...]:
        with self._database.reading() as connection:
            return issued.select_invoices(connection, period, consumer)

    def invoice(self, number: str) -> Invoice | None:
        with self._database.reading() as connection:
            return issued.numbered(connection, number)

    def issued(self) -> frozenset[str]:
        with self._database.reading() as connection:
            return issued.keys(connection)

    # wallets
    def fund(self, grant: Grant, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            return prepaid.fund(connection, grant, at)

    def withdraw(self, customer: str, reference: str, *, why: str, at: datetime) -> Move | None:
        with self._database.writing() as connection:
            return prepaid.withdraw(connection, customer, reference, why, at)

    def warn_below(self, customer: str, amount: Money, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            return prepaid.warn_below(connection, customer, amount, at)

    def wallets(self, customer: str | None = None) -> tuple[Wallet, ...]:
        with self._database.reading() as connection:
            return prepaid.select_wallets(connection, None if customer is None else [customer])

    def glance(self, at: datetime) -> tuple[WalletGlance, ...]:
        with self._database.reading() as connection:
            return prepaid.glance(connection, at)

    def notice_lows(self, until: datetime) -> tuple[LowBalance, ...]:
        with self._database.writing() as connection:
            return prepaid.notice(connection, until)

    def lows(self) -> tuple[LowBalance, ...]:
        with self._database.reading() as connection:
            return prepaid.lows(connection)

    # what follows an issued invoice
    def enter(self, entry: InvoiceEntry, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            return followed.enter(connection, entry, at)

    def entries(self, invoice: str | None = None) -> tuple[InvoiceEntry, ...]:
        with self._database.reading() as connection:
            return followed.entries(connection, invoice)

    def credit(self, draft: CreditDraft, *, at: datetime, entry: InvoiceEntry | None = None) -> CreditNote:
        with self._database.writing() as connection:
            return followed.credit(connection, draft, at, entry)

    def credit_notes(self, invoice: str | None = None) -> tuple[CreditNote, ...]:
        with self._database.reading() as connection:
            return followed.notes(connection, invoice)

    def add_item(self, item: Item, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            return contracts.add_item(connection, item, at)

    def items(self) -> tuple[Item, ...]:
        with self._database.reading() as connection:
            return contracts.kept_items(connection)

    # partners
    def issue_statements(self, drafts: Sequence[StatementDraft], *, at: datetime) -> tuple[Payout, ...]:
        with self._database.writing() as connection:
            return stated.issue_all(connection, drafts, at)

    def statements(self, partner: str | None = None) -> tuple[Payout, ...]:
        with self._database.reading() as connection:
            return stated.select_statements(connection, partner)

    def statement(self, number: str) -> Payout | None:
        with self._database.reading() as connection:
            return stated.numbered(connection, number)

    # projections
    def show_accruals(self, accruals: Sequence[Accrual], *, at: datetime) -> None:
        recorded = milliseconds(at)
        starts = {start: whole_seconds(start, "accrual's period") for start in {one.period_start for one in accruals}}
        for one in accruals:
            if not -GREATEST <= one.quantity <= GREATEST:
                keepable(one.quantity, f"accrual {one.subscription} {one.card}: quantity")
        rows = (
            (one.subscription, one.card, starts[one.period_start], one.quantity, one.amount, recorded)
            for one in accruals
        )
        with self._database.writing() as connection:
            connection.execute(delete(accruals_table))
            columns = ("subscription", "card", "period_start", "quantity", "amount", "at")
            insert_rows(connection, accruals_table, columns, rows)

    def accruals(self) -> tuple[Accrual, ...]:
        table = accruals_table.c
        statement = select(table.subscription, table.card, table.period_start, table.quantity, table.amount)
        with self._database.reading() as connection:
            rows = connection.execute(statement.order_by(table.subscription, table.card, table.period_start)).all()
        return tuple(Accrual(row[0], row[1], from_seconds(row[2]), row[3], row[4]) for row in rows)

    # claims
    def claim(self, job: str) -> AbstractContextManager[bool]:
        return self._claims.claim(job)

    # entries exactly as they are stored
    def invoice_records(self) -> tuple[Record, ...]:
        with self._database.reading() as connection:
            return tuple(issued.records(connection))

    def entry_records(self) -> tuple[EntryRecord, ...]:
        with self._database.reading() as connection:
            return tuple(followed.entry_records(connection))

    def credit_records(self) -> tuple[CreditRecord, ...]:
        with self._database.reading() as connection:
            return tuple(followed.credit_records(connection))

    def item_records(self) -> tuple[tuple[str, str, str, str], ...]:
        with self._database.reading() as connection:
            return contracts.item_records(connection)

    def closing_records(self, meter: str | None = None, period: Period | None = None) -> Iterator[ClosingRecord]:
        with self._database.reading() as connection:
            closed = counted.closed(connection, period, meter)
        for portion in counted.portions(closed, None):
            with self._database.reading() as connection:
                records = counted.closing_records(connection, portion)
            yield from records

    def rollup_records(self) -> Iterator[RollUpRecord]:
        last = 0
        while True:
            with self._database.reading() as connection:
                found = rolled.records(connection, last)
            if found is None:
                return
            last = found.sequence
            yield found

    def adjustment_records(self) -> tuple[AdjustmentRecord, ...]:
        with self._database.reading() as connection:
            return tuple(adjusted.records(connection))

    def statement_records(self) -> tuple[StatementRecord, ...]:
        with self._database.reading() as connection:
            return tuple(stated.records(connection))

    def move_records(self) -> tuple[MoveRecord, ...]:
        with self._database.reading() as connection:
            return tuple(prepaid.records(connection))

    def counts(self) -> dict[str, int]:
        tables = [table for table in ENTRIES if table.name != "usage"]
        with self._database.reading() as connection:
            counts = {
                table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for table in tables
            }
            # Counted when they were closed: counting millions of rows takes as long as reading them.
            rows = connection.execute(select(func.sum(closings_table.c.rows))).scalar()
            removed = rolled.removed_rows(connection)
        return {**counts, "usage": int(rows or 0) - removed}
