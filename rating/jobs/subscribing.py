"""Subscribing: when a subscription may end: with the window that is open now, or with its billing period."""

from __future__ import annotations

from datetime import datetime, timedelta

from rating.core.periods import align
from rating.core.subscriptions import Subscription
from rating.jobs.contracts import Contracts

_SECOND = timedelta(seconds=1)


def window_end(subscription: Subscription, contracts: Contracts, now: datetime) -> datetime:
    """The end of the usage windows that are open at `now`: what is counted in them is still billed."""
    plan, _ = contracts.plan(subscription.plan, now)
    longest = max((card.meter.window for card in plan.cards), default=_SECOND)
    start = align(now, longest)
    return now if start == now else start + longest


def period_end(subscription: Subscription, contracts: Contracts, now: datetime) -> datetime:
    """The end of the billing period around `now`."""
    plan, _ = contracts.plan(subscription.plan, now)
    return subscription.period(plan.cadence, now).end
