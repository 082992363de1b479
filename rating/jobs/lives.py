"""Lives: what has become of issued invoices: their accounts, and which of them were taken back.

Reads the book only. What an account is, `core.lifecycle` decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from rating.core.creditnotes import CreditNote
from rating.core.funding import paid_of
from rating.core.invoices import Invoice
from rating.core.lifecycle import Account, InvoiceEntry, Step, account
from rating.ports import Book


def accounts(book: Book, invoices: Iterable[Invoice], now: datetime) -> tuple[tuple[Invoice, Account], ...]:
    """Each invoice with its account as of `now`, on the calendar of its own time zone."""
    steps: dict[str, list[InvoiceEntry]] = defaultdict(list)
    for entry in book.entries():
        steps[entry.invoice].append(entry)
    credits: dict[str, list[CreditNote]] = defaultdict(list)
    for note in book.credit_notes():
        credits[note.draft.invoice].append(note)
    wallets = book.wallets()
    found = []
    for invoice in invoices:
        own = [wallet for wallet in wallets if wallet.customer == invoice.draft.customer]
        totals = [note.total for note in credits[invoice.number]]
        today = local_day(invoice, now)
        found.append((invoice, account(invoice, steps[invoice.number], totals, today, paid_of(own, invoice))))
    return tuple(found)


def account_of(book: Book, invoice: Invoice, now: datetime) -> Account:
    credited = [note.total for note in book.credit_notes(invoice.number)]
    prepaid = paid_of(book.wallets(invoice.draft.customer), invoice)
    return account(invoice, book.entries(invoice.number), credited, local_day(invoice, now), prepaid)


def local_day(invoice: Invoice, now: datetime) -> date:
    return now.astimezone(ZoneInfo(invoice.draft.zone)).date()


def taken_back(book: Book) -> frozenset[str]:
    """Numbers of the invoices that charge nothing any more: void, or credited as a whole."""
    void = {entry.invoice for entry in book.entries() if entry.step is Step.VOID}
    whole = {note.draft.invoice for note in book.credit_notes() if note.draft.takes_back}
    return frozenset(void | whole)
