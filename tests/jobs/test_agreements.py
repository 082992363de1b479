"""What plans agree besides a price, billed over months on the memory book: stories a finance person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.core.adjustments import Commitment, Discount, DiscountKind, Ramp
from rating.core.allowances import carried_over
from rating.core.balances import Credit
from rating.core.money import Currency
from rating.core.plans import Fee, FeeDue, Plan, Pool
from rating.core.prices.matrix import Cell, Matrix
from rating.core.prices.per_unit import PerUnit
from rating.core.ratecards import RateCard
from rating.core.settlements import Settlement
from rating.core.subscriptions import Exchange, Subscription
from rating.jobs.accrue import accrue, rows
from rating.jobs.bill import bill
from tests.stories import ACME, CALLS, OCTOBER, PRO, close_days, contracts

NEW_YEAR = datetime(2027, 1, 1, 1, tzinfo=UTC)
CARD = RateCard("calls", "Calls", CALLS, PerUnit(Fraction(1)), Fraction(100))
BARE = replace(PRO, fee=Fraction(0), cards=(CARD,), upsell=None)

Papers = list[list[tuple[str, str]]]


def billed(
    plan: Plan, monthly: Mapping[int, Mapping[str, int]], *subscriptions: Subscription, now: datetime = NEW_YEAR
) -> tuple[MemoryBook, Papers]:
    """Invoices as (title, amount) lines; `monthly` is each consumer's usage by month, on the first day of it."""
    book = MemoryBook()
    first = {10: 0, 11: 31, 12: 61}
    for month, start in first.items():
        close_days(book, monthly.get(month, {}), days=range(start, start + 1))
        close_days(book, {}, days=range(start + 1, {10: 31, 11: 61, 12: 92}[month]))
    result = bill(book, contracts(*(subscriptions or (ACME,)), plan=plan), now=now)
    assert result.postponed == ()
    papers = [[(line.title, line.amount.digits) for line in invoice.draft.lines] for invoice in result.issued]
    return book, papers


def test_fees_in_advance_and_once_are_due_when_the_subscription_begins() -> None:
    fees = (Fee("setup", "Setup", Fraction(99), FeeDue.ONCE), Fee("base", "Base", Fraction(31), FeeDue.ADVANCE))
    joined = replace(ACME, start=OCTOBER.start + timedelta(days=21))
    _, papers = billed(replace(BARE, fees=fees), {11: {"acme": 101}}, joined)
    assert papers == [
        [("Setup", "99.00"), ("Base, 10/31 of the period", "10.00")],
        [("Base", "31.00"), ("Calls", "0.00")],
        [("Base", "31.00"), ("Calls", "1.00")],
        [("Base", "31.00"), ("Calls", "0.00")],
    ], "opening, then October with November's fee, November with December's, December with January's"


def test_the_last_invoice_has_no_fee_in_advance() -> None:
    fees = (Fee("base", "Base", Fraction(31), FeeDue.ADVANCE),)
    ended = replace(ACME, end=datetime(2026, 11, 1, tzinfo=UTC))
    _, papers = billed(replace(BARE, fees=fees), {}, ended)
    assert papers == [[("Base", "31.00")], [("Calls", "0.00")]]


def test_a_trial_moves_the_opening_to_its_end() -> None:
    fees = (Fee("setup", "Setup", Fraction(99), FeeDue.ONCE),)
    trial = replace(ACME, trial_end=datetime(2026, 11, 16, tzinfo=UTC))
    book, papers = billed(replace(BARE, fees=fees), {10: {"acme": 500}, 11: {"acme": 500}, 12: {"acme": 130}}, trial)
    assert papers == [[("Setup", "99.00")], [("Calls", "0.00")], [("Calls", "30.00")]]
    assert [invoice.draft.period.start.month for invoice in book.invoices()] == [11, 11, 12]


def test_unused_allowance_is_carried_over_and_expires() -> None:
    plan = replace(BARE, cards=(replace(CARD, rollover=1),))
    book, papers = billed(plan, {10: {"acme": 40}, 11: {"acme": 130}, 12: {"acme": 200}})
    # October leaves 60; November uses 60 of October's and 70 of its own, leaving 30; December has 130.
    assert papers == [[("Calls", "0.00")], [("Calls", "0.00")], [("Calls", "70.00")]]
    lines = [invoice.draft.lines[0] for invoice in book.invoices()]
    assert [(line.included, line.carried) for line in lines] == [(100, 0), (160, 60), (130, 30)]


def test_a_pool_is_used_up_by_its_cards_in_order() -> None:
    other = replace(CARD, key="more", title="More", included=Fraction(0), price=PerUnit(Fraction(10)))
    pooled = replace(BARE, cards=(replace(CARD, included=Fraction(0)), other))
    pooled = replace(pooled, pools=(Pool("all", "All calls", Fraction(150), ("calls", "more")),))
    _, papers = billed(pooled, {10: {"acme": 100}}, replace(ACME, end=OCTOBER.end))
    assert papers == [[("Calls", "0.00"), ("More", "500.00")]], "100 of the pool for calls, 50 left for more"


def test_a_pool_of_a_customer_is_shared_by_its_consumers_in_order_of_name() -> None:
    plan = replace(
        BARE,
        cards=(replace(CARD, included=Fraction(0)),),
        pools=(Pool("all", "All calls", Fraction(150), ("calls",), by_customer=True),),
    )
    consumers = [
        replace(ACME, consumer=name, customer=customer, end=OCTOBER.end)
        for name, customer in (("a", "Acme"), ("b", "Acme"), ("c", "Other"))
    ]
    book, papers = billed(plan, {10: {"a": 100, "b": 100, "c": 100}}, *consumers)
    assert papers == [[("Calls", "0.00")], [("Calls", "50.00")], [("Calls", "0.00")]]
    assert [invoice.draft.lines[0].included for invoice in book.invoices()] == [100, 50, 100]


def test_prepaid_credit_burns_down_over_the_months() -> None:
    granted = replace(ACME, credits=(Credit(Fraction(50), "prepaid"),))
    _, papers = billed(BARE, {10: {"acme": 130}, 11: {"acme": 130}, 12: {"acme": 130}}, granted)
    assert papers == [
        [("Calls", "30.00"), ("Paid from credit prepaid", "-30.00")],
        [("Calls", "30.00"), ("Paid from credit prepaid", "-20.00")],
        [("Calls", "30.00")],
    ]


def test_a_coupon_for_two_invoices_is_used_twice() -> None:
    coupon = Discount(DiscountKind.PERCENTAGE, Fraction(50), code="START", redemptions=2)
    plan = replace(BARE, settlement=Settlement(discounts=(coupon,)))
    _, papers = billed(plan, {month: {"acme": 200} for month in (10, 11, 12)})
    assert [paper[1:] for paper in papers] == [
        [("Discount of 50 % (START)", "-50.00")],
        [("Discount of 50 % (START)", "-50.00")],
        [],
    ]


def test_a_ramp_commits_more_from_period_to_period() -> None:
    ramp = Ramp(tuple(Commitment(amount=Fraction(amount), true_up=True) for amount in (10, 20)))
    _, papers = billed(replace(BARE, cards=(replace(CARD, commitment=ramp),)), {12: {"acme": 150}})
    assert papers == [[("Calls", "10.00")], [("Calls", "20.00")], [("Calls", "50.00")]]


def test_another_currency_at_a_fixed_rate_is_on_the_invoice() -> None:
    yen = replace(ACME, exchange=Exchange(Currency("JPY"), Fraction("151.5")), end=OCTOBER.end)
    plan = replace(BARE, fee=Fraction(49), settlement=Settlement(minimum=Fraction(100)))
    book, papers = billed(plan, {10: {"acme": 101}}, yen)
    assert papers == [[("Pro fee", "7424"), ("Calls", "152"), ("Up to the minimum of 15150", "7574")]]
    [invoice] = book.invoices()
    assert str(invoice.total) == "15150 JPY"
    assert [step.what for step in invoice.draft.lines[1].portions] == ["included", "per unit", "1 USD at 151.5"]


def test_a_matrix_of_endpoints_is_billed_from_windows() -> None:
    cells = (Cell({"endpoint": "/search"}, PerUnit(Fraction(2))),)
    plan = replace(BARE, cards=(RateCard("calls", "Calls", CALLS, Matrix(("endpoint",), cells, PerUnit(Fraction(1)))),))
    _, papers = billed(plan, {10: {"acme": 21}}, replace(ACME, end=OCTOBER.end))
    assert papers == [[("Calls", "42.00")]]


def test_what_depends_on_an_earlier_invoice_waits_for_it() -> None:
    book = MemoryBook()
    close_days(book, {"acme": 40}, days=range(30))
    close_days(book, {"acme": 40}, days=range(31, 61))
    plan = replace(BARE, cards=(replace(CARD, rollover=1),))
    result = bill(book, contracts(ACME, plan=plan), now=datetime(2026, 12, 1, 1, tzinfo=UTC))
    assert result.issued == ()
    assert [waiting.reasons for waiting in result.postponed] == [
        ("meter api_calls: 1 windows not closed, the first at 2026-10-31 00:00",),
        ("an earlier invoice it depends on waits",),
    ]


def test_the_accrual_of_individual_terms_is_the_draft_so_far() -> None:
    book = MemoryBook()
    close_days(book, {"a": 60, "b": 60}, days=range(2))
    plan = replace(
        BARE,
        cards=(replace(CARD, included=Fraction(0)),),
        pools=(Pool("all", "All calls", Fraction(150), ("calls",), by_customer=True),),
    )
    both = [replace(ACME, consumer=name, customer="Acme") for name in ("a", "b")]
    accrued = accrue(book, contracts(*both, plan=plan), now=OCTOBER.start + timedelta(days=2))
    assert {row.subscription[0]: Fraction(row.amount) for row in rows(accrued)} == {"a": 0, "b": 90}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 90)), max_size=8), st.integers(0, 4))
def test_carried_over_is_never_more_than_the_last_grants_and_never_used_twice(
    periods: list[tuple[int, int]], kept: int
) -> None:
    """Against the slow account: every unit of every grant on its own, with the period it expires after."""
    units: list[int] = []
    for now, (granted, used) in enumerate(periods):
        units = [expiry for expiry in units if expiry >= now] + [now + kept] * granted
        units = sorted(units)[used:]
    left = [expiry for expiry in units if expiry >= len(periods)]
    assert carried_over([(Fraction(granted), Fraction(used)) for granted, used in periods], kept) == len(left)
