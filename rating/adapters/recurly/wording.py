"""Our papers in Recurly's words: a purchase with a line for each of ours, in decimals of the major unit.

Decides how a line and an amount are said there. Recurly's lines are charges or credits, and credits become an invoice
of their own; so what lowers an invoice of ours is taken off its lines before they are said, and the sum is ours.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rating.core.money import Currency, Money
from rating.core.offsets import offset
from rating.core.parties import Customer
from rating.core.publications import InvoiceDispatch
from rating.errors import EdgeDisagrees, EdgeRefused

_LONGEST = 250


def json_number(amount: Money) -> float:
    """The amount as the JSON number that Recurly takes.

    A float is what the library writes down; it is refused where it would be another number than ours.

    Raises:
        EdgeRefused: it has more digits than such a number holds.
    """
    number = float(amount.digits)
    if Decimal(repr(number)) != Decimal(amount.digits):
        raise EdgeRefused(f"{amount} has more digits than Recurly's numbers hold; collect it by another gateway")
    return number


def money(number: object, currency: Currency) -> Money:
    """What a number of Recurly's says.

    Raises:
        EdgeDisagrees: it is no whole number of minor units.
    """
    minor = Decimal(repr(number)).scaleb(currency.exponent) if isinstance(number, int | float) else Decimal("NaN")
    if not minor.is_finite() or minor != minor.to_integral_value():
        raise EdgeDisagrees(f"Recurly said {number!r} where an amount of {currency} is expected")
    return Money(int(minor), currency)


def purchase(dispatch: InvoiceDispatch, marker: str) -> dict[str, Any]:
    """The body of `create_purchase`, found again by its PO number.

    Raises:
        EdgeRefused: the total is below zero, or an amount cannot be said.
    """
    paper, draft = dispatch.invoice, dispatch.invoice.draft
    if paper.total.minor < 0:
        raise EdgeRefused(
            f"invoice {paper.number} comes to {paper.total}, and Recurly has no purchase below zero; "
            "give the customer the credit there by hand"
        )
    net = offset([line.amount.minor for line in draft.lines])
    lines = [
        {
            "type": "charge",
            "currency": draft.currency.code,
            "unit_amount": json_number(Money(minor, draft.currency)),
            "quantity": 1,
            "description": line.title[:_LONGEST] + (" (net)" if minor != line.amount.minor else ""),
            "start_date": _instant(line.period.start),
            "end_date": _instant(line.period.end),
            "tax_exempt": True,
        }
        for line, minor in zip(draft.lines, net, strict=True)
        if minor or line.amount.minor >= 0
    ]
    said: dict[str, Any] = {
        "currency": draft.currency.code,
        "account": account(draft.customer, draft.buyer),
        "collection_method": "manual",
        "po_number": paper.number[:50],
        "customer_notes": marker,
        "line_items": lines,
    }
    if paper.due_on is not None:
        said["net_terms"] = max(0, (paper.due_on - paper.issued_on).days)
    return said


def account(key: str, buyer: Customer | None) -> dict[str, Any]:
    known = Customer(key) if buyer is None else buyer
    said: dict[str, Any] = {"code": key}
    for word, text in (("company", known.name), ("email", known.email), ("vat_number", known.tax_id)):
        if text:
            said[word] = text[:_LONGEST]
    return said


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
