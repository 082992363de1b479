"""Subscriptions of the catalogue and of the book become one list in which nothing is billed twice."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.periods import Cadence, Period
from rating.core.plans import Plan
from rating.core.prices.per_unit import PerUnit
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription, merge, overlap


def day(month: int, day: int = 1) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def plan(key: str, *meters: str) -> Plan:
    cards = tuple(
        RateCard(name, name, Meter(name, f"{name}_total", "consumer_id"), PerUnit(Fraction(1))) for name in meters
    )
    return Plan(key, key, Currency("USD"), Cadence.MONTH, cards=cards)


PLANS = {one.key: one for one in (plan("base", "calls"), plan("pro", "calls", "tokens"), plan("extra", "images"))}
ACME = Subscription("acme", "base", day(1), day(6))

# what the second one is, beside acme on base from January to June -> how they clash
NEIGHBOURS = {
    "another consumer": (replace(ACME, consumer="globex"), None),
    "the next plan from the day the first ends": (replace(ACME, plan="pro", start=day(6), end=None), None),
    "the next plan a day too early": (
        replace(ACME, plan="pro", start=day(5, 31), end=None),
        'would bill meter "calls" twice from 2026-05-31 00:00, together',
    ),
    "the same plan again while it runs": (
        replace(ACME, start=day(3)),
        "is active from 2026-03-01 00:00 together",
    ),
    "the same plan again later": (replace(ACME, start=day(9)), None),
    "an add-on with a meter of its own": (replace(ACME, plan="extra"), None),
}


@pytest.mark.parametrize("story", NEIGHBOURS)
def test_two_subscriptions_clash_where_they_would_bill_a_meter_twice(story: str) -> None:
    other, clash = NEIGHBOURS[story]
    assert overlap(ACME, other, PLANS) == clash
    assert overlap(other, ACME, PLANS) == clash


def test_the_book_adds_subscriptions_and_ends_those_of_the_catalogue() -> None:
    globex = Subscription("globex", "pro", day(1))
    added = Subscription("hooli", "base", day(2))
    merged, findings = merge([globex, ACME], [added, replace(globex, end=day(7))], PLANS)
    assert merged == (ACME, replace(globex, end=day(7)), added)
    assert findings == ()


def test_the_book_cannot_bill_twice_or_on_a_plan_nobody_wrote() -> None:
    merged, findings = merge(
        [ACME],
        [
            Subscription("acme", "pro", day(2)),
            Subscription("hooli", "gold", day(2)),
            replace(ACME, customer="Acme Holding"),
        ],
        PLANS,
    )
    assert merged == (ACME,)
    assert [str(finding) for finding in findings] == [
        'subscription acme/pro/2026-02-01: would bill meter "calls" twice from 2026-02-01 00:00, together with '
        "acme/base/2026-01-01; cancel one of them",
        'subscription hooli/gold/2026-02-01: the catalogue has no plan "gold"; add it there, or cancel',
        "subscription acme/base/2026-01-01: the catalogue has it with other terms; remove it there, or cancel",
    ]


def test_a_subscription_covers_the_part_of_a_period_between_its_ends() -> None:
    june = Period(day(6), day(7))
    assert replace(ACME, end=None).active(june) == june
    assert replace(ACME, end=day(6, 16)).active(june) == Period(day(6), day(6, 16))
    assert ACME.active(june) is None
