"""Money: one rounding, allocation that loses nothing, text that keeps every digit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.money import Currency, Money, Rounding, allocate, decimal_text, exact, round_amount, round_ratio
from rating.errors import MixedCurrencies

USD, JPY, KWD, CLF = (Currency(code) for code in ("USD", "JPY", "KWD", "CLF"))


@pytest.mark.parametrize(
    ("amount", "currency", "rounding", "shown"),
    [
        ("1.005", USD, Rounding.HALF_UP, "1.01 USD"),
        ("-1.005", USD, Rounding.HALF_UP, "-1.01 USD"),
        ("1.005", USD, Rounding.HALF_EVEN, "1.00 USD"),
        ("1.015", USD, Rounding.HALF_EVEN, "1.02 USD"),
        ("2.5", JPY, Rounding.HALF_UP, "3 JPY"),
        ("2.5", JPY, Rounding.HALF_EVEN, "2 JPY"),
        ("0.0005", KWD, Rounding.HALF_UP, "0.001 KWD"),
        ("0.00005", CLF, Rounding.HALF_UP, "0.0001 CLF"),
        ("1.3306", USD, Rounding.DOWN, "1.33 USD"),
        ("1.3306", USD, Rounding.UP, "1.34 USD"),
        ("-0.001", USD, Rounding.HALF_UP, "0.00 USD"),
    ],
)
def test_the_one_rounding(amount: str, currency: Currency, rounding: Rounding, shown: str) -> None:
    assert str(round_amount(exact(amount), currency, rounding)) == shown


def test_currencies_do_not_mix() -> None:
    with pytest.raises(MixedCurrencies, match=r"1\.00 USD and 1 JPY"):
        Money(100, USD) + Money(1, JPY)


@pytest.mark.parametrize("wrong", [0.1, True, "NaN", "Infinity", "1,5", ""])
def test_what_is_not_an_exact_number_is_refused(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError, ArithmeticError)):
        exact(wrong)  # type: ignore[arg-type]


def test_long_numbers_keep_every_digit() -> None:
    text = "123456789012345678901234567890123456789.123456789012"
    assert decimal_text(exact(text)) == text
    assert Money(10**40 + 1, USD).digits == "1" + "0" * 37 + "0.01"


def test_what_does_not_terminate_is_cut_with_rounding() -> None:
    assert decimal_text(Fraction(170, 31)) == "5.483870967741935483870967741935"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_decimal_text_reads_back(number: Decimal) -> None:
    assert exact(decimal_text(Fraction(number))) == Fraction(number)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12), st.sampled_from(Rounding))
def test_rounding_is_within_a_unit_and_the_named_ones_are_symmetric(
    numerator: int, denominator: int, rounding: Rounding
) -> None:
    rounded = round_ratio(numerator, denominator, rounding)
    assert abs(Fraction(rounded) - Fraction(numerator, denominator)) < 1
    if rounding in (Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.UP, Rounding.DOWN):
        assert round_ratio(-numerator, denominator, rounding) == -rounded


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=9).filter(any))
def test_allocation_sums_and_no_share_is_off_by_a_unit(amount: int, weights: list[int]) -> None:
    parts = allocate(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(weight * amount, sum(weights))) < 1


def test_ties_go_to_the_earlier_share() -> None:
    assert allocate(5, [1, 1, 1]) == [2, 2, 1]
    assert allocate(-5, [1, 1, 1]) == [-2, -2, -1]
