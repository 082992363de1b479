"""Every pricing case of the field, through the Python API and through `rating quote --stdin`."""

from __future__ import annotations

import io
import json
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from rating.cli import run
from rating.specs.interchange import quote

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"), parse_float=Decimal
)["vectors"]
CHOSEN_OTHERWISE: dict[str, str] = {}
"""Case id -> the rule of ours that answers it differently. Only where the case is semantics_sensitive."""


def figures(answer: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The figures the case states, as this answer gives them; numbers compare as numbers."""
    told: dict[str, Any] = {}
    for key in expected:
        found = answer.get(key)
        if key == "error":
            told[key] = found is not None
        elif key == "amount_fraction":
            told[key] = found
        elif key == "parts":
            told[key] = {name: number((found or {}).get(name)) for name in expected[key]}
        elif isinstance(expected[key], list):
            told[key] = [number(each) for each in found or ()]
        elif key == "amount" and "amount_fraction" in expected:
            told[key] = found
        else:
            told[key] = number(found)
    return told


def number(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(Decimal(text))


def stated(case: dict[str, Any]) -> dict[str, Any]:
    """What the case says must come out, without where the figure was found and how it was rounded there."""
    told = {key: value for key, value in case["expected"].items() if not key.endswith(("_origin", "_rule"))}
    wanted = figures(told, told)
    if "amount_fraction" in told:
        # 30 decimals, with or without their trailing zeros
        wanted["amount"] = told["amount"].ljust(len(told["amount"].split(".")[0]) + 31, "0")
    return wanted


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["id"])
def test_the_engine_says_what_the_field_says(case: dict[str, Any]) -> None:
    expected = stated(case)
    answer = figures(quote(case).as_json(), expected)
    if case["id"] in CHOSEN_OTHERWISE:
        assert case.get("semantics_sensitive"), f"{case['id']} is common ground: it may not be answered otherwise"
        assert answer != expected, f"{case['id']} is answered like the field now; take it off the list"
        return
    assert answer == expected


def test_the_command_answers_every_case_in_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(json.dumps(case, default=float) + "\n" for case in VECTORS)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert run(["quote", "--stdin"]) == 2, "one case asks for a quantity beyond its last tier"
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["id"] for answer in answers] == [case["id"] for case in VECTORS]
    for case, answer in zip(VECTORS, answers, strict=True):
        if case["id"] not in CHOSEN_OTHERWISE:
            assert figures(answer, stated(case)) == stated(case), case["id"]


def test_an_amount_that_ends_is_not_padded() -> None:
    case = {"model": "per_unit", "currency": "USD", "card": {"unit_amount": "0.5"}, "usage": {"quantity": "3"}}
    assert quote(case).as_json()["amount"] == "1.5"
