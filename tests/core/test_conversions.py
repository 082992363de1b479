"""Whom we told of a next plan, and who is on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rating.core.conversions import REMEMBERED, approaches, monthly_gain
from rating.core.money import Currency
from rating.core.notices import Kind, Told
from rating.core.periods import Cadence
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription
from rating.specs.examples import example

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
USD = Currency("USD")
REACHED = replace(
    example(Kind.ALLOWANCE_REACHED, NOW),
    consumer="acme",
    customer="Acme Corp",
    subscription="acme/pro/2026-10-01",
    plan="pro",
    next_plan="scale",
    mark="80%",
)
OLD = Subscription("acme", "pro", datetime(2026, 10, 1, tzinfo=UTC))


def told(days_ago: float, **change: object) -> Told:
    return Told(replace(REACHED, **change), NOW - days_ago * DAY)  # type: ignore[arg-type]


def test_what_one_subscription_was_told_is_one_approach() -> None:
    news = [told(20), told(10, mark="100%"), told(9, kind=Kind.EXHAUSTION_PREDICTED, mark=""), told(1, mark="80%")]
    [one] = approaches(news, [OLD], NOW)
    assert (one.first_at, one.last_at) == (news[0].at, news[-1].at)
    assert one.kinds == (Kind.ALLOWANCE_REACHED, Kind.EXHAUSTION_PREDICTED)
    assert one.marks == ("80%", "100%")
    assert one.converted_at is None


def test_a_subscription_on_the_plan_that_was_named_is_a_conversion() -> None:
    new = Subscription("acme", "scale", datetime(2026, 11, 12, tzinfo=UTC))
    [one] = approaches([told(20)], [replace(OLD, end=new.start), new], NOW)
    assert one.converted_at == new.start


def test_what_is_no_conversion() -> None:
    other_plan = Subscription("acme", "team", NOW - 3 * DAY)
    other_consumer = Subscription("globex", "scale", NOW - 3 * DAY)
    long_before = Subscription("acme", "scale", NOW - 30 * DAY, end=NOW - 25 * DAY)
    ahead = Subscription("acme", "scale", NOW + DAY)
    for subscription in (other_plan, other_consumer, long_before, ahead):
        [one] = approaches([told(20)], [subscription], NOW)
        assert one.converted_at is None, subscription


def test_one_that_begins_with_the_day_on_which_it_was_recommended_counts() -> None:
    today = Subscription("acme", "scale", NOW.replace(hour=0))
    [one] = approaches([told(0)], [today], NOW)
    assert one.converted_at == today.start


def test_what_is_not_about_a_next_plan_or_long_ago_is_no_approach() -> None:
    assert not approaches([told(1, next_plan="")], [OLD], NOW)
    assert not approaches([told(REMEMBERED.days + 1)], [OLD], NOW)


def test_gains_are_a_month_s_worth_of_fees() -> None:
    pro = Plan("pro", "Pro", USD, Cadence.MONTH, fee=Fraction(49))
    [one] = approaches([told(1)], [OLD], NOW)
    yearly = Plan("scale", "Scale", USD, Cadence.YEAR, fee=Fraction(1200))
    assert monthly_gain(one, {"pro": pro, "scale": yearly}) == 100 - 49
    assert monthly_gain(one, {"pro": pro}) is None
    assert monthly_gain(one, {"pro": pro, "scale": replace(yearly, currency=Currency("EUR"))}) is None
