"""Our papers in Chargebee's words: parameters of its import calls, in whole numbers of minor units.

Decides how a line, a discount and a payment are said there. The amounts are ours: Chargebee is told each one and the
total, and refuses an invoice whose parts do not sum to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any

from rating.core.creditnotes import CreditNote
from rating.core.invoices import LineItem
from rating.core.money import Money
from rating.core.offsets import offset
from rating.core.parties import Customer
from rating.core.publications import CreditNoteDispatch, InvoiceDispatch
from rating.errors import EdgeRefused

_LONGEST = 250
"""Characters of a description."""


def units(amount: Money) -> int:
    """The amount in Chargebee's units: cents, or whole units of a currency without decimals.

    Raises:
        EdgeRefused: Chargebee documents no unit for it.
    """
    if amount.currency.exponent not in (0, 2):
        raise EdgeRefused(
            f"{amount}: it is not documented how Chargebee counts {amount.currency}, "
            f"which has {amount.currency.exponent} decimals; collect it by another gateway"
        )
    return amount.minor


def customer(key: str, buyer: Customer | None) -> dict[str, Any]:
    known = Customer(key) if buyer is None else buyer
    said: dict[str, Any] = {"id": key}
    for word, text in (("company", known.name), ("email", known.email), ("vat_number", known.tax_id)):
        if text:
            said[word] = text[:_LONGEST]
    address = {"line1": known.address[0][:150]} if known.address else {}
    address |= {f"line{place}": text[:150] for place, text in enumerate(known.address[1:3], 2)}
    if known.country:
        address["country"] = known.country
    return {**said, "billing_address": address} if address else said


def invoice(dispatch: InvoiceDispatch) -> dict[str, Any]:
    """The parameters of `import_invoice`.

    Raises:
        EdgeRefused: the total is negative, or the currency is none of Chargebee's.
    """
    paper, draft = dispatch.invoice, dispatch.invoice.draft
    if paper.total.minor < 0:
        raise EdgeRefused(
            f"invoice {paper.number} comes to {paper.total}, and Chargebee has no invoice below zero; "
            "give the customer the credit there by hand"
        )
    charges = [(place, line) for place, line in enumerate(draft.lines, 1) if line.amount.minor > 0]
    taken_off = [(place, line) for place, line in enumerate(draft.lines, 1) if line.amount.minor < 0]
    to_pay = paper.total - dispatch.prepaid
    said: dict[str, Any] = {
        "id": paper.number,
        "customer_id": draft.customer,
        "currency_code": draft.currency.code,
        "date": seconds(paper.issued_at),
        "total": units(paper.total),
        "status": "paid" if to_pay.minor <= 0 else "payment_due",
        "line_items": [_charge(paper.number, place, line) for place, line in charges],
        "notes": [{"note": f"Content hash {paper.content_hash}"}],
    }
    if paper.due_on is not None and to_pay.minor > 0:
        said["due_date"] = midnight(paper.due_on)
    if taken_off:
        said["discounts"] = [
            {
                "entity_type": "document_level_coupon",
                "entity_id": f"{paper.number}-{place}",
                "description": line.title[:_LONGEST],
                "amount": -units(line.amount),
            }
            for place, line in taken_off
        ]
    if draft.buyer is not None and draft.buyer.purchase_order:
        said["po_number"] = draft.buyer.purchase_order[:100]
    if dispatch.prepaid.minor > 0:
        said["payments"] = [
            {
                "amount": units(dispatch.prepaid),
                "payment_method": "other",
                "date": seconds(paper.issued_at),
                "reference_number": f"wallet {paper.number}",
            }
        ]
    elif paper.total.minor == 0:
        said["paid_at"] = seconds(paper.issued_at)
    return said


def credit_note(dispatch: CreditNoteDispatch) -> dict[str, Any]:
    """The parameters of `import_credit_note`.

    Raises:
        EdgeRefused: a part of it was given back and a part was not; Chargebee's notes are the one or the other.
    """
    note, draft = dispatch.note, dispatch.note.draft
    if 0 < dispatch.settled.minor < note.total.minor:
        raise EdgeRefused(
            f"credit note {note.number} over {note.total}: {dispatch.settled} of it was given back and the rest lowers "
            "what is owed; a credit note of Chargebee's is the one or the other, enter it there by hand"
        )
    given_back = dispatch.settled.minor > 0
    said: dict[str, Any] = {
        "id": note.number,
        "customer_id": draft.customer,
        "reference_invoice_id": draft.invoice,
        "type": "refundable" if given_back else "adjustment",
        "currency_code": draft.currency.code,
        "create_reason_code": "Other",
        "date": seconds(note.issued_at),
        "status": "refunded" if given_back else "adjusted",
        "total": units(note.total),
        "line_items": list(_credited(note)),
    }
    if given_back:
        said["refunded_at"] = seconds(note.issued_at)
    else:
        said["allocations"] = [
            {
                "invoice_id": draft.invoice,
                "allocated_amount": units(note.total),
                "allocated_at": seconds(note.issued_at),
            }
        ]
    return said


def _charge(number: str, place: int, line: LineItem) -> dict[str, Any]:
    return {
        "id": f"{number}-{place}",
        "description": line.title[:_LONGEST],
        "date_from": seconds(line.period.start),
        "date_to": seconds(line.period.end),
        "unit_amount": units(line.amount),
        "quantity": 1,
        "amount": units(line.amount),
        "entity_type": "adhoc",
    }


def _credited(note: CreditNote) -> Iterable[dict[str, Any]]:
    """Its lines, positive as Chargebee wants them; what lowers the note is taken off its other lines."""
    left = offset([-line.amount.minor for line in note.draft.lines])
    for place, (line, minor) in enumerate(zip(note.draft.lines, left, strict=True), 1):
        if minor:
            amount = units(Money(minor, note.draft.currency))
            yield {
                "id": f"{note.number}-{place}",
                "description": f"{line.title} ({line.settles})"[:_LONGEST],
                "unit_amount": amount,
                "quantity": 1,
                "amount": amount,
                "entity_type": "adhoc",
            }


def same_paper(said: dict[str, Any], there: Any) -> str:
    """What differs between what we say and what stands there; empty where it is the same."""
    for word, known in (
        ("customer_id", there.customer_id),
        ("currency_code", there.currency_code),
        ("total", there.total),
    ):
        if said[word] != known:
            return f"{word} is {known} there and {said[word]} on our paper"
    return ""


def seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def midnight(day: date) -> int:
    """The end of a day as Chargebee counts: its last second, in UTC."""
    return seconds(datetime.combine(day, time(23, 59, 59), UTC))
