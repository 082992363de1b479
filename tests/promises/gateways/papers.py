"""What the gateways' promises are told with: papers of a book, and the trail that a gateway leaves in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction

from rating.adapters.memory_book import MemoryBook
from rating.core.creditnotes import Cause, credit
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.money import Currency, Money
from rating.core.parties import Customer, PaymentTerms, Seller
from rating.core.periods import Period
from rating.core.publications import (
    CreditNoteDispatch,
    Dispatch,
    InvoiceDispatch,
    Outcome,
    RemoteName,
    StepDispatch,
    begun_at,
    following,
    revivals,
)
from rating.ports import Book

NOW = datetime(2026, 9, 1, 6, tzinfo=UTC)
AUGUST = Period(datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC))
USD = Currency("USD")
SELLER = Seller("us", "Metered Inc.", terms=PaymentTerms(30))


def draft(customer: str, *minor: int, currency: Currency = USD) -> Draft:
    """An invoice to the customer over lines of these minor units."""
    unit = 10**currency.exponent
    lines = tuple(
        LineItem(
            LineKind.USAGE if place else LineKind.FEE,
            f"card{place}" if place else "",
            f"=Line {place}, „größe“",
            AUGUST,
            Fraction(amount, unit),
            Money(amount, currency),
            meter="api" if place else "",
            unit="request" if place else "",
            quantity=Fraction(1000 * place),
        )
        for place, amount in enumerate(minor)
    )
    buyer = Customer(customer, f"{customer} AG", ("Hauptstraße 1", "1010 Wien"), "AT", "ATU12345678", "it@acme.example")
    return Draft(
        f"{customer}/pro/2026-08-01", customer, customer, "pro", "Pro", currency, AUGUST, lines, "c" * 64,
        seller=SELLER, buyer=buyer,
    )  # fmt: skip


@dataclass
class Month:
    """A small month: invoices, a credit note, a payment elsewhere, a void one."""

    book: MemoryBook
    dispatches: tuple[Dispatch, ...]


def month(mark: str = "") -> Month:
    """With a mark, its customers are nobody else's."""
    book = MemoryBook()
    nothing = Money(0, USD)
    kept, noted, paid, void = book.issue(
        [
            draft(f"{mark}acme", 1000, 230),
            draft(f"{mark}beta", 99_900, 1, 5),
            draft(f"{mark}gamma", 4_200),
            draft(f"{mark}delta", 700),
        ],
        at=NOW,
    )
    note = book.credit(
        credit(noted, {2: Money(1, USD)}, (), cause=Cause.MANUAL, reason="an outage", author="ada"), at=NOW
    )
    wired = payment(paid.number, Money(4_200, USD), date(2026, 9, 3), reference="wire 7/7")
    voided = InvoiceEntry(void.number, Step.VOID, date(2026, 9, 3), reason="a wrong address", author="ada")
    for entry in (wired, voided):
        book.enter(entry, at=NOW)
    dispatches: tuple[Dispatch, ...] = (
        *(InvoiceDispatch(invoice, nothing) for invoice in (kept, noted, paid, void)),
        CreditNoteDispatch(note, noted, nothing),
        StepDispatch(wired, paid),
        StepDispatch(voided, void),
    )
    return Month(book, dispatches)


class BookTrail:
    """The trail of one dispatch at one gateway, kept in a book."""

    def __init__(self, book: Book, gateway: str, subject: str, at: datetime) -> None:
        self._book, self._gateway, self._subject, self._at = book, gateway, subject, at
        before = book.progressed(gateway, subject)
        self.begun_at, self.revived = begun_at(before), revivals(before)
        if self.begun_at is None:
            book.progress([following(gateway, subject, before, Outcome.BEGUN)], at=at)

    def name(self, part: str = "", subject: str | None = None) -> str | None:
        found = self._book.remote_names(self._gateway, subject or self._subject)
        return next((one.name for one in found if one.part == part), None)

    def keep(self, name: str, part: str = "", subject: str | None = None) -> None:
        self._book.progress([], [RemoteName(self._gateway, subject or self._subject, part, name)], at=self._at)


def totals(dispatches: tuple[Dispatch, ...]) -> Iterator[tuple[str, str, int]]:
    """What the other side must hold: kind, number, total in minor units as it is owed."""
    for one in dispatches:
        match one:
            case InvoiceDispatch(invoice=invoice):
                yield "invoice", invoice.number, invoice.total.minor
            case CreditNoteDispatch(note=note):
                yield "credit_note", note.number, -note.total.minor
            case StepDispatch(entry=entry):
                yield entry.step.value, entry.invoice, 0 if entry.amount is None else entry.amount.minor
