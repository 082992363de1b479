"""Papers as files say them: one JSON object for each dispatch, and the rows that a batch's CSV has of it.

Decides fields and their order; README.md beside this file describes them. The text follows from the dispatch alone, so
that the same dispatch is the same file, whenever and by whomever it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from rating.core.invoices import LineItem
from rating.core.money import decimal_text
from rating.core.parties import Customer
from rating.core.periods import Period
from rating.core.publications import CreditNoteDispatch, Dispatch, InvoiceDispatch, StepDispatch

COLUMNS = (
    "sequence", "kind", "number", "key", "customer", "customer_name", "date", "due", "currency", "line", "line_kind",
    "title", "first", "end", "quantity", "unit", "amount", "total", "about", "source", "reference", "reason",
    "content_hash",
)  # fmt: skip
"""Of a batch's CSV: a row for each line of an invoice or credit note, one for each step."""


def paper(dispatch: Dispatch) -> dict[str, Any]:
    """The dispatch as JSON values: text, whole numbers, lists and objects; amounts as text in major units."""
    match dispatch:
        case InvoiceDispatch():
            return _invoice(dispatch)
        case CreditNoteDispatch():
            return _credit_note(dispatch)
        case StepDispatch():
            return _step(dispatch)


def text(said: Mapping[str, Any]) -> str:
    """One line of JSON, keys in the order in which they were said."""
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def rows(sequence: int, said: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    """The rows of `COLUMNS` that one paper has."""
    head = {
        **said,
        "sequence": sequence,
        "customer": said["customer"]["key"],
        "customer_name": said["customer"]["name"],
    }
    lines = said.get("lines") or [{}]
    for line in lines:
        yield tuple({**head, **line}.get(column) for column in COLUMNS)


def _invoice(dispatch: InvoiceDispatch) -> dict[str, Any]:
    invoice = dispatch.invoice
    draft = invoice.draft
    return {
        "kind": "invoice",
        "number": invoice.number,
        "key": dispatch.subject,
        "customer": _customer(draft.customer, draft.buyer),
        "date": invoice.issued_on.isoformat(),
        "due": None if invoice.due_on is None else invoice.due_on.isoformat(),
        "currency": draft.currency.code,
        "period": _period(draft.period),
        "total": invoice.total.digits,
        "total_minor": invoice.total.minor,
        "prepaid": dispatch.prepaid.digits,
        "to_pay": (invoice.total - dispatch.prepaid).digits,
        "about": draft.replaces,
        "lines": [_line(place, line) for place, line in enumerate(draft.lines, 1)],
        "content_hash": invoice.content_hash,
    }


def _credit_note(dispatch: CreditNoteDispatch) -> dict[str, Any]:
    note = dispatch.note
    draft = note.draft
    return {
        "kind": "credit_note",
        "number": note.number,
        "key": dispatch.subject,
        "customer": _customer(draft.customer, draft.buyer),
        "date": note.issued_at.astimezone(ZoneInfo(draft.zone)).date().isoformat(),
        "currency": draft.currency.code,
        "total": (-note.total).digits,
        "total_minor": -note.total.minor,
        "settled": dispatch.settled.digits,
        "about": draft.invoice,
        "reason": draft.reason,
        "lines": [_line(place, line) for place, line in enumerate(draft.lines, 1)],
        "content_hash": note.content_hash,
    }


def _step(dispatch: StepDispatch) -> dict[str, Any]:
    entry, invoice = dispatch.entry, dispatch.invoice
    amount = entry.amount
    return {
        "kind": entry.step.value,
        "number": invoice.number,
        "key": dispatch.subject,
        "customer": _customer(invoice.draft.customer, invoice.draft.buyer),
        "date": entry.on.isoformat(),
        "currency": invoice.draft.currency.code,
        "total": None if amount is None else amount.digits,
        "total_minor": None if amount is None else amount.minor,
        "about": invoice.number,
        "line": entry.line or None,
        "source": entry.source,
        "reference": entry.reference,
        "reason": entry.reason,
        "author": entry.author,
        "content_hash": invoice.content_hash,
    }


def _customer(key: str, buyer: Customer | None) -> dict[str, Any]:
    known = Customer(key) if buyer is None else buyer
    return {
        "key": key,
        "name": known.name,
        "address": list(known.address),
        "country": known.country,
        "tax_id": known.tax_id,
        "email": known.email,
        "purchase_order": known.purchase_order,
    }


def _line(place: int, line: LineItem) -> dict[str, Any]:
    return {
        "line": place,
        "line_kind": line.kind.value,
        "title": line.title,
        **_period(line.period),
        "card": line.card,
        "meter": line.meter,
        "quantity": decimal_text(line.quantity) if line.meter else None,
        "unit": line.unit,
        "amount": line.amount.digits,
        "amount_minor": line.amount.minor,
        "settles": line.settles,
    }


def _period(period: Period) -> dict[str, str]:
    """Half-open: `end` is the first instant after it."""
    return {"first": period.start.isoformat(), "end": period.end.isoformat()}


def title(dispatch: Dispatch) -> str:
    """What it is, for people: `invoice INV-000042 of 12.30 USD to acme`."""
    match dispatch:
        case InvoiceDispatch(invoice=invoice):
            return f"invoice {invoice.number} of {invoice.total} to {dispatch.customer}"
        case CreditNoteDispatch(note=note):
            return f"credit note {note.number} of {note.total} over {note.draft.invoice} to {dispatch.customer}"
        case StepDispatch(entry=entry):
            what = entry.step.value.replace("_", " ")
            return f"{what} of invoice {dispatch.invoice.number}" + (f", {entry.amount}" if entry.amount else "")
