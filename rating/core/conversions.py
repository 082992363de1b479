"""Conversions: who was told of a plan to grow into, and who is on it now. What sales call the pipeline.

Decides what counts as converted: the same consumer has a subscription on the plan that was named, which began no more
than a day before it was first told of it. Whatever else made them change is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from rating.core.notices import Audience, Kind, Told
from rating.core.periods import PER_MONTH
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription

_DAY = timedelta(days=1)
REMEMBERED = timedelta(days=90)
"""For how long something told counts as what made a consumer change."""


@dataclass(frozen=True, slots=True)
class Approach:
    """One subscription that was told of one plan to grow into."""

    subscription: str
    consumer: str
    customer: str
    plan: str
    next_plan: str
    first_at: datetime
    """When it was first told of that plan."""
    last_at: datetime
    kinds: tuple[Kind, ...]
    """What was told, each once, in the order of time."""
    marks: tuple[str, ...] = ()
    """The shares of allowances that were reached, in the order of time."""
    converted_at: datetime | None = None
    """When the consumer's subscription on the next plan began; None while there is none."""


def approaches(told: Iterable[Told], subscriptions: Iterable[Subscription], now: datetime) -> tuple[Approach, ...]:
    """By when each subscription was first told, then by its key. `told` is in order of time."""
    found: dict[tuple[str, str], list[Told]] = {}
    for one in told:
        about = one.notification
        if about.audience is Audience.UPSELL and about.next_plan and now - one.at <= REMEMBERED:
            found.setdefault((about.subscription, about.next_plan), []).append(one)
    begun: dict[tuple[str, str], list[datetime]] = {}
    for subscription in subscriptions:
        if subscription.start <= now:
            begun.setdefault((subscription.consumer, subscription.plan), []).append(subscription.start)
    made = (_approach(news, begun) for news in found.values())
    return tuple(sorted(made, key=lambda one: (one.first_at, one.subscription, one.next_plan)))


def _approach(news: list[Told], begun: Mapping[tuple[str, str], list[datetime]]) -> Approach:
    about, first = news[0].notification, news[0].at
    # A subscription may begin with the day, in any zone, on which its plan was recommended.
    later = [start for start in begun.get((about.consumer, about.next_plan), ()) if start >= first - _DAY]
    return Approach(
        about.subscription,
        about.consumer,
        about.customer,
        about.plan,
        about.next_plan,
        first,
        news[-1].at,
        tuple(dict.fromkeys(one.notification.kind for one in news)),
        tuple(dict.fromkeys(one.notification.mark for one in news if one.notification.kind is Kind.ALLOWANCE_REACHED)),
        min(later, default=None),
    )


def monthly_gain(one: Approach, plans: Mapping[str, Plan]) -> Fraction | None:
    """By how much the fees are higher on the next plan, a month's worth, in major units of the plans' currency.

    None where a plan is gone from the catalogue or the two are not in one currency.
    """
    before, after = plans.get(one.plan), plans.get(one.next_plan)
    if before is None or after is None or before.currency != after.currency:
        return None
    return after.fee * PER_MONTH[after.cadence] - before.fee * PER_MONTH[before.cadence]
