"""What every tax service promises, and how the ones outside fail: never with a guess."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from rating.adapters.taxes import AnsweredTaxes, AskedTaxes
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable, NoTaxRuleCovers
from rating.ports import TaxService

from .conftest import REVERSED, VAT, TaxServer, question


def test_an_answer_is_the_decision(service: TaxService) -> None:
    home, abroad = service.decide(question("DE")), service.decide(question("FR"))
    assert home is not None
    assert abroad is not None
    assert (home.treatment, home.taxes, home.own_rates) == (VAT.treatment, VAT.taxes, True)
    assert (abroad.treatment, abroad.taxes, abroad.note) == (REVERSED.treatment, (), "Reverse charge.")


def test_the_same_question_gets_the_same_answer(service: TaxService) -> None:
    assert service.decide(question("FR")) == service.decide(question("FR"))


def test_what_it_cannot_say_is_refused(service: TaxService) -> None:
    with pytest.raises(NoTaxRuleCovers):
        service.decide(question("ES"))


def test_a_service_hears_who_sells_what_to_whom(tax_server: TaxServer) -> None:
    AskedTaxes(tax_server.url, token="secret").decide(question("FR", "acme"))
    [(headers, asked)] = tax_server.heard
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Idempotency-Key"] == "c42/pro/2026-10"
    assert asked == {
        "version": 1,
        "invoice": "c42/pro/2026-10",
        "date": "2026-10-31",
        "currency": "EUR",
        "plan": "pro",
        "seller": {"key": "main", "country": "DE", "tax_id": "DE1"},
        "customer": {"key": "acme", "country": "FR", "tax_id": "X1", "exempt": ""},
    }


def test_where_it_came_from_is_kept_without_passwords(tax_server: TaxServer) -> None:
    url = tax_server.url.replace("//", "//user:secret@")
    decision = AskedTaxes(url).decide(question("DE"))
    assert decision is not None
    assert decision.source == tax_server.url


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, EdgeUnavailable), (503, EdgeUnavailable), (429, EdgeUnavailable), (401, EdgeRefused), (404, EdgeRefused),
     (302, EdgeRefused), (204, EdgeRefused), (422, NoTaxRuleCovers)],
)  # fmt: skip
def test_a_status_says_what_to_do(tax_server: TaxServer, status: int, error: type[Exception]) -> None:
    tax_server.status = status
    with pytest.raises(error):
        AskedTaxes(tax_server.url).decide(question())


RIGHT = {"version": 1, "treatment": "standard", "rates": [{"name": "VAT", "percent": "19"}]}
WRONG = {
    "no JSON": b"<html>",
    "nothing": b"",
    "a list": b"[]",
    "no treatment": {"version": 1},
    "an unknown treatment": {**RIGHT, "treatment": "maybe"},
    "a misspelt key": {**RIGHT, "nots": "x"},
    "a rate that is a number": {**RIGHT, "rates": [{"name": "VAT", "percent": 0.19}]},
    "a rate that is no number": {**RIGHT, "rates": [{"name": "VAT", "percent": "much"}]},
    "a rate below zero": {**RIGHT, "rates": [{"name": "VAT", "percent": "-1"}]},
    "a rate beyond all": {**RIGHT, "rates": [{"name": "VAT", "percent": "101"}]},
    "reverse charge with a rate": {**RIGHT, "treatment": "reverse_charge", "note": "x"},
    "reverse charge without a note": {"version": 1, "treatment": "reverse_charge"},
    "another version": {**RIGHT, "version": 2},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_an_answer_that_cannot_be_is_no_answer(tax_server: TaxServer, tmp_path: Path, wrong: object) -> None:
    tax_server.body = wrong if isinstance(wrong, bytes) else json.dumps(wrong).encode()
    with pytest.raises(EdgeDisagrees):
        AskedTaxes(tax_server.url).decide(question())
    path = tmp_path / "answers.json"
    answer = {key: value for key, value in wrong.items() if key != "version"} if isinstance(wrong, dict) else None
    version = wrong.get("version", 1) if isinstance(wrong, dict) else 1
    path.write_bytes(
        wrong if isinstance(wrong, bytes) else json.dumps({"version": version, "customers": {"DE": answer}}).encode()
    )
    with pytest.raises(EdgeDisagrees):
        AnsweredTaxes(path).decide(question())


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    with pytest.raises(EdgeUnavailable, match="cannot be reached: ConnectionError; the invoice waits"):
        AskedTaxes(url).decide(question())
    with pytest.raises(EdgeUnavailable, match="cannot be read: No such file"):
        AnsweredTaxes(tmp_path / "missing.json").decide(question())


def test_one_who_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        with pytest.raises(EdgeUnavailable, match="ReadTimeout"):
            AskedTaxes(url, timeout=0.2).decide(question())


def test_an_address_that_is_none() -> None:
    with pytest.raises(EdgeRefused, match="is not an address of a tax service"):
        AskedTaxes("tax.example/decide")


def test_without_rules_the_plan_decides(service: TaxService) -> None:
    """Only the catalogue's own table has nothing to say then; others are asked all the same."""
    found = service.decide(replace(question("DE"), rules=()))
    assert (found is None) == (type(service).__name__ == "RuledTaxes")
