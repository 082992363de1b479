"""Money as Stripe writes it: its own exponents, an exact inverse, or a refusal that says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.adapters.stripe.amounts import from_stripe, to_stripe
from rating.core.money import Currency, Money
from rating.errors import EdgeDisagrees, EdgeRefused
from rating.specs.currencies import ACTIVE


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        (Money(1234, Currency("USD")), 1234),
        (Money(-1, Currency("EUR")), -1),
        (Money(500, Currency("JPY")), 500),
        (Money(5, Currency("ISK")), 500),
        (Money(5, Currency("UGX")), 500),
        (Money(5120, Currency("KWD")), 5120),
        (Money(12_300, Currency("MGA")), 123),
        (Money(700, Currency("HUF")), 700),
    ],
    ids=str,
)
def test_an_amount_in_the_units_of_stripe(amount: Money, units: int) -> None:
    assert to_stripe(amount) == units
    assert from_stripe(units, amount.currency) == amount


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (Money(5124, Currency("KWD")), "5.124 KWD cannot be said to Stripe, which counts KWD in steps of 0.01"),
        (Money(1, Currency("MGA")), "0.01 MGA cannot be said to Stripe, which counts MGA in steps of 1;"),
        (Money(1000, Currency("IQD")), "Stripe does not take IQD; collect it by another gateway"),
        (Money(1, Currency("CLF")), "Stripe does not take CLF"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_cannot_be_said_is_refused_and_never_rounded(amount: Money, said: str) -> None:
    with pytest.raises(EdgeRefused, match=said):
        to_stripe(amount)


@pytest.mark.parametrize("units", [550, -1], ids=str)
def test_half_a_krona_of_stripes_is_no_amount_of_ours(units: int) -> None:
    with pytest.raises(EdgeDisagrees, match=f"Stripe said {units} "):
        from_stripe(units, Currency("ISK"))


@pytest.mark.parametrize("units", [12.0, "12", True, None], ids=repr)
def test_anything_but_a_whole_number_disagrees(units: object) -> None:
    with pytest.raises(EdgeDisagrees, match="whole number"):
        from_stripe(units, Currency("USD"))  # type: ignore[arg-type]


@given(code=st.sampled_from(sorted(ACTIVE)), minor=st.integers(-(10**15), 10**15))
def test_there_and_back_is_the_same_or_it_never_went(code: str, minor: int) -> None:
    amount = Money(minor, Currency(code))
    try:
        units = to_stripe(amount)
    except EdgeRefused:
        return
    assert from_stripe(units, amount.currency) == amount


@given(
    code=st.sampled_from(sorted(ACTIVE)),
    minors=st.lists(st.integers(-(10**12), 10**12).map(lambda n: n * 100), max_size=6),
)
def test_sums_agree_on_both_sides(code: str, minors: list[int]) -> None:
    """A total that Stripe adds up from our lines is our total."""
    currency = Currency(code)
    try:
        units = sum(to_stripe(Money(minor, currency)) for minor in minors)
    except EdgeRefused:
        return
    assert units == to_stripe(Money(sum(minors), currency)) if minors else units == 0
