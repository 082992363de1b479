"""A small book with an entry of every kind, and raw SQL past the program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, create_engine, text

from rating.core import publications
from rating.core.alerts import Alert
from rating.core.canonical import digest
from rating.core.consolidated import together
from rating.core.creditnotes import Cause, credit
from rating.core.deliveries import Attempt, Outcome
from rating.core.drafts import metered
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.items import Item
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.money import Currency, Money
from rating.core.notices import Audience, Kind, Notification, Planned, Preference, Topic
from rating.core.parties import Seller
from rating.core.partners import PartnerLine
from rating.core.payouts import StatementDraft
from rating.core.periods import Period
from rating.core.prices.price import Portion
from rating.core.publications import Progress, RemoteName, Signal
from rating.core.rollup import RollUp, rolled
from rating.core.subscriptions import Subscription
from rating.core.wallets import Grant
from rating.core.windows import Adjustment, Closing, Completeness, Held, Usage
from rating.ports import Accrual, Book, StoredBook

USD = Currency("USD")
START = datetime(2026, 8, 1, tzinfo=UTC)
DAY = Period(START, START + timedelta(days=1))
NOW = datetime(2026, 8, 2, 0, 5, tzinfo=UTC)
HOURS = [Period(START + timedelta(hours=hour), START + timedelta(hours=hour + 1)) for hour in range(24)]


def fill(book: Book, consumers: tuple[str, ...] = ("c42", "c77"), late: bool = True) -> None:
    """A day of usage, its invoices, and one entry of every other kind; `late` is what revision 0001 had not."""
    for number, window in enumerate(HOURS):
        usage = tuple(Usage(consumer, ("/search",), 10 + number) for consumer in consumers)
        book.close(Closing("search", window, Completeness.COMPLETE, usage), meter_digest="m", at=NOW)
    book.hold(Held("ingest", HOURS[0], "unreachable"), at=NOW)
    book.keep_catalogue(digest("currency: USD\n"), "currency: USD\n", in_force_from=START, at=NOW)
    book.subscribe(Subscription("c42", "pro", START), at=NOW)
    book.cancel("c42/pro/2026-08-01", end=DAY.end, at=NOW)
    if late:
        book.fund(Grant("c42", "pay-1", Money(1000, USD)), at=NOW)
        book.warn_below("c42", Money(600, USD), at=NOW)
    book.issue([draft(book, consumer) for consumer in consumers], at=NOW)
    if late:
        book.notice_lows(NOW + timedelta(minutes=1))
    if late:
        rows = tuple(Usage(consumer, ("/search",), 3) for consumer in consumers)
        book.adjust(Adjustment("search", HOURS[5], 1, rows, "late samples", "rating"), at=NOW)
    told = Notification(
        Kind.ALLOWANCE_REACHED, Audience.UPSELL, "80%", "c42/pro/2026-08-01", "c42", "c42", planned=(Planned("crm"),)
    )
    book.hear([Alert("RatingAllowanceReached", (("consumer", "c42"),), START)], at=NOW)
    book.tell([told], at=NOW)
    book.attempted(Attempt(told.id, "crm", 1, Outcome.DELIVERED), at=NOW)
    book.prefer(Preference("c42", Topic.USAGE, False, "link"), at=NOW)
    begun = Progress("stripe", "invoice/INV-000001", 1, publications.Outcome.BEGUN)
    book.progress([begun], [RemoteName("stripe", "invoice/INV-000001", "", "in_1")], at=NOW)
    book.signal(Signal("stripe", "evt_1", "invoice.paid", NOW, "{}"), at=NOW)
    book.open_notification(told.id, at=NOW)
    book.show_accruals([Accrual("c42/pro/2026-08-01", "api", START, 516, "516/100")], at=NOW)


def follow(book: Book) -> None:
    """What follows issued invoices, and what else stands beside them: an entry of each kind after `fill`.

    INV-000002 has a line on hold that the customer gives up, is sent, paid in two parts and credited twice.
    """
    first, second = (book.invoice(f"INV-00000{number}") for number in (1, 2))
    assert first is not None
    assert second is not None
    number, today = second.number, NOW.date()
    dispute = InvoiceEntry(number, Step.DISPUTE, today, Money(100, USD), line=1, reason="never called")
    book.enter(dispute, at=NOW)
    book.enter(replace(dispute, step=Step.REJECT, amount=None, reason="they did"), at=NOW)
    book.enter(InvoiceEntry(number, Step.SEND, today, source="email"), at=NOW)
    book.enter(payment(number, Money(100, USD), today, reference="T-1", author="ann"), at=NOW)
    note = credit(second, {1: Money(116, USD)}, (), cause=Cause.MANUAL, reason="an outage", author="ann")
    book.credit(note, at=NOW + timedelta(minutes=1))
    notes = book.credit_notes()
    again = credit(second, {1: Money(50, USD)}, notes, cause=Cause.MANUAL, reason="more", author="ann", reference="2")
    book.credit(again, at=NOW + timedelta(minutes=2))
    book.enter(payment(number, Money(250, USD), today, source="card"), at=NOW + timedelta(minutes=3))
    book.add_item(Item("c42/pro/2026-08-01", "Setup", Fraction(99), today), at=NOW)
    book.pause("c42/pro/2026-08-01", start=DAY.end, at=NOW)
    book.resume("c42/pro/2026-08-01", end=DAY.end + timedelta(days=1), at=NOW)
    one = replace(first.draft, subscription="a/pro/2026-08-01", consumer="a", customer="zeta", lines=(FEE,))
    other = replace(one, subscription="b/pro/2026-08-01", consumer="b")
    book.issue([together((one, other), "Holding")], at=NOW + timedelta(minutes=4))
    share = PartnerLine(
        second.number, 1, "api", "API calls", DAY, Money(516, USD), Fraction(25), Fraction(129, 100), Money(129, USD),
        second.draft.lines[0].usage_digest,
    )  # fmt: skip
    note = book.credit_notes()[0]
    base = note.draft.lines[0].amount
    exact = base.exact / 4
    back = replace(
        share,
        invoice=note.number,
        base=base,
        exact=exact,
        amount=Money(-29, USD),
        usage_digest="",
        corrects="INV-000002/1",
    )
    book.issue_statements([StatementDraft("Maps", date(2026, 7, 1), USD, (share,))], at=NOW)
    book.issue_statements([StatementDraft("Maps", date(2026, 8, 1), USD, (back,))], at=NOW)
    sold = replace(one, subscription="z/pro/2026-08-01", consumer="z", seller=Seller("eu", "Acme EU", series="EU"))
    book.issue([sold, replace(sold, subscription="y/pro/2026-08-01", consumer="y")], at=NOW + timedelta(minutes=5))


def roll(book: StoredBook) -> None:
    """Four hours of another meter, three days before, become two days of two windows each."""
    windows = [
        Period(START - timedelta(days=3) + timedelta(hours=hour), START - timedelta(days=3) + timedelta(hours=hour + 1))
        for hour in (0, 1, 24, 25)
    ]
    for number, window in enumerate(windows):
        rows = tuple(Usage(consumer, ("/old",), 100 + number) for consumer in ("c42", "c77"))
        book.close(Closing("old", window, Completeness.COMPLETE, rows), meter_digest="m", at=NOW)
    days = list(rolled(book.closing_records("old"), [ZoneInfo("UTC")]))
    total = sum(row.quantity for day in days for row in day.usage)
    for number, day in enumerate(days):
        # Two entries, so that one follows the other.
        own = sum(row.quantity for row in day.usage)
        book.roll_up(RollUp("old", (day.head,), own, f"old{number}.jsonl.gz", "a" * 64, "ann"), [day], at=NOW)
    assert total == 2 * (100 + 101 + 102 + 103)


FEE = LineItem(LineKind.FEE, "", "Pro fee", DAY, Fraction(49), Money(4900, USD))


def draft(book: Book, consumer: str, period: Period = DAY) -> Draft:
    """An invoice over the day: 1 cent a call."""
    heads = book.closings("search", period)
    rows = book.usage(period, "search", consumer)
    usage = metered(((row.window, row.completeness, row.usage) for row in rows), len(heads), 0)
    exact = Fraction(usage.quantity, 100)
    line = LineItem(
        LineKind.USAGE,
        "api",
        "API calls",
        period,
        exact,
        Money(usage.quantity, USD),
        meter="search",
        unit="request",
        quantity=Fraction(usage.quantity),
        portions=(Portion("each", Fraction(usage.quantity), Fraction(1, 100), exact),),
        windows=usage.windows,
        usage_digest=usage.digest,
    )
    return Draft(f"{consumer}/pro/2026-08-01", consumer, consumer, "pro", "Pro", USD, period, (line,), "f" * 64)


@contextmanager
def raw(url: str) -> Iterator[Connection]:
    """A connection that knows nothing of the program, as an administrator has it."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def tampering(url: str) -> Iterator[Connection]:
    """A connection of somebody who has switched off what refuses changes."""
    with raw(url) as connection:
        if connection.dialect.name == "sqlite":
            triggers = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in triggers:
                connection.execute(text(f"DROP TRIGGER {name}"))
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        else:
            connection.execute(text("SET session_replication_role = replica"))
            checks = "SELECT conrelid::regclass, conname FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0"
            for table, name in connection.execute(text(checks)).all():
                connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        yield connection
