"""Every price kind over columns equals the slow, obvious evaluator row by row, in int64 and beyond it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.column import INT64_BOUND, Column
from rating.core.prices.price import amount_of
from rating.errors import NoTierCovers
from rating.specs.neutral import Fields
from rating.specs.neutral_cards import price
from rating.specs.neutral_switches import switches
from tests.core.prices import cards, obvious

F = Fraction
QUANTITIES = st.lists(cards.signed.map(Fraction), min_size=1, max_size=12)


def engine(card: dict[str, Any], how: dict[str, str]) -> Any:
    return price(card["model"], Fields(card, "card"), switches(Fields(how, "semantics")))


def expected(card: dict[str, Any], quantities: list[Fraction], how: dict[str, str]) -> list[Fraction] | None:
    try:
        return [obvious.price(card, quantity, how) for quantity in quantities]
    except obvious.Refused:
        return None


@pytest.mark.parametrize("model", [*cards.prices, "percentage"])
@settings(max_examples=80, deadline=None)
@given(data=st.data(), quantities=QUANTITIES, how=cards.semantics)
def test_a_column_of_quantities_costs_what_each_costs_alone(
    model: str, data: st.DataObject, quantities: list[Fraction], how: dict[str, str]
) -> None:
    card = data.draw(cards.percentage if model == "percentage" else cards.prices[model])
    wanted = expected(card, quantities, how)
    priced = engine(card, how)
    if wanted is None:
        with pytest.raises(NoTierCovers):
            priced.amounts(Column.of(quantities))
        return
    assert priced.amounts(Column.of(quantities)).fractions() == wanted
    for quantity, amount in zip(quantities, wanted, strict=True):
        assert sum((portion.amount for portion in priced.portions(quantity)), F(0)) == amount


@pytest.mark.parametrize("model", cards.prices)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), offset=st.integers(-3, 3))
def test_the_int64_road_and_the_big_road_meet_at_the_bound(model: str, data: st.DataObject, offset: int) -> None:
    """The same price at quantities whose amounts lie just below, at and above 2**63 - 1 in the price's scale."""
    how = {"beyond_last_tier": "last_tier_price"}
    card = data.draw(cards.prices[model])
    priced = engine(card, how)
    one = priced.amounts(Column.of([F(1)]))
    slope = max(abs(amount) * one.denominator for amount in (amount_of(priced, F(1)), F(1, one.denominator)))
    quantities = [F(INT64_BOUND // max(int(slope), 1) + offset), F(INT64_BOUND + offset), F(7)]
    assert priced.amounts(Column.of(quantities)).fractions() == expected(card, quantities, how)


def test_sub_cent_prices_to_twelve_places_and_quantities_to_ten_to_the_fifteenth() -> None:
    card = {
        "model": "graduated",
        "tiers": [
            {"up_to": 10**14, "unit_amount": "0.000000000001"},
            {"up_to": None, "unit_amount": "0.000000000003"},
        ],
    }
    quantities = [F(10**15), F(10**15 - 1), F(10**14), F(1)]
    amounts = engine(card, {}).amounts(Column.of(quantities)).fractions()
    assert amounts == [F(2800), F(2800) - F(3, 10**12), F(100), F(1, 10**12)]
    assert amounts == expected(card, quantities, {})


@settings(max_examples=80, deadline=None)
@given(
    card=cards.percentage,
    groups=st.lists(st.lists(cards.signed.map(Fraction), max_size=5), min_size=1, max_size=5),
)
def test_events_of_many_consumers_in_one_column(card: dict[str, Any], groups: list[list[Fraction]]) -> None:
    offsets = np.cumsum([0, *(len(group) for group in groups)])
    column = Column.of([event for group in groups for event in group])
    amounts = engine(card, {}).of_events(column, offsets).fractions()
    assert amounts == [obvious.events(card, group) for group in groups]


@settings(max_examples=80, deadline=None)
@given(
    card=cards.tiered("graduated", flats=False, extras=False),
    low=cards.quantities.map(Fraction),
    step=st.sampled_from([F(1, 1000), F(1), F(17)]),
)
def test_graduated_never_falls_and_never_jumps(card: dict[str, Any], low: Fraction, step: Fraction) -> None:
    priced = engine(card, {"beyond_last_tier": "last_tier_price"})
    before, after = priced.amounts(Column.of([low, low + step])).fractions()
    dearest = max(F(tier["unit_amount"]) for tier in card["tiers"])
    assert 0 <= after - before <= dearest * step
