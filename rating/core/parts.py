"""Parts: which rate card prices which part of a billing period for one subscription.

Decides how versions of a card, a consumer's own prices, trials and part periods meet; what a part costs is `charges`.
Allowance, usage discount, commitment, cap and minimum are promised for a whole period: a part of it has that part of
each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from fractions import Fraction

from rating.core.adjustments import Adjustments, Ramp
from rating.core.meters import Meter
from rating.core.money import round_ratio
from rating.core.periods import Period, period_index
from rating.core.plans import Plan, Prorate, Versions
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class Part:
    """One card over the span it prices."""

    card: RateCard
    """With allowance, usage discount, commitment, cap and minimum cut to the share."""
    span: Period
    share: Fraction
    """Of the whole billing period."""


def share_of(plan: Plan, subscription: Subscription, span: Period, period: Period) -> Fraction:
    """How much of the billing period a span is, by the plan's unit of time.

    Pauses inside the span do not count. By day, days are local ones, half-open: the day a plan changes belongs to the
    new plan.
    """
    return sum((_share(plan, subscription, piece, period) for piece in subscription.unpaused(span)), Fraction(0))


def _share(plan: Plan, subscription: Subscription, span: Period, period: Period) -> Fraction:
    if plan.prorate is Prorate.SECOND:
        return span.share_of(period)
    days = [_day(subscription, instant) for instant in (span.start, span.end, period.start, period.end)]
    return Fraction((days[1] - days[0]).days, (days[3] - days[2]).days)


def parts(subscription: Subscription, plan: Plan, period: Period) -> tuple[Part, ...]:
    """Every card of the plan with the span of `period` it prices, in the plan's order, then by time.

    Empty when the subscription is not billed in this period.
    """
    active = subscription.billed(period)
    if active is None:
        return ()
    found = []
    for versions in _by_key(plan):
        spans = _spans(subscription, plan, versions, active)
        # What is counted while the subscription is paused is not charged; after it, tiers and allowance begin anew.
        for card, span in [(card, piece) for card, known in spans for piece in subscription.unpaused(known)]:
            share = share_of(plan, subscription, span, period)
            own = _at_step(subscription.own(card), subscription, plan, period)
            found.append(Part(part_of(own, share, span.start.date()), span, share))
    return tuple(found)


def _at_step(card: RateCard, subscription: Subscription, plan: Plan, period: Period) -> RateCard:
    """The card with the step of its ramp for this period; the subscription's first period is step 0."""
    if not isinstance(card.commitment, Ramp):
        return card
    first, this = (
        period_index(plan.cadence, subscription.anchor, subscription.zone, instant)
        for instant in (subscription.start, period.start)
    )
    return replace(card, commitment=card.commitment.commitment(this - first))


def _by_key(plan: Plan) -> list[list[RateCard]]:
    groups: dict[str, list[RateCard]] = {}
    for card in plan.cards:
        groups.setdefault(card.key, []).append(card)
    return list(groups.values())


def _spans(
    subscription: Subscription, plan: Plan, versions: list[RateCard], active: Period
) -> Iterator[tuple[RateCard, Period]]:
    """Each version of a card with the part of `active` it is in force."""
    known = [
        card
        for card in versions
        if card.since is None or plan.versions is Versions.ALL or card.since <= subscription.start
    ]
    for card, after in zip(known, [*known[1:], None], strict=True):
        start = active.start if card.since is None else max(card.since, active.start)
        end = active.end if after is None or after.since is None else min(after.since, active.end)
        if start < end:
            yield card, Period(start, end)


def part_of(card: RateCard, share: Fraction, day: date) -> RateCard:
    """The card as it holds for a share of a period that begins on `day`.

    Free units are rounded half away from zero to the meter's resolution: nobody is promised a third of a request.
    """
    adjustments = card.adjustments.on(day)
    if share == 1:
        return card if adjustments == card.adjustments else replace(card, adjustments=adjustments)
    commitment = card.committed
    if commitment is not None:
        commitment = replace(
            commitment,
            amount=None if commitment.amount is None else commitment.amount * share,
            quantity=None if commitment.quantity is None else commitment.quantity * share,
        )
    return replace(
        card,
        included=allowance_part(card.meter, card.included, share),
        usage_discount=allowance_part(card.meter, card.usage_discount, share),
        commitment=commitment,
        adjustments=_scaled(adjustments, share),
    )


def allowance_part(meter: Meter, included: Fraction, share: Fraction) -> Fraction:
    part = included * share * 10**meter.digits
    return Fraction(round_ratio(part.numerator, part.denominator), 10**meter.digits)


def _scaled(adjustments: Adjustments, share: Fraction) -> Adjustments:
    return replace(
        adjustments,
        maximum=None if adjustments.maximum is None else adjustments.maximum * share,
        minimum=None if adjustments.minimum is None else adjustments.minimum * share,
    )


def _day(subscription: Subscription, instant: datetime) -> date:
    return instant.astimezone(subscription.zone).date()
