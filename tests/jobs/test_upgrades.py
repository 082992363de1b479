"""What the next plan would cost or save, as accrued: equal to drafting both invoices."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.core.catalogue import Catalogue
from rating.core.money import Currency
from rating.core.periods import EPOCH, Cadence
from rating.core.plans import Fee, FeeDue, Plan, Pool
from rating.core.prices.per_unit import PerUnit
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Exchange, Subscription
from rating.core.upgrades import comparable
from rating.jobs.accrue import accrue
from rating.jobs.bill import bill
from rating.jobs.contracts import Contracts
from tests.stories import ACME, CALLS, DAY, OCTOBER, PRO, USD, close_days

CARD = RateCard("api_calls", "API calls", CALLS, PerUnit(Fraction("0.002")), included=Fraction(1000))
SCALE = Plan("scale", "Scale", USD, Cadence.MONTH, fee=Fraction(60), cards=(CARD,))
MID_OCTOBER = OCTOBER.start + 15 * DAY


def both(*subscriptions: Subscription, after: Plan = SCALE) -> Contracts:
    catalogue = Catalogue(USD, {CALLS.name: CALLS}, {"pro": PRO, "scale": after}, subscriptions, digest="both")
    return Contracts(((EPOCH, catalogue),), subscriptions)


def upgrade_of(daily: int, subscription: Subscription = ACME, after: Plan = SCALE) -> Fraction | None:
    book = MemoryBook()
    close_days(book, {"acme": daily}, days=range(15))
    [group] = accrue(book, both(subscription, after=after), now=MID_OCTOBER).plans
    return None if group.upgrade is None else group.upgrade.fractions()[0]


def test_a_light_user_would_pay_more_and_a_heavy_one_less() -> None:
    # Pro: 49, 100 free, 200 at 0.015, then 0.0101. Scale: 60, 1,000 free, then 0.002.
    assert upgrade_of(10) == 60 - (49 + 50 * Fraction("0.015"))
    # 3,000 calls: pro 49 + 3 + 2,700 x 0.0101 = 79.27, scale 60 + 2,000 x 0.002 = 64.
    assert upgrade_of(200) == 64 - Fraction("79.27")


def test_fees_due_once_are_no_part_of_it_and_fees_in_advance_are() -> None:
    fees = (Fee("setup", "Setup", Fraction(500), FeeDue.ONCE), Fee("seat", "Seat", Fraction(5), FeeDue.ADVANCE))
    assert upgrade_of(10, after=replace(SCALE, fees=fees)) == 65 - (49 + 50 * Fraction("0.015"))


def test_part_of_a_period_compares_that_part() -> None:
    late = replace(ACME, start=OCTOBER.start + 10 * DAY)
    share = Fraction(21, 31)
    # Allowances of 68 and 677 of 50 calls: only the fees differ.
    assert upgrade_of(10, late) == 11 * share


def test_in_another_currency_at_the_subscription_s_rate() -> None:
    euro = replace(ACME, exchange=Exchange(Currency("EUR"), Fraction("0.9")))
    assert upgrade_of(200, euro) == (64 - Fraction("79.27")) * Fraction("0.9")


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (replace(SCALE, currency=Currency("EUR")), "another currency"),
        (replace(SCALE, cadence=Cadence.YEAR), "another cadence"),
        (replace(SCALE, cards=()), "no price for the meter"),
        (replace(SCALE, pools=(Pool("p", "P", Fraction(5), ("api_calls",)),)), "a pool"),
        (replace(SCALE, cards=(replace(CARD, rollover=1),)), "what earlier periods left"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_compared_is_not(after: Plan, why: str) -> None:
    assert not comparable(PRO, after), why
    assert upgrade_of(10, after=after) is None


@given(st.integers(0, 10**6))
def test_at_the_end_of_the_month_it_is_the_difference_of_two_invoices(daily: int) -> None:
    book = MemoryBook()
    close_days(book, {"acme": daily})
    [group] = accrue(book, both(ACME), now=OCTOBER.end - timedelta(seconds=1)).plans
    assert group.upgrade is not None
    totals = [
        sum(line.exact for line in bill(book, both(one), now=OCTOBER.end, dry_run=True).drafts[0].lines)
        for one in (ACME, replace(ACME, plan="scale"))
    ]
    assert group.upgrade.fractions() == [totals[1] - totals[0]]


def test_a_trial_is_shown_while_it_lasts() -> None:
    trying = replace(ACME, trial_end=MID_OCTOBER)
    subscribed = both(trying, replace(ACME, consumer="gone", trial_end=MID_OCTOBER, end=OCTOBER.start + DAY))
    at = [OCTOBER.start - DAY, OCTOBER.start, MID_OCTOBER - DAY, MID_OCTOBER]
    shown = [[one.consumer for one in accrue(MemoryBook(), subscribed, now=now).trials] for now in at]
    assert shown == [[], ["acme", "gone"], ["acme"], []]
