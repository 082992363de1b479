"""Which invoices are due: a pure function of subscriptions, plans and the clock that it is told.

Leaves the lines of an invoice to `drafts` and the proof that usage is whole to the windows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rating.core.invoices import invoice_key
from rating.core.periods import Period, next_period
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """One invoice to be drafted: a subscription and a billing period that has ended."""

    end: datetime
    key: str
    """The invoice's key; orders invoices of one instant, so that numbers do not depend on chance."""
    subscription: Subscription
    period: Period
    plan: Plan
    catalogue: str
    opening: bool = False


PlanAt = Callable[[str, datetime], tuple[Plan, str]]
"""The plan of that key in force at that instant, and its catalogue's digest."""


def billing_periods(subscription: Subscription, plan_at: PlanAt, until: datetime) -> Iterator[tuple[Period, Plan, str]]:
    """The billing periods of a subscription that begin before `until`, oldest first, each with the plan in force."""
    plan, digest = plan_at(subscription.plan, subscription.start)
    period = subscription.period(plan.cadence, subscription.start)
    while period.start < until and subscription.active(period) is not None:
        yield period, plan, digest
        plan, digest = plan_at(subscription.plan, period.end)
        period = next_period(plan.cadence, subscription.anchor, subscription.zone, period)


def due(subscriptions: Iterable[Subscription], plan_at: PlanAt, issued: Collection[str], now: datetime) -> list[Due]:
    """Invoices that are not issued and whose period has ended, or whose subscription has begun with something due.

    Oldest first, then by key.
    """
    found = []
    for subscription in subscriptions:
        for period, plan, digest in billing_periods(subscription, plan_at, now):
            if plan.opens and period.contains(subscription.begins) and subscription.begins <= now:
                key = invoice_key(subscription.key, period, opening=True)
                if key not in issued:
                    found.append(Due(subscription.begins, key, subscription, period, plan, digest, opening=True))
            key = invoice_key(subscription.key, period)
            if period.end <= now and key not in issued and subscription.billed(period) is not None:
                found.append(Due(period.end, key, subscription, period, plan, digest))
    return sorted(found, key=lambda item: (item.end, item.key))


@dataclass(frozen=True, slots=True)
class Gap:
    """Why a meter's usage over a period is not whole yet."""

    meter: str
    missing: int
    held: int
    first: datetime

    def __str__(self) -> str:
        held = f", {self.held} of them held" if self.held else ""
        return f"meter {self.meter}: {self.missing} windows not closed{held}, the first at {self.first:%Y-%m-%d %H:%M}"


def gap(
    meter: str, period: Period, length: timedelta, closed: Collection[datetime], held: Collection[datetime]
) -> Gap | None:
    """What keeps `period` of a meter from being billed; None when every window is closed."""
    missing = [window.start for window in period.windows(length) if window.start not in closed]
    if not missing:
        return None
    return Gap(meter, len(missing), sum(start in held for start in missing), missing[0])
