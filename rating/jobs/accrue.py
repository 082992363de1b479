"""Accrue: what every subscription has used and owes in its open period so far, over arrays, a card at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from rating.core.charges import Rated, rate
from rating.core.column import Column
from rating.core.drafts import part_of
from rating.core.periods import Period
from rating.core.plans import Plan
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription
from rating.core.windows import Usage
from rating.jobs.contracts import Contracts
from rating.ports import Accrual, Book


@dataclass(frozen=True, slots=True)
class AccruedCard:
    """One rate card over all subscriptions with the same plan, period and part of it: columns of one length."""

    card: RateCard
    """With its allowance cut to the part of the period."""
    rated: Rated


@dataclass(frozen=True, slots=True)
class AccruedPlan:
    plan: Plan
    period: Period
    active: Period
    subscriptions: tuple[Subscription, ...]
    cards: tuple[AccruedCard, ...]

    @property
    def fee(self) -> Fraction:
        """Exact fee of each of these subscriptions for the whole period, in major units."""
        return self.plan.fee * self.active.share_of(self.period)


@dataclass(frozen=True, slots=True)
class Accrued:
    at: datetime
    plans: tuple[AccruedPlan, ...]
    through: dict[str, datetime]
    """Per meter: the end of the last closed window contained."""
    unbilled: dict[str, int]
    """Per meter: usage in the current calendar month of consumers nobody subscribed, in the meter's resolution."""
    unbilled_consumers: dict[str, tuple[str, ...]]


def accrue(book: Book, contracts: Contracts, *, now: datetime, consumer: str | None = None) -> Accrued:
    """Rate the usage to date of every subscription that is active at `now`. Writes nothing; see `show`.

    Raises:
        NoPlanInForce, NoTierCovers: the contract does not say what the usage costs.
    """
    groups = _groups(contracts, now, consumer)
    totals = {
        (card.meter.name, active): _by_consumer(book.totals(card.meter.name, active, consumer))
        for plan, _, active in groups
        for card in plan.cards
    }
    plans = tuple(
        AccruedPlan(
            plan,
            period,
            active,
            tuple(subscriptions),
            tuple(
                _accrue_card(part_of(card, active.share_of(period)), subscriptions, totals[card.meter.name, active])
                for card in plan.cards
            ),
        )
        for (plan, period, active), subscriptions in groups.items()
    )
    through, unbilled, unknown = _meters(book, contracts, now)
    return Accrued(now, plans, through, unbilled, unknown)


def show(book: Book, accrued: Accrued) -> None:
    """Put the accruals where boards and portals read them."""
    book.show_accruals(list(rows(accrued)), at=accrued.at)


def rows(accrued: Accrued) -> Iterable[Accrual]:
    """One row per subscription and card, the fee under an empty card."""
    for group in accrued.plans:
        start, fee = group.period.start, group.fee
        if fee:
            text = f"{fee.numerator}/{fee.denominator}"
            for subscription in group.subscriptions:
                yield Accrual(subscription.key, "", start, 0, text)
        for entry in group.cards:
            scale = 10**entry.card.meter.digits
            units = entry.rated.quantity.over(scale).units.tolist()
            amounts, denominator = entry.rated.amount.units.tolist(), entry.rated.amount.denominator
            key = entry.card.key
            for subscription, quantity, amount in zip(group.subscriptions, units, amounts, strict=True):
                yield Accrual(subscription.key, key, start, quantity, f"{amount}/{denominator}")


_Groups = dict[tuple[Plan, Period, Period], list[Subscription]]


def _groups(contracts: Contracts, now: datetime, consumer: str | None) -> _Groups:
    groups: dict[tuple[str, str, Period, Period], tuple[Plan, list[Subscription]]] = {}
    for subscription in contracts.subscriptions:
        if consumer not in (None, subscription.consumer):
            continue
        plan, _ = contracts.plan(subscription.plan, max(now, subscription.start))
        period = subscription.period(plan.cadence, now)
        # The plan is the one of the day the period began, as the invoice will have it.
        plan, digest = contracts.plan(subscription.plan, max(period.start, subscription.start))
        active = subscription.active(period)
        if active is not None and active.start <= now:
            groups.setdefault((plan.key, digest, period, active), (plan, []))[1].append(subscription)
    return {
        (plan, period, active): sorted(members, key=lambda member: member.key)
        for (_, _, period, active), (plan, members) in sorted(groups.items(), key=lambda item: item[0])
    }


def _by_consumer(usage: Iterable[Usage]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for consumer, _, quantity in usage:
        totals[consumer] = totals.get(consumer, 0) + quantity
    return totals


def _accrue_card(card: RateCard, subscriptions: Sequence[Subscription], totals: dict[str, int]) -> AccruedCard:
    units = [totals.get(subscription.consumer, 0) for subscription in subscriptions]
    return AccruedCard(card, rate(card, Column.of_units(units, 10**card.meter.digits)))


def _meters(
    book: Book, contracts: Contracts, now: datetime
) -> tuple[dict[str, datetime], dict[str, int], dict[str, tuple[str, ...]]]:
    month = Period(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), now)
    known = {subscription.consumer for subscription in contracts.subscriptions}
    through: dict[str, datetime] = {}
    unbilled: dict[str, int] = {}
    unknown: dict[str, tuple[str, ...]] = {}
    for meter in contracts.current.meters.values():
        heads = book.closings(meter.name, month)
        if heads:
            through[meter.name] = max(head.window.end for head in heads)
        strangers = {
            name: units for name, units in _by_consumer(book.totals(meter.name, month)).items() if name not in known
        }
        unbilled[meter.name] = sum(strangers.values())
        unknown[meter.name] = tuple(sorted(strangers))
    return through, unbilled, unknown
