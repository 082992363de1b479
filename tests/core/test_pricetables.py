"""A plan's prices for people: rows of a table, points of a chart, both beginning after the allowance."""

from fractions import Fraction

import pytest

from rating.core.charges import rate
from rating.core.column import Column
from rating.core.meters import Meter
from rating.core.prices.flat import Flat
from rating.core.prices.graduated import Graduated
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.price import Price
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.pricetables import curve, price_rows
from rating.core.ratecards import RateCard
from rating.core.tiers import Beyond, Tier, Tiers

TWO = Tiers((Tier(Fraction(100), Fraction(2)), Tier(None, Fraction(1), Fraction(5))))


def card(price: Price, included: int = 0) -> RateCard:
    return RateCard("calls", "calls", Meter("calls", "calls_total", "consumer_id"), price, Fraction(included))


# price, included -> rows of (what, above, up to, unit price, flat)
TABLES = {
    "one price after an allowance": (
        PerUnit(Fraction(3)),
        10,
        [("included", 0, 10, 0, 0), ("each", 10, None, 3, 0)],
    ),
    "tiers begin where the allowance ends": (
        Graduated(TWO),
        10,
        [
            ("included", 0, 10, 0, 0),
            ("each in this tier", 10, 110, 2, 0),
            ("each in this tier", 110, None, 1, 5),
        ],
    ),
    "volume": (
        Volume(TWO),
        0,
        [
            ("each of all, when the total ends here", 0, 100, 2, 0),
            ("each of all, when the total ends here", 100, None, 1, 5),
        ],
    ),
    "bands that end": (
        Stairstep(Tiers((Tier(Fraction(100), flat=Fraction(7)),), Beyond.UNBILLED)),
        0,
        [("band", 0, 100, None, 7), ("not billed", 100, None, None, 0)],
    ),
    "packages": (Package(Fraction(1000), Fraction(4)), 0, [("per package of 1,000, started", 0, None, None, 4)]),
    "part packages": (
        Package(Fraction(1000), Fraction(4), Packaging.EXACT),
        0,
        [("per package of 1,000, or part of one", 0, None, None, 4)],
    ),
    "a flat amount": (Flat(Fraction(9)), 0, [("flat", 0, None, None, 9)]),
}


@pytest.mark.parametrize("story", TABLES)
def test_price_table(story: str) -> None:
    price, included, expected = TABLES[story]
    rows = price_rows(card(price, included))
    assert [(row.what, row.above, row.up_to, row.unit_price, row.flat) for row in rows] == expected


@pytest.mark.parametrize("story", TABLES)
def test_every_point_of_a_chart_is_the_exact_amount(story: str) -> None:
    price, included, _ = TABLES[story]
    chosen = card(price, included)
    points = curve(chosen)
    assert [point.quantity for point in points] == sorted({point.quantity for point in points})
    amounts = rate(chosen, Column.of([point.quantity for point in points])).amount.fractions()
    assert [point.amount for point in points] == amounts


def test_a_chart_marks_where_the_allowance_and_the_tiers_end_and_what_a_unit_then_costs() -> None:
    points = {point.quantity: point for point in curve(card(Graduated(TWO), 10))}
    assert points[Fraction(10)].marks == ("included",)
    assert points[Fraction(110)].marks == ("tier 1 ends",)
    # 100 units at 2 spread over 110
    assert points[Fraction(110)].each == Fraction(200, 110)
    assert points[Fraction(0)].each is None
    assert max(points) == 220


def test_a_chart_stops_where_the_price_does() -> None:
    closed = Tiers((Tier(Fraction(40), Fraction(1)),), Beyond.REFUSE)
    assert max(point.quantity for point in curve(card(Graduated(closed), 10))) == 50
