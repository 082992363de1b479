"""`rating quote`: a plan's prices walked tier by tier, and JSON lines answered one by one, never with a traceback."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rating.cli import run

CATALOGUE = """
version: 1
currency: USD
meters:
  calls: {metric: api_requests_total, consumer: consumer_id}
  tokens: {metric: tokens_total, consumer: consumer_id, unit: token, dimensions: [model, direction]}
  seconds: {metric: stream_seconds_total, consumer: consumer_id, unit: second, resolution: "0.001"}
plans:
  pro:
    name: Pro
    fee: "49.00"
    charges:
      - meter: calls
        name: API calls
        included: 100_000
        graduated:
          - {up_to: 1_000_000, unit_price: "0.0005"}
          - {unit_price: "0.0003"}
      - {meter: seconds, name: Streaming, unit_price: "0.00045"}
  models:
    charges:
      - meter: tokens
        included: 100
        matrix:
          by: [model, direction]
          cells:
            - {match: {model: large, direction: out}, unit_price: "0.03"}
            - {match: {model: large}, unit_price: "0.01"}
          default: {unit_price: "0.001"}
      - meter: calls
        times:
          timezone: Europe/Berlin
          bands: [{name: night, start: "22:00", end: "06:00", unit_price: "0.5"}]
          otherwise: {unit_price: 1}
"""


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "catalogue.yaml"
    path.write_text(CATALOGUE)
    monkeypatch.setenv("RATING_CATALOG", str(path))
    return path


def quoted(capsys: pytest.CaptureFixture[str], *usage: str, plan: str = "pro") -> list[dict[str, Any]]:
    flags = [flag for each in usage for flag in ("--usage", each)]
    assert run(["quote", plan, *flags, "--format", "json"]) == 0
    return list(json.loads(capsys.readouterr().out))


def test_a_quote_walks_the_tiers_and_adds_rounded_lines(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = quoted(capsys, "calls=1300000", "seconds=12.345")
    assert [(row["line"], row["what"], row["quantity"], row["unit_price"], row["amount"]) for row in rows] == [
        ("Pro fee", "fee", None, None, "49.00"),
        ("API calls", "included", "100000", "0", "0"),
        ("API calls", "tier 1 (up to 1000000)", "1000000", "0.0005", "500"),
        ("API calls", "tier 2 (above 1000000)", "200000", "0.0003", "60"),
        ("API calls", "line, 1300000 request", None, None, "560.00"),
        ("Streaming", "per unit", "12.345", "0.00045", "0.00555525"),
        ("Streaming", "line, 12.345 second", None, None, "0.01"),
        ("total", "", None, None, "609.01"),
    ]


def test_usage_of_one_meter_may_be_given_in_pieces(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quoted(capsys, "calls=90000", "calls=20000")[-1]["amount"] == "54.00"


def test_usage_says_its_kind_where_the_price_depends_on_it(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage = (
        "tokens[large,out]=200",
        "tokens[large,in]=50",
        "tokens[tiny,in]=1000",
        "calls[night]=4",
        "calls[otherwise]=3",
    )
    rows = quoted(capsys, *usage, plan="models")
    # The allowance is used up in the order of the kinds' names: 50 of large,in, then 50 of large,out.
    assert [row["amount"] for row in rows if row["what"].startswith("line") or row["line"] == "total"] == [
        "5.50",
        "5.00",
        "10.50",
    ]


def test_a_quote_is_for_a_first_whole_period_with_its_fees_pools_and_ramp(
    catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.write_text(
        CATALOGUE
        + """
  team:
    fee: "10.00"
    fees:
      - {key: base, name: Base, amount: "5.00", due: advance}
      - {key: setup, name: Setup, amount: "99.00", due: once}
    pools: [{key: all, name: All calls, included: 150, charges: [first, second]}]
    charges:
      - {meter: calls, key: first, name: First, unit_price: 1}
      - {meter: calls, key: second, name: Second, unit_price: 10}
      - {meter: seconds, name: Streaming, unit_price: 1, ramp: [{amount: 20, true_up: true}, {amount: 40}]}
"""
    )
    rows = quoted(capsys, "calls=100", plan="team")
    assert [(row["line"], row["amount"]) for row in rows if not row["quantity"]] == [
        ("team fee", "10.00"),
        ("Base", "5.00"),
        ("Setup", ""),
        ("First", "0.00"),
        ("Second", "500.00"),
        ("Streaming", "20.00"),
        ("total", "535.00"),
    ]


def test_without_usage_the_fee_remains(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["amount"] for row in quoted(capsys)] == ["49.00", "49.00"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pr"], 'PLAN: no plan is called "pr"; did you mean "pro"?'),
        (["pro", "--usage", "call=5"], 'plan "pro" does not price meter "call"; did you mean "calls"?'),
        (["pro", "--usage", "calls[night]=5"], 'the price of "calls" does not depend on its kind'),
        (["models", "--usage", "tokens=5"], "write tokens[model,direction]=5"),
        (["models", "--usage", "calls[noon]=5"], "write calls[night]=5, calls[otherwise]=5"),
        (["pro", "--usage", "calls"], '"calls" says no quantity; write METER=QUANTITY'),
        (["pro", "--usage", "calls=many"], '"many" is not a quantity'),
        (["pro", "--usage", "calls=-5"], '"-5" is negative'),
        ([], "name a plan of the catalogue, or read prices with --stdin"),
    ],
)
def test_what_cannot_be_quoted_is_said_in_one_line(
    catalogue: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(["quote", *arguments]) == 2
    assert says in capsys.readouterr().err.replace("\n", " ")


def answers(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]]]:
    text = "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code = run(["quote", "--stdin"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_lines_in_the_catalogues_own_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    line = {
        "id": 7,
        "currency": "JPY",
        "price": {"graduated": [{"up_to": 10, "unit_price": "0.1"}, {"unit_price": "0.07"}]},
        "quantity": "25",
        "included": "5",
    }
    code, [answer] = answers([json.dumps(line)], monkeypatch, capsys)
    assert code == 0
    assert (answer["id"], answer["amount"], answer["rounded"]) == (7, "1.7", "2")
    assert [step["amount"] for step in answer["portions"]] == ["0", "1", "0.7"]


GOOD = (
    '{"id": "good", "model": "per_unit", "currency": "USD", "card": {"unit_amount": "2"}, "usage": {"quantity": "3"}}'
)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "not JSON"),
        ("[1]", "an object is expected"),
        ("null", "an object is expected"),
        ("\udcff\udcfe{}", ""),
        ("[" * 100_000, ""),
        ('{"id": "x", "model": "per_unit", "card": {"unit_amount": NaN}}', "NaN is not a number"),
        ('{"model": "per_unit", "card": {"unit_amount": "NaN"}, "usage": {"quantity": "1"}}', "not a finite number"),
        ('{"model": "per_unit", "card": {"unit_amount": "1"}, "usage": {"quantity": "1e999999999"}}', "400 digits"),
        ('{"model": "per_unit", "card": {"unit_amount": true}, "usage": {"quantity": "1"}}', "floats lose digits"),
        ('{"model": "per_unit", "card": {}, "usage": {"quantity": "1"}}', 'key "unit_amount" is missing'),
        ('{"model": "per_unit", "card": {"unit_amount": "1"}, "usage": {}}', 'key "quantity" is missing'),
        ('{"model": "perunit", "card": {}, "usage": {}}', 'model "perunit" is not a price'),
        ('{"model": "per_unit", "card": {"unit_amount": "1", "maxmum": "3"}, "usage": {"quantity": "1"}}', "maximum"),
        ('{"model": "graduated", "card": {"tiers": []}, "usage": {"quantity": "1"}}', "at least one tier"),
        ('{"model": "graduated", "card": {"tiers": 5}, "usage": {"quantity": "1"}}', "a list is expected"),
        ('{"model": "package", "card": {"package_size": "0", "package_amount": "1"}, "usage": {"quantity": "1"}}', "0"),
        ('{"model": "per_unit", "card": {"unit_amount": "1"}, "usage": {"quantity": "1"}, "semantics": {"x": 1}}', "x"),
        (
            '{"model": "invoice", "currency": "USD", "card": {}, "usage": {"lines": [{"amount": "1", "repeat": -1}]}}',
            "-1",
        ),
        ('{"model": "allocation", "currency": "USD", "card": {"weights": []}, "usage": {"amount": "1"}}', "weights"),
        ('{"currency": "USD", "price": {"gradated": []}, "quantity": "5"}', 'did you mean "graduated"?'),
        (
            '{"currency": "USD", "price": {"matrix": {"by": ["m"], "cells": [{"match": {}, "flat":1}]}}, "quantity":5}',
            "m",
        ),
        (
            '{"model": "rounding", "currency": "USD", "card": {"currency_decimals": 9999999}, "usage": {"amount": 1}}',
            "",
        ),
    ],
)
def test_a_bad_line_is_an_error_in_its_place_and_the_others_are_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    code, [before, bad, after] = answers([GOOD, line, GOOD], monkeypatch, capsys)
    assert code == 2
    assert before == after
    assert before["amount"] == "6"
    assert says in bad["error"]["message"]


def test_an_empty_input_has_no_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert answers(["", "  "], monkeypatch, capsys) == (0, [])
