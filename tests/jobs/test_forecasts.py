"""What a period will come to at its pace: equal to the invoice of a month that goes on as it began."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.core.plans import Plan, Pool
from rating.core.prices.graduated import Graduated
from rating.core.subscriptions import Subscription
from rating.core.tiers import Tier, Tiers
from rating.jobs.accrue import accrue
from rating.jobs.bill import bill
from tests.stories import ACME, DAY, OCTOBER, PRO, close_days, contracts

LIMITED = replace(PRO.cards[0], price=Graduated(Tiers((Tier(Fraction(200), unit_price=Fraction("0.015")),))))


def forecast_of(
    daily: int,
    days: int,
    plan: Plan = PRO,
    subscription: Subscription = ACME,
    *,
    now: datetime | None = None,
    first: int = 0,
) -> Fraction | None:
    """After so many days of October with the same usage."""
    book = MemoryBook()
    close_days(book, {"acme": daily}, days=range(first, first + days))
    at = OCTOBER.start + (first + days) * DAY if now is None else now
    [group] = accrue(book, contracts(subscription, plan=plan), now=at).plans
    return None if group.forecast is None else group.forecast.fractions()[0]


@given(daily=st.integers(0, 400), days=st.integers(4, 30))
def test_a_month_that_goes_on_comes_to_what_was_forecast(daily: int, days: int) -> None:
    whole = MemoryBook()
    close_days(whole, {"acme": daily})
    [invoice] = bill(whole, contracts(ACME), now=OCTOBER.end).issued
    exact = sum((line.exact for line in invoice.draft.lines), Fraction(0))
    assert forecast_of(daily, days) == exact


def test_tiers_and_the_allowance_price_what_lies_ahead() -> None:
    # 70 of 100 free units in a week are 310 in the month: 200 at 0.015, 10 at 0.0101. In proportion it would be 49.
    assert forecast_of(10, 7) == 49 + 3 + Fraction("0.101")


def test_nothing_is_forecast_in_the_first_tenth() -> None:
    assert forecast_of(10, 3) is None
    assert forecast_of(10, 4) is not None


def test_the_pace_is_that_of_closed_windows_however_late_one_looks() -> None:
    assert forecast_of(10, 7, now=OCTOBER.start + 9 * DAY) == forecast_of(10, 7)


def test_the_part_of_a_period_that_is_billed_is_what_is_forecast() -> None:
    late = replace(ACME, start=OCTOBER.start + 11 * DAY)
    whole = MemoryBook()
    close_days(whole, {"acme": 50}, days=range(11, 31))
    [invoice] = bill(whole, contracts(late), now=OCTOBER.end).issued
    exact = sum((line.exact for line in invoice.draft.lines), Fraction(0))
    assert forecast_of(50, 5, subscription=late, first=11) == exact


def test_where_the_usage_ahead_has_no_price_charges_go_on_in_proportion() -> None:
    plan = replace(PRO, cards=(LIMITED,))
    # 15 x 10 are 50 beyond the allowance, 0.75; 310 would lie beyond the last tier, which ends at 300.
    assert forecast_of(10, 15, plan) == 49 + Fraction("0.75") * 31 / 15


def test_where_amounts_depend_on_more_than_how_much_they_go_on_in_proportion() -> None:
    pooled = replace(PRO, pools=(Pool("p", "P", Fraction(5), ("api_calls",)),))
    [now_owed] = accrue(_book(15), contracts(ACME, plan=pooled), now=OCTOBER.start + 15 * DAY).plans
    charges = sum((card.rated.amount.fractions()[0] for card in now_owed.cards), Fraction(0))
    assert now_owed.forecast is not None
    assert now_owed.forecast.fractions()[0] == now_owed.fee + charges * Fraction(31, 15)
    assert charges > 0


@pytest.mark.parametrize("daily", [0, 1])
def test_a_part_of_a_unit_is_no_usage(daily: int) -> None:
    """15 calls in 8 days are 58.1 in the month, of which 58 are priced; 16 are 62."""
    book = MemoryBook()
    close_days(book, {"acme": 2}, days=range(7))
    close_days(book, {"acme": 1 + daily}, days=range(7, 8))
    plan = replace(PRO, cards=(replace(PRO.cards[0], included=Fraction(0)),))
    [group] = accrue(book, contracts(ACME, plan=plan), now=OCTOBER.start + 8 * DAY + timedelta(hours=1)).plans
    units = round(Fraction(15 + daily) * 31 / 8)
    assert group.forecast is not None
    assert group.forecast.fractions()[0] == 49 + units * Fraction("0.015")


def _book(days: int) -> MemoryBook:
    book = MemoryBook()
    close_days(book, {"acme": 20}, days=range(days))
    return book
