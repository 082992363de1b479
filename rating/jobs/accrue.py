"""Accrue: what every subscription has used and owes in its open period so far, over arrays, a card at a time.

Amounts are each card's, with its own discounts, cap and minimum; what is agreed about an invoice as a whole (plan
discounts, credits, taxes) is settled when it is drafted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from rating.core.billing import Due
from rating.core.charges import Rated, rate
from rating.core.column import Column
from rating.core.invoices import Draft, LineKind
from rating.core.money import Currency
from rating.core.notifications import FORECAST_AFTER
from rating.core.parts import Part, parts, share_of
from rating.core.periods import Period, billing_period
from rating.core.plans import FeeDue, Plan, Versions
from rating.core.ratecards import RateCard
from rating.core.standing import individual
from rating.core.subscriptions import Subscription
from rating.core.upgrades import comparable
from rating.errors import NoPlanInForce, NoTierCovers
from rating.jobs.contracts import Contracts
from rating.jobs.writing import Writer
from rating.ports import Accrual, Book


@dataclass(frozen=True, slots=True)
class AccruedCard:
    """One rate card over all subscriptions with the same terms: columns of one length."""

    card: RateCard
    """With its allowance cut to the part of the period; the last version where several share the period."""
    rated: Rated
    """Summed over the versions of the card."""


@dataclass(frozen=True, slots=True)
class AccruedPlan:
    plan: Plan
    period: Period
    billed: Period
    share: Fraction
    """Of the period that is billed."""
    subscriptions: tuple[Subscription, ...]
    cards: tuple[AccruedCard, ...]
    upgrade: Column | None = None
    """Per subscription, exact: what the period would have come to on the next plan (recurring fees and charges, at
    the usage to date) less what it comes to on this one; below zero it saves. None where nothing can be compared."""
    forecast: Column | None = None
    """Per subscription, exact: what the period will come to at its pace so far. None in its first tenth."""

    @property
    def fee(self) -> Fraction:
        """Exact recurring fees of each of these subscriptions for the whole period, in major units."""
        return _recurring(self.plan) * self.share * _rate_of(self.subscriptions[0])

    @property
    def currency(self) -> Currency:
        exchange = self.subscriptions[0].exchange
        return self.plan.currency if exchange is None else exchange.currency


@dataclass(frozen=True, slots=True)
class Accrued:
    at: datetime
    plans: tuple[AccruedPlan, ...]
    through: Mapping[str, datetime]
    """Per meter: the end of the last closed window contained."""
    unbilled: Mapping[str, Mapping[str, Fraction]]
    """Per meter: usage this calendar month of each consumer nobody subscribed, in whole units."""
    trials: tuple[Subscription, ...] = ()
    """Subscriptions in their trial, sorted by key."""


@dataclass(frozen=True, slots=True)
class ToDate:
    """What the book and the contracts say at one instant: everything that rating needs."""

    groups: Groups
    totals: Mapping[tuple[str, Period], Mapping[str, int]]
    """Per meter and part of the period: quantity by consumer, in the meter's resolution."""
    drafts: Mapping[str, Draft]
    """By subscription: the open period's invoice as it would be now, where amounts are individual."""
    through: Mapping[str, datetime]
    unbilled: Mapping[str, Mapping[str, Fraction]]
    trials: tuple[Subscription, ...]


def accrue(book: Book, contracts: Contracts, *, now: datetime, consumer: str | None = None) -> Accrued:
    """Rate the usage to date of every subscription that is active at `now`. Writes nothing; see `show`.

    Raises:
        NoPlanInForce, NoTierCovers: the contract does not say what the usage costs.
    """
    return rate_all(usage_to_date(book, contracts, now, consumer), now)


def usage_to_date(book: Book, contracts: Contracts, now: datetime, consumer: str | None = None) -> ToDate:
    """Gather: open subscriptions by their terms, and the closed usage of each meter they pay for."""
    groups = _groups(contracts, now, consumer)
    spans = {(part.card.meter.name, part.span) for terms, _ in groups for part in (*terms.parts, *terms.next_parts)}
    totals = {(meter, span): book.sums(meter, span, consumer) for meter, span in sorted(spans)}
    writer = Writer(book, contracts.subscriptions)
    drafts = {
        members[0].key: writer.draft(Due(terms.period.end, "", members[0], terms.period, terms.plan, ""))
        for terms, members in groups
        if terms.individual
    }
    month = Period(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), now)
    known = {subscription.consumer for subscription in contracts.subscriptions}
    through: dict[str, datetime] = {}
    unbilled: dict[str, dict[str, Fraction]] = {}
    for meter in contracts.current.meters.values():
        end = book.closed_through(meter.name)
        if end is not None:
            through[meter.name] = end
        # Whoever's period is the calendar month has had it read already: nothing is closed beyond now.
        same = [span for name, span in totals if name == meter.name and span.start == month.start and span.end >= now]
        whole = consumer is None and bool(same)
        counted = totals[meter.name, same[0]] if whole else book.sums(meter.name, month)
        unbilled[meter.name] = {
            name: meter.quantity(units) for name, units in sorted(counted.items()) if name not in known
        }
    trials = tuple(
        subscription
        for subscription in contracts.subscriptions
        if consumer in (None, subscription.consumer)
        and subscription.trial_end is not None
        and subscription.start <= now < subscription.trial_end
        and (subscription.end is None or now < subscription.end)
    )
    return ToDate(groups, totals, drafts, through, unbilled, trials)


def rate_all(to_date: ToDate, now: datetime) -> Accrued:
    """Decide: one pass over arrays per rate card and terms."""
    plans = tuple(_accrued(terms, tuple(members), to_date) for terms, members in to_date.groups)
    return Accrued(now, plans, to_date.through, to_date.unbilled, to_date.trials)


def _accrued(terms: Terms, members: tuple[Subscription, ...], to_date: ToDate) -> AccruedPlan:
    cards = _by_card(
        [(part.card, _rate(part, members, to_date)) for part in terms.parts]
        if not terms.individual
        else _drafted(terms, to_date.drafts[members[0].key])
    )
    group = AccruedPlan(terms.plan, terms.period, terms.billed, terms.share, members, cards)
    group = replace(group, forecast=_forecast(group, terms, to_date))
    if terms.next_plan is None:
        return group
    exchange = _rate_of(members[0])
    owed = Column.full(len(members), _recurring(terms.next_plan) * terms.share * exchange - group.fee)
    for part in terms.next_parts:
        owed = owed.plus(_rate(part, members, to_date).amount.times(exchange))
    for card in cards:
        owed = owed.minus(card.rated.amount)
    return replace(group, upgrade=owed)


def _forecast(group: AccruedPlan, terms: Terms, to_date: ToDate) -> Column | None:
    """Fees, and what the usage of the whole period costs if it goes on as it did on average until the last window.

    Where amounts depend on more than how much was used, or the usage ahead has no price, they go on in proportion.
    """
    meters = {part.card.meter.name for part in terms.parts}
    through = {name: min(to_date.through.get(name, terms.billed.start), terms.billed.end) for name in meters}
    length = _ticks(terms.billed.start, terms.billed.end)
    elapsed = min((_ticks(terms.billed.start, end) for end in through.values()), default=length)
    if elapsed * FORECAST_AFTER < length:
        return None
    if not terms.individual:
        try:
            return _priced_ahead(group, terms, to_date, through)
        except NoTierCovers:
            pass
    charges = Column.full(len(group.subscriptions), 0)
    for card in group.cards:
        charges = charges.plus(card.rated.amount)
    return charges.times(Fraction(length, elapsed)).plus(Column.full(len(group.subscriptions), group.fee))


def _priced_ahead(group: AccruedPlan, terms: Terms, to_date: ToDate, through: Mapping[str, datetime]) -> Column:
    """Raises NoTierCovers."""
    so_far: dict[str, list[int]] = {}
    for part in terms.parts:
        before = so_far.get(part.card.key)
        units = _units(part, group.subscriptions, to_date)
        so_far[part.card.key] = units if before is None else [a + b for a, b in zip(before, units, strict=True)]
    owed = Column.full(len(group.subscriptions), group.fee)
    for part in terms.parts:
        end = through[part.card.meter.name]
        ahead = max(0, _ticks(max(end, part.span.start), part.span.end))
        passed = _ticks(terms.billed.start, end)
        # Rounded to what the meter counts, half up: of usage there are no parts of a unit.
        units = [
            counted + (2 * total * ahead + passed) // (2 * passed)
            for counted, total in zip(_units(part, group.subscriptions, to_date), so_far[part.card.key], strict=True)
        ]
        owed = owed.plus(rate(part.card, Column.of_units(units, 10**part.card.meter.digits)).amount)
    return owed


def _ticks(start: datetime, end: datetime) -> int:
    return (end - start) // timedelta(microseconds=1)


def _recurring(plan: Plan) -> Fraction:
    """The fees of a whole billing period, in the plan's currency."""
    return sum((fee.amount for fee in plan.all_fees if fee.due is not FeeDue.ONCE), Fraction(0))


def _rate_of(subscription: Subscription) -> Fraction:
    return Fraction(1) if subscription.exchange is None else subscription.exchange.rate


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
    billed: Period
    share: Fraction
    parts: tuple[Part, ...]
    individual: bool
    """One subscription alone, because its amounts depend on more than how much was used."""
    next_plan: Plan | None = None
    """The plan to grow into, where the two can be compared."""
    next_parts: tuple[Part, ...] = ()
    """Its cards as they would price this period."""


Groups = Sequence[tuple[Terms, Sequence[Subscription]]]


def _groups(contracts: Contracts, now: datetime, consumer: str | None) -> Groups:
    groups: dict[tuple[Any, ...], tuple[Terms, list[Subscription]]] = {}

    @cache
    def open_period(key: str, anchor: date, zone: ZoneInfo, begun: datetime) -> tuple[Plan, str, Period]:
        plan, _ = contracts.plan(key, max(now, begun))
        period = billing_period(plan.cadence, anchor, zone, now)
        # The plan is the one of the day the period began, as the invoice will have it.
        plan, digest = contracts.plan(key, max(period.start, begun))
        return plan, digest, period

    individually: dict[tuple[str, str], bool] = {}
    for subscription in contracts.subscriptions:
        if consumer not in (None, subscription.consumer) or subscription.start > now:
            continue
        plan, digest, period = open_period(
            subscription.plan, subscription.anchor, subscription.zone, subscription.start
        )
        billed = subscription.billed(period)
        if billed is None:
            continue
        # Versions for new subscriptions only, and a consumer's own cards, make terms of their own.
        begun = subscription.start if plan.versions is Versions.NEW else period.start
        if (plan.key, digest) not in individually:
            individually[plan.key, digest] = individual(plan)
        alone = bool(
            individually[plan.key, digest]
            or subscription.exchange
            or (subscription.overrides and individual(plan, subscription.overrides))
        )
        own = subscription.key if subscription.overrides or alone else ""
        key = (plan.key, digest, period, billed, subscription.zone.key, begun, own)
        if key not in groups:
            share = share_of(plan, subscription, billed, period)
            terms = Terms(plan, period, billed, share, parts(subscription, plan, period), alone)
            groups[key] = (_with_next(terms, subscription, contracts), [])
        groups[key][1].append(subscription)
    return [groups[key] for key in sorted(groups)]


def _with_next(terms: Terms, subscription: Subscription, contracts: Contracts) -> Terms:
    if terms.plan.upsell is None:
        return terms
    try:
        after, _ = contracts.plan(terms.plan.upsell.plan, max(terms.period.start, subscription.start))
    except NoPlanInForce:
        return terms
    if not comparable(terms.plan, after):
        return terms
    moved = replace(subscription, plan=after.key, overrides=())
    return terms._replace(next_plan=after, next_parts=parts(moved, after, terms.period))


def _by_card(rated: Iterable[tuple[RateCard, Rated]]) -> tuple[AccruedCard, ...]:
    cards: dict[str, AccruedCard] = {}
    for card, columns in rated:
        before = cards.get(card.key)
        if before is None:
            cards[card.key] = AccruedCard(card, columns)
        else:
            summed = Rated(
                before.rated.quantity.plus(columns.quantity),
                before.rated.overage.plus(columns.overage),
                before.rated.amount.plus(columns.amount),
            )
            cards[card.key] = AccruedCard(card.with_included(before.card.included + card.included), summed)
    return tuple(cards.values())


def _rate(part: Part, members: Sequence[Subscription], to_date: ToDate) -> Rated:
    return rate(part.card, Column.of_units(_units(part, members, to_date), 10**part.card.meter.digits))


def _units(part: Part, members: Sequence[Subscription], to_date: ToDate) -> list[int]:
    """What each was counted for in the part, in the meter's resolution."""
    totals = to_date.totals[part.card.meter.name, part.span]
    return [totals.get(member.consumer, 0) for member in members]


def _drafted(terms: Terms, paper: Draft) -> list[tuple[RateCard, Rated]]:
    cards = {(part.card.key, part.span): part.card for part in terms.parts}
    return [
        (
            cards[line.card, line.period].with_included(line.included),
            Rated(
                Column.of([line.quantity]),
                Column.of([max(line.quantity - line.included, Fraction(0))]),
                Column.of([line.exact]),
            ),
        )
        for line in paper.lines
        if line.kind is LineKind.USAGE
    ]
