"""What a gateway is told of a card comes to the same amount there, to the smallest unit, or is refused with the reason.

The model of the gateway is written from its documentation and imports none of our prices. Where the documentation is
silent, whether each tier is rounded by itself and whether a first tier's flat part is due at zero, every reading has to
give our amount.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rating.core.adjustments import Adjustments, Commitment, Discount, DiscountKind
from rating.core.charges import rate, rate_mixed
from rating.core.column import Column
from rating.core.meters import Meter
from rating.core.money import Currency, Rounding, round_amount
from rating.core.prices.converted import Conversion
from rating.core.prices.flat import Flat
from rating.core.prices.graduated import Graduated
from rating.core.prices.matrix import Cell, Matrix
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.percentage import Percentage
from rating.core.prices.price import Price
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.ratecards import RateCard
from rating.core.remoteprices import DECIMALS, Mode, Schedule, Unsayable, schedules
from rating.core.tiers import Beyond, Block, Tier, Tiers, Upper

CALLS = Meter("calls", "calls_total", "consumer")
STREAMED = Meter("streamed", "seconds_total", "consumer", unit="second", digits=3)
USD, JPY = Currency("USD"), Currency("JPY")


def half_up(amount: Fraction) -> int:
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def billed_there(schedule: Schedule, quantity: int, *, line_per_tier: bool, flat_at_zero: bool) -> int:
    """What the gateway bills, in minor units: its documented arithmetic over its own words."""
    match schedule.mode:
        case Mode.PER_UNIT:
            lines = [quantity * schedule.unit]
        case Mode.PACKAGE:
            packages, rest = divmod(quantity, schedule.divide_by)
            lines = [(packages + (1 if rest and schedule.round_up else 0)) * schedule.unit]
        case Mode.VOLUME:
            tier = next(t for t in schedule.tiers if t.up_to is None or quantity <= t.up_to)
            due = quantity > 0 or flat_at_zero
            lines = [quantity * tier.unit, Fraction(tier.flat if due else 0)]
        case Mode.GRADUATED:
            lines, lower = [], 0
            for place, tier in enumerate(schedule.tiers):
                upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
                if quantity > lower or (place == 0 and flat_at_zero):
                    lines += [(upper - lower) * tier.unit, Fraction(tier.flat)]
                lower = lower if tier.up_to is None else tier.up_to
    return sum(half_up(line) for line in lines) if line_per_tier else half_up(sum(lines, Fraction(0)))


def ours(card: RateCard, units: int, currency: Currency = USD) -> int:
    exact = rate(card, Column.of([card.meter.quantity(units)])).amount.total()
    return round_amount(exact, currency).minor


def agrees(card: RateCard, units: int, currency: Currency = USD) -> None:
    ((match, schedule),) = schedules(card, currency.exponent)
    assert match == ()
    assert all(
        ((price * 10**DECIMALS).denominator == 1) for price in (schedule.unit, *(t.unit for t in schedule.tiers))
    )
    for line_per_tier, flat_at_zero in product((True, False), repeat=2):
        there = billed_there(schedule, units, line_per_tier=line_per_tier, flat_at_zero=flat_at_zero)
        assert there == ours(card, units, currency), (schedule, units, line_per_tier, flat_at_zero)


cents = st.integers(0, 50_000).map(lambda n: Fraction(n, 100))
unit_prices = st.one_of(
    cents, st.integers(0, 10**7).map(lambda n: Fraction(n, 10**7)), st.sampled_from([Fraction(1, 3)])
)
bounds = st.integers(1, 2_000).map(Fraction) | st.integers(1, 200_000).map(lambda n: Fraction(n, 100))


@st.composite
def some_tiers(draw: st.DrawFn, flats_only: bool = False) -> Tiers:
    ends = sorted(set(draw(st.lists(bounds, max_size=4))))
    last = draw(st.sampled_from([None, None, None, Fraction(3_000)]))
    steps = tuple(
        Tier(end, Fraction(0) if flats_only else draw(unit_prices), draw(st.one_of(st.just(Fraction(0)), cents)))
        for end in (*ends, last)
    )
    return Tiers(steps, draw(st.sampled_from(Beyond)), draw(st.sampled_from(Upper)))


prices = st.one_of(
    st.builds(PerUnit, unit_prices),
    st.builds(Flat, cents, st.booleans()),
    st.builds(Graduated, some_tiers(), st.booleans()),
    st.builds(Volume, some_tiers(), st.booleans()),
    st.builds(Stairstep, some_tiers(flats_only=True), st.booleans(), st.booleans()),
    st.builds(Package, bounds, unit_prices, st.sampled_from(Packaging), st.integers(0, 1)),
)
conversions = st.one_of(
    st.none(),
    st.none(),
    st.builds(
        Conversion,
        st.sampled_from([Fraction(1, 1000), Fraction(2), Fraction(3)]),
        st.none() | st.sampled_from(Rounding),
    ),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    price=prices,
    meter=st.sampled_from([CALLS, STREAMED]),
    currency=st.sampled_from([USD, JPY]),
    included=st.one_of(st.just(Fraction(0)), bounds),
    conversion=conversions,
    data=st.data(),
)
def test_whatever_can_be_told_is_billed_alike(
    price: Price,
    meter: Meter,
    currency: Currency,
    included: Fraction,
    conversion: Conversion | None,
    data: st.DataObject,
) -> None:
    card = RateCard("card", "Card", meter, price, included, conversion)
    try:
        ((_, schedule),) = schedules(card, currency.exponent)
    except Unsayable:
        assume(False)
    edges = [tier.up_to for tier in schedule.tiers if tier.up_to is not None] or [schedule.divide_by]
    around = st.sampled_from(edges).flatmap(lambda edge: st.integers(max(edge - 2, 0), edge + 2))
    for _ in range(4):
        agrees(card, data.draw(st.one_of(st.just(0), st.integers(0, 10**7), around)), currency)


@pytest.mark.parametrize(
    ("price", "meter", "said"),
    [
        (PerUnit(Fraction("0.002")), CALLS, "1/5"),
        (PerUnit(Fraction("0.00045")), STREAMED, "9/200000"),
        (PerUnit(Fraction(1, 10**14)), CALLS, "1/1000000000000"),
    ],
    ids=["a fifth of a cent", "thousandths of a second", "the finest there is"],
)
def test_unit_prices_are_written_exactly_in_minor_units(price: PerUnit, meter: Meter, said: str) -> None:
    ((_, schedule),) = schedules(RateCard("card", "Card", meter, price), 2)
    assert str(schedule.unit) == said
    agrees(RateCard("card", "Card", meter, price), 123_456_789)


def test_free_units_become_a_first_tier_that_costs_nothing() -> None:
    tiers = Tiers((Tier(Fraction(50), Fraction("0.12")), Tier(None, Fraction("0.0901"))))
    ((_, schedule),) = schedules(RateCard("card", "Card", CALLS, Graduated(tiers), Fraction(100)), 2)
    assert [(tier.up_to, str(tier.unit)) for tier in schedule.tiers] == [(100, "0"), (150, "12"), (None, "901/100")]


@pytest.mark.parametrize(("upper", "last"), [(Upper.INCLUSIVE, 100), (Upper.EXCLUSIVE, 99)])
def test_a_volume_tier_ends_with_the_last_unit_that_belongs_to_it(upper: Upper, last: int) -> None:
    tiers = Tiers((Tier(Fraction(100), Fraction("0.05")), Tier(None, Fraction("0.04"))), upper=upper)
    card = RateCard("card", "Card", CALLS, Volume(tiers))
    ((_, schedule),) = schedules(card, 2)
    assert [tier.up_to for tier in schedule.tiers] == [last, None]
    for units in (99, 100, 101):
        agrees(card, units)


def test_a_flat_price_falls_due_with_the_first_unit() -> None:
    ((_, schedule),) = schedules(RateCard("card", "Card", CALLS, Flat(Fraction(19))), 2)
    assert [(tier.up_to, tier.unit, tier.flat) for tier in schedule.tiers] == [(1, 1900, 0), (None, 0, 0)]


def test_each_value_of_a_dimension_becomes_a_meter_where_nothing_is_rounded() -> None:
    cells = (Cell({"model": "large"}, PerUnit(Fraction("0.03"))), Cell({"model": "small"}, PerUnit(Fraction("0.01"))))
    meter = Meter("calls", "calls_total", "consumer", dimensions=("model",))
    card = RateCard("card", "Card", meter, Matrix(("model",), cells))
    said = schedules(card, 2)
    assert [(match, schedule.unit) for match, schedule in said] == [
        ((("model", "large"),), 3),
        ((("model", "small"),), 1),
    ]
    rated, _ = rate_mixed(card, {("large",): Fraction(7), ("small",): Fraction(11)})
    there = sum(
        billed_there(schedule, {"large": 7, "small": 11}[match[0][1]], line_per_tier=True, flat_at_zero=True)
        for match, schedule in said
    )
    assert there == rated.amount.total() * 100 == 32


OPEN = Tiers((Tier(None, Fraction("0.01")),))
REFUSED: dict[str, RateCard] = {
    "it has a commitment": RateCard("c", "C", CALLS, PerUnit(Fraction(1)), commitment=Commitment(amount=Fraction(5))),
    "it has a minimum": RateCard("c", "C", CALLS, PerUnit(Fraction(1)), adjustments=Adjustments(minimum=Fraction(5))),
    "it has a cap": RateCard("c", "C", CALLS, PerUnit(Fraction(1)), adjustments=Adjustments(maximum=Fraction(5))),
    "it has discounts": RateCard(
        "c", "C", CALLS, PerUnit(Fraction(1)), adjustments=Adjustments((Discount(DiscountKind.FIXED, Fraction(1)),))
    ),
    "unused allowance is carried over": RateCard("c", "C", CALLS, PerUnit(Fraction(1)), Fraction(5), rollover=1),
    "of the kind percentage": RateCard("c", "C", CALLS, Percentage(Fraction(3))),
    "at most 12 decimals": RateCard("c", "C", CALLS, PerUnit(Fraction(1, 10**15))),
    "free units and packages": RateCard("c", "C", CALLS, Package(Fraction(10), Fraction(1)), Fraction(5)),
    "packages are due at least": RateCard("c", "C", CALLS, Package(Fraction(10), Fraction(1), minimum_packages=2)),
    "prices all units there": RateCard("c", "C", CALLS, Volume(OPEN), Fraction(5)),
    "leave the last up_to open": RateCard("c", "C", CALLS, Graduated(Tiers((Tier(Fraction(5), Fraction(1)),)))),
    "sold by the package": RateCard(
        "c", "C", CALLS, Graduated(Tiers((Tier(None, package=Block(Fraction(5), Fraction(1))),)))
    ),
    "a tier has a cap": RateCard("c", "C", CALLS, Graduated(Tiers((Tier(None, Fraction(1), cap=Fraction(5)),)))),
    "whether that is due without usage": RateCard(
        "c", "C", CALLS, Volume(Tiers((Tier(None, Fraction("0.01"), flat=Fraction(2)),)))
    ),
    "of its first tier is due without usage": RateCard(
        "c",
        "C",
        CALLS,
        Volume(Tiers((Tier(Fraction("0.01"), flat=Fraction("0.01")), Tier(None))), charge_at_zero=True),
    ),
    "write it as a fee of the plan": RateCard("c", "C", CALLS, Flat(Fraction(2), charge_at_zero=True)),
    "no whole number of metered units": RateCard("c", "C", CALLS, PerUnit(Fraction(1)), Fraction("0.5")),
    "rounded on a line of its own": RateCard(
        "c", "C", CALLS, Graduated(Tiers((Tier(Fraction(7), Fraction("0.001")), Tier(None, Fraction(1)))))
    ),
    "a line each there": RateCard(
        "c",
        "C",
        Meter("calls", "calls_total", "consumer", dimensions=("model",)),
        Matrix(("model",), (Cell({"model": "large"}, PerUnit(Fraction("0.001"))),)),
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_told_is_refused_with_the_reason(reason: str) -> None:
    with pytest.raises(Unsayable, match=reason):
        schedules(REFUSED[reason], 2)


def test_a_tier_that_is_rounded_by_itself_would_have_cost_a_cent_more() -> None:
    """Why bounds at which a tier is no whole number of cents are refused: 0.7 and 0.7 cents are one cent or two."""
    card = RateCard(
        "c", "C", CALLS, Graduated(Tiers((Tier(Fraction(7), Fraction("0.001")), Tier(None, Fraction("0.0007")))))
    )
    assert ours(card, 17) == 1
    assert half_up(7 * Fraction("0.1")) + half_up(10 * Fraction("0.07")) == 2
