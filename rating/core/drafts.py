"""Drafts an invoice: one subscription, one billing period, its closed usage windows and the contract in force.

A pure function: the same windows and the same plan give the same lines, to the cent, on any machine and in any year.
How a quantity becomes an exact amount is `charges`; when an invoice is due is `schedule`; its number is the book's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from rating.core.charges import rate
from rating.core.column import Column
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.meters import Meter
from rating.core.money import round_amount, round_ratio
from rating.core.periods import Period, seconds
from rating.core.plans import Plan
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription
from rating.core.windows import Completeness, Usage


@dataclass(frozen=True, slots=True)
class MeteredUsage:
    """What one meter counted for one consumer over one period, as the sum of closed windows.

    `quantity` is an integer in the meter's resolution.
    """

    quantity: int = 0
    windows: int = 0
    degraded: int = 0
    digest: str = ""


def metered(rows: Iterable[tuple[Period, Completeness, Usage]], windows: int, degraded: int) -> MeteredUsage:
    """Sum usage windows of one meter and one consumer. `rows` come in order of time, then dimensions.

    The digest is SHA-256 over one line `start-seconds|dimension values|quantity` per row, so that anybody holding the
    windows can recompute it.
    """
    digest, quantity = hashlib.sha256(), 0
    for window, _, usage in rows:
        quantity += usage.quantity
        digest.update(f"{seconds(window.start)}|{'|'.join(usage.dimensions)}|{usage.quantity}\n".encode())
    return MeteredUsage(quantity, windows, degraded, digest.hexdigest())


def draft(
    subscription: Subscription,
    plan: Plan,
    period: Period,
    usage: Mapping[str, MeteredUsage],
    catalogue: str,
) -> Draft:
    """The invoice of `subscription` for the billing period `period`.

    `usage` is keyed by meter and covers the part of the period in which the subscription is active; a meter without
    usage may be left out. A subscription that covers part of the period pays that part of the fee and has that part of
    each allowance.

    Raises:
        ValueError: the subscription does not touch the period.
        NoTierCovers: a quantity lies beyond a price's last finite tier.
    """
    active = subscription.active(period)
    if active is None:
        raise ValueError(f"subscription {subscription.key} is not active in {period}")
    share = active.share_of(period)
    lines = []
    if plan.fee:
        lines.append(_fee_line(plan, active, share))
    for card in plan.cards:
        lines.append(_usage_line(plan, part_of(card, share), active, usage.get(card.meter.name, MeteredUsage())))
    return Draft(
        subscription=subscription.key,
        consumer=subscription.consumer,
        customer=subscription.payer,
        plan=plan.key,
        plan_title=plan.title,
        currency=plan.currency,
        period=period,
        lines=tuple(lines),
        catalogue=catalogue,
        zone=subscription.zone.key,
    )


def part_of(card: RateCard, share: Fraction) -> RateCard:
    """The card with its allowance cut to `share` of a period, rounded half away from zero to the meter's resolution."""
    if share == 1 or not card.included:
        return card
    return card.with_included(allowance_part(card.meter, card.included, share))


def allowance_part(meter: Meter, included: Fraction, share: Fraction) -> Fraction:
    part = included * share * 10**meter.digits
    return Fraction(round_ratio(part.numerator, part.denominator), 10**meter.digits)


def _fee_line(plan: Plan, active: Period, share: Fraction) -> LineItem:
    amount = plan.fee * share
    title = (
        f"{plan.title} fee" if share == 1 else f"{plan.title} fee, {share.numerator}/{share.denominator} of the period"
    )
    return LineItem(
        kind=LineKind.FEE,
        card="",
        title=title,
        period=active,
        exact=amount,
        amount=round_amount(amount, plan.currency, plan.rounding),
    )


def _usage_line(plan: Plan, card: RateCard, active: Period, usage: MeteredUsage) -> LineItem:
    quantity = card.meter.quantity(usage.quantity)
    rated = rate(card, Column.of([quantity]))
    [amount], [overage] = rated.amount.fractions(), rated.overage.fractions()
    return LineItem(
        kind=LineKind.USAGE,
        card=card.key,
        title=card.title,
        period=active,
        exact=amount,
        amount=round_amount(amount, plan.currency, plan.rounding),
        meter=card.meter.name,
        unit=card.meter.unit,
        digits=card.meter.digits,
        quantity=quantity,
        included=card.included,
        portions=card.price.portions(overage),
        windows=usage.windows,
        degraded=usage.degraded,
        usage_digest=usage.digest,
    )
