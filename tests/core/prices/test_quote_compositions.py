"""Whole questions: any price, anything agreed around it, any form of usage, against the obvious evaluator."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.money import decimal_text
from rating.specs.interchange import quote
from tests.core.prices import cards, obvious

F = Fraction


def line(card: dict[str, Any], usage: dict[str, Any], how: dict[str, str], currency: str = "USD") -> dict[str, Any]:
    inner = {key: value for key, value in card.items() if key != "model"}
    return {"model": card["model"], "currency": currency, "card": inner, "usage": usage, "semantics": how}


@pytest.mark.parametrize("model", [*cards.prices, "percentage"])
@settings(max_examples=100, deadline=None)
@given(data=st.data(), around=cards.around, how=cards.semantics, currency=cards.currencies)
def test_every_price_with_everything_around_it(
    model: str, data: st.DataObject, around: dict[str, Any], how: dict[str, str], currency: str
) -> None:
    card = data.draw(cards.percentage if model == "percentage" else cards.prices[model])
    if model == "percentage":
        # Percentages count events; an allowance or a promise of units has no event to belong to.
        around = {key: value for key, value in around.items() if key not in ("included_units", "usage_discount")}
        if "quantity" in around.get("commitment", {}):
            around = {key: value for key, value in around.items() if key != "commitment"}
    usage = data.draw(cards.usages(events_only=model == "percentage"))
    asked = line({**card, **around}, usage, how, currency)
    try:
        amount, rounded = obvious.quote(asked)
    except obvious.Refused:
        assert quote(asked).error is not None
        return
    answered = quote(asked)
    assert (answered.error, answered.amount, answered.rounded) == (None, amount, rounded)


@settings(max_examples=100, deadline=None)
@given(
    cells=st.lists(st.tuples(st.sampled_from("abc"), st.one_of(*cards.prices.values())), min_size=1, max_size=3),
    rows=st.lists(st.tuples(st.sampled_from("abcd"), cards.quantities), min_size=1, max_size=5),
    default=st.booleans(),
    around=cards.around,
    how=cards.semantics,
)
def test_a_matrix_of_any_prices_with_what_is_agreed_about_the_whole(
    cells: list[tuple[str, dict[str, Any]]],
    rows: list[tuple[str, str]],
    default: bool,
    around: dict[str, Any],
    how: dict[str, str],
) -> None:
    matched = [{"match": {"model": name}, "price": price} for name, price in cells]
    if default:
        matched.append({"match": {}, "price": {"model": "per_unit", "unit_amount": "0.25"}})
    agreed = {key: value for key, value in around.items() if key not in ("unit_conversion", "commitment")}
    usage = {"by_dimension": [{"dims": {"model": name}, "usage": {"quantity": q}} for name, q in rows]}
    asked = line({"model": "matrix", "cells": matched, **agreed}, usage, how)
    try:
        amount, rounded = obvious.quote(asked)
    except obvious.Refused:
        assert quote(asked).error is not None
        return
    answered = quote(asked)
    assert (answered.error, answered.amount, answered.rounded) == (None, amount, rounded)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), around=cards.around, how=cards.semantics, deltas=st.lists(cards.signed, min_size=1, max_size=6))
def test_late_deltas_settle_to_the_same_total(
    data: st.DataObject, around: dict[str, Any], how: dict[str, str], deltas: list[str]
) -> None:
    """A quantity that arrives in slices, some of them corrections, costs in sum what it costs at once."""
    card = data.draw(st.one_of(*cards.prices.values()))
    how = {**how, "beyond_last_tier": "last_tier_price"}
    how.pop("split_conversion", None)
    agreed = {key: value for key, value in around.items() if key != "credits"}
    running, settled = F(0), F(0)
    for i, delta in enumerate(deltas):
        usage: dict[str, Any] = {"quantity": delta, "final": i == len(deltas) - 1}
        if i:
            usage |= {"previous_quantity": str(running), "previous_billed": str(settled)}
            usage = {key: _decimal(value) for key, value in usage.items()}
        answered = quote(line({**card, **agreed}, usage, how))
        assert answered.amount is not None
        if not _terminates(answered.amount):
            return
        settled += answered.amount
        running += F(delta)
    at_once = quote(line({**card, **agreed}, {"quantity": _decimal(str(running))}, how))
    assert settled == at_once.amount


def _terminates(number: Fraction) -> bool:
    return 10**60 % number.denominator == 0


def _decimal(value: Any) -> Any:
    return decimal_text(F(value)) if isinstance(value, str) else value


@settings(max_examples=100, deadline=None)
@given(
    data=st.data(),
    percents=st.lists(st.sampled_from(["20", "8.25", "0.1", "7.5"]), min_size=1, max_size=3),
    currency=cards.currencies,
)
def test_lines_and_tax_less_credit_are_the_total_in_every_exponent(
    data: st.DataObject, percents: list[str], currency: str
) -> None:
    exponent = {"JPY": 0, "USD": 2, "KWD": 3, "CLF": 4}[currency]
    lines = data.draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
    card = {
        "invoice_discounts": data.draw(
            st.lists(st.builds(lambda value: {"type": "percentage", "value": value}, cards.percents), max_size=2)
        ),
        "credits": [
            _decimal(str(F(minor, 10**exponent))) for minor in data.draw(st.lists(st.integers(0, 10**5), max_size=3))
        ],
        "tax_percents": percents,
    }
    usage = {"lines": [{"amount": _decimal(str(F(minor, 10**exponent)))} for minor in lines]}
    found = quote({"model": "invoice", "currency": currency, "card": card, "usage": usage})
    assert found.breakdown is not None
    assert found.tax is not None
    assert sum(found.breakdown, F(0)) + found.tax - found.parts["credits"] == found.total == found.rounded
    assert found.parts["subtotal"] - found.parts["discount"] == sum(found.breakdown, F(0))
    assert all((amount * 10**exponent).denominator == 1 for amount in (*found.breakdown, found.tax))


TIERS = [
    {"up_to": 5, "flat_amount": "100"},
    {"up_to": 10, "flat_amount": "50"},
    {"up_to": 15, "unit_amount": "5"},
    {"up_to": None, "unit_amount": "1"},
]


def test_a_slice_shows_what_it_adds_to_each_tier() -> None:
    card = {"model": "graduated", "tiers": TIERS}
    found = quote(line(card, {"quantity": "10", "previous_quantity": "12", "final": False}, {}))
    assert found.breakdown == (15, 7)
    assert sum((portion.amount for portion in found.portions), F(0)) == found.amount == 22


def test_a_slice_that_changes_the_price_of_everything_before_is_one_figure() -> None:
    found = quote(line({"model": "volume", "tiers": TIERS}, {"quantity": "10", "previous_quantity": "12"}, {}))
    assert found.breakdown == (found.amount,) == (-38,)


def test_what_was_billed_as_it_was_said_is_not_priced_again() -> None:
    """It may lie beyond the last tier, where a correction has taken the running total back below it."""
    card = {"model": "volume", "tiers": [{"up_to": 50, "unit_amount": "2"}]}
    usage = {"quantity": "-1", "previous_quantity": "51", "previous_billed": "90", "final": False}
    assert quote(line(card, usage, {})).amount == 10
    assert "lies beyond the last tier" in (quote(line(card, {**usage, "quantity": "1"}, {})).error or "")


def test_windows_under_one_commitment_each() -> None:
    promise = {"amount": "10", "overage_factor": "2", "true_up": True}
    card = {"model": "commitment", "unit_amount": "2", "commitment": promise}
    found = quote(line(card, {"windows": [{"quantity": "2"}, {"quantity": "7"}]}, {}))
    assert (found.breakdown, found.parts) == ((10, 18), {"committed": 14, "overage": 8, "true_up": 6})


def test_rounding_line_by_line_takes_the_adjustments_as_a_line() -> None:
    card = {
        "model": "graduated",
        "tiers": [{"up_to": 1, "unit_amount": "0.005"}, {"up_to": None, "unit_amount": "0.005"}],
    }
    discount = {"discounts": [{"type": "percentage", "value": "50"}]}
    found = quote(line({**card, **discount}, {"quantity": "2"}, {"rounding_granularity": "per_line"}))
    assert (found.amount, found.rounded) == (F("0.005"), F("0.01")), "0.01 + 0.01 - 0.01"


def test_the_full_count_selects_the_tiers_unless_the_quantity_shall() -> None:
    card = {"model": "volume", "tiers": [{"up_to": 1, "unit_amount": "10"}, {"up_to": None, "unit_amount": "4"}]}
    usage = {"quantity": "0.7", "quantity_for_tier_selection": "2"}
    assert quote(line(card, usage, {})).amount == F("2.8")
    assert quote(line(card, usage, {"tier_selection": "quantity"})).amount == 7
