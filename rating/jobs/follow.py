"""Follow: what a person does with an issued invoice: send, pay, refund, write off, void, dispute, credit.

Each gathers the invoice's account, decides one entry or credit note, and keeps it; with `dry_run` it is only decided.
What is allowed, `core.lifecycle` says; the book holds everybody to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from rating.core.creditnotes import Cause, CreditDraft, CreditNote, credit, credited_of, spread, take_back
from rating.core.invoices import Invoice
from rating.core.lifecycle import InvoiceEntry, Step, allowed, payment
from rating.core.money import Money
from rating.errors import BookError, Contradiction
from rating.jobs.lives import account_of, local_day
from rating.ports import Book


@dataclass(frozen=True, slots=True)
class Followed:
    """What was (or would be) kept."""

    entry: InvoiceEntry | None = None
    draft: CreditDraft | None = None
    note: CreditNote | None = None
    new: bool = True
    """False where the book had it before."""


@dataclass(frozen=True, slots=True)
class Clerk:
    """Who acts on which book, when, and whether in earnest."""

    book: Book
    now: datetime
    author: str = ""
    dry_run: bool = False

    def send(self, invoice: Invoice, *, how: str = "", on: date | None = None) -> Followed:
        return self._enter(invoice, InvoiceEntry(invoice.number, Step.SEND, self._day(invoice, on), source=how))

    def pay(
        self,
        invoice: Invoice,
        amount: Money | None = None,
        *,
        on: date | None = None,
        source: str = "bank",
        reference: str = "",
        overpaid: bool = False,
    ) -> Followed:
        """Keep a payment; of all that is due when no amount is given.

        Raises:
            Contradiction: more is paid than is due and that is not said, or nothing may be paid.
        """
        before = account_of(self.book, invoice, self.now)
        paid = before.amount_due if amount is None else amount
        entry = payment(
            invoice.number, paid, self._day(invoice, on), source=source, reference=reference, author=self.author
        )
        if any(entry.key == kept.key for kept in before.steps):
            return self._enter(invoice, entry)
        if paid.currency == before.total.currency and paid.minor > max(before.outstanding.minor, 0) and not overpaid:
            raise Contradiction(
                f"invoice {invoice.number}: {paid} would be paid and {before.outstanding} is outstanding; "
                "say --overpaid if the customer has really paid more"
            )
        return self._enter(invoice, entry)

    def refund(
        self, invoice: Invoice, amount: Money, *, on: date | None = None, source: str = "bank", reference: str = ""
    ) -> Followed:
        day = self._day(invoice, on)
        entry = InvoiceEntry(
            invoice.number, Step.REFUND, day, amount, source=source, reference=reference, author=self.author
        )
        return self._enter(invoice, entry)

    def write_off(self, invoice: Invoice, *, reason: str) -> Followed:
        rest = account_of(self.book, invoice, self.now).outstanding
        day = self._day(invoice, None)
        entry = InvoiceEntry(invoice.number, Step.WRITE_OFF, day, rest, reason=reason, author=self.author)
        return self._enter(invoice, entry)

    def void(self, invoice: Invoice, *, reason: str, credit_note: bool = False) -> Followed:
        """Take the invoice back: as if it had never been where nothing is paid, else by a credit note over the rest."""
        if credit_note:
            notes = self.book.credit_notes(invoice.number)
            before = next((note for note in notes if note.draft.takes_back), None)
            if before is not None:
                return Followed(draft=before.draft, note=before, new=False)
            return self._credit(take_back(invoice, notes, cause=Cause.VOID, reason=reason, author=self.author))
        day = self._day(invoice, None)
        return self._enter(invoice, InvoiceEntry(invoice.number, Step.VOID, day, reason=reason, author=self.author))

    def credit(
        self, invoice: Invoice, amount: Money, *, line: int | None = None, reason: str, reference: str = ""
    ) -> Followed:
        """Give back so much of a line, or of the whole in proportion: before discounts and taxes, which follow."""
        notes = self.book.credit_notes(invoice.number)
        if reference:
            # The same command again: what is left has changed since, what it is about has not.
            for note in notes:
                if note.draft.cause is Cause.MANUAL and note.draft.reference == reference:
                    notes = tuple(one for one in notes if one.issued_at < note.issued_at)
        amounts: Mapping[int, Money] = spread(invoice, amount, notes) if line is None else {line: amount}
        draft = credit(
            invoice, amounts, notes, cause=Cause.MANUAL, reason=reason, author=self.author, reference=reference
        )
        return self._credit(draft)

    def dispute(self, invoice: Invoice, line: int, *, reason: str, amount: Money | None = None) -> Followed:
        """Put a line on hold, with what follows it: discounts and taxes in proportion."""
        held = amount if amount is not None else self._worth(invoice, line)
        day = self._day(invoice, None)
        entry = InvoiceEntry(invoice.number, Step.DISPUTE, day, held, line=line, reason=reason, author=self.author)
        return self._enter(invoice, entry)

    def reject(self, invoice: Invoice, line: int, *, reason: str) -> Followed:
        return self._enter(invoice, self._resolved(invoice, Step.REJECT, line, reason))

    def accept(self, invoice: Invoice, line: int, *, reason: str) -> Followed:
        """The customer was right: the rest of the line is credited, with what follows it."""
        entry = self._resolved(invoice, Step.ACCEPT, line, reason)
        notes = self.book.credit_notes(invoice.number)
        before = next((note for note in notes if note.draft.reference == entry.key), None)
        if before is not None:
            return Followed(entry, before.draft, before, new=False)
        allowed(entry, account_of(self.book, invoice, self.now))
        rest = invoice.draft.lines[line - 1].amount - credited_of(invoice, line, notes)
        draft = credit(
            invoice,
            {line: rest},
            notes,
            cause=Cause.DISPUTE,
            reason=reason,
            author=self.author,
            reference=entry.key,
        )
        if self.dry_run:
            return Followed(entry, draft)
        return Followed(entry, draft, self.book.credit(draft, at=self.now, entry=entry))

    def _resolved(self, invoice: Invoice, step: Step, line: int, reason: str) -> InvoiceEntry:
        day = self._day(invoice, None)
        return InvoiceEntry(invoice.number, step, day, line=line, reason=reason, author=self.author)

    def _worth(self, invoice: Invoice, line: int) -> Money:
        notes = self.book.credit_notes(invoice.number)
        lines = invoice.draft.lines
        if not 1 <= line <= len(lines):
            raise BookError(f"invoice {invoice.number} has {len(lines)} lines; there is no line {line}")
        rest = lines[line - 1].amount - credited_of(invoice, line, notes)
        return credit(invoice, {line: rest}, notes, cause=Cause.DISPUTE, reason="").total

    def _enter(self, invoice: Invoice, entry: InvoiceEntry) -> Followed:
        if self.dry_run:
            before = account_of(self.book, invoice, self.now)
            known = any(kept.key == entry.key for kept in before.steps)
            if not known:
                allowed(entry, before)
            return Followed(entry, new=not known)
        return Followed(entry, new=self.book.enter(entry, at=self.now))

    def _credit(self, draft: CreditDraft) -> Followed:
        known = any(note.draft.key == draft.key for note in self.book.credit_notes(draft.invoice))
        if self.dry_run:
            return Followed(draft=draft, new=not known)
        return Followed(draft=draft, note=self.book.credit(draft, at=self.now), new=not known)

    def _day(self, invoice: Invoice, on: date | None) -> date:
        return local_day(invoice, self.now) if on is None else on
