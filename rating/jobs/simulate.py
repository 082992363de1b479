"""Simulate: the book's history rated again under other prices, beside what it comes to now. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rating.core.billing import PlanAt, billing_periods
from rating.core.drafts import MeteredUsage, draft
from rating.core.meters import Meter
from rating.core.money import Currency, Money, total
from rating.core.periods import Period, stamp
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription
from rating.errors import Finding, Severity
from rating.ports import Book


@dataclass(frozen=True, slots=True)
class Rerated:
    """One subscription's billing period under both prices."""

    subscription: Subscription
    period: Period
    plan_after: str
    before: Money
    after: Money
    whole: bool
    """Is every usage window of it closed? Otherwise both amounts stand on what is there so far."""

    @property
    def change(self) -> Money:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Change:
    """What one consumer would pay more (or less, if negative) over the whole span."""

    consumer: str
    customer: str
    plan: str
    """Plans before, and after where they differ: `pro`, `pro > scale`."""
    periods: int
    before: Money
    after: Money

    @property
    def change(self) -> Money:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Simulation:
    span: Period
    rerated: tuple[Rerated, ...]
    findings: tuple[Finding, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Per consumer and currency, who pays most more first."""
        groups: dict[tuple[str, Currency], list[Rerated]] = {}
        for one in self.rerated:
            groups.setdefault((one.subscription.consumer, one.before.currency), []).append(one)
        changes = [_change(consumer, currency, own) for (consumer, currency), own in groups.items()]
        return tuple(sorted(changes, key=lambda one: (one.before.currency.code, -one.change.minor, one.consumer)))

    @property
    def revenue(self) -> Mapping[Currency, tuple[Money, Money]]:
        """Per currency: the sums before and after."""
        currencies = sorted({one.before.currency for one in self.rerated})
        return {
            currency: (
                total([one.before for one in self.rerated if one.before.currency == currency], currency),
                total([one.after for one in self.rerated if one.after.currency == currency], currency),
            )
            for currency in currencies
        }


def _change(consumer: str, currency: Currency, rerated: Sequence[Rerated]) -> Change:
    names = dict.fromkeys(
        one.subscription.plan
        if one.plan_after == one.subscription.plan
        else f"{one.subscription.plan} > {one.plan_after}"
        for one in rerated
    )
    return Change(
        consumer,
        rerated[-1].subscription.payer,
        ", ".join(names),
        len(rerated),
        total([one.before for one in rerated], currency),
        total([one.after for one in rerated], currency),
    )


def simulate(
    book: Book,
    subscriptions: Iterable[Subscription],
    before: PlanAt,
    after: Mapping[str, Plan],
    *,
    span: Period,
    moves: Mapping[str, str] | None = None,
    consumer: str | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Simulation:
    """Rate every billing period that begins inside `span` twice: under the plan `before` gives, and under `after`.

    `moves` takes subscribers of one plan to another on the other side; a plan that is missing there is a finding and
    its subscribers are left out.

    Raises:
        NoPlanInForce, NoTierCovers: one of the contracts does not say what the usage costs.
    """
    usage = _Usage(book)
    findings: dict[Finding, None] = {}
    rerated: list[Rerated] = []
    chosen = [one for one in subscriptions if consumer in (None, one.consumer)]
    for number, subscription in enumerate(chosen, 1):
        key = (moves or {}).get(subscription.plan, subscription.plan)
        for period, plan, digest in billing_periods(subscription, before, span.end):
            active = subscription.active(period)
            if period.start < span.start or active is None:
                continue
            problem = _incomparable(plan, after.get(key), key)
            if problem is not None:
                findings[problem] = None
                continue
            other = usage.as_measured(after[key], plan)
            for card in other.cards:
                if not usage.through(card.meter.name):
                    what = f'meter "{card.meter.name}" was never measured, so it counts nothing'
                    findings[_note(f'plan "{key}"', what, "collect it first")] = None
            measured = usage.of((plan, other), subscription.consumer, active)
            rerated.append(
                Rerated(
                    subscription,
                    period,
                    key,
                    draft(subscription, plan, period, measured, digest).total,
                    draft(subscription, other, period, measured, "").total,
                    all(
                        (through := usage.through(card.meter.name)) is not None and through >= active.end
                        for card in plan.cards
                    ),
                )
            )
        progress(number, len(chosen))
    unfinished = [one for one in rerated if not one.whole]
    if unfinished:
        first = min(unfinished, key=lambda one: (one.period.start, one.subscription.key))
        what = f"{len(unfinished)} billing periods are not measured to their end, such as {first.subscription.key}"
        findings[_note(f"from {stamp(first.period.start)}", what, "both sides are rated on what is there")] = None
    return Simulation(span, tuple(rerated), tuple(findings))


def _incomparable(plan: Plan, other: Plan | None, key: str) -> Finding | None:
    if other is None:
        return _note(f'plan "{key}"', "is not in the other catalogue", f"say where its consumers go: --move {key}=PLAN")
    if other.currency != plan.currency:
        return _note(f'plan "{key}"', f"is in {plan.currency} and would be in {other.currency}", "left out")
    if other.cadence != plan.cadence:
        return _note(f'plan "{key}"', f"is billed each {plan.cadence} and would be each {other.cadence}", "left out")
    return None


def _note(where: str, what: str, hint: str) -> Finding:
    return Finding(where, what, hint, Severity.WARNING)


class _Usage:
    """Reads the book once per meter and span, however many subscriptions share them."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._totals: dict[tuple[str, Period], dict[str, int]] = {}
        self._through: dict[str, datetime | None] = {}

    def through(self, meter: str) -> datetime | None:
        if meter not in self._through:
            self._through[meter] = self._book.closed_through(meter)
        return self._through[meter]

    def of(self, plans: Iterable[Plan], consumer: str, active: Period) -> dict[str, MeteredUsage]:
        meters = {card.meter.name for plan in plans for card in plan.cards}
        return {meter: MeteredUsage(self._of(meter, active).get(consumer, 0)) for meter in meters}

    def _of(self, meter: str, span: Period) -> dict[str, int]:
        if (meter, span) not in self._totals:
            summed: dict[str, int] = {}
            for row in self._book.totals(meter, span):
                summed[row.consumer] = summed.get(row.consumer, 0) + row.quantity
            self._totals[meter, span] = summed
        return self._totals[meter, span]

    def as_measured(self, plan: Plan, measured: Plan) -> Plan:
        """The plan with its meters as the book's windows were measured: their resolution is what quantities mean."""
        meters: dict[str, Meter] = {card.meter.name: card.meter for card in measured.cards}
        cards = tuple(replace(card, meter=meters.get(card.meter.name, card.meter)) for card in plan.cards)
        return replace(plan, cards=cards)
