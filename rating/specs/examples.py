"""An example of each kind of notification, to see what channels make of it. Its numbers are made up and say so."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from rating.core.money import Currency, Money
from rating.core.notices import Kind, Notification
from rating.core.periods import Period

_USD = Currency("USD")


def example(kind: Kind, now: datetime) -> Notification:
    """`now` lies in the middle of its billing period."""
    middle = now.replace(hour=0, minute=0, second=0, microsecond=0)
    base = Notification(
        kind,
        kind.audience,
        subscription="example/pro/2026-01-01",
        consumer="example",
        customer="Example Inc.",
        plan="pro",
        plan_title="Pro",
        period=Period(middle - timedelta(days=15), middle + timedelta(days=15)),
    )
    metered = replace(
        base,
        meter="api_calls",
        title="API calls",
        unit="request",
        used=Fraction(80_012),
        live=Fraction(12),
        allowance=Fraction(100_000),
        forecast=Fraction(160_024),
        closed_through=middle,
        next_plan="scale",
        next_plan_title="Scale",
        more=Money(1250, _USD),
        more_at_pace=Money(-3475, _USD),
    )
    match kind:
        case Kind.TRIAL_ENDING:
            return replace(base, ends=middle + timedelta(days=3))
        case Kind.PREPAID_LOW:
            return replace(base, left=Money(1825, _USD), granted=Money(10000, _USD))
        case Kind.LIMIT_REACHED:
            return replace(metered, used=Fraction(500_000), limit=Fraction(500_000), forecast=None)
        case Kind.USAGE_BEYOND_ALLOWANCE:
            return replace(metered, used=Fraction(100_212), live=Fraction(0), forecast=None)
        case Kind.ALERT:
            return Notification(
                kind, kind.audience, alert="RatingMeterSilent", labels=(("meter", "api_calls"),), since=now
            )
    return replace(metered, mark="80%")
