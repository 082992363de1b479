"""Offers: a plan as a gateway that rates by itself has to know it, and the contracts made on it there.

Decides which plans and subscriptions come to the same amounts there, and says of every other one why not; how one card
is told is `remoteprices`. Such a gateway knows customers, not consumers: it adds up what one customer used of a meter,
whoever of its consumers did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rating.core.canonical import canonical, digest
from rating.core.money import Currency, Rounding
from rating.core.parts import parts
from rating.core.periods import Cadence, Period, stamp
from rating.core.plans import Fee, FeeDue, Plan, Versions
from rating.core.publications import subscription_subject
from rating.core.ratecards import RateCard
from rating.core.remoteprices import Match, Mode, Schedule, Unsayable, fee_schedule, schedules
from rating.core.subscriptions import Subscription
from rating.errors import Finding

INSTEAD = "use `mode: invoices` for it"
ITEMS = 20
"""The most prices of one subscription there."""
LONGEST_NAME = 100
RECENT = timedelta(days=35)
"""How long ago usage may have been that is still accepted."""
LAST_ANCHOR = 28
"""The last day that every month has."""


@dataclass(frozen=True, slots=True)
class RemoteMeter:
    """What usage is reported as."""

    key: str
    """The name of its events."""
    title: str
    meter: str = ""
    """Our meter; empty for a fee in arrears, of which one is reported each period."""
    match: Match = ()
    """Only usage with these dimension values."""


@dataclass(frozen=True, slots=True)
class RemotePrice:
    """One price of one plan. What it is never changes: another price has another key."""

    plan: str
    item: str
    """`charge/api_calls`, `fee/support`; names it inside the plan, whatever it costs."""
    title: str
    currency: Currency
    cadence: Cadence
    schedule: Schedule
    meter: RemoteMeter

    @property
    def product(self) -> str:
        """What is sold, whatever it costs: `pro/charge/api_calls`."""
        return f"{self.plan}/{self.item}"

    @property
    def key(self) -> str:
        """Product and digest of everything that the price is: equal keys cost the same."""
        terms = (self.product, self.currency, self.cadence, self.schedule, self.meter.key)
        return f"rating:{self.product[:160]}:{digest(canonical(terms))[:16]}"


@dataclass(frozen=True, slots=True)
class Offer:
    plan: str
    title: str
    prices: tuple[RemotePrice, ...]

    @property
    def meters(self) -> tuple[RemoteMeter, ...]:
        return tuple(price.meter for price in self.prices)

    @property
    def fees(self) -> tuple[RemoteMeter, ...]:
        """Those of which one is reported each period."""
        return tuple(meter for meter in self.meters if not meter.meter)

    @property
    def additive(self) -> bool:
        """Is what several consumers owe together what their sum would owe?"""
        return not self.fees and all(
            price.schedule.mode is Mode.PER_UNIT and price.schedule.whole for price in self.prices
        )


@dataclass(frozen=True, slots=True)
class Member:
    """One of our subscriptions under a contract: whose usage is its customer's, from when and until when."""

    subscription: str
    consumer: str
    start: datetime
    end: datetime | None

    def holds(self, instant: datetime) -> bool:
        return self.start <= instant and (self.end is None or instant < self.end)


@dataclass(frozen=True, slots=True)
class RemoteContract:
    """A subscription as it has to stand at a gateway; one for all consumers of a customer who are added up."""

    subscription: str
    """The key of the first of ours that it stands for."""
    customer: str
    offer: Offer
    start: datetime
    end: datetime | None
    """When it has to end there: with the billing period, where a part of one cannot be told."""
    periods: tuple[Period, ...]
    """The billing periods of which usage may still be told, oldest first; the last is under way, or the nearest."""
    members: tuple[Member, ...]
    uneven: str = ""
    """Why the amounts of this period differ from ours."""

    @property
    def subject(self) -> str:
        """Changes with every change that has to be carried there."""
        what = canonical((self.customer, tuple(price.key for price in self.offer.prices), self.end))
        return f"{subscription_subject(self.subscription)}/{digest(what)[:16]}"

    @property
    def period(self) -> Period:
        return self.periods[-1]

    def period_of(self, instant: datetime) -> Period | None:
        return next((period for period in self.periods if period.contains(instant)), None)

    @property
    def begins(self) -> datetime:
        """When it begins there: with the next billing period, where a part of one cannot be told."""
        return self.period.end if self.waits else self.start

    @property
    def waits(self) -> bool:
        """Does it begin inside a period of which it cannot be told a part?"""
        return bool(self.uneven) and self.start > self.period.start


@dataclass(frozen=True, slots=True)
class Offered:
    """What can be metered, and why the rest cannot."""

    offers: Mapping[str, Offer] = field(default_factory=dict)
    """By plan."""
    contracts: tuple[RemoteContract, ...] = ()
    findings: tuple[Finding, ...] = ()
    left: tuple[RemoteContract, ...] = ()
    """Contracts whose customer is charged for the same use by another one."""

    @property
    def prices(self) -> tuple[RemotePrice, ...]:
        """Every price once, by key."""
        found = {price.key: price for offer in self.offers.values() for price in offer.prices}
        found |= {price.key: price for contract in self.contracts for price in contract.offer.prices}
        return tuple(found[key] for key in sorted(found))

    @property
    def meters(self) -> tuple[RemoteMeter, ...]:
        """Every meter once, by key."""
        found = {price.meter.key: price.meter for price in self.prices}
        return tuple(found[key] for key in sorted(found))


def plan_offer(plan: Plan, instant: datetime, decimals: int | None) -> Offer | tuple[Finding, ...]:
    """What a subscription that begins with the period around `instant` is offered; or why nothing can be.

    `decimals` are those of the gateway's amounts in the plan's currency, None where it does not take it exactly.
    """
    period = Subscription("", plan.key, instant).period(plan.cadence, instant)
    prices, reasons = _priced(plan, _cards(Subscription("", plan.key, period.start), plan, period), decimals)
    return _findings(f"plan {plan.key}", reasons) or Offer(plan.key, plan.title, prices)


def subscription_offer(
    subscription: Subscription, plan: Plan, instant: datetime, decimals: int | None
) -> Offer | tuple[Finding, ...]:
    """What this subscription is offered in the period around `instant`; or why it cannot be metered."""
    period = subscription.period(plan.cadence, instant)
    prices, reasons = _priced(plan, _cards(subscription, plan, period), decimals)
    reasons += _own_reasons(subscription, plan)
    return _findings(f"subscription {subscription.key}", reasons) or Offer(plan.key, plan.title, prices)


def nearest(subscription: Subscription, now: datetime) -> datetime:
    """The instant of what is billed of a subscription that is nearest to now."""
    last = now if subscription.end is None else min(now, subscription.end - timedelta(seconds=1))
    return max(last, subscription.begins)


def contract_of(subscription: Subscription, plan: Plan, offer: Offer, now: datetime) -> RemoteContract:
    """The contract of one subscription, as of the period around now."""
    period = subscription.period(plan.cadence, nearest(subscription, now))
    end = subscription.end
    if end is not None:
        last = subscription.period(plan.cadence, end - timedelta(seconds=1))
        end = last.end if _uneven(subscription, plan, last, offer) else end
    return RemoteContract(
        subscription.key,
        subscription.payer,
        offer,
        subscription.begins,
        end,
        tuple(_recent(subscription, plan, period, now)),
        (Member(subscription.key, subscription.consumer, subscription.begins, subscription.end),),
        _uneven(subscription, plan, period, offer),
    )


def _recent(subscription: Subscription, plan: Plan, period: Period, now: datetime) -> list[Period]:
    found = [period]
    while found[0].end > now - RECENT and found[0].start > subscription.begins:
        found.insert(0, subscription.period(plan.cadence, found[0].start - timedelta(seconds=1)))
    return found


def joined(
    contracts: Iterable[RemoteContract], now: datetime
) -> tuple[tuple[RemoteContract, ...], tuple[tuple[RemoteContract, Finding], ...]]:
    """The contracts with those of one customer in one where that can be; and those that have to be left out, and why.

    Consumers of one customer share a contract where their sum owes what they owe together. Else only the first one is
    told: the gateway knows the customer alone, and would charge one use to each contract that has its meter.
    """
    by_customer: dict[str, list[RemoteContract]] = {}
    left: list[tuple[RemoteContract, Finding]] = []
    for contract in sorted(contracts, key=lambda one: (one.start, one.subscription)):
        others = by_customer.setdefault(contract.customer, [])
        place = next((i for i, other in enumerate(others) if _together(other, contract)), None)
        rival = next((other for other in others if _shared(contract, other, now)), None)
        if place is not None:
            others[place] = _both(others[place], contract)
        elif rival is not None:
            meters = ", ".join(sorted(_shared(contract, rival, now)))
            what = f"{meters} of customer {contract.customer} is counted for {rival.subscription} at the same time"
            why = f"cannot be metered: {what}, and the gateway would charge every use to both"
            left.append((contract, Finding(f"subscription {contract.subscription}", why, INSTEAD)))
        else:
            others.append(contract)
    return tuple(one for _, theirs in sorted(by_customer.items()) for one in theirs), tuple(left)


def _together(one: RemoteContract, other: RemoteContract) -> bool:
    same = [price.key for price in one.offer.prices] == [price.key for price in other.offer.prices]
    return same and one.offer.additive and _overlap(one, other)


def _both(one: RemoteContract, other: RemoteContract) -> RemoteContract:
    end = None if one.end is None or other.end is None else max(one.end, other.end)
    return replace(one, end=end, members=(*one.members, *other.members), uneven=one.uneven or other.uneven)


def _shared(one: RemoteContract, other: RemoteContract, now: datetime) -> set[str]:
    """Meters that both would be charged by from now on."""
    ends = [end for end in (one.end, other.end) if end is not None]
    if not _overlap(one, other) or (ends and min(ends) <= now):
        return set()
    theirs = {meter.key for meter in other.offer.meters}
    return {meter.meter or meter.title for meter in one.offer.meters if meter.key in theirs}


def _overlap(one: RemoteContract, other: RemoteContract) -> bool:
    return (one.end is None or other.begins < one.end) and (other.end is None or one.begins < other.end)


def _cards(subscription: Subscription, plan: Plan, period: Period) -> tuple[RateCard, ...]:
    """The version of each card that holds when the period begins."""
    versions: dict[str, RateCard] = {}
    until = period.start if plan.versions is Versions.ALL else min(period.start, subscription.start)
    for card in plan.cards:
        if card.since is None or card.since <= until:
            versions[card.key] = card
    return tuple(subscription.own(card) for card in versions.values())


def _priced(plan: Plan, cards: Sequence[RateCard], decimals: int | None) -> tuple[tuple[RemotePrice, ...], list[str]]:
    if decimals != plan.currency.exponent or decimals is None:
        return (), [f"the gateway's amounts in {plan.currency} have other decimals than ours"]
    reasons = _agreements(plan)
    prices: list[RemotePrice] = []
    for fee in plan.all_fees:
        try:
            prices.append(_fee(plan, fee, decimals))
        except Unsayable as error:
            reasons.append(f'fee "{fee.key or fee.title}": {error}')
        if fee.taxes is not None:
            reasons.append(f'fee "{fee.key}" has taxes of its own')
    for card in cards:
        try:
            for match, schedule in schedules(card, decimals):
                prices.append(_charge(plan, card.key, card.title, _meter(card.meter.name, match), schedule))
        except Unsayable as error:
            reasons.append(f'charge "{card.key}": {error}')
    if plan.rounding is not Rounding.HALF_UP and not all(price.schedule.whole for price in prices):
        reasons.append(f"it rounds {plan.rounding.value}, the gateway half up")
    if len(prices) > ITEMS:
        reasons.append(f"it has {len(prices)} prices, and a subscription there holds {ITEMS}")
    return tuple(prices), reasons


def _agreements(plan: Plan) -> list[str]:
    agreed = plan.settlement
    found = {
        "it has discounts": bool(agreed.discounts),
        "it has a cap": agreed.maximum is not None,
        "it has a minimum": agreed.minimum is not None,
        "it has taxes, which the gateway would have to add": bool(agreed.taxes),
        "cards share an allowance": bool(plan.pools),
    }
    return [reason for reason, holds in found.items() if holds]


def _own_reasons(subscription: Subscription, plan: Plan) -> list[str]:
    found = {
        "it is converted into another currency": subscription.exchange is not None,
        "it has credits": bool(subscription.credits),
        f"its periods begin at midnight in {subscription.zone.key}, those of the gateway in UTC": not _utc(
            subscription
        ),
        f"its periods begin on day {subscription.anchor.day}, which short months do not have": (
            plan.cadence in (Cadence.MONTH, Cadence.QUARTER, Cadence.YEAR) and subscription.anchor.day > LAST_ANCHOR
        ),
    }
    return [reason for reason, holds in found.items() if holds]


def _uneven(subscription: Subscription, plan: Plan, period: Period, offer: Offer) -> str:
    """Why we charge another amount for this period than the gateway would; empty when we do not."""
    active, priced = subscription.billed(period), parts(subscription, plan, period)
    if any(
        pause.start < period.end and (pause.end is None or period.start < pause.end) for pause in subscription.pauses
    ):
        return "the subscription is paused in it, and the gateway knows no pauses"
    if active is None:
        return ""
    spans = sorted({part.span for part in priced})
    if len(spans) > 1:
        return f"a charge changes inside it, at {', '.join(stamp(span.start) for span in spans[1:])}"
    if active.end < period.end:
        return f"it ends inside it, at {stamp(active.end)}, and the gateway ends it with the period"
    promised = any(card.included or card.usage_discount for card in _cards(subscription, plan, period))
    if active != period and (offer.fees or promised):
        return f"only {active} is billed of it, with a part of fees and allowances; the gateway charges and gives all"
    return ""


def _utc(subscription: Subscription) -> bool:
    return subscription.zone.key in ("UTC", "Etc/UTC", "Etc/UCT", "Etc/Zulu", "UCT", "Universal", "Zulu")


def _fee(plan: Plan, fee: Fee, decimals: int) -> RemotePrice:
    """One unit a period of a meter of its own: billed when the period has ended, as a fee in arrears is.

    Raises:
        Unsayable: it is due before.
    """
    if fee.due is not FeeDue.ARREARS:
        raise Unsayable(
            "it is due when a subscription or a period begins, and the gateway prorates what begins before it is told "
            "of it; bill it in arrears"
        )
    schedule = fee_schedule(fee.amount, decimals)
    meter = RemoteMeter(
        _name(f"rating.fee.{plan.key}.{fee.key}" if fee.key else f"rating.fee.{plan.key}"),
        f"{plan.title}: {fee.title}, one each period",
    )
    item = f"fee/{fee.key}" if fee.key else "fee"
    return RemotePrice(plan.key, item, fee.title, plan.currency, plan.cadence, schedule, meter)


def _charge(plan: Plan, key: str, title: str, meter: RemoteMeter, schedule: Schedule) -> RemotePrice:
    values = ", ".join(value for _, value in meter.match)
    item = f"charge/{key}/{values}" if values else f"charge/{key}"
    named = f"{title} ({values})" if values else title
    return RemotePrice(plan.key, item, named, plan.currency, plan.cadence, schedule, meter)


def _meter(name: str, match: Match) -> RemoteMeter:
    values = ",".join(f"{dimension}={value}" for dimension, value in match)
    return RemoteMeter(
        _name(f"rating.{name}.{values}" if values else f"rating.{name}"), f"{name} {values}".strip(), name, match
    )


def _name(wanted: str) -> str:
    """Short enough for the name of an event, and different for what is different."""
    return wanted if len(wanted) <= LONGEST_NAME else f"{wanted[: LONGEST_NAME - 17]}.{digest(wanted)[:16]}"


def _findings(where: str, reasons: Iterable[str]) -> tuple[Finding, ...]:
    return tuple(Finding(where, f"cannot be metered: {reason}", INSTEAD) for reason in reasons)
