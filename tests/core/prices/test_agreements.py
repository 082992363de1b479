"""What is agreed around a price: discounts, caps, minimums, commitments, credits, taxes, parts of a period."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.adjustments import (
    Adjustments,
    Commitment,
    Discount,
    DiscountKind,
    Ramp,
    discounted,
    under_amount,
    under_quantity,
)
from rating.core.allowances import beyond, in_turn
from rating.core.balances import Credit, burn_down, credit_within
from rating.core.column import Column
from rating.core.money import Rounding
from rating.core.prices.converted import Conversion
from rating.core.prices.graduated import Graduated
from rating.core.prices.package import Package
from rating.core.prices.per_unit import PerUnit
from rating.core.proration import Basis, ChangeLine, Proration, rounded_fraction
from rating.core.statements import InvoiceTerms, StatementLine, stated
from rating.core.taxes import taxed
from rating.core.terms import Terms, slice_owed, snapshots_owed
from rating.core.tiers import Tier, Tiers

F = Fraction


def percent(value: str) -> Discount:
    return Discount(DiscountKind.PERCENTAGE, F(value))


def fixed(value: str) -> Discount:
    return Discount(DiscountKind.FIXED, F(value))


def column(*numbers: str) -> Column:
    return Column.of([F(number) for number in numbers])


@pytest.mark.parametrize(
    ("discounts", "amount", "left"),
    [
        ((percent("15"), percent("20")), "100", "68"),  # compound: 32 %, not 35 %
        ((fixed("0.10"), percent("20")), "1", "0.72"),
        ((percent("20"), fixed("0.10")), "1", "0.70"),
        ((fixed("100"),), "30", "0"),
        ((percent("150"),), "30", "0"),
        ((percent("10"), fixed("5")), "-30", "-27"),  # a credit gets no fixed discount
    ],
)
def test_discounts_come_off_in_the_order_listed(discounts: tuple[Discount, ...], amount: str, left: str) -> None:
    assert discounted(column(amount), discounts).fractions() == [F(left)]


def test_the_cap_holds_after_discounts_and_the_minimum_after_the_cap() -> None:
    agreed = Adjustments((percent("50"),), maximum=F(40), minimum=F(25))
    assert agreed.apply(column("10", "60", "100")).fractions() == [25, 30, 40]
    assert agreed.apply(column("10"), final=False).fractions() == [5], "the minimum is owed for the whole period"
    both = Adjustments(maximum=F(10), minimum=F(20))
    assert both.apply(column("5", "50")).fractions() == [20, 20]


def test_a_discount_holds_between_its_dates_and_as_often_as_agreed() -> None:
    coupon = Discount(
        DiscountKind.PERCENTAGE, F(10), date(2026, 10, 1), date(2026, 11, 1), code="AUTUMN", redemptions=2
    )
    days = [date(2026, 9, 30), date(2026, 10, 1), date(2026, 10, 31), date(2026, 11, 1)]
    assert [coupon.holds(day) for day in days] == [False, True, True, False]
    assert not coupon.holds(date(2026, 10, 5), redeemed=2)
    assert Adjustments((coupon,)).on(date(2026, 11, 1)).discounts == ()


def test_what_exceeds_a_commitment_costs_the_factor() -> None:
    split = under_amount(column("12", "60", "82"), Commitment(F(60), overage_factor=F(2), true_up=True))
    assert split.committed.fractions() == [12, 60, 60]
    assert split.overage.fractions() == [0, 0, 44]
    assert split.true_up.fractions() == [48, 0, 0]
    assert split.amount.fractions() == [60, 60, 104]


def test_committed_units_are_priced_in_their_tiers() -> None:
    price = Graduated(Tiers((Tier(F(10), F(2)), Tier(None, F(1)))))
    split = under_quantity(price, column("4", "25"), Commitment(quantity=F(15), overage_factor=F(3), true_up=True))
    assert split.committed.fractions() == [8, 25]
    assert split.overage.fractions() == [0, 30]
    assert split.true_up.fractions() == [17, 0]


def test_a_commitment_is_money_or_units() -> None:
    for amount, quantity in ((None, None), (F(1), F(1))):
        with pytest.raises(ValueError, match="exactly one"):
            Commitment(amount, quantity)


def test_a_ramp_holds_its_last_step() -> None:
    ramp = Ramp((Commitment(F(100)), Commitment(F(200))))
    assert [ramp.commitment(period).amount for period in (0, 1, 2, 12)] == [100, 200, 200, 200]


def test_prior_usage_counts_once_toward_the_commitment_even_where_it_was_invoiced_doubled() -> None:
    terms = Terms(PerUnit(F(1)), commitment=Commitment(F(60), overage_factor=F(2)))
    assert slice_owed(terms, F(30), F(40)) == 50, "30 more at list, 10 doubled"
    assert slice_owed(terms, F(70), F(12)) == 24, "everything beyond is doubled, the 10 before are not forgotten"


def test_free_units_leave_before_packages_are_counted() -> None:
    assert Terms(Package(F(10), F(100)), included=F(10)).owed(column("121")).fractions() == [1200]


def test_units_are_converted_before_anything_is_free() -> None:
    terms = Terms(PerUnit(F(10)), Conversion(F(1, 1000), Rounding.CEILING), usage_discount=F("0.5"))
    assert terms.owed(terms.converted(column("1400"))).fractions() == [15]


def test_a_correction_is_not_paid_by_the_allowance_too() -> None:
    assert beyond(column("-5", "0", "3", "12"), F(10)).fractions() == [-5, 0, 0, 2]
    with pytest.raises(ValueError, match="must be zero or more"):
        beyond(column("1"), F(-1))


def test_one_allowance_is_used_up_by_the_rows_in_their_order() -> None:
    assert in_turn(column("50", "75", "30"), F(110)).fractions() == [0, 15, 30]
    assert in_turn(column("50", "-20", "30"), F(45)).fractions() == [5, -5, 15], "taken back, it is free again"
    assert in_turn(column(), F(45)).fractions() == []


def test_snapshots_bill_the_difference_of_rounded_totals() -> None:
    assert snapshots_owed(Terms(PerUnit(F("0.001"))), [F(333), F(666)], 2) == [F("0.33"), F("0.34")]
    minimum = Terms(PerUnit(F(10)), adjustments=Adjustments(minimum=F(150)))
    assert snapshots_owed(minimum, [F(10), F(10)], 2) == [100, 50]
    assert snapshots_owed(minimum, [], 2) == []


def test_the_walk_of_terms_adds_up_to_what_is_owed() -> None:
    terms = Terms(PerUnit(F(2)), included=F(10), adjustments=Adjustments((percent("50"),), minimum=F(30)))
    walk = [(step.what, step.amount) for step in terms.portions(F(20))]
    assert walk == [("included", 0), ("per unit", 20), ("commitment, discounts, cap and minimum", 10)]


# Credits


def test_credits_pay_by_priority_then_expiry_then_grant() -> None:
    october, december = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    credits = [
        Credit(F(10), "bought", expires=None, granted=october),
        Credit(F(10), "gift", expires=december),
        Credit(F(10), "promised first", priority=-1),
    ]
    burned = burn_down(F(25), credits)
    assert burned.drawn == (5, 10, 10)
    assert burned.left == (5, 0, 0)
    assert burned.total == 25


def test_an_expired_credit_pays_nothing() -> None:
    end = datetime(2026, 12, 1, tzinfo=UTC)
    credit = Credit(F(10), expires=end)
    assert burn_down(F(5), [credit], at=end).drawn == (0,)
    assert burn_down(F(5), [credit], at=datetime(2026, 11, 30, 23, 59, tzinfo=UTC)).drawn == (5,)


def test_nothing_is_drawn_for_a_negative_amount() -> None:
    assert burn_down(F(-5), [Credit(F(10))]).left == (10,)
    with pytest.raises(ValueError, match="is a debt"):
        Credit(F(-1))


@given(
    owed=st.fractions(-100, 100, max_denominator=100),
    credits=st.lists(st.builds(Credit, st.fractions(0, 60, max_denominator=7), priority=st.integers(0, 2)), max_size=5),
)
def test_credits_never_pay_more_than_is_owed_or_than_they_hold(owed: Fraction, credits: list[Credit]) -> None:
    burned = burn_down(owed, credits)
    assert burned.total == min(max(owed, F(0)), sum((credit.amount for credit in credits), F(0)))
    assert all(0 <= drawn <= credit.amount for drawn, credit in zip(burned.drawn, credits, strict=True))


@pytest.mark.parametrize(("asked", "credited", "given"), [(300, 50, 150), (100, 200, 0), (-50, 50, 0), (20, 50, 20)])
def test_a_credit_gives_back_no_more_than_was_paid(asked: int, credited: int, given: int) -> None:
    assert credit_within(F(asked), F(200), F(credited)) == given


# Taxes


def test_three_rates_rounded_once_or_one_by_one() -> None:
    taxes = taxed(F("99.96"), [F("5"), F("4"), F("2.5")], 2)
    assert taxes.rounded == F("11.50")
    assert taxes.rounded_by_rate == (F("5.00"), F("4.00"), F("2.50"))
    uneven = taxed(F("10.05"), [F("5"), F("4"), F("2.5")], 2)
    assert (uneven.rounded, sum(uneven.rounded_by_rate, F(0))) == (F("1.16"), F("1.15"))


def test_an_inclusive_amount_contains_its_tax() -> None:
    taxes = taxed(F("119"), [F("19")], 2, inclusive=True)
    assert (taxes.net, taxes.rounded) == (100, 19)


# Whole invoices


def test_a_discount_on_the_invoice_is_split_by_largest_remainder() -> None:
    lines = [StatementLine(F(amount)) for amount in ("3.33", "3.33", "3.34")]
    assert stated(lines, InvoiceTerms(2, (fixed("1.00"),))).lines == (3, 3, 3)


def test_fractional_shares_of_a_discount_may_be_kept() -> None:
    lines = [StatementLine(F(amount), tax_percents=(F(20),)) for amount in ("33.33", "33.33", "33.34")]
    found = stated(lines, InvoiceTerms(2, (fixed("5"),), keep_fractional_discounts=True))
    assert found.lines == (F("31.6635"), F("31.6635"), F("31.673"))
    assert [tax.rounded for tax in found.line_taxes] == [F("6.33"), F("6.33"), F("6.33")]
    assert (found.tax, found.rounded) == (19, 114), "each line's tax loses a third of a cent, the invoice's does not"


def test_credits_that_pay_usage_leave_the_fee() -> None:
    lines = [StatementLine(F(50)), StatementLine(F(50), usage=False)]
    terms = InvoiceTerms(2, (fixed("10"),), (Credit(F(100)),), credits_pay_usage_only=True)
    found = stated(lines, terms)
    assert (found.burned.total, found.amount, found.burned.left) == (45, 45, (55,))


def test_tax_comes_after_discounts_and_credits() -> None:
    terms = InvoiceTerms(2, (percent("10"),), (Credit(F(10)),), tax_percents=(F("20"),))
    found = stated([StatementLine(F(100))], terms)
    assert (found.tax, found.amount) == (16, 96)


def test_tax_rounded_per_line_or_once() -> None:
    lines = [StatementLine(F(amount), tax_percents=(F("8.5"),)) for amount in ("200", "-49")]
    assert stated(lines, InvoiceTerms(2)).rounded == F("163.84")
    assert stated(lines, InvoiceTerms(2, tax_rounded_per_line=True)).rounded == F("163.83")


def test_a_discount_rounded_up_never_makes_a_debt() -> None:
    assert stated([StatementLine(F("0.005"))], InvoiceTerms(2, (percent("100"),))).amount == 0


# Parts of a period


@pytest.mark.parametrize(
    ("basis", "span", "part", "fraction"),
    [
        (
            Basis.SECOND_HALF_OPEN,
            ("2024-01-01", "2024-02-01"),
            ("2024-01-21T21:55:18", "2024-02-01"),
            F(145247, 446400),
        ),
        (Basis.SECOND_HALF_OPEN, ("2026-01-01", "2026-02-01"), ("2026-01-01", "2026-03-01"), F(1)),
        (Basis.DAY_HALF_OPEN, ("2012-03-02", "2012-04-02"), ("2012-03-02", "2012-06-02"), F(92, 31)),
        (Basis.DAY_INCLUSIVE, ("2024-03-01", "2024-03-31"), ("2024-03-15", "2024-03-31"), F(17, 31)),
        (Basis.DAY_HALF_OPEN, ("2024-03-01", "2024-03-31"), ("2024-03-15", "2024-03-31"), F(16, 30)),
        (Basis.FIXED_DAYS, ("2024-02-23", "2024-03-15"), ("2024-02-23", "2024-03-15"), F(22, 30)),
        (Basis.FIXED_DAYS, ("2024-01-31", "2024-02-29"), ("2024-01-31", "2024-02-29"), F(29, 30)),
        (Basis.SECOND_HALF_OPEN, ("2026-01-01", "2026-02-01"), ("2026-01-20", "2026-01-10"), F(0)),
        (Basis.SECOND_HALF_OPEN, ("2026-01-01", "2026-01-01"), ("2026-01-01", "2026-01-01"), F(1)),
    ],
)
def test_the_share_of_a_period(basis: Basis, span: tuple[str, str], part: tuple[str, str], fraction: Fraction) -> None:
    instants = [datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text) for text in (*span, *part)]
    start, end, active_from, active_to = instants
    assert Proration(start, end, active_from, active_to, basis).fraction == fraction


def test_a_part_of_no_length_is_nothing_or_all_by_choice() -> None:
    start, end = date(2026, 1, 1), date(2026, 2, 1)
    assert Proration(start, end, start, start).fraction == 0
    assert Proration(start, end, start, start, zero_length_is_full=True).fraction == 1


def test_a_fraction_is_rounded_only_where_that_is_asked() -> None:
    assert rounded_fraction(F(22, 30), None) == F(11, 15)
    assert rounded_fraction(F(22, 30), 9) == F("0.733333333")


def test_a_plan_change_gives_back_and_charges() -> None:
    half = F(1, 2)
    assert ChangeLine(F(100), credit=True, discounts=(percent("25"),)).due(half) == F("-37.5")
    assert ChangeLine(F(1000), credit=False, prorated=False).due(half) == 1000
    assert ChangeLine(F(100), credit=True, cap=F(30)).due(half) == -30
