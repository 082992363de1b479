"""Invoices: line items on paper, drafts that anybody can recompute, and what is added when one is issued.

Decides what stands on an invoice. How usage becomes an amount is `charges` and `prices`; numbering is the book's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from rating.core.money import Currency, Money, total
from rating.core.periods import Period
from rating.core.prices.price import Portion


class LineKind(StrEnum):
    FEE = "fee"
    USAGE = "usage"
    ADJUSTMENT = "adjustment"
    """Late usage of an earlier period."""
    DISCOUNT = "discount"
    CAP = "cap"
    MINIMUM = "minimum"
    CREDIT = "credit"
    TAX = "tax"


@dataclass(frozen=True, slots=True)
class LineItem:
    """One rounded charge. `exact` is what was rounded; `portions` is the arithmetic behind it."""

    kind: LineKind
    card: str
    """The rate card's key, or the code of a discount, credit or tax; empty for the plan's fee."""
    title: str
    period: Period
    exact: Fraction
    amount: Money
    meter: str = ""
    unit: str = ""
    digits: int = 0
    """The meter's resolution when this was rated: windows hold whole multiples of `10**-digits` units."""
    quantity: Fraction = Fraction(0)
    included: Fraction = Fraction(0)
    carried: Fraction = Fraction(0)
    """How much of `included` was left over from earlier periods."""
    portions: tuple[Portion, ...] = ()
    windows: int = 0
    """How many closed windows the quantity is the sum of."""
    degraded: int = 0
    """How many of them were billed as degraded."""
    usage_digest: str = ""
    """SHA-256 over those windows' keys and quantities, in order of time."""
    settles: str = ""
    """What late usage is settled by this adjustment: an earlier invoice's number and line, `INV-000042/2`."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice before it has a number: a pure function of windows and contract."""

    subscription: str
    """The subscription's key."""
    consumer: str
    customer: str
    plan: str
    plan_title: str
    currency: Currency
    period: Period
    lines: tuple[LineItem, ...]
    catalogue: str
    """Digest of the catalogue it was rated under."""
    zone: str = "UTC"
    """The time zone whose midnights bound the period."""
    opening: bool = False
    """What is due when the subscription begins: fees once and in advance, before any usage."""

    @property
    def key(self) -> str:
        """What this invoice is about: one subscription, one billing period (or its opening)."""
        return invoice_key(self.subscription, self.period, self.opening)

    @property
    def days(self) -> tuple[date, date]:
        """First day and the day after the last, on the customer's calendar."""
        zone = ZoneInfo(self.zone)
        return self.period.start.astimezone(zone).date(), self.period.end.astimezone(zone).date()

    @property
    def total(self) -> Money:
        return total([line.amount for line in self.lines], self.currency)


@dataclass(frozen=True, slots=True)
class Invoice:
    """An issued draft. Never changes; only a credit note or a later adjustment speaks about it again."""

    number: str
    issued_at: datetime
    draft: Draft
    content_hash: str
    """SHA-256 over the canonical content and the previous invoice's hash."""
    previous_hash: str

    @property
    def total(self) -> Money:
        return self.draft.total


def invoice_key(subscription: str, period: Period, opening: bool = False) -> str:
    return f"{subscription}/{'opening' if opening else period.start.isoformat()}"


def invoice_number(sequence: int, prefix: str = "INV") -> str:
    """`INV-000042`. The sequence has no gaps; the book assigns it in the transaction that issues."""
    return f"{prefix}-{sequence:06d}"


def by_key(invoices: Sequence[Invoice]) -> dict[str, Invoice]:
    return {invoice.draft.key: invoice for invoice in invoices}
