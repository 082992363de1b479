"""Invoices: line items on paper, drafts that anybody can recompute, and what is added when one is issued.

Decides what stands on an invoice. How usage becomes an amount is `charges` and `prices`; numbering is the book's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from rating.core.canonical import digest
from rating.core.money import Currency, Money, total
from rating.core.parties import INVOICES, Customer, Seller, terms_of
from rating.core.periods import Period
from rating.core.prices.price import Portion
from rating.core.taxation import TaxDecision


class LineKind(StrEnum):
    FEE = "fee"
    USAGE = "usage"
    ADJUSTMENT = "adjustment"
    """Late usage of an earlier period."""
    DISCOUNT = "discount"
    CAP = "cap"
    MINIMUM = "minimum"
    ITEM = "item"
    """A one-off, such as setup or consulting; neither discounted nor capped."""
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

    @property
    def counted(self) -> Fraction:
        """What its windows came to, in whole units. An adjustment is charged for a difference; its last step is what
        had been billed so far."""
        if self.kind is not LineKind.ADJUSTMENT or not self.portions:
            return self.quantity
        return self.quantity - self.portions[-1].quantity


@dataclass(frozen=True, slots=True)
class Section:
    """One subscription's part of an invoice over several: so many of its lines, where the section before ends."""

    subscription: str
    consumer: str
    plan: str
    plan_title: str
    catalogue: str
    lines: int
    opening: bool = False
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice before it has a number: a pure function of windows and contract."""

    subscription: str
    """The subscription's key; empty on an invoice over several, which has sections."""
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
    seller: Seller | None = None
    """Who issues it, as they are printed on it."""
    buyer: Customer | None = None
    """Who pays, as the catalogue describes `customer`."""
    sections: tuple[Section, ...] = ()
    """Whose lines these are, on an invoice over several subscriptions of one customer."""
    replaces: str = ""
    """The number of the invoice that was taken back and is issued again as this one."""
    tax: TaxDecision | None = None
    """How it was decided to be taxed; None where the plan's own taxes hold."""

    @property
    def key(self) -> str:
        """What this invoice is about: one subscription, one billing period (or its opening); or several of them."""
        if self.sections:
            together = digest("\n".join(self.keys))[:12]
            return f"{self.customer}/{self.period.start.isoformat()}/{together}"
        return invoice_key(self.subscription, self.period, self.opening, self.replaces)

    @property
    def keys(self) -> tuple[str, ...]:
        """What is billed by it, each of which is billed once: by subscription and billing period."""
        return tuple(part.key for _, part in self.parts) if self.sections else (self.key,)

    @property
    def parts(self) -> tuple[tuple[int, Draft], ...]:
        """Each subscription's own paper, with how many lines of this one stand before it."""
        if not self.sections:
            return ((0, self),)
        found, before = [], 0
        for section in self.sections:
            part = replace(
                self,
                subscription=section.subscription,
                consumer=section.consumer,
                plan=section.plan,
                plan_title=section.plan_title,
                catalogue=section.catalogue,
                opening=section.opening,
                replaces=section.replaces,
                lines=self.lines[before : before + section.lines],
                sections=(),
            )
            found.append((before, part))
            before += section.lines
        return tuple(found)

    def part_of(self, line: int) -> Draft:
        """The paper of the subscription that the line (from 1) is about."""
        return next(part for before, part in reversed(self.parts) if before < line)

    @property
    def series(self) -> str:
        """The series of numbers it is issued in."""
        return INVOICES if self.seller is None else self.seller.series

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

    @property
    def issued_on(self) -> date:
        """The day of issue on the customer's calendar."""
        return self.issued_at.astimezone(ZoneInfo(self.draft.zone)).date()

    @property
    def due_on(self) -> date | None:
        """The last day on which it may be paid; None where no terms are agreed."""
        terms = terms_of(self.draft.seller, self.draft.buyer)
        return None if terms is None else terms.due(self.issued_on)


def invoice_key(subscription: str, period: Period, opening: bool = False, replaces: str = "") -> str:
    about = f"{subscription}/{'opening' if opening else _begins(period.start)}"
    return f"{about}/instead of {replaces}" if replaces else about


@lru_cache(1024)
def _begins(start: datetime) -> str:
    """Most invoices of a run begin with the same instant."""
    return start.isoformat()


def invoice_number(sequence: int, prefix: str = INVOICES) -> str:
    """`INV-000042`. A series has no gaps; the book assigns it in the transaction that issues."""
    return f"{prefix}-{sequence:06d}"


def by_key(invoices: Sequence[Invoice]) -> dict[str, Invoice]:
    return {invoice.draft.key: invoice for invoice in invoices}
