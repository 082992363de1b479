"""Accrue: what every subscription has used and owes in its open period so far, over arrays, a card at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rating.core.charges import Rated, rate
from rating.core.column import Column
from rating.core.drafts import part_of
from rating.core.periods import Period, billing_period
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
    through: Mapping[str, datetime]
    """Per meter: the end of the last closed window contained."""
    unbilled: Mapping[str, Mapping[str, int]]
    """Per meter: usage this calendar month of each consumer nobody subscribed, in the meter's resolution."""


@dataclass(frozen=True, slots=True)
class ToDate:
    """What the book and the contracts say at one instant: everything that rating needs."""

    groups: Mapping[Terms, Sequence[Subscription]]
    totals: Mapping[tuple[str, Period], Mapping[str, int]]
    """Per meter and part of the period: quantity by consumer, in the meter's resolution."""
    through: Mapping[str, datetime]
    unbilled: Mapping[str, Mapping[str, int]]


def accrue(book: Book, contracts: Contracts, *, now: datetime, consumer: str | None = None) -> Accrued:
    """Rate the usage to date of every subscription that is active at `now`. Writes nothing; see `show`.

    Raises:
        NoPlanInForce, NoTierCovers: the contract does not say what the usage costs.
    """
    return rate_all(usage_to_date(book, contracts, now, consumer), now)


def usage_to_date(book: Book, contracts: Contracts, now: datetime, consumer: str | None = None) -> ToDate:
    """Gather: open subscriptions by their terms, and the closed usage of each meter they pay for."""
    groups = _groups(contracts, now, consumer)
    spans = {(card.meter.name, terms.active) for terms in groups for card in terms.plan.cards}
    totals = {(meter, span): _by_consumer(book.totals(meter, span, consumer)) for meter, span in sorted(spans)}
    month = Period(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), now)
    known = {subscription.consumer for subscription in contracts.subscriptions}
    through: dict[str, datetime] = {}
    unbilled: dict[str, dict[str, int]] = {}
    for meter in contracts.current.meters.values():
        end = book.closed_through(meter.name)
        if end is not None:
            through[meter.name] = end
        # Whoever's period is the calendar month has had it read already: nothing is closed beyond now.
        same = [span for name, span in totals if name == meter.name and span.start == month.start and span.end >= now]
        whole = consumer is None and bool(same)
        counted = totals[meter.name, same[0]] if whole else _by_consumer(book.totals(meter.name, month))
        unbilled[meter.name] = {name: units for name, units in sorted(counted.items()) if name not in known}
    return ToDate(groups, totals, through, unbilled)


def rate_all(to_date: ToDate, now: datetime) -> Accrued:
    """Decide: one pass over arrays per rate card and terms."""
    plans = tuple(
        AccruedPlan(
            terms.plan,
            terms.period,
            terms.active,
            tuple(subscriptions),
            tuple(
                _accrue_card(
                    part_of(card, terms.active.share_of(terms.period)),
                    subscriptions,
                    to_date.totals[card.meter.name, terms.active],
                )
                for card in terms.plan.cards
            ),
        )
        for terms, subscriptions in to_date.groups.items()
    )
    return Accrued(now, plans, to_date.through, to_date.unbilled)


def show(book: Book, accrued: Accrued) -> None:
    """Put the accruals where boards and portals read them."""
    book.show_accruals(list(rows(accrued)), at=accrued.at)


def rows(accrued: Accrued) -> Iterable[Accrual]:
    """One row per subscription and card, the fee under an empty card."""
    for group in accrued.plans:
        start, fee = group.period.start, group.fee
        # Columns of text first, then across: rows come in the order of the book's key, which databases like.
        columns: list[list[tuple[str, int, str]]] = []
        if fee:
            columns.append([("", 0, f"{fee.numerator}/{fee.denominator}")] * len(group.subscriptions))
        for entry in sorted(group.cards, key=lambda entry: entry.card.key):
            units = entry.rated.quantity.over(10**entry.card.meter.digits).units.tolist()
            amounts, denominator = entry.rated.amount.units.tolist(), entry.rated.amount.denominator
            key = entry.card.key
            columns.append(
                [(key, unit, f"{amount}/{denominator}") for unit, amount in zip(units, amounts, strict=True)]
            )
        for subscription, *across in zip(group.subscriptions, *columns, strict=True):
            name = subscription.key
            for card, quantity, amount in across:
                yield Accrual(name, card, start, quantity, amount)


class Terms(NamedTuple):
    """What subscriptions must share to be rated in one pass."""

    plan: Plan
    period: Period
    active: Period


def _groups(contracts: Contracts, now: datetime, consumer: str | None) -> dict[Terms, list[Subscription]]:
    groups: dict[tuple[str, str, Period, Period], tuple[Terms, list[Subscription]]] = {}

    @cache
    def open_period(key: str, anchor: date, zone: ZoneInfo, begun: datetime) -> tuple[Plan, str, Period]:
        plan, _ = contracts.plan(key, max(now, begun))
        period = billing_period(plan.cadence, anchor, zone, now)
        # The plan is the one of the day the period began, as the invoice will have it.
        plan, digest = contracts.plan(key, max(period.start, begun))
        return plan, digest, period

    for subscription in contracts.subscriptions:
        if consumer not in (None, subscription.consumer) or subscription.start > now:
            continue
        plan, digest, period = open_period(
            subscription.plan, subscription.anchor, subscription.zone, subscription.start
        )
        active = subscription.active(period)
        if active is not None:
            key = (plan.key, digest, period, active)
            groups.setdefault(key, (Terms(plan, period, active), []))[1].append(subscription)
    return dict(groups[key] for key in sorted(groups))


def _by_consumer(usage: Iterable[Usage]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for consumer, _, quantity in usage:
        totals[consumer] = totals.get(consumer, 0) + quantity
    return totals


def _accrue_card(card: RateCard, subscriptions: Sequence[Subscription], totals: Mapping[str, int]) -> AccruedCard:
    units = [totals.get(subscription.consumer, 0) for subscription in subscriptions]
    return AccruedCard(card, rate(card, Column.of_units(units, 10**card.meter.digits)))
