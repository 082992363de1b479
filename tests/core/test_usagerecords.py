"""A day's usage as one record for each subscription and product: when it lies, and how it is found again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.offers import Offer, RemoteContract, contract_of, plan_offer
from rating.core.periods import Cadence
from rating.core.plans import Plan
from rating.core.prices.per_unit import PerUnit
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription
from rating.core.usageevents import DAY, Counted, Share, UsageEvent, buckets, events
from rating.core.usagerecords import MOST, begins, begun_late, end_differs, period_differs, tag, unsayable
from rating.core.windows import Usage

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
METER = Meter("calls", "calls_total", "consumer", window=HOUR)
CARDS = (
    RateCard("calls", "Calls", METER, PerUnit(Fraction("0.01"))),
    RateCard("more", "More", METER, PerUnit(Fraction("0.02"))),
)
PLAN = Plan("pro", "Pro", Currency("USD"), Cadence.MONTH, cards=CARDS)


def contract(start: datetime = BEGIN, end: datetime | None = None, now: datetime = BEGIN + DAY) -> RemoteContract:
    offer = plan_offer(PLAN, BEGIN, 2)
    assert isinstance(offer, Offer)
    return contract_of(Subscription("ada", "pro", start, end=end), PLAN, offer, now)


def told(one: RemoteContract) -> UsageEvent:
    """What is told of the first of November, an unit for each hour in which the subscription ran."""
    hours = [BEGIN + number * HOUR for number in range(24)]
    (bucket,) = buckets("calls", hours, (), DAY)
    rows = [(hour, Usage("ada", (), 1)) for hour in hours]
    (event,) = events(bucket, rows, Counted([one]), (), known=False)
    return event


@pytest.mark.parametrize(
    ("start", "end", "at", "value"),
    [
        (BEGIN - DAY, None, BEGIN + 12 * HOUR, 24),
        (BEGIN + 14 * HOUR, None, BEGIN + 19 * HOUR, 10),
        (BEGIN - DAY, BEGIN + 6 * HOUR, BEGIN + 12 * HOUR, 6),  # it ends there with the period
    ],
    ids=["the whole day", "from two in the afternoon", "until six in the morning"],
)
def test_a_share_lies_in_the_middle_of_what_the_contract_has_of_the_day(
    start: datetime, end: datetime | None, at: datetime, value: int
) -> None:
    one = contract(start, end)
    event = told(one)
    assert event.shares == (Share(one.subscription, ("pro/charge/calls", "pro/charge/more"), at, value),)
    assert event.value == value


def test_a_record_is_known_by_its_day_customer_subscription_and_product() -> None:
    event = told(contract())
    (share,) = event.shares
    mark = tag(event, share, "pro/charge/calls")
    assert mark.startswith("rating:20261101:")
    others = {
        tag(event, share, "pro/charge/more"),
        tag(event, share._replace(subscription="other"), "pro/charge/calls"),
        tag(told(contract()), share._replace(value=5, at=BEGIN), "pro/charge/calls"),
    }
    assert len(others) == 3
    assert others & {mark} == {mark}, "another number of the day is the same record"


def test_what_no_record_can_say() -> None:
    share = Share("s", (), BEGIN, 0)
    assert not unsayable(share)
    assert not unsayable(share._replace(value=MOST - 1))
    assert unsayable(share._replace(value=MOST)) == (
        f"usage of {MOST} has more than 15 digits; give the meter a coarser resolution"
    )
    assert unsayable(share._replace(value=-1)) == "usage of -1 is below zero; correct the window"


def test_a_billing_period_may_end_there_within_bounds_and_may_not_have_been_renewed() -> None:
    december = datetime(2026, 12, 1, tzinfo=UTC)
    bounds = (6 * HOUR, 11 * HOUR)
    for ends in (december + 6 * HOUR, december + 11 * HOUR, BEGIN + 7 * HOUR):
        assert not period_differs(contract(), ends, *bounds)
    assert period_differs(contract(), december, *bounds) == (
        "its billing period ends there at 2026-12-01 00:00 and by our book at 2026-12-01 00:00; set its next billing "
        "date there to a time from 2026-12-01 06:00 to 2026-12-01 11:00"
    )
    assert period_differs(contract(), december + 12 * HOUR, *bounds)


def test_what_begins_there_after_its_first_usage_leaves_it_out() -> None:
    assert not begun_late(contract(), BEGIN + 12 * HOUR)
    assert begun_late(contract(), BEGIN + 13 * HOUR)
    assert not begun_late(contract(BEGIN + 14 * HOUR), BEGIN + 15 * HOUR)


def test_an_end_is_the_same_within_a_day() -> None:
    december = datetime(2026, 12, 1, tzinfo=UTC)
    assert not end_differs(contract(), None)
    assert "and goes on by our book; let it go on there" in end_differs(contract(), december)
    ending = contract(end=december)
    assert not end_differs(ending, december + 6 * HOUR)
    assert not end_differs(ending, december - 11 * HOUR)
    assert end_differs(ending, december - 13 * HOUR), "the last day's usage would come after it"
    assert "ends there at 2026-12-03 00:00; let it end there as it does here" in end_differs(ending, december + 2 * DAY)


def test_usage_is_told_from_a_whole_day_on() -> None:
    assert begins(contract(BEGIN + 14 * HOUR)) == BEGIN
    assert begins(contract(BEGIN - 99 * DAY)) == BEGIN, "not before the billing period under way"
