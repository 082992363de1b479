"""What there is to tell, from exact usage, allowances and dates alone. That somebody raised an alert decides nothing.

Says what is news about one subscription at one instant, and which of it is told already. Where the numbers come from
and where notifications go is left to others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from rating.core import vocabulary as names
from rating.core.alerts import Alert, Heard
from rating.core.meters import Meter
from rating.core.money import Currency, Money, decimal_text, round_amount
from rating.core.notices import Audience, Contact, Kind, Notification, Planned, Preference, Routing, Topic
from rating.core.periods import Period
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription
from rating.core.wallets import LowBalance

FORECAST_AFTER = 10
"""A tenth of a period must have passed before its end is predicted."""
TREND = timedelta(days=1)
"""A prediction follows the last day, so that night and noon weigh alike."""


@dataclass(frozen=True, slots=True)
class Position:
    """How one subscription stands with one meter: exact usage to date against what is included and what is allowed."""

    subscription: Subscription
    plan: Plan
    next_plan: Plan | None
    period: Period
    billed: Period
    meter: Meter
    title: str
    used: Fraction
    live: Fraction
    """The part of `used` that is counted since the last closed window."""
    allowance: Fraction
    limit: Fraction | None
    closed_through: datetime
    currency: Currency
    more: Fraction | None = None
    """What the period so far would cost more on the next plan."""
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How much was used lately."""

    quantity: Fraction
    span: timedelta


def share_text(share: Fraction) -> str:
    """`80%`, `12.5%`: as catalogues and alerts spell it."""
    return f"{decimal_text(share * 100)}%"


def forecast(position: Position, now: datetime) -> Fraction | None:
    """Where usage will stand when the period ends, rounded down to the meter's resolution; None while it is early."""
    pace, ends = position.pace, position.billed.end
    elapsed = now - position.billed.start
    if pace is None or pace.span <= timedelta(0) or elapsed < position.billed.length / FORECAST_AFTER:
        return None
    remaining = max(ends - now, timedelta(0))
    more = pace.quantity * Fraction(remaining // _MICROSECOND, pace.span // _MICROSECOND)
    scale = 10**position.meter.digits
    return position.used + Fraction(int(more * scale), scale)


_MICROSECOND = timedelta(microseconds=1)


def reached(position: Position) -> tuple[Fraction, ...]:
    """The plan's thresholds that are reached, rising."""
    upsell = position.plan.upsell
    if upsell is None or position.allowance <= 0:
        return ()
    return tuple(share for share in upsell.thresholds if position.used >= position.allowance * share)


def about_usage(position: Position, now: datetime, *, predicting: bool) -> tuple[Notification, ...]:
    """Everything that is so now, told or not. Of the thresholds only the highest: it says what the lower ones would."""
    found = []
    base = _base(position)
    ends = position.subscription.end
    # Whoever has left outgrows nothing any more; what was used is still charged.
    over = ends is not None and ends <= now
    shares = () if over else reached(position)
    if shares:
        found.append(replace(base, kind=Kind.ALLOWANCE_REACHED, mark=share_text(shares[-1])))
    if predicting and not over and _running_out(position, now):
        found.append(replace(base, kind=Kind.EXHAUSTION_PREDICTED, forecast=forecast(position, now)))
    if not over and position.limit is not None and position.used >= position.limit:
        found.append(replace(base, kind=Kind.LIMIT_REACHED, audience=Audience.UPSELL))
    closed = position.used - position.live
    if 0 < position.allowance < closed:
        # Finance hears of what is closed, not of what is counted this minute.
        found.append(
            replace(base, kind=Kind.USAGE_BEYOND_ALLOWANCE, audience=Audience.FINANCE, used=closed, live=Fraction(0))
        )
    return tuple(found)


def overshadowing(one: Notification, plan: Plan | None) -> tuple[Notification, ...]:
    """News after which this one is none any more: a threshold is silenced by a higher one, a prediction by the whole
    allowance.
    """
    upsell = None if plan is None else plan.upsell
    if upsell is None or one.kind not in (Kind.ALLOWANCE_REACHED, Kind.EXHAUSTION_PREDICTED):
        return ()
    marks = [share_text(share) for share in upsell.thresholds]
    if one.kind is Kind.EXHAUSTION_PREDICTED:
        higher = [share_text(share) for share in upsell.thresholds if share >= 1]
    else:
        higher = marks[marks.index(one.mark) + 1 :] if one.mark in marks else []
    return tuple(replace(one, kind=Kind.ALLOWANCE_REACHED, mark=mark) for mark in higher)


def untold(news: Iterable[tuple[Notification, Plan | None]], told: Collection[str]) -> Iterator[Notification]:
    """What is neither told nor overshadowed by what is."""
    for one, plan in news:
        if one.key not in told and not any(other.key in told for other in overshadowing(one, plan)):
            yield one


def about_trial(subscription: Subscription, plan: Plan, lead: timedelta, now: datetime) -> Notification | None:
    """The trial ends within `lead`, or None."""
    ends = subscription.trial_end
    if ends is None or not ends - lead <= now < ends:
        return None
    mark = ends.isoformat()
    return replace(_of(subscription, plan), kind=Kind.TRIAL_ENDING, mark=mark, ends=ends)


def about_prepaid(
    subscription: Subscription, plan: Plan, granted: Fraction, left: Fraction, low: Fraction, currency: Currency
) -> Notification | None:
    """Less than the share `low` of what was granted is left, or None."""
    if granted <= 0 or left > granted * low:
        return None
    return replace(
        _of(subscription, plan),
        kind=Kind.PREPAID_LOW,
        mark=decimal_text(granted),
        left=round_amount(max(left, Fraction(0)), currency),
        granted=round_amount(granted, currency),
    )


def about_wallet(low: LowBalance) -> Notification:
    """A wallet fell below its threshold: once for each time it does."""
    return Notification(
        Kind.PREPAID_LOW,
        Audience.UPSELL,
        f"{low.balance.currency} {low.at.isoformat()}",
        consumer=low.customer,
        customer=low.customer,
        left=low.balance,
    )


HINTS = {
    names.ALERT_ALLOWANCE_REACHED: Kind.ALLOWANCE_REACHED,
    names.ALERT_EXHAUSTION_PREDICTED: Kind.EXHAUSTION_PREDICTED,
    names.ALERT_USAGE_BEYOND_ALLOWANCE: Kind.USAGE_BEYOND_ALLOWANCE,
    names.ALERT_LIMIT_REACHED: Kind.LIMIT_REACHED,
    names.ALERT_TRIAL_ENDING: Kind.TRIAL_ENDING,
    names.ALERT_PREPAID_LOW: Kind.PREPAID_LOW,
}
"""Alerts about what the engine knows better itself: they make it look, and are never passed on."""


def about_alert(heard: Heard) -> Notification | None:
    """An alert about the measuring itself, for our own people; None for one that is not ours or that we decide."""
    alert = heard.alert
    audience = alert.label("audience")
    if alert.name in HINTS or not alert.name.startswith(names.ALERT_PREFIX) or audience not in set(Audience):
        return None
    return Notification(
        Kind.ALERT,
        Audience(audience),
        alert.key,
        alert=alert.name,
        labels=tuple(pair for pair in alert.labels if pair[0] not in ("audience", "severity")),
        since=alert.started,
        over=alert.resolved,
        hint=alert.key,
        hinted_at=heard.at,
    )


def standing_hints(heard: Iterable[Heard]) -> tuple[Heard, ...]:
    """Alerts that make us look and are not over."""
    entries = list(heard)
    over = {(one.alert.name, one.alert.labels, one.alert.started) for one in entries if one.alert.resolved}
    return tuple(
        one
        for one in entries
        if one.alert.name in HINTS
        and not one.alert.resolved
        and (one.alert.name, one.alert.labels, one.alert.started) not in over
    )


def hinted(alert: Alert, subscription: Subscription, plan: Plan, period: Period) -> Notification:
    """The news an alert hints at: only what it would be about, so that its key can be looked up. None of it is told."""
    kind = HINTS[alert.name]
    mark = alert.label("threshold") if kind is Kind.ALLOWANCE_REACHED else ""
    return replace(_of(subscription, plan), kind=kind, mark=mark, period=period, meter=alert.label("meter"))


def planned(
    one: Notification, routing: Routing, customers_own: Collection[str], inboxes: Collection[str]
) -> tuple[Planned, ...]:
    """The ways it goes out on. `customers_own` are channels that end at the customer, `inboxes` those that do not
    disturb. What people of ours alone should hear never goes to a customer.
    """
    ways = []
    internal = one.kind is Kind.ALERT or one.audience is not Audience.UPSELL
    contact: Contact = routing.contact(one.customer)
    for channel in dict.fromkeys(routing.channels(one.kind, one.audience)):
        theirs = channel in customers_own
        if internal and (theirs or channel in inboxes):
            continue
        reads = contact.language if (theirs or channel in inboxes) and contact.language else routing.language
        ways.append(
            Planned(
                channel,
                recipient=contact.email if theirs else "",
                language=reads,
                quiet=(contact.quiet or routing.quiet) if theirs else None,
            )
        )
    return tuple(ways)


def declined(one: Notification, routing: Routing, preferences: Iterable[tuple[Preference, datetime]]) -> str:
    """Why this customer is not written to about it; empty when they are."""
    if one.kind.topic not in declined_topics(one.customer, routing, preferences):
        return ""
    return f"{one.customer} declined mails about {one.kind.topic}"


def declined_topics(
    customer: str, routing: Routing, preferences: Iterable[tuple[Preference, datetime]]
) -> frozenset[Topic]:
    """What a customer wants no mails about: their own last word beats the catalogue's."""
    said = {preference.topic: preference.wanted for preference, _ in preferences if preference.customer == customer}
    written = routing.contact(customer).declined
    return frozenset(topic for topic in Topic if not said.get(topic, topic not in written))


def rounded(amount: Fraction | None, currency: Currency) -> Money | None:
    return None if amount is None else round_amount(amount, currency)


def _running_out(position: Position, now: datetime) -> bool:
    ahead = forecast(position, now)
    return position.plan.upsell is not None and ahead is not None and position.used < position.allowance < ahead


def _of(subscription: Subscription, plan: Plan) -> Notification:
    return Notification(
        Kind.ALLOWANCE_REACHED,
        Audience.UPSELL,
        subscription=subscription.key,
        consumer=subscription.consumer,
        customer=subscription.payer,
        plan=plan.key,
        plan_title=plan.title,
        zone=subscription.zone.key,
    )


def _base(position: Position) -> Notification:
    after = position.next_plan
    return replace(
        _of(position.subscription, position.plan),
        period=position.period,
        meter=position.meter.name,
        title=position.title,
        unit=position.meter.unit,
        used=position.used,
        live=position.live,
        allowance=position.allowance,
        limit=position.limit,
        closed_through=position.closed_through,
        next_plan="" if after is None else after.key,
        next_plan_title="" if after is None else after.title,
        more=rounded(position.more, position.currency),
    )
