"""Prices as authors write them: each kind compiles to its value, each mistake is told at its place."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from rating.core.column import Column
from rating.core.prices.bands import Banded
from rating.core.prices.matrix import Matrix
from rating.core.prices.price import amount_of
from rating.specs.prices import PriceSpec, price_of

F = Fraction
WRITTEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "unit price": ({"unit_price": "0.002"}, "1500", "3"),
    "graduated": ({"graduated": [{"up_to": 10, "unit_price": "1", "flat_fee": 2}, {"unit_price": "0.5"}]}, "12", "13"),
    "volume": ({"volume": [{"up_to": 10, "unit_price": "1"}, {"unit_price": "0.5"}]}, "12", "6"),
    "package": ({"package": {"size": 1_000, "price": "0.40", "round": "down"}}, "1999", "0.4"),
    "packages inside a tier": (
        {"graduated": [{"up_to": 1_000, "package": {"size": 100, "price": 1}}, {"unit_price": "0.5"}]},
        "401",
        "5",
    ),
    "a cap on a tier": (
        {"graduated": [{"up_to": 100, "unit_price": 1, "cap": 30}, {"unit_price": "0.5"}]},
        "120",
        "40",
    ),
    "stairstep": ({"stairstep": [{"up_to": 10, "price": "50"}, {"price": "100"}], "additive": True}, "11", "150"),
    "flat": ({"flat": "9.00"}, "1", "9"),
    "percentage": ({"percentage": "2.9%"}, "1000", "29"),
    "graduated percentage": (
        {"graduated_percentage": [{"up_to": 100, "rate": "5%"}, {"rate": "2%", "flat_fee": "10"}]},
        "150",
        "16",
    ),
    "dynamic": ({"dynamic": "1.2"}, "10", "12"),
    "unbilled beyond the end": ({"graduated": [{"up_to": 10, "unit_price": 5}], "beyond": "unbilled"}, "15", "50"),
    "the bound in the upper tier": (
        {"volume": [{"up_to": 10, "unit_price": 5}, {"unit_price": 1}], "upper_bound": "exclusive"},
        "10",
        "10",
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_price_as_written_costs_what_it_says(name: str) -> None:
    written, quantity, amount = WRITTEN[name]
    spec = PriceSpec.model_validate(written)
    assert amount_of(price_of(spec), F(quantity)) == F(amount)
    assert PriceSpec.model_validate(spec.model_dump(exclude_defaults=True)) == spec, "what is rendered compiles again"


def test_a_matrix_as_written() -> None:
    price = price_of(
        PriceSpec.model_validate(
            {
                "matrix": {
                    "by": ["model", "direction"],
                    "cells": [
                        {"match": {"model": "large", "direction": "out"}, "unit_price": "0.03"},
                        {"match": {"model": "large"}, "package": {"size": 10, "price": 1}},
                    ],
                    "default": {"unit_price": "0.001"},
                }
            }
        )
    )
    assert isinstance(price, Matrix)
    rows = [("large", "out"), ("large", "in"), ("small", "in")]
    assert price.amounts_of(rows, Column.of([100, 11, 1000])).fractions() == [3, 2, 1]


def test_times_of_use_as_written() -> None:
    times = {
        "timezone": "Europe/Berlin",
        "bands": [
            {"name": "night", "start": "22:00", "end": "06:00", "unit_price": "0.5"},
            {"name": "weekend", "weekdays": ["saturday", "sunday"], "last_day": "2026-12-31", "unit_price": "0.7"},
        ],
        "otherwise": {"unit_price": 1},
    }
    spec = PriceSpec.model_validate({"times": times})
    price = price_of(spec)
    assert isinstance(price, Banded)
    assert price.amounts_of(["night", "otherwise", "weekend"], Column.of([10, 10, 10])).fractions() == [5, 10, 7]
    assert PriceSpec.model_validate(spec.model_dump(exclude_defaults=True)) == spec


@pytest.mark.parametrize(
    ("written", "where", "says"),
    [
        ({}, (), "no price is written; add one of unit_price,"),
        ({"unit_price": "1", "flat": "2"}, (), "unit_price and flat are both written; a charge has one price"),
        ({"unit_price": 0.1}, ("unit_price",), '0.1 is read as a binary float; quote it: "0.1"'),
        (
            {"graduated": [{"up_to": 900}, {"up_to": 800}]},
            ("graduated", 1, "up_to"),
            "tier 2 ends at 800 but tier 1 already ends at 900; list tiers by rising up_to",
        ),
        ({"volume": [{}, {"up_to": 8}]}, ("volume", 0), "tier 1 has no up_to, so what comes after it is never reached"),
        ({"package": {"size": 0, "price": 1}}, ("package", "size"), "a package of 0 units cannot be sold"),
        (
            {"matrix": {"by": ["model"], "cells": [{"match": {"region": "eu"}, "unit_price": 1}]}},
            ("matrix",),
            'cell 1 matches on "region"; add it to "by", which has model',
        ),
        (
            {"times": {"bands": [{"name": "n", "start": "24:00", "unit_price": 1}], "otherwise": {"unit_price": 1}}},
            ("times", "bands", 0, "start"),
            '"24:00" is not a time of the day; write it like "22:00"',
        ),
        (
            {"times": {"bands": [{"name": "n", "weekdays": ["sun"], "unit_price": 1}], "otherwise": {"unit_price": 1}}},
            ("times", "bands", 0, "weekdays", 0),
            '"sun" is not a day of the week; did you mean "sunday"?',
        ),
    ],
)
def test_a_mistake_is_told_at_its_place(written: dict[str, Any], where: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PriceSpec.model_validate(written)
    [problem] = refused.value.errors()
    assert problem["loc"] == where
    assert says in problem["msg"]
