"""Where two plans cross: found exactly, equal to looking at every single quantity."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.bends import Stretch, compare
from rating.core.charges import rate
from rating.core.column import Column
from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.periods import Cadence
from rating.core.plans import Plan
from rating.core.prices.graduated import Graduated
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.price import Price
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.ratecards import RateCard
from rating.core.tiers import Beyond, Tier, Tiers, Upper
from rating.errors import PricingError

CALLS = Meter("calls", "calls_total", "consumer_id")
USD = Currency("USD")


def plan(fee: str, price: Price, included: int = 0, currency: Currency = USD) -> Plan:
    card = RateCard("calls", "calls", CALLS, price, Fraction(included))
    return Plan("p", "p", currency, Cadence.MONTH, Fraction(fee), (card,))


def per_unit(price: str) -> PerUnit:
    return PerUnit(Fraction(price))


def test_a_fee_pays_off_from_the_exact_quantity_where_the_lines_meet() -> None:
    comparison = compare(plan("19", per_unit("0.0015"), 25_000), plan("49", per_unit("0.0012"), 100_000), CALLS, {})
    # 19 + (q - 25,000) * 0.0015 = 49 at q = 45,000; later the larger plan stays cheaper.
    assert comparison.through is None
    assert comparison.stretches == (
        Stretch(Fraction(0), Fraction(44_999), -1),
        Stretch(Fraction(45_000), Fraction(45_000), 0, Fraction(45_000)),
        Stretch(Fraction(45_001), None, 1, Fraction(45_000)),
    )


def test_a_crossing_between_two_quantities_is_given_as_a_fraction() -> None:
    [_, second] = compare(plan("0", per_unit("0.03")), plan("10", per_unit("0")), CALLS, {}).stretches
    assert (second.start, second.crossing) == (334, Fraction(1000, 3))


def test_equal_plans_are_one_stretch_of_neither() -> None:
    [only] = compare(plan("1", per_unit("2")), plan("1", per_unit("2")), CALLS, {}).stretches
    assert only == Stretch(Fraction(0), None, 0)


def test_a_closed_last_tier_ends_what_can_be_said() -> None:
    closed = Tiers((Tier(Fraction(500), Fraction(1)),), Beyond.REFUSE)
    comparison = compare(plan("0", Graduated(closed), 10), plan("1000", per_unit("0")), CALLS, {})
    assert comparison.through == 510
    assert comparison.stretches == (Stretch(Fraction(0), Fraction(510), -1),)


def test_two_currencies_are_not_compared() -> None:
    with pytest.raises(PricingError, match="compare plans of one currency"):
        compare(plan("0", per_unit("1")), plan("0", per_unit("1"), currency=Currency("EUR")), CALLS, {})


money = st.integers(0, 40).map(lambda cents: Fraction(cents, 8))
tiers = st.builds(
    lambda bounds, prices, flats, upper: Tiers(
        tuple(
            Tier(bound, price, flat)
            for bound, price, flat in zip([*map(Fraction, bounds), None], prices, flats, strict=False)
        ),
        upper=upper,
    ),
    st.lists(st.integers(1, 60), max_size=3, unique=True).map(sorted),
    st.lists(money, min_size=4, max_size=4),
    st.lists(money, min_size=4, max_size=4),
    st.sampled_from(Upper),
)
bands = tiers.map(
    lambda steps: Tiers(tuple(Tier(step.up_to, flat=step.flat) for step in steps.steps), upper=steps.upper)
)
prices = st.one_of(
    st.builds(PerUnit, money),
    st.builds(Graduated, tiers),
    st.builds(Volume, tiers),
    st.builds(Stairstep, bands, st.booleans()),
    st.builds(Package, st.integers(1, 15).map(Fraction), money, st.sampled_from(Packaging), st.integers(0, 3)),
)
plans = st.builds(
    lambda fee, price, included: Plan(
        "p", "p", USD, Cadence.MONTH, fee, (RateCard("calls", "calls", CALLS, price, Fraction(included)),)
    ),
    money.map(lambda fee: fee * 20),
    prices,
    st.integers(0, 20),
)


@settings(max_examples=150, deadline=None)
@given(plans, plans)
def test_the_stretches_say_what_looking_at_every_quantity_says(first: Plan, second: Plan) -> None:
    comparison = compare(first, second, CALLS, {})
    through = 400 if comparison.through is None else min(400, int(comparison.through))
    quantities = Column.of(range(through + 1))
    one, other = (
        [plan.fee + amount for amount in rate(plan.cards[0], quantities).amount.fractions()] for plan in (first, second)
    )
    stretches = comparison.stretches
    assert stretches[0].start == 0
    assert all(before.end == after.start - 1 for before, after in pairwise(stretches))
    for quantity, (a, b) in enumerate(zip(one, other, strict=True)):
        [stretch] = [s for s in stretches if s.start <= quantity and (s.end is None or quantity <= s.end)]
        assert stretch.cheaper == (a > b) - (a < b), quantity
