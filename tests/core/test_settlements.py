"""Settlements: what is agreed about the whole becomes lines of its own, each computed from what stands on the paper."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.adjustments import Discount, DiscountKind
from rating.core.balances import Credit
from rating.core.drafts import draft
from rating.core.invoices import LineItem, LineKind
from rating.core.money import Currency, Money, Rounding
from rating.core.settlements import Settlement, remaining, settle
from rating.core.standing import Standing
from rating.core.taxes import Tax
from tests.stories import ACME, OCTOBER, PRO

USD = Currency("USD")
TEN = Discount(DiscountKind.PERCENTAGE, Fraction(10), code="ten")
FIVE_OFF = Discount(DiscountKind.FIXED, Fraction(5), code="five")


def charge(cents: int, currency: Currency = USD) -> LineItem:
    money = Money(cents, currency)
    return LineItem(LineKind.FEE, "", "Fee", OCTOBER, money.exact, money)


def settled(cents: int, agreed: Settlement, **more: object) -> list[tuple[str, str]]:
    lines = settle(
        [charge(cents)],
        agreed,
        period=OCTOBER,
        share=more.pop("share", Fraction(1)),  # type: ignore[arg-type]
        currency=USD,
        rounding=Rounding.HALF_UP,
        **more,  # type: ignore[arg-type]
    )
    return [(line.kind.value, line.amount.digits) for line in lines]


@pytest.mark.parametrize(
    ("story", "cents", "agreed", "lines"),
    [
        ("nothing agreed, nothing added", 10000, Settlement(), []),
        (
            "percentages compound in the order listed",
            10000,
            Settlement(discounts=(TEN, TEN)),
            [("discount", "-10.00"), ("discount", "-9.00")],
        ),
        (
            "fixed then percentage is not percentage then fixed",
            10000,
            Settlement(discounts=(FIVE_OFF, TEN)),
            [("discount", "-5.00"), ("discount", "-9.50")],
        ),
        ("a discount never makes a debt", 300, Settlement(discounts=(FIVE_OFF,)), [("discount", "-3.00")]),
        (
            "the cap applies after discounts",
            10000,
            Settlement(discounts=(TEN,), maximum=Fraction(80)),
            [("discount", "-10.00"), ("cap", "-10.00")],
        ),
        (
            "the minimum after the cap",
            10000,
            Settlement(maximum=Fraction(80), minimum=Fraction(90)),
            [("cap", "-20.00"), ("minimum", "10.00")],
        ),
        (
            "taxes last, each its own line",
            10001,
            Settlement(taxes=(Tax("GST", Fraction(5)), Tax("PST", Fraction("9.975")))),
            [("tax", "5.00"), ("tax", "9.98")],
        ),
        (
            "taxes contained are shown and add nothing",
            11900,
            Settlement(taxes=(Tax("VAT", Fraction(19)),), tax_inclusive=True),
            [("tax", "0.00")],
        ),
    ],
)
def test_lines_come_in_the_agreed_order(
    story: str, cents: int, agreed: Settlement, lines: list[tuple[str, str]]
) -> None:
    assert settled(cents, agreed) == lines, story


def test_a_part_of_a_period_has_that_part_of_cap_and_minimum() -> None:
    half = Fraction(1, 2)
    assert settled(10000, Settlement(maximum=Fraction(80)), share=half) == [("cap", "-60.00")]
    assert settled(1000, Settlement(minimum=Fraction(80)), share=half) == [("minimum", "30.00")]


def test_credits_pay_by_priority_before_tax_and_never_more_than_is_owed() -> None:
    later = Credit(Fraction(30), "goodwill", priority=2)
    first = Credit(Fraction(80), "prepaid", priority=1)
    agreed = Settlement(taxes=(Tax("VAT", Fraction(10)),))
    assert settled(10000, agreed, credits=(later, first)) == [
        ("credit", "-20.00"),
        ("credit", "-80.00"),
        ("tax", "0.00"),
    ]


def test_charges_with_rates_of_their_own_are_taxed_on_their_share_of_what_is_owed() -> None:
    """Books at 7 %, the rest at 19 %, after a discount on the whole of ten per cent."""
    full, reduced = (Tax("VAT", Fraction(19)),), (Tax("VAT", Fraction(7)),)
    books = LineItem(LineKind.USAGE, "books", "Books", OCTOBER, Fraction(50), Money(5000, USD))
    exempt = LineItem(LineKind.FEE, "stamp", "Stamp", OCTOBER, Fraction(10), Money(1000, USD))
    agreed = Settlement(discounts=(TEN,), taxes=full)
    own = {(False, "books"): reduced, (True, "stamp"): ()}
    lines = settle(
        [charge(10000), books, exempt],
        agreed,
        period=OCTOBER,
        share=Fraction(1),
        currency=USD,
        rounding=Rounding.HALF_UP,
        own_taxes=own,
    )
    assert [(line.title, line.amount.digits) for line in lines] == [
        ("Discount of 10 % (ten)", "-16.00"),
        ("VAT 19 %", "17.10"),
        ("VAT 7 %", "3.15"),
    ]
    inclusive = settle(
        [charge(11900), replace(books, amount=Money(10700, USD))],
        Settlement(taxes=full, tax_inclusive=True),
        period=OCTOBER,
        share=Fraction(1),
        currency=USD,
        rounding=Rounding.HALF_UP,
        own_taxes=own,
    )
    assert [line.title for line in inclusive] == ["VAT 19 %, contained: 19", "VAT 7 %, contained: 7"]


def test_an_expired_credit_pays_nothing() -> None:
    gone = Credit(Fraction(30), "trial", expires=datetime(2026, 10, 31, tzinfo=UTC))
    assert settled(10000, Settlement(), credits=(gone,)) == []


def test_a_coupon_is_redeemed_as_often_as_it_says_and_in_its_time() -> None:
    once = replace(TEN, redemptions=1)
    assert settled(10000, Settlement(discounts=(once,))) == [("discount", "-10.00")]
    assert settled(10000, Settlement(discounts=(once,)), redeemed=("ten",)) == []
    november = replace(TEN, starts=date(2026, 11, 1))
    assert settled(10000, Settlement(discounts=(november,))) == []


def test_what_is_left_of_credits_follows_from_the_lines_they_paid() -> None:
    granted = (Credit(Fraction(80), "prepaid"), Credit(Fraction(5), "gift"))
    lines = settle(
        [charge(3000)],
        Settlement(),
        period=OCTOBER,
        share=Fraction(1),
        currency=USD,
        rounding=Rounding.HALF_UP,
        credits=granted,
    )
    assert [credit.amount for credit in remaining(granted, lines)] == [50, 5]


def test_an_invoice_adds_up_with_everything_agreed() -> None:
    plan = replace(
        PRO,
        settlement=Settlement(discounts=(TEN,), minimum=Fraction(45), taxes=(Tax("VAT", Fraction(19)),)),
    )
    paper = draft(ACME, plan, OCTOBER, {}, "c", standing=Standing(credits=(Credit(Fraction(5), "gift"),)))
    assert [(line.title, line.amount.digits) for line in paper.lines] == [
        ("Pro fee", "49.00"),
        ("API calls", "0.00"),
        ("Discount of 10 % (ten)", "-4.90"),
        ("Up to the minimum of 45", "0.90"),
        ("Paid from credit gift", "-5.00"),
        ("VAT 19 %", "7.60"),
    ]
    assert str(paper.total) == "47.60 USD"


discounts = st.builds(
    Discount,
    kind=st.sampled_from(DiscountKind),
    value=st.integers(0, 10**7).map(lambda number: Fraction(number, 1000)),
)


@given(
    st.lists(st.integers(0, 10**9), max_size=5),
    st.lists(discounts, max_size=3),
    st.none() | st.integers(0, 10**7).map(Fraction),
    st.lists(st.integers(0, 10**6).map(lambda cents: Fraction(cents, 100)), max_size=3),
    st.sampled_from(["USD", "JPY", "KWD", "CLF"]),
)
def test_nobody_is_owed_money_by_discounts_and_credits_and_lines_sum_to_the_total(
    amounts: list[int], agreed: list[Discount], maximum: Fraction | None, grants: list[Fraction], code: str
) -> None:
    currency = Currency(code)
    charges = [charge(amount, currency) for amount in amounts]
    lines = settle(
        charges,
        Settlement(discounts=tuple(agreed), maximum=maximum),
        period=OCTOBER,
        share=Fraction(1),
        currency=currency,
        rounding=Rounding.HALF_UP,
        credits=[Credit(amount, str(number)) for number, amount in enumerate(grants)],
    )
    total = sum(line.amount.minor for line in (*charges, *lines))
    assert total >= 0
    if maximum is not None:
        assert Fraction(total, 10**currency.exponent) <= maximum + Fraction(1, 10**currency.exponent)
