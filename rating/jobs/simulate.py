"""Simulate: the book's history rated again under other prices, beside what it comes to now. Changes nothing.

Each period is rated by itself on both sides: what earlier invoices and a customer's other consumers leave for it is
left out, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rating.core.billing import PlanAt, billing_periods
from rating.core.drafts import draft
from rating.core.money import Currency, Money, total
from rating.core.parts import parts
from rating.core.periods import Period, stamp
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription
from rating.errors import Finding, Severity
from rating.jobs.usage import UsageReader
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
    usage = UsageReader(book)
    findings: dict[Finding, None] = {}
    rerated: list[Rerated] = []
    chosen = [one for one in subscriptions if consumer in (None, one.consumer)]
    for number, subscription in enumerate(chosen, 1):
        key = (moves or {}).get(subscription.plan, subscription.plan)
        for period, plan, digest in billing_periods(subscription, before, span.end):
            billed = subscription.billed(period)
            if period.start < span.start or billed is None:
                continue
            problem = _incomparable(plan, after.get(key), key)
            if problem is not None:
                findings[problem] = None
                continue
            other = _as_measured(after[key], plan)
            if alone := _by_itself(subscription, plan, other):
                findings[_note(f'plan "{key}"', f"left out on both sides: {', '.join(alone)}", _ALONE)] = None
            for name in _meters(other) - _meters(plan):
                if book.closed_through(name) is None:
                    what = f'meter "{name}" was never measured, so it counts nothing'
                    findings[_note(f'plan "{key}"', what, "collect it first")] = None
            priced = parts(subscription, plan, period), parts(subscription, other, period)
            totals = [
                draft(subscription, rated, period, usage.of(subscription.consumer, own), digest).total
                for rated, own in zip((plan, other), priced, strict=True)
            ]
            rerated.append(Rerated(subscription, period, key, totals[0], totals[1], not usage.gaps(priced[0])))
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


_ALONE = "each period is rated by itself"


def _by_itself(subscription: Subscription, *plans: Plan) -> list[str]:
    """What an invoice has beyond its own period's usage, that a period rated by itself has not."""
    cards = [subscription.own(card) for plan in plans for card in plan.cards]
    discounts = [discount for plan in plans for discount in plan.settlement.discounts]
    said = {
        "credits of subscriptions": bool(subscription.credits),
        "units carried over from earlier periods": any(card.rollover for card in cards),
        "the count of redemptions": any(discount.redemptions is not None for discount in discounts),
        "what other consumers of a customer use of a pool": any(
            pool.by_customer for plan in plans for pool in plan.pools
        ),
        "fees due when a subscription begins": any(plan.opens for plan in plans),
    }
    return [what for what, holds in said.items() if holds]


def _note(where: str, what: str, hint: str) -> Finding:
    return Finding(where, what, hint, Severity.WARNING)


def _meters(plan: Plan) -> set[str]:
    return {card.meter.name for card in plan.cards}


def _as_measured(plan: Plan, measured: Plan) -> Plan:
    """The plan with its meters as the book's windows were measured: their resolution is what quantities mean."""
    meters = {card.meter.name: card.meter for card in measured.cards}
    cards = tuple(replace(card, meter=meters.get(card.meter.name, card.meter)) for card in plan.cards)
    return replace(plan, cards=cards)
