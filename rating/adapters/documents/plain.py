"""A document for programs: JSON with every figure as text or integer, and CSV with a row for each line."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import Any

from rating.core.cells import write_csv
from rating.core.documents import Document, Party, Row
from rating.core.money import decimal_text

COLUMNS = (
    "document", "number", "issued", "customer", "line", "kind", "title", "first", "last", "quantity", "unit",
    "included", "exact", "amount", "currency", "names", "usage_digest",
)  # fmt: skip


def as_json(document: Document) -> bytes:
    said: dict[str, Any] = {
        "document": document.kind.value,
        "number": document.number,
        "issued": document.issued.isoformat(),
        "due": None if document.due is None else document.due.isoformat(),
        "currency": document.currency.code,
        "seller": _party(document.seller),
        "customer": _party(document.customer),
        "consumer": document.consumer,
        "plan": document.plan,
        "period": {"first": document.first.isoformat(), "last": document.last.isoformat(), "zone": document.zone},
        "purchase_order": document.purchase_order,
        "corrects": document.corrects,
        "reason": document.reason,
        "lines": [_row(row) for row in document.rows],
        "agreed": [_row(row) for row in document.agreed],
        "taxes": [
            {
                "title": tax.title,
                "percent": None if tax.percent is None else decimal_text(tax.percent),
                "base": None if tax.base is None else tax.base.digits,
                "amount": tax.amount.digits,
                "contained": tax.contained,
                "treatment": tax.treatment,
                "note": tax.note,
            }
            for tax in document.taxes
        ],
        "charges": document.charges.digits,
        "net": document.net.digits,
        "total": document.total.digits,
        "paid": None if document.paid is None else document.paid.digits,
        "to_pay": document.to_pay.digits,
        "terms": document.terms,
        "payment": list(document.payment),
        "notes": list(document.notes),
        "catalogue": document.catalogue,
        "content_hash": document.content_hash,
        "previous_hash": document.previous_hash,
    }
    return (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode()


def as_csv(document: Document) -> bytes:
    """Lines, what is agreed about them, and taxes; the amounts sum to the total."""
    out = io.StringIO()
    head = (document.kind.value, document.number, document.issued.isoformat(), document.customer.name)
    rows: list[tuple[object, ...]] = [
        (*head, row.position, row.kind, row.title, row.first.isoformat(), row.last.isoformat(), _number(row), row.unit,
         decimal_text(row.included) if row.included else None, decimal_text(row.exact), row.amount.digits,
         document.currency.code, row.names, row.usage_digest)
        for row in (*document.rows, *document.agreed)
    ]  # fmt: skip
    first, last = document.first.isoformat(), document.last.isoformat()
    rows += [
        (*head, None, "tax", tax.title, first, last, None if tax.percent is None else decimal_text(tax.percent), "%",
         None, None, tax.amount.digits, document.currency.code, None, None)
        for tax in document.taxes
        if tax.title and not tax.contained
    ]  # fmt: skip
    write_csv(out, COLUMNS, rows)
    return out.getvalue().encode()


def _number(row: Row) -> str | None:
    return None if row.quantity is None else decimal_text(row.quantity)


def _party(party: Party) -> dict[str, Any]:
    return {name: said for name, said in asdict(party).items() if said}


def _row(row: Row) -> dict[str, Any]:
    return {
        "line": row.position,
        "kind": row.kind,
        "section": row.section,
        "card": row.card,
        "title": row.title,
        "first": row.first.isoformat(),
        "last": row.last.isoformat(),
        "quantity": _number(row),
        "unit": row.unit,
        "included": decimal_text(row.included),
        "steps": [
            {
                "what": step.what,
                "quantity": decimal_text(step.quantity),
                "unit_price": None if step.unit_price is None else decimal_text(step.unit_price),
                "amount": decimal_text(step.amount),
            }
            for step in row.steps
        ],
        "exact": decimal_text(row.exact),
        "amount": row.amount.digits,
        "names": row.names,
        "corrects": row.corrects,
        "reason": row.reason,
        "held": row.held,
        "windows": row.windows,
        "degraded": row.degraded,
        "usage_digest": row.usage_digest,
        "days": [{"day": day.day.isoformat(), "quantity": decimal_text(day.quantity)} for day in row.days],
    }
