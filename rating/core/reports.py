"""A report: what was used, what it comes to and how well it was measured, as values for a page or a screen.

Decides how things are summed up for reading; gathers nothing. Quantities are whole units of their meter, exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from rating.core.money import Currency, Money, total

OTHERS = "<others>"


@dataclass(frozen=True, slots=True)
class UsageOfDay:
    """Usage windows of one meter that start on one day (UTC)."""

    meter: str
    day: date
    by_consumer: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Kind:
    """Usage of one meter under one set of dimension values, over all consumers and days."""

    meter: str
    dimensions: tuple[str, ...]
    quantity: Fraction


@dataclass(frozen=True, slots=True)
class Accruing:
    """One subscription in its open period; amounts rounded for reading, as an invoice of today would be."""

    consumer: str
    customer: str
    plan: str
    period_end: datetime
    amount: Money
    ahead: Money
    """At the end of the period: the fees, and usage at the period's average pace, at its prices."""
    upsell_plan: str = ""
    upgrade: Money | None = None
    """What the next plan would cost more so far; negative where it saves."""


@dataclass(frozen=True, slots=True)
class AllowanceUse:
    consumer: str
    plan: str
    meter: str
    unit: str
    used: Fraction
    included: Fraction

    @property
    def share(self) -> Fraction:
        return self.used / self.included


@dataclass(frozen=True, slots=True)
class Quality:
    """How many windows of one meter that start on one day ended how."""

    meter: str
    day: date
    complete: int = 0
    degraded: int = 0
    held: int = 0
    missing: int = 0
    """Due, and neither closed nor held."""


@dataclass(frozen=True, slots=True)
class IssuedInvoice:
    number: str
    issued_at: datetime
    customer: str
    consumer: str
    plan: str
    first_day: date
    last_day: date
    total: Money


@dataclass(frozen=True, slots=True)
class Upsell:
    """A subscription that was told of its next plan in the last 90 days."""

    consumer: str
    customer: str
    plan: str
    next_plan: str
    told_at: datetime
    """When first."""
    thresholds: tuple[str, ...]
    """Shares of allowances that were reached."""
    converted_at: datetime | None
    """Since when it is on that plan."""
    gain: Money | None
    """By how much the fees are higher there, a month's worth; None where they cannot be compared."""


@dataclass(frozen=True, slots=True)
class Report:
    at: datetime
    first_day: date
    last_day: date
    units: Mapping[str, str]
    """Unit by meter, in the order in which meters are shown."""
    labels: Mapping[str, tuple[str, ...]]
    """Dimension labels by meter."""
    usage: tuple[UsageOfDay, ...]
    """By meter and day; days without usage are there and empty."""
    kinds: tuple[Kind, ...]
    accruing: tuple[Accruing, ...]
    """The highest amount first, within its currency."""
    allowances: tuple[AllowanceUse, ...]
    """The fullest first."""
    recurring: Mapping[Currency, Money]
    """Recurring fees of all open subscriptions, a month's worth."""
    issued: tuple[IssuedInvoice, ...]
    """Invoices issued on these days, oldest first."""
    quality: tuple[Quality, ...]
    upsells: tuple[Upsell, ...] = ()
    """The first told first."""

    @property
    def currencies(self) -> tuple[Currency, ...]:
        found = {one.amount.currency for one in self.accruing} | {one.total.currency for one in self.issued}
        return tuple(sorted(found | set(self.recurring)))

    def accrued(self, currency: Currency) -> Money:
        return total([one.amount for one in self.accruing if one.amount.currency == currency], currency)

    def ahead(self, currency: Currency) -> Money:
        return total([one.ahead for one in self.accruing if one.ahead.currency == currency], currency)

    def invoiced(self, currency: Currency) -> Money:
        return total([one.total for one in self.issued if one.total.currency == currency], currency)

    def accrued_by_plan(self, currency: Currency) -> dict[str, tuple[Money, Money]]:
        """Plan -> accrued, and at the end of its periods."""
        plans = sorted({one.plan for one in self.accruing if one.amount.currency == currency})
        return {
            plan: (
                total([one.amount for one in self._of(plan, currency)], currency),
                total([one.ahead for one in self._of(plan, currency)], currency),
            )
            for plan in plans
        }

    def _of(self, plan: str, currency: Currency) -> list[Accruing]:
        return [one for one in self.accruing if one.plan == plan and one.amount.currency == currency]

    def of_meter(self, meter: str) -> tuple[UsageOfDay, ...]:
        return tuple(one for one in self.usage if one.meter == meter)

    def used(self, meter: str) -> Fraction:
        return sum((sum(one.by_consumer.values(), Fraction(0)) for one in self.of_meter(meter)), Fraction(0))

    def windows(self) -> Quality:
        """All windows of the report together."""
        return Quality(
            "",
            self.first_day,
            *(sum(getattr(one, name) for one in self.quality) for name in ("complete", "degraded", "held", "missing")),
        )


def ahead_of(amount: Fraction, fees: Fraction, passed: Fraction) -> Fraction:
    """What the period comes to when the rest of it goes on at its average pace. `passed` is the share of it so far."""
    return fees + (amount - fees) / passed if passed > 0 else amount


def leaders(days: Sequence[UsageOfDay], most: int) -> dict[str, list[Fraction]]:
    """Consumer -> its usage of each day, the largest first; beyond `most` of them all others under one name."""
    sums: dict[str, Fraction] = {}
    for day in days:
        for consumer, quantity in day.by_consumer.items():
            sums[consumer] = sums.get(consumer, Fraction(0)) + quantity
    ordered = sorted(sums, key=lambda consumer: (-sums[consumer], consumer))
    # One consumer alone beyond the bound is shown by name: it takes no more room than its others would.
    named = ordered if len(ordered) <= most + 1 else ordered[:most]
    found = {consumer: [day.by_consumer.get(consumer, Fraction(0)) for day in days] for consumer in named}
    if len(named) < len(ordered):
        known = set(named)
        found[OTHERS] = [_sum(q for name, q in day.by_consumer.items() if name not in known) for day in days]
    return found


def _sum(quantities: Iterable[Fraction]) -> Fraction:
    return sum(quantities, Fraction(0))
