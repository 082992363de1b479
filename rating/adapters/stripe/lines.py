"""What of our lines stands on Stripe's invoice: amounts as they are on our paper, at most 250 of them.

Amounts and never quantities times prices: Stripe would round our rating again. Taxes are lines as well, because they
are amounts of ours: a tax rate of Stripe's would compute them anew, line by line, and differ by cents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rating.adapters.stripe.amounts import to_stripe
from rating.core.creditnotes import CreditNote
from rating.core.invoices import Invoice, LineItem, LineKind
from rating.core.money import Money, decimal_text, grouped, total

MOST_LINES = 250
AT_ONCE = 100
"""Lines in one call: a part of an invoice is made by one call or not at all."""
_LONGEST = 500

LINE, LINES = "rating_line", "rating_lines"


def invoice_lines(invoice: Invoice, documents: str = "") -> list[dict[str, Any]]:
    """Parameters of the lines, in the order of the paper.

    Of more than 250 the taxes and the largest amounts stay (the earlier of equals); the rest is one line with their
    sum, which says how many they are and where they are found.

    Raises:
        EdgeRefused: an amount cannot be said to Stripe.
    """
    lines = invoice.draft.lines
    places = list(range(1, len(lines) + 1))
    kept = set(places)
    if len(places) > MOST_LINES:
        kept = set(sorted(places, key=lambda place: _weight(lines[place - 1], place))[: MOST_LINES - 1])
    found = [_line(invoice, place, lines[place - 1]) for place in places if place in kept]
    rest = [lines[place - 1] for place in places if place not in kept]
    if rest:
        found.append(_folded(invoice, rest, documents))
    return found


def credit_lines(note: CreditNote) -> list[dict[str, Any]]:
    """Parameters of a credit note's lines, positive; one line over all of it where one of them would be none."""
    lines = note.draft.lines
    amounts = [to_stripe(-line.amount) for line in lines]
    if len(lines) > MOST_LINES or any(amount <= 0 for amount in amounts):
        # What a discount takes off a credit would be a negative line, which a credit note of Stripe's has not.
        title = f"{note.number}, {len(lines)} lines, for {note.draft.invoice}"
        return [_credited(title, to_stripe(note.total), f"{note.number}/all")]
    return [
        _credited(line.title, amount, f"{note.number}/{place}")
        for place, (line, amount) in enumerate(zip(lines, amounts, strict=True), 1)
    ]


def _weight(line: LineItem, place: int) -> tuple[bool, int, int]:
    return line.kind is not LineKind.TAX, -abs(line.amount.minor), place


def _line(invoice: Invoice, place: int, line: LineItem) -> dict[str, Any]:
    return {
        "amount": to_stripe(line.amount),
        "description": _described(line),
        "discountable": False,
        "period": {"start": int(line.period.start.timestamp()), "end": int(line.period.end.timestamp())},
        "metadata": {LINE: f"{invoice.number}/{place}"},
    }


def _described(line: LineItem) -> str:
    if line.kind is LineKind.USAGE and line.unit:
        return f"{line.title}: {grouped(decimal_text(line.quantity))} {line.unit}"[:_LONGEST]
    return (line.title or str(line.kind))[:_LONGEST]


def _folded(invoice: Invoice, rest: Sequence[LineItem], documents: str) -> dict[str, Any]:
    amount: Money = total([line.amount for line in rest], invoice.draft.currency)
    where = documents.replace("{number}", invoice.number) if documents else f"our invoice {invoice.number}"
    period = invoice.draft.period
    return {
        "amount": to_stripe(amount),
        "description": f"{len(rest)} further lines; see {where}"[:_LONGEST],
        "discountable": False,
        "period": {"start": int(period.start.timestamp()), "end": int(period.end.timestamp())},
        "metadata": {LINE: f"{invoice.number}/rest", LINES: str(len(rest))},
    }


def _credited(title: str, amount: int, name: str) -> dict[str, Any]:
    return {
        "type": "custom_line_item",
        "description": title[:_LONGEST],
        "quantity": 1,
        "unit_amount": amount,
        "metadata": {LINE: name},
    }
