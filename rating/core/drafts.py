"""Drafts an invoice: one subscription, one billing period, its closed usage windows and the contract in force.

A pure function: the same windows and the same plan give the same lines, to the cent, on any machine and in any year.
How a quantity becomes an exact amount is `charges`; when an invoice is due is `schedule`; its number is the book's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from rating.core.balances import Credit
from rating.core.charges import Kind, explain, rate, rate_mixed
from rating.core.column import Column
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.money import round_amount
from rating.core.parts import Part, parts, share_of
from rating.core.periods import Period, seconds
from rating.core.plans import Plan
from rating.core.ratecards import RateCard
from rating.core.settlements import settle
from rating.core.subscriptions import Subscription
from rating.core.windows import Completeness, Usage


@dataclass(frozen=True, slots=True)
class MeteredUsage:
    """What one meter counted for one consumer over one period, as the sum of closed windows.

    Quantities are integers in the meter's resolution.
    """

    quantity: int = 0
    windows: int = 0
    degraded: int = 0
    digest: str = ""
    mix: Mapping[tuple[datetime, tuple[str, ...]], int] = field(default_factory=dict)
    """By window start and dimension values; kept only where a price asks for it."""


def metered(
    rows: Iterable[tuple[Period, Completeness, Usage]], windows: int, degraded: int, mixed: bool = False
) -> MeteredUsage:
    """Sum usage windows of one meter and one consumer. `rows` come in order of time, then dimensions.

    The digest is SHA-256 over one line `start-seconds|dimension values|quantity` per row, so that anybody holding the
    windows can recompute it.
    """
    digest, quantity = hashlib.sha256(), 0
    mix: dict[tuple[datetime, tuple[str, ...]], int] = {}
    for window, _, usage in rows:
        quantity += usage.quantity
        digest.update(f"{seconds(window.start)}|{'|'.join(usage.dimensions)}|{usage.quantity}\n".encode())
        if mixed:
            mix[window.start, usage.dimensions] = usage.quantity
    return MeteredUsage(quantity, windows, degraded, digest.hexdigest(), mix)


def draft(
    subscription: Subscription,
    plan: Plan,
    period: Period,
    usage: Mapping[tuple[str, Period], MeteredUsage],
    catalogue: str,
    *,
    credits: Sequence[Credit] = (),
    redeemed: Sequence[str] = (),
) -> Draft:
    """The invoice of `subscription` for the billing period `period`.

    `usage` is keyed by meter and span, one for each of `parts`; a meter without usage may be left out. A subscription
    that covers part of the period pays that part of the fee and has that part of each allowance. `credits` and
    `redeemed` are what `settlements` needs to know of earlier invoices.

    Raises:
        ValueError: the subscription is not billed in the period.
        NoTierCovers: a quantity lies beyond a price's last finite tier.
    """
    billed = subscription.billed(period)
    if billed is None:
        raise ValueError(f"subscription {subscription.key} is not billed in {period}")
    share = share_of(plan, subscription, billed, period)
    lines: list[LineItem] = []
    if plan.fee:
        lines.append(_fee_line(plan, billed, share))
    for part in parts(subscription, plan, period):
        lines.append(_usage_line(plan, part, usage.get((part.card.meter.name, part.span), MeteredUsage())))
    lines += settle(
        lines,
        plan.settlement,
        period=billed,
        share=share,
        currency=plan.currency,
        rounding=plan.rounding,
        credits=credits,
        redeemed=redeemed,
    )
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


def by_kind(card: RateCard, mix: Mapping[tuple[datetime, tuple[str, ...]], int]) -> dict[Kind, Fraction]:
    """Usage of a mixed card summed by kind, in whole units."""
    kinds: dict[Kind, int] = {}
    for (start, dimensions), quantity in mix.items():
        kind = card.kind(dimensions, start)
        kinds[kind] = kinds.get(kind, 0) + quantity
    return {kind: card.meter.quantity(quantity) for kind, quantity in kinds.items()}


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


def _usage_line(plan: Plan, part: Part, usage: MeteredUsage) -> LineItem:
    card = part.card
    quantity = card.meter.quantity(usage.quantity)
    if card.mixed:
        rated, portions = rate_mixed(card, by_kind(card, usage.mix))
    else:
        rated, portions = rate(card, Column.of([quantity])), explain(card, quantity)
    amount = rated.amount.total()
    return LineItem(
        kind=LineKind.USAGE,
        card=card.key,
        title=card.title,
        period=part.span,
        exact=amount,
        amount=round_amount(amount, plan.currency, plan.rounding),
        meter=card.meter.name,
        unit=card.meter.unit,
        digits=card.meter.digits,
        quantity=quantity,
        included=card.included,
        portions=portions,
        windows=usage.windows,
        degraded=usage.degraded,
        usage_digest=usage.digest,
    )
