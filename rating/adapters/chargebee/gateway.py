"""The InvoiceGateway of `ports` for Chargebee.

Invoices and credit notes are imported under our own numbers, customers under our own keys. So a repetition is seen
there by its name, whatever the service has forgotten of earlier calls: the import answers that the name is taken, and
what stands under it is compared with our paper.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from rating.adapters.chargebee import wording
from rating.adapters.chargebee.site import Absent, Duplicate, Site
from rating.core.canonical import digest
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.parties import Customer
from rating.core.publications import (
    CreditNoteDispatch,
    Dispatch,
    InvoiceDispatch,
    StepDispatch,
    customer_subject,
)
from rating.errors import EdgeDisagrees, EdgeRefused
from rating.ports import Trail


class ChargebeeGateway:
    """Our papers on one site, under our own numbers."""

    def __init__(self, name: str, site: Site) -> None:
        self._name, self._site = name, site

    @property
    def name(self) -> str:
        return self._name

    def preview(self, dispatch: Dispatch) -> str:
        match dispatch:
            case InvoiceDispatch(invoice=paper):
                return f"import invoice {paper.number} of {paper.total} to {dispatch.customer} into Chargebee"
            case CreditNoteDispatch(note=note):
                return f"import credit note {note.number} of {note.total} over {note.draft.invoice} into Chargebee"
            case StepDispatch(entry=entry, invoice=paper):
                amount = f" of {entry.amount}" if entry.amount else ""
                return f"{entry.step.value.replace('_', ' ')}{amount} invoice {paper.number} in Chargebee"

    def publish(self, dispatch: Dispatch, trail: Trail, *, now: datetime) -> str:
        match dispatch:
            case InvoiceDispatch():
                return self._invoice(dispatch, trail)
            case CreditNoteDispatch():
                return self._credit_note(dispatch, trail)
            case StepDispatch():
                return self._step(dispatch.entry, dispatch, trail)

    def finish(self, *, now: datetime) -> str:
        return ""

    def _invoice(self, dispatch: InvoiceDispatch, trail: Trail) -> str:
        said = wording.invoice(dispatch)
        self._customer(dispatch.customer, dispatch.invoice.draft.buyer, trail)
        what = f"import invoice {dispatch.invoice.number}"
        calls = self._site.client.Invoice
        try:
            there = self._site.ask(what, calls.import_invoice, said, key=_key(what, said, trail)).invoice
        except Duplicate:
            there = self._standing(what, calls.retrieve, said["id"]).invoice
        self._same(what, said, there)
        trail.keep(there.id)
        return f"{there.status} as {there.id}"

    def _credit_note(self, dispatch: CreditNoteDispatch, trail: Trail) -> str:
        said = wording.credit_note(dispatch)
        what = f"import credit note {dispatch.note.number}"
        calls = self._site.client.CreditNote
        try:
            there = self._site.ask(what, calls.import_credit_note, said, key=_key(what, said, trail)).credit_note
        except Duplicate:
            there = self._standing(what, calls.retrieve, said["id"]).credit_note
        self._same(what, said, there)
        trail.keep(there.id)
        return f"{there.status} as {there.id}"

    def _step(self, entry: InvoiceEntry, dispatch: StepDispatch, trail: Trail) -> str:
        number = entry.invoice
        what = f"{entry.step.value.replace('_', ' ')} invoice {number}"
        calls = self._site.client.Invoice
        key = _key(what, {"entry": entry.key}, trail)
        match entry.step:
            case Step.PAY if entry.amount is not None:
                return self._payment(entry, what, key, trail)
            case Step.VOID:
                if self._state(what, number).status != "voided":
                    self._site.ask(what, calls.void_invoice, number, {"comment": entry.reason[:300]}, key=key)
                return "voided"
            case Step.WRITE_OFF:
                if not self._state(what, number).write_off_amount:
                    self._site.ask(what, calls.write_off, number, {"comment": entry.reason[:300]}, key=key)
                return "written off"
            case Step.DISPUTE | Step.ACCEPT | Step.REJECT | Step.SEND:
                return "nothing to do there"
        raise EdgeRefused(
            f"{what}: Chargebee gives money back only with a credit note of its own, which would lower our invoice; "
            f"record it there by hand, then `rating publish` again"
        )

    def _payment(self, entry: InvoiceEntry, what: str, key: str, trail: Trail) -> str:
        """Recorded once: a payment is known by our own reference, which stands on the transaction."""
        assert entry.amount is not None
        reference = f"{entry.source} {entry.reference}".strip()[:60] + f" [{digest(entry.key)[:12]}]"
        if trail.begun_at is not None and trail.name() is None:
            known = self._site.client.Transaction.payments_for_invoice
            for one in self._site.every(what, known, entry.invoice):
                if one.transaction.reference_number == reference:
                    trail.keep(one.transaction.id)
        if trail.name() is None:
            transaction = {
                "amount": wording.units(entry.amount),
                "payment_method": "bank_transfer" if entry.source == "bank" else "other",
                "reference_number": reference,
                "date": wording.midnight(entry.on),
                "status": "success",
            }
            recorded = self._site.ask(
                what, self._site.client.Invoice.record_payment, entry.invoice, {"transaction": transaction}, key=key
            )
            trail.keep(recorded.transaction.id)
        return f"{entry.amount} recorded as {trail.name()}"

    def _customer(self, key: str, buyer: Customer | None, trail: Trail) -> None:
        if trail.name(subject=customer_subject(key)) is not None:
            return
        said = wording.customer(key, buyer)
        what = f"create customer {key}"
        with suppress(Duplicate):  # made by us before, or by a person under our key
            self._site.ask(what, self._site.client.Customer.create, said, key=_key(what, said, trail))
        trail.keep(key, subject=customer_subject(key))

    def _state(self, what: str, number: str) -> Any:
        return self._standing(what, self._site.client.Invoice.retrieve, number).invoice

    def _standing(self, what: str, retrieve: Any, number: str) -> Any:
        try:
            return self._site.ask(what, retrieve, number)
        except Absent as error:
            raise EdgeDisagrees(f"{what}: Chargebee knows no {number}; was it deleted there?") from error

    def _same(self, what: str, said: dict[str, Any], there: Any) -> None:
        differs = wording.same_paper(said, there)
        if differs:
            raise EdgeDisagrees(f"{what}: {said['id']} stands in Chargebee, and {differs}; void the wrong one there")


def _key(what: str, said: dict[str, Any], trail: Trail) -> str:
    """From content: the same call again has the same key, another one never.

    Anew once a person asked to try again: a refusal may be remembered under the one before.
    """
    asked = f"/{trail.revived}" if trail.revived else ""
    return f"rating-{digest(f'{what}/{sorted(said.items())!r}{asked}')[:40]}"
