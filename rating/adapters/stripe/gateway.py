"""The gateway that the publishing job sees: invoices, credit notes and steps, each carried to one account of Stripe."""

from __future__ import annotations

from datetime import datetime

from rating.adapters.stripe import corrections, invoices
from rating.adapters.stripe.amounts import to_stripe
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.customers import StripeCustomers
from rating.adapters.stripe.lines import credit_lines, invoice_lines
from rating.adapters.stripe.papers import Desk
from rating.core.publications import CreditNoteDispatch, Dispatch, InvoiceDispatch
from rating.ports import Trail


class StripeInvoices:
    """Keeps the promises of `ports.InvoiceGateway`. Safe to share between threads, one customer in each.

    Args:
        collection: `send_invoice` or `charge_automatically`.
        days_until_due: where no terms are agreed.
        documents: link to our paper with `{number}` in it; may be empty.
    """

    def __init__(
        self,
        account: StripeAccount,
        *,
        collection: str = "send_invoice",
        days_until_due: int = 30,
        documents: str = "",
    ) -> None:
        sends = collection == "send_invoice"
        self._desk = Desk(account, StripeCustomers(account), sends, days_until_due, documents)

    @property
    def name(self) -> str:
        return self._desk.account.name

    @property
    def calls(self) -> int:
        """How many requests were made so far."""
        return self._desk.account.calls

    def preview(self, dispatch: Dispatch) -> str:
        match dispatch:
            case InvoiceDispatch(invoice=invoice, prepaid=prepaid):
                lines = invoice_lines(invoice, self._desk.documents)
                how = "send it" if self._desk.sends else "charge it"
                paid = f", {prepaid} of it from the wallet" if prepaid.minor else ""
                return f"create {invoice.number} with {len(lines)} lines over {invoice.total}{paid}, and {how}"
            case CreditNoteDispatch(note=note, invoice=invoice, settled=settled):
                lines = credit_lines(note)
                paid = f", {settled} of it given back elsewhere" if settled.minor else ""
                return f"credit {note.number} over {note.total} of {invoice.number} with {len(lines)} lines{paid}"
        entry = dispatch.entry
        amount = f" {entry.amount} by {entry.source or 'hand'}" if entry.amount is not None else ""
        return f"{entry.step.replace('_', ' ')}{amount} of {entry.invoice}"

    def publish(self, dispatch: Dispatch, trail: Trail, *, now: datetime) -> str:
        draft = dispatch.invoice.draft
        # Before the first call: what cannot be said is not begun.
        to_stripe(dispatch.invoice.total)
        if isinstance(dispatch, CreditNoteDispatch):
            return corrections.credit(self._desk, dispatch, trail)
        customer = self._desk.customers.name(
            draft.customer, draft.buyer, trail, now=now, as_of=dispatch.invoice.issued_at
        )
        if isinstance(dispatch, InvoiceDispatch):
            return invoices.carry(self._desk, dispatch, customer, trail)
        return corrections.take(self._desk, dispatch, customer, trail)

    def finish(self, *, now: datetime) -> str:
        # Each paper was handed on by its own calls.
        return ""
