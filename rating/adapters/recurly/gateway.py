"""The InvoiceGateway of `ports` for Recurly.

Recurly numbers its own invoices, so ours is found by its PO number. Calls carry a key made of their content; Recurly
remembers it for a day. An attempt that was begun before looks through the account's invoices, payments and credits for
what it made, before it makes another.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from rating.adapters.recurly import wording
from rating.adapters.recurly.account import Absent, Account, keyed, name_of
from rating.core.canonical import digest
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.money import Money
from rating.core.publications import (
    CreditNoteDispatch,
    Dispatch,
    InvoiceDispatch,
    StepDispatch,
    invoice_subject,
)
from rating.errors import EdgeDisagrees, EdgeRefused
from rating.ports import Trail

_CLOCKS = timedelta(hours=1)
"""How far Recurly's clock and ours may differ."""


class RecurlyGateway:
    """Our papers on one site."""

    def __init__(self, name: str, account: Account) -> None:
        self._name, self._account = name, account

    @property
    def name(self) -> str:
        return self._name

    def preview(self, dispatch: Dispatch) -> str:
        match dispatch:
            case InvoiceDispatch(invoice=paper):
                return f"purchase for invoice {paper.number} of {paper.total} to {dispatch.customer} in Recurly"
            case CreditNoteDispatch(note=note):
                return f"credit of {note.total} for credit note {note.number} over {note.draft.invoice} in Recurly"
            case StepDispatch(entry=entry, invoice=paper):
                amount = f" of {entry.amount}" if entry.amount else ""
                return f"{entry.step.value.replace('_', ' ')}{amount} invoice {paper.number} in Recurly"

    def publish(self, dispatch: Dispatch, trail: Trail, *, now: datetime) -> str:
        match dispatch:
            case InvoiceDispatch():
                return self._invoice(dispatch, trail)
            case CreditNoteDispatch(note=note):
                return self._credit(dispatch, note.total, note.number, trail)
            case StepDispatch():
                return self._step(dispatch.entry, dispatch, trail)

    def finish(self, *, now: datetime) -> str:
        return ""

    def _invoice(self, dispatch: InvoiceDispatch, trail: Trail) -> str:
        paper = dispatch.invoice
        marker = _marker(paper.number, paper.content_hash)
        body = wording.purchase(dispatch, marker)
        what = f"purchase for invoice {paper.number}"
        if trail.name() is None:
            made = self._found(what, dispatch, trail, marker) if trail.begun_at is not None else None
            if made is None:
                self._foreseen(what, body, paper.total)
                options = keyed(_key(what, marker, trail))
                made = self._account.ask(what, lambda site: site.create_purchase(body, **options)).charge_invoice
            there = wording.money(made.total, paper.total.currency)
            if there != paper.total:
                raise EdgeDisagrees(
                    f"{what}: it comes to {there} there, as {made.id}, and to {paper.total} on our paper; "
                    "credit all of it there"
                )
            trail.keep(made.id)
        if dispatch.prepaid.minor > 0:
            self._paid(what, str(trail.name()), dispatch.prepaid, paper.issued_on, f"wallet {paper.number}", trail)
        return f"open as {trail.name()}"

    def _foreseen(self, what: str, body: dict[str, Any], total: Money) -> None:
        """What a purchase makes is final there, so it is asked first what it would come to."""
        foreseen = self._account.ask(what, lambda site: site.preview_purchase(body)).charge_invoice
        there = wording.money(getattr(foreseen, "total", None), total.currency)
        if there != total:
            raise EdgeDisagrees(
                f"{what}: it would come to {there} there and comes to {total} on our paper, so nothing was made; "
                "end what the site adds by itself (taxes, discounts of the account)"
            )

    def _credit(self, dispatch: Dispatch, amount: Money, number: str, trail: Trail) -> str:
        """A credit invoice over so much of the invoice."""
        invoice = self._remote(dispatch, trail)
        marker = _marker(number, invoice)
        what = f"credit {number}"
        if trail.name() is None:
            made = self._found(what, dispatch, trail, marker) if trail.begun_at is not None else None
            if made is None:
                body = {
                    "type": "amount",
                    "amount": wording.json_number(amount),
                    "refund_method": "all_credit",
                    "credit_customer_notes": marker,
                }
                options = keyed(_key(what, marker, trail))
                made = self._account.ask(what, lambda site: site.refund_invoice(invoice, body, **options))
            there = wording.money(made.total, amount.currency)
            if Money(abs(there.minor), amount.currency) != amount:
                raise EdgeDisagrees(f"{what}: it comes to {there} there and {amount} on our paper; void it there")
            trail.keep(made.id)
        return f"credited as {trail.name()}"

    def _step(self, entry: InvoiceEntry, dispatch: StepDispatch, trail: Trail) -> str:
        what = f"{entry.step.value.replace('_', ' ')} invoice {entry.invoice}"
        match entry.step:
            case Step.PAY if entry.amount is not None:
                reference = f"{entry.source} {entry.reference}".strip()[:40] + f" [{digest(entry.key)[:12]}]"
                invoice = self._remote(dispatch, trail)
                return self._paid(what, invoice, entry.amount, entry.on, reference, trail)
            case Step.VOID:
                # A charge invoice cannot be voided there; a credit over all of it says the same.
                return self._credit(dispatch, dispatch.invoice.total, f"void {entry.invoice}", trail)
            case Step.WRITE_OFF:
                invoice = self._remote(dispatch, trail)
                if self._account.ask(what, lambda site: site.get_invoice(invoice)).state != "failed":
                    options = keyed(_key(what, invoice, trail))
                    self._account.ask(what, lambda site: site.mark_invoice_failed(invoice, **options))
                return "marked as failed"
            case Step.DISPUTE | Step.ACCEPT | Step.REJECT | Step.SEND:
                return "nothing to do there"
        raise EdgeRefused(
            f"{what}: Recurly gives money back only with a credit of its own, which would lower our invoice; "
            "record it there by hand"
        )

    def _paid(self, what: str, invoice: str, amount: Money, on: Any, reference: str, trail: Trail) -> str:
        """Money that came elsewhere, recorded once."""
        part = f"payment {reference}"
        if trail.name(part) is None:
            standing = self._account.ask(what, lambda site: site.get_invoice(invoice)).transactions or []
            known = next((one.id for one in standing if one.description == reference), None)
            if known is None:
                body = {
                    "payment_method": "wire_transfer",
                    "description": reference,
                    "amount": wording.json_number(amount),
                    "collected_at": datetime.combine(on, time(12), UTC).isoformat(),
                }
                options = keyed(_key(what, reference, trail))
                known = self._account.ask(
                    what, lambda site: site.record_external_transaction(invoice, body, **options)
                ).id
            trail.keep(known, part)
        return f"{amount} recorded as {trail.name(part)}"

    def _remote(self, dispatch: Dispatch, trail: Trail) -> str:
        """What Recurly calls the invoice that is meant."""
        number = dispatch.invoice.number
        found = trail.name(subject=invoice_subject(number))
        if found is None:
            raise EdgeRefused(f"invoice {number} was not published to {self._name}; publish it first")
        return found

    def _found(self, what: str, dispatch: Dispatch, trail: Trail, marker: str) -> Any:
        """What an earlier attempt of ours may have made, by our own words on it."""

        def look(site: Any) -> Any:
            assert trail.begun_at is not None
            since = (trail.begun_at - _CLOCKS).strftime("%Y-%m-%dT%H:%M:%SZ")
            params = {"begin_time": since, "sort": "created_at", "limit": 200}
            invoices: Iterator[Any] = site.list_account_invoices(name_of(dispatch.customer), params=params).items()
            return next((one for one in invoices if marker in (one.customer_notes or "")), None)

        try:
            return self._account.ask(what, look)
        except Absent:
            return None  # no such account: nothing was made for it


def _marker(number: str, content: str) -> str:
    return f"{number} [rating {digest(content)[:16]}]"


def _key(what: str, about: str, trail: Trail) -> str:
    """From content; anew once a person asked to try again, for a refusal may be remembered under the one before."""
    asked = f"/{trail.revived}" if trail.revived else ""
    return f"rating-{digest(f'{what}/{about}{asked}')[:40]}"
