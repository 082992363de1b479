"""Each price kind on a card people would write, with the amounts they would expect."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from rating.core.column import Column
from rating.core.money import Rounding
from rating.core.prices.capacity import Capacity, Size, one
from rating.core.prices.chained import Chained, Factor, threshold_flat
from rating.core.prices.converted import Conversion, Converted
from rating.core.prices.flat import Flat
from rating.core.prices.graduated import Graduated
from rating.core.prices.matrix import Cell, Matrix
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.percentage import Percentage
from rating.core.prices.price import amount_of
from rating.core.prices.prorated_units import prorated_units
from rating.core.prices.scaled import in_credits, revenue_share
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.tiers import Beyond, Block, Tier, Tiers, Upper
from rating.errors import NoTierCovers, PricingError

F = Fraction


def tiers(*steps: tuple[Any, Any, Any], **switches: Any) -> Tiers:
    return Tiers(
        tuple(Tier(None if up_to is None else F(up_to), F(unit), F(flat)) for up_to, unit, flat in steps), **switches
    )


SCHEDULE = tiers((100, "0.10", 2), (200, "0.05", 3), (None, "0.01", 0))
BANDS = tiers((10, 0, 50), (20, 0, 100), (None, 0, 150))

STORIES: dict[str, tuple[Any, str, str]] = {
    "every unit the same": (PerUnit(F("0.002")), "1500", "3"),
    "graduated fills tiers one by one": (Graduated(SCHEDULE), "250", "20.5"),
    "graduated, nothing used": (Graduated(SCHEDULE), "0", "0"),
    "graduated, nothing used, base fee wanted": (Graduated(SCHEDULE, charge_at_zero=True), "0", "2"),
    "graduated, on the bound": (Graduated(SCHEDULE), "100", "12"),
    "graduated, a hair beyond it the next flat fee is due": (Graduated(SCHEDULE), "100.001", "15.00005"),
    "volume prices all units by the tier reached": (Volume(SCHEDULE), "150", "10.5"),
    "volume, on the bound": (Volume(SCHEDULE), "100", "12"),
    "volume, the bound in the upper tier": (
        Volume(tiers((100, "0.10", 2), (None, "0.05", 3), upper=Upper.EXCLUSIVE)),
        "100",
        "8",
    ),
    "a started package in full": (Package(F(1000), F("1.25")), "1001", "2.5"),
    "a full package": (Package(F(1000), F("1.25")), "1000", "1.25"),
    "only full packages": (Package(F(100), F(1), Packaging.DOWN), "250", "2"),
    "a share of a package": (Package(F(100), F(1), Packaging.EXACT), "250", "2.5"),
    "no package for no usage": (Package(F(1000), F("1.25")), "0", "0"),
    "at least one package": (Package(F(1000), F("1.25"), minimum_packages=1), "0", "1.25"),
    "packages counted inside each tier": (
        Graduated(
            Tiers(
                (
                    Tier(F(1000), package=Block(F(100), F(1))),
                    Tier(None, package=Block(F(1000), F(1))),
                )
            )
        ),
        "5325",
        "15",
    ),
    "a tier that costs at most so much": (
        Graduated(Tiers((Tier(F(100), F(1), cap=F(30)), Tier(None, F("0.5"))))),
        "120",
        "40",
    ),
    "the band reached": (Stairstep(BANDS), "20", "100"),
    "all bands reached": (Stairstep(BANDS, additive=True), "20", "150"),
    "a flat fee, used": (Flat(F(9)), "1", "9"),
    "a flat fee, unused": (Flat(F(9)), "0", "0"),
    "a standing fee": (Flat(F(9), charge_at_zero=True), "0", "9"),
    "beyond the last tier unbilled": (Graduated(tiers((10, 5, 0), beyond=Beyond.UNBILLED)), "15", "50"),
    "beyond the last tier at its price": (Volume(tiers((10, 5, 0), beyond=Beyond.LAST_TIER_PRICE)), "15", "75"),
    "per 1,000, started ones in full": (
        Converted(Conversion(F(1, 1000), Rounding.CEILING), PerUnit(F("0.10"))),
        "7400",
        "0.8",
    ),
    "1 credit is 1,000 tokens and costs 2 cents": (
        Converted(Conversion(F(1, 1000)), in_credits(PerUnit(F(1)), F("0.02"))),
        "5500",
        "0.11",
    ),
    "a partner's fifth": (revenue_share(Graduated(SCHEDULE), F(20)), "250", "4.1"),
    "a factor on what stands before it": (
        Chained((PerUnit(F("1.42")), PerUnit(F("0.2")), Factor(F("1.10")), PerUnit(F(1)))),
        "2",
        "5.564",
    ),
    "standing on a level reaches it": (threshold_flat({F(64): F(1), F(128): F(3)}), "128", "3"),
    "below every level": (threshold_flat({F(64): F(1)}), "63.9", "0"),
    "usage taken back": (Graduated(SCHEDULE), "-30", "-3"),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_price_on_a_card(story: str) -> None:
    price, quantity, amount = STORIES[story]
    assert amount_of(price, F(quantity)) == F(amount)
    assert sum((portion.amount for portion in price.portions(F(quantity))), F(0)) == F(amount)


def test_the_walk_shows_each_tier_with_its_units() -> None:
    walk = [(step.what, step.quantity, step.unit_price, step.amount) for step in Graduated(SCHEDULE).portions(F(250))]
    assert walk == [
        ("tier 1 (up to 100)", 100, F("0.10"), 12),
        ("tier 2 (up to 200)", 100, F("0.05"), 8),
        ("tier 3 (above 200)", 50, F("0.01"), F("0.5")),
    ]


def test_the_free_rest_beyond_the_last_tier_is_shown() -> None:
    *_, rest = Graduated(tiers((10, 5, 0), beyond=Beyond.UNBILLED)).portions(F(15))
    assert (rest.what, rest.quantity, rest.amount) == ("beyond the last tier (not billed)", 5, 0)


@pytest.mark.parametrize(("upper", "quantity"), [(Upper.INCLUSIVE, "10.001"), (Upper.EXCLUSIVE, "10")])
@pytest.mark.parametrize("kind", [Graduated, Volume])
def test_a_quantity_beyond_the_last_tier_is_refused_with_both_numbers(kind: Any, upper: Upper, quantity: str) -> None:
    price = kind(tiers((10, 5, 0), upper=upper))
    with pytest.raises(
        NoTierCovers, match=rf"quantity {quantity} lies beyond the last tier, which ends (at|below) 10;"
    ):
        price.amounts(Column.of([F(1), F(quantity)]))


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ((), "at least one tier"),
        (((900, 1, 0), (800, 1, 0)), "tier 2 ends at 800 but tier 1 already ends at 900"),
        (((10, 1, 0), (10, 1, 0)), "tier 2 ends at 10 but tier 1 already ends at 10"),
        (((0, 1, 0),), "tier 1 ends at 0 but tiers begin at 0"),
        (((None, 1, 0), (10, 1, 0)), "tier 1 has no end, so the 1 tiers after it are never reached"),
    ],
)
def test_tiers_have_no_holes(steps: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tiers(*steps)


def test_a_stairstep_has_no_unit_price() -> None:
    with pytest.raises(ValueError, match="band 1 of a stairstep price has a unit price"):
        Stairstep(SCHEDULE)


MODELS = Matrix(
    ("model", "direction"),
    (
        Cell({"model": "large", "direction": "out"}, PerUnit(F("0.03"))),
        Cell({"model": "large"}, PerUnit(F("0.01"))),
        Cell({"model": "small"}, Graduated(SCHEDULE)),
    ),
)


def test_the_first_cell_that_matches_prices_a_row() -> None:
    rows = [("large", "in"), ("small", "out"), ("large", "out"), ("small", "in")]
    amounts = MODELS.amounts_of(rows, Column.of([F(100), F(250), F(100), F(0)])).fractions()
    assert amounts == [1, F("20.5"), 3, 0]


def test_usage_no_cell_matches_is_never_free_by_accident() -> None:
    with pytest.raises(PricingError, match="no cell of the price matrix matches model=tiny, direction=in"):
        MODELS.amounts_of([("tiny", "in")], Column.of([F(1)]))
    fallback = Matrix(MODELS.dimensions, MODELS.cells, PerUnit(F(5)))
    assert fallback.amounts_of([("tiny", "in")], Column.of([F(3)])).fractions() == [15]
    with pytest.raises(PricingError, match="the quantity does not say them"):
        fallback.amounts(Column.of([F(3)]))


def test_a_matrix_knows_the_dimensions_its_cells_ask_for() -> None:
    with pytest.raises(ValueError, match="cell 1 matches on region, but the matrix has the dimensions model"):
        Matrix(("model",), (Cell({"region": "eu"}, PerUnit(F(1))),))


SIZES = Capacity(
    (
        Size({"seats": F(10), "storage": F(100)}, F(20)),
        Size({"seats": F(50), "storage": F(500)}, F(80)),
        Size({}, F(300)),
    )
)


@pytest.mark.parametrize(
    ("seats", "storage", "amount"), [(10, 100, 20), (10, 101, 80), (11, 5, 80), (51, 0, 300), (0, 0, 0)]
)
def test_the_smallest_size_that_holds_every_dimension(seats: int, storage: int, amount: int) -> None:
    assert one(SIZES, {"seats": F(seats), "storage": F(storage)}) == amount


def test_usage_that_fits_no_size_is_refused_or_takes_the_largest() -> None:
    usage = {"seats": F(60), "storage": F(1)}
    with pytest.raises(NoTierCovers, match="usage of seats 60, storage 1 fits no size"):
        one(Capacity(SIZES.sizes[:2]), usage)
    assert one(Capacity(SIZES.sizes[:2], Beyond.LAST_TIER_PRICE), usage) == 80


CARD_FEES = Percentage(F(1), F(5), free_events=3, free_amount=F(15))


@pytest.mark.parametrize(
    ("events", "amount"),
    [
        (["10"], "0"),
        (["10", "10"], "5.05"),  # 5 of the second exceed the free 15; its fixed part is due in full
        (["10", "10", "10"], "10.15"),
        (["1", "1", "1", "1"], "5.01"),  # the fourth is beyond the free three, though only 4 of 15 passed
        ([], "0"),
        (["0", "0", "0", "0"], "5"),  # an event of nothing is an event
    ],
)
def test_events_are_free_only_while_both_allowances_last(events: list[str], amount: str) -> None:
    portions = CARD_FEES.portions_of([F(event) for event in events])
    assert sum((portion.amount for portion in portions), F(0)) == F(amount)


def test_units_prorated_within_the_period_stay_in_the_tiers_of_their_full_count() -> None:
    seats = Graduated(tiers((1, 10, 100), (None, 5, 50)))
    assert prorated_units(seats, F(1), F("0.7")) == 107
    assert prorated_units(seats, F(3), F("1.5")) == F(5) + F(5) + 150


def test_a_large_column_and_its_rows_one_by_one_agree() -> None:
    quantities = [F(n * 7919 % 400_000, 1000) for n in range(70_000)]
    amounts = Graduated(SCHEDULE).amounts(Column.of(quantities)).fractions()
    for row in range(0, len(quantities), 997):
        assert amounts[row] == amount_of(Graduated(SCHEDULE), quantities[row])
