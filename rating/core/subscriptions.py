"""A subscription: a consumer on a plan over time, and who pays for it.

Decides when it is active and whether two of them would bill the same usage twice. Where they are written down, in the
catalogue or in the book, is the business of those who bring them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from rating.core.balances import Credit
from rating.core.money import Currency
from rating.core.periods import Cadence, Period, billing_period, stamp
from rating.core.plans import Plan
from rating.core.ratecards import RateCard
from rating.errors import Contradiction, Finding

CALENDAR = date(2000, 1, 1)
"""The anchor of calendar months, quarters and years. (A week anchored there begins on a Saturday.)"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """The currency a subscription is billed in, and how many of its major units the plan's major unit costs."""

    currency: Currency
    rate: Fraction


@dataclass(frozen=True, slots=True)
class Pause:
    """From `start` until before `end` nothing is billed; open until it is resumed."""

    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """`consumer` is on `plan` from `start` until before `end`; `customer` pays."""

    consumer: str
    plan: str
    start: datetime
    end: datetime | None = None
    customer: str = ""
    """Who pays; the consumer when empty."""
    anchor: date = CALENDAR
    """The day billing periods begin on; the default makes calendar months, quarters and years."""
    zone: ZoneInfo = ZoneInfo("UTC")
    trial_end: datetime | None = None
    """Until then nothing is billed, neither fee nor usage."""
    overrides: tuple[RateCard, ...] = ()
    """This consumer's own cards, in place of the plan's of the same key."""
    exchange: Exchange | None = None
    """Billed in another currency than the plan's, at this rate."""
    credits: tuple[Credit, ...] = ()
    """Granted credit, as it was granted; what is left of it follows from the invoices."""
    pauses: tuple[Pause, ...] = ()
    """In order of time, none overlapping."""

    @property
    def payer(self) -> str:
        return self.customer or self.consumer

    @property
    def key(self) -> str:
        """Names this subscription in the book: consumer, plan and first day."""
        return f"{self.consumer}/{self.plan}/{self.start.date().isoformat()}"

    def period(self, cadence: Cadence, instant: datetime) -> Period:
        """The whole billing period around `instant`, whether or not the subscription covers all of it."""
        return billing_period(cadence, self.anchor, self.zone, instant)

    @property
    def begins(self) -> datetime:
        """When billing begins: at the start, or when the trial ends."""
        return self.start if self.trial_end is None else max(self.start, self.trial_end)

    def own(self, card: RateCard) -> RateCard:
        """The card this consumer pays by where the plan says `card`."""
        return next((override for override in self.overrides if override.key == card.key), card)

    def billed(self, period: Period) -> Period | None:
        """The part of `period` that is paid for, from its first instant to its last: active, after the trial.

        A pause inside it is not paid for either; see `unpaused`.
        """
        active = self.active(period)
        if active is not None and self.trial_end is not None and self.trial_end > active.start:
            active = Period(self.trial_end, active.end) if self.trial_end < active.end else None
        if active is None or not self.pauses:
            return active
        left = self.unpaused(active)
        return Period(left[0].start, left[-1].end) if left else None

    def unpaused(self, span: Period) -> tuple[Period, ...]:
        """What pauses leave of a span, in order of time."""
        left: tuple[Period, ...] = (span,)
        for pause in self.pauses:
            left = tuple(rest for piece in left for rest in _without(piece, pause))
        return left

    def active(self, period: Period) -> Period | None:
        """The part of `period` this subscription covers, or None."""
        end = period.end if self.end is None else min(self.end, period.end)
        start = max(self.start, period.start)
        if (start, end) == (period.start, period.end):
            return period
        return Period(start, end) if start < end else None


def _without(span: Period, pause: Pause) -> Iterator[Period]:
    if span.start < (before := min(pause.start, span.end)):
        yield Period(span.start, before)
    if pause.end is not None and (after := max(pause.end, span.start)) < span.end:
        yield Period(after, span.end)


def pausable(subscription: str, start: datetime, kept: Sequence[Pause]) -> bool:
    """Is this a new pause? False when it is kept already.

    Raises:
        Contradiction: it begins inside or before another one.
    """
    if any(pause.start == start for pause in kept):
        return False
    last = kept[-1] if kept else None
    if last is not None and (last.end is None or start < last.end):
        until = "is not resumed" if last.end is None else f"lasts until {stamp(last.end)}"
        raise Contradiction(
            f"subscription {subscription} is paused from {stamp(last.start)}, which {until}; "
            f"it cannot be paused from {stamp(start)}"
        )
    return True


def resumable(subscription: str, end: datetime, kept: Sequence[Pause]) -> Pause | None:
    """The pause that ends; None when it was resumed then already.

    Raises:
        Contradiction: nothing is paused, or it would be resumed before it was paused.
    """
    last = kept[-1] if kept else None
    if last is not None and last.end == end:
        return None
    if last is None or last.end is not None:
        since = "" if last is None or last.end is None else f" since it was resumed {stamp(last.end)}"
        raise Contradiction(f"subscription {subscription} is not paused{since}; `rating subscriptions pause` does it")
    if end <= last.start:
        raise Contradiction(
            f"subscription {subscription} is paused from {stamp(last.start)} and cannot be resumed before, {stamp(end)}"
        )
    return last


def overlap(first: Subscription, second: Subscription, plans: Mapping[str, Plan | None]) -> str | None:
    """How two subscriptions of one consumer would bill something twice, or None.

    Two at one time are fine when they price different meters, as a plan and an add-on do.
    """
    if first.consumer != second.consumer:
        return None
    start = max(first.start, second.start)
    ends = [end for end in (first.end, second.end) if end is not None]
    if ends and min(ends) <= start:
        return "has the same consumer, plan and first day as the one" if first.key == second.key else None
    if first.plan == second.plan:
        return f"is active from {stamp(start)} together"
    one, other = plans.get(first.plan), plans.get(second.plan)
    if one is None or other is None:
        return None
    meters = {card.meter.name for card in one.cards} & {card.meter.name for card in other.cards}
    if not meters:
        return None
    named = ", ".join(f'"{name}"' for name in sorted(meters))
    return f"would bill meter {named} twice from {stamp(start)}, together"


def merge(
    catalogue: Iterable[Subscription], book: Iterable[Subscription], plans: Mapping[str, Plan | None]
) -> tuple[tuple[Subscription, ...], tuple[Finding, ...]]:
    """The subscriptions of the catalogue and those made by command as one list sorted by consumer, start and plan.

    A subscription in both under one key is one subscription, and the book's is taken: commands come later, and the only
    thing they change about it is its end. Where the two would bill usage twice is a finding, and from there on only the
    catalogue's is billed: it was checked as a whole. Until there the book's still holds, so nothing is lost either.
    """
    merged = {subscription.key: subscription for subscription in catalogue}
    of_consumer: dict[str, list[Subscription]] = {}
    for subscription in merged.values():
        of_consumer.setdefault(subscription.consumer, []).append(subscription)
    findings = []
    for subscription in book:
        where = f"subscription {subscription.key}"
        neighbours = of_consumer.setdefault(subscription.consumer, [])
        others = [other for other in neighbours if other.key != subscription.key]
        clashes = [(other, text) for other in others if (text := overlap(other, subscription, plans)) is not None]
        known = merged.get(subscription.key)
        if subscription.plan not in plans:
            findings.append(
                Finding(where, f'the catalogue has no plan "{subscription.plan}"', "add it there, or cancel")
            )
        elif clashes:
            other, text = min(clashes, key=lambda clash: clash[0].start)
            findings.append(Finding(where, f"{text} with {other.key}", "cancel one of them"))
            if known is None and subscription.start < other.start:
                merged[subscription.key] = replace(subscription, end=other.start)
                neighbours.append(merged[subscription.key])
        elif known is not None and replace(known, end=subscription.end) != subscription:
            findings.append(Finding(where, "the catalogue has it with other terms", "remove it there, or cancel"))
        else:
            merged[subscription.key] = subscription
            neighbours[:] = [*others, subscription]
    ordered = sorted(merged.values(), key=lambda item: (item.consumer, item.start, item.plan))
    return tuple(ordered), tuple(findings)
