"""Standing: what earlier invoices and other consumers of the customer leave for an invoice to be drafted.

Decides which credit is left, which coupons are used up, which allowance is carried over and what is left of a shared
pool. Everything follows from papers and usage; no counter is kept beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from rating.core.allowances import carried_over
from rating.core.balances import Credit
from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.plans import Plan
from rating.core.ratecards import RateCard
from rating.core.settlements import remaining
from rating.core.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class Standing:
    credits: tuple[Credit, ...] = ()
    """What is left of each."""
    redeemed: tuple[str, ...] = ()
    """The code of every discount line so far."""
    carried: Mapping[str, Fraction] = field(default_factory=dict)
    """By card: unused allowance of earlier periods that has not expired."""
    pool_used: Mapping[str, Fraction] = field(default_factory=dict)
    """By pool: what the customer's other consumers have used of it in this period."""


NOTHING_BEFORE = Standing()
"""A first invoice, and any whose terms look at nothing but its own period."""


def looks_back(subscription: Subscription, plan: Plan) -> bool:
    """Does an invoice of this subscription depend on its earlier ones?"""
    return bool(
        subscription.credits
        or any(discount.redemptions is not None for discount in plan.settlement.discounts)
        or any(subscription.own(card).rollover for card in plan.cards)
    )


def individual(plan: Plan, own: Sequence[RateCard] = ()) -> bool:
    """Does an amount on this plan depend on more than how much was used: on kinds of usage, or on what earlier periods
    or other consumers left? `own` are cards that stand in place of the plan's.
    """
    return bool(plan.pools) or any(card.mixed or card.rollover for card in (*plan.cards, *own))


def standing(subscription: Subscription, plan: Plan, earlier: Sequence[Draft]) -> Standing:
    """From the subscription's own earlier papers, oldest first."""
    lines = [line for paper in earlier for line in paper.lines]
    return Standing(
        credits=remaining(subscription.credits, lines),
        redeemed=tuple(line.card for line in lines if line.kind is LineKind.DISCOUNT),
        carried={card.key: _carried(card, earlier) for card in map(subscription.own, plan.cards) if card.rollover},
    )


def _carried(card: RateCard, earlier: Sequence[Draft]) -> Fraction:
    periods = []
    for paper in earlier:
        own = [line for line in paper.lines if line.kind is LineKind.USAGE and line.card == card.key]
        if own:
            periods.append((_sum(own, "included") - _sum(own, "carried"), _sum(own, "quantity")))
    return carried_over(periods, card.rollover)


def _sum(lines: Sequence[LineItem], field: str) -> Fraction:
    return sum((getattr(line, field) for line in lines), Fraction(0))
