"""Export: reads the book and says it as tables, a row at a time: usage, charges, invoices, and the journal.

Amounts are text with the currency's decimals and, beside it, whole minor units; exact amounts are decimal text where
that ends and a fraction where it does not. Nothing is rounded again. Writing tables down is an adapter's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import islice
from typing import TypeVar
from zoneinfo import ZoneInfo

from rating.core.creditnotes import CreditNote
from rating.core.invoices import Invoice, LineKind
from rating.core.journal import Accounts, Entry, expiries, of_credit_note, of_invoice, of_move, of_payout, of_step
from rating.core.lifecycle import Step
from rating.core.money import decimal_text, total
from rating.core.periods import Period
from rating.ports import Book, Kind, Table

T = TypeVar("T")

Days = tuple[date, date]
"""The first day and the day after the last."""

TEXT, WHOLE, DAY, INSTANT = Kind.TEXT, Kind.WHOLE, Kind.DAY, Kind.INSTANT

_USAGE = {
    "meter": TEXT, "consumer": TEXT, "dimensions": TEXT, "start": INSTANT, "end": INSTANT, "quantity": WHOLE,
    "completeness": TEXT,
}  # fmt: skip
_CHARGES = {
    "invoice": TEXT, "line": WHOLE, "kind": TEXT, "charge": TEXT, "title": TEXT, "customer": TEXT, "consumer": TEXT,
    "plan": TEXT, "start": INSTANT, "end": INSTANT, "meter": TEXT, "unit": TEXT, "quantity": TEXT, "included": TEXT,
    "exact": TEXT, "amount": TEXT, "minor": WHOLE, "currency": TEXT, "settles": TEXT, "windows": WHOLE,
    "usage_digest": TEXT,
}  # fmt: skip
_INVOICES = {
    "invoice": TEXT, "issued_at": INSTANT, "issued_on": DAY, "due_on": DAY, "customer": TEXT, "consumer": TEXT,
    "plan": TEXT, "first_day": DAY, "last_day": DAY, "net": TEXT, "tax": TEXT, "total": TEXT, "total_minor": WHOLE,
    "currency": TEXT, "lines": WHOLE, "catalogue": TEXT, "content_hash": TEXT, "previous_hash": TEXT,
}  # fmt: skip
_LEDGER = {
    "entry": TEXT, "line": WHOLE, "date": DAY, "account": TEXT, "name": TEXT, "text": TEXT, "customer": TEXT,
    "document": TEXT, "debit": TEXT, "credit": TEXT, "minor": WHOLE, "currency": TEXT,
}  # fmt: skip


def usage(book: Book, days: Days) -> Table:
    """Usage windows that start on these days (UTC), adjustments added, in the meter's resolution."""
    period = Period(_midnight(days[0]), _midnight(days[1]))

    def rows() -> Iterator[tuple[object, ...]]:
        for row in book.usage(period):
            name = json.dumps(row.usage.dimensions, ensure_ascii=False)
            start, end = row.window.start, row.window.end
            yield row.meter, row.usage.consumer, name, start, end, row.usage.quantity, row.completeness.value

    return Table("usage", _USAGE, rows())


def charges(book: Book, days: Days) -> Table:
    """Every line of the invoices whose billing period begins on these days."""

    def rows() -> Iterator[tuple[object, ...]]:
        for invoice in _invoices(book, days):
            for place, line in enumerate(invoice.draft.lines, 1):
                part = invoice.draft.part_of(place) if invoice.draft.sections else invoice.draft
                metered = bool(line.meter)
                yield (
                    invoice.number, place, line.kind.value, line.card, line.title, part.customer, part.consumer,
                    part.plan, line.period.start, line.period.end, line.meter, line.unit,
                    _exactly(line.quantity) if metered else None, _exactly(line.included) if metered else None,
                    _exactly(line.exact), line.amount.digits, line.amount.minor, line.amount.currency.code,
                    line.settles, line.windows, line.usage_digest,
                )  # fmt: skip

    return Table("charges", _CHARGES, rows())


def invoices(book: Book, days: Days) -> Table:
    """The invoices whose billing period begins on these days."""

    def rows() -> Iterator[tuple[object, ...]]:
        for invoice in _invoices(book, days):
            draft = invoice.draft
            tax = total([line.amount for line in draft.lines if line.kind is LineKind.TAX], draft.currency)
            yield (
                invoice.number, invoice.issued_at, invoice.issued_on, invoice.due_on, draft.customer, draft.consumer,
                draft.plan, draft.days[0], draft.days[1] - timedelta(days=1), (invoice.total - tax).digits, tax.digits,
                invoice.total.digits, invoice.total.minor, draft.currency.code, len(draft.lines), draft.catalogue,
                invoice.content_hash, invoice.previous_hash,
            )  # fmt: skip

    return Table("invoices", _INVOICES, rows())


def ledger(book: Book, days: Days, accounts: Accounts, until: datetime) -> Table:
    """The journal of what happened on these days and by that instant, in order of the days on which it was recorded."""

    def rows() -> Iterator[tuple[object, ...]]:
        for entry in entries(book, days, until):
            for place, posting in enumerate(entry.postings, 1):
                amount = posting.amount
                debit, credit = (amount.digits, None) if amount.minor > 0 else (None, (-amount).digits)
                yield (
                    entry.key, place, entry.on, accounts.number(posting.name), posting.name, posting.text,
                    entry.customer, entry.document, debit, credit, amount.minor, amount.currency.code,
                )  # fmt: skip

    return Table("ledger", _LEDGER, rows())


def entries(book: Book, days: Days, until: datetime) -> Iterator[Entry]:
    """A day at a time: invoices, credit notes, their steps, wallets, statements; a few papers of a day in memory."""
    # A paper is of a day on its customer's calendar, which may be the one before or after by UTC.
    day = days[0] - timedelta(days=1)
    while day <= days[1]:
        for entry in _recorded(book, day, until):
            if entry.postings and _on(entry.on, days):
                yield entry
        day += timedelta(days=1)


def _recorded(book: Book, day: date, until: datetime) -> Iterator[Entry]:
    span = Period(_midnight(day), _midnight(day + timedelta(days=1)))
    yield from map(of_invoice, book.issued_in(span))
    for notes in _some(book.credited_in(span)):
        papers = book.papers({note.draft.invoice for note in notes})
        for note in notes:
            yield of_credit_note(note, papers[note.draft.invoice], _day_of(note))
    # Steps say their day themselves; each is looked for once, on that day.
    for steps in _some(book.entered_on(day)):
        papers = book.papers({step.invoice for step in steps})
        for step in steps:
            known = book.credit_notes(step.invoice) if step.step is Step.VOID else ()
            entry = of_step(step, papers[step.invoice], known)
            if entry is not None:
                yield entry
    for account in book.moved_in(span):
        yield from (of_move(account, move) for move in account.moves if span.contains(move.at))
        yield from (entry for entry in expiries(account, until) if entry.on == day)
    for payout in book.stated_in(span):
        yield of_payout(payout, payout.issued_at.date())


def _day_of(note: CreditNote) -> date:
    return note.issued_at.astimezone(ZoneInfo(note.draft.zone)).date()


def _some(found: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(found, 200)):
        yield some


def _on(day: date, days: Days) -> bool:
    return days[0] <= day < days[1]


def _invoices(book: Book, days: Days) -> Iterable[Invoice]:
    """A day's invoices at a time. A customer's first day may lie on the day before or after by UTC."""
    day = days[0] - timedelta(days=1)
    while day <= days[1]:
        for invoice in book.invoices(Period(_midnight(day), _midnight(day + timedelta(days=1)))):
            if _on(invoice.draft.days[0], days):
                yield invoice
        day += timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _exactly(number: Fraction) -> str:
    text = decimal_text(number)
    return text if Fraction(text) == number else f"{number.numerator}/{number.denominator}"
