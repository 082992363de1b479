"""The door for boards: who may read, what it answers, and that boards ask for what it answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from rating.adapters.memory_book import MemoryBook
from rating.core.conversions import Approach
from rating.core.deliveries import Attempt, Outcome
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.money import Money
from rating.core.notices import Kind, Planned, Routing
from rating.errors import EdgeUnavailable
from rating.jobs.bill import bill
from rating.settings import Settings
from rating.specs.examples import example
from rating.web.app import application
from rating.web.doors import doors
from rating_dashboards.files import documents
from rating_dashboards.style import INFINITY
from tests.outer.rules.catalogues import catalogue
from tests.stories import ACME, OCTOBER, USD, close_days, contracts

NOW = OCTOBER.end + timedelta(days=12)
TOKEN = "a token of Grafana's"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
APPROACH = Approach(
    "acme/pro/2026-10-01",
    "acme",
    "Acme Corp",
    "pro",
    "scale",
    datetime(2026, 10, 20, 8, tzinfo=UTC),
    datetime(2026, 10, 28, 8, tzinfo=UTC),
    (Kind.ALLOWANCE_REACHED, Kind.EXHAUSTION_PREDICTED),
    ("80%", "100%"),
    datetime(2026, 11, 1, tzinfo=UTC),
)


def door(book: MemoryBook, token: str = TOKEN, pipeline: Sequence[Approach] = (APPROACH,)) -> TestClient:
    opened = doors(Settings(board_token=token), book, lambda: Routing(), lambda: NOW, pipeline=lambda: pipeline)
    return TestClient(application(CollectorRegistry(), lambda: (True, {}), opened))


def filled() -> MemoryBook:
    book = MemoryBook()
    close_days(book, {"acme": 10, "globex": 1})
    customers = (replace(ACME, customer="Acme Corp"), replace(ACME, consumer="globex"))
    bill(book, contracts(*customers), now=OCTOBER.end)
    first = book.invoices(consumer="acme")[0].number
    book.enter(InvoiceEntry(first, Step.PAY, NOW.date(), amount=Money(1000, USD), source="bank"), at=NOW)
    one = replace(example(Kind.ALLOWANCE_REACHED, NOW), consumer="acme", planned=(Planned("crm"), Planned("inbox")))
    book.tell([one, replace(one, consumer="globex", subscription="globex")], at=NOW)
    book.attempted(Attempt(one.id, "crm", 1, Outcome.DELIVERED, "200"), at=NOW)
    return book


def test_a_consumer_s_invoices_with_what_became_of_them() -> None:
    [row] = door(filled()).get("/boards/invoices", params={"consumer": "acme"}, headers=SHOWN).json()
    assert row == {
        "invoice": "INV-000001",
        "issued": "2026-11-01T00:00:00Z",
        "first_day": "2026-10-01",
        "last_day": "2026-10-31",
        "customer": "Acme Corp",
        "plan": "pro",
        "total": "52.10",
        "due": "42.10",
        "currency": "USD",
        "state": "partially_paid",
        "due_on": row["due_on"],
    }
    assert door(filled()).get("/boards/invoices", params={"consumer": "nobody"}, headers=SHOWN).json() == []


def test_what_one_consumer_or_all_were_told() -> None:
    at = door(filled())
    [row] = at.get("/boards/notifications", params={"consumer": "acme"}, headers=SHOWN).json()
    assert (row["consumer"], row["kind"], row["ways"]) == (
        "acme",
        "allowance_reached",
        "crm: delivered, inbox: waiting",
    )
    assert len(at.get("/boards/notifications", headers=SHOWN).json()) == 2


def test_whom_we_told_of_a_next_plan() -> None:
    [row] = door(MemoryBook()).get("/boards/upsells", headers=SHOWN).json()
    assert row["told"] == "allowance_reached, exhaustion_predicted"
    assert (row["thresholds"], row["converted"]) == ("80%, 100%", "2026-11-01T00:00:00Z")


@pytest.mark.parametrize("path", ["/boards/invoices?consumer=acme", "/boards/notifications", "/boards/upsells"])
def test_nobody_reads_without_the_token(path: str) -> None:
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        answer = door(filled()).get(path, headers=header)
        assert (answer.status_code, "acme" in answer.text) == (401, False)
    unserved = door(filled(), token="").get(path, headers={"Authorization": "Bearer "})
    assert unserved.status_code == 503
    assert "RATING_BOARD_TOKEN" in unserved.json()["error"]


def test_whose_invoices_must_be_said() -> None:
    answer = door(filled()).get("/boards/invoices", headers=SHOWN)
    assert (answer.status_code, answer.json()["error"]) == (400, "say whose: /boards/invoices?consumer=C")
    assert door(filled()).get("/boards/invoices").status_code == 401, "strangers are told nothing"


def test_a_book_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> Any:
        raise EdgeUnavailable("the database is locked")

    monkeypatch.setattr(MemoryBook, "notifications", away)
    answer = door(MemoryBook()).get("/boards/notifications", headers=SHOWN)
    assert (answer.status_code, answer.json()["error"]) == (
        503,
        "the book cannot be read now: the database is locked",
    )


def test_every_panel_that_asks_the_engine_asks_for_what_it_answers() -> None:
    """Path and columns of each panel, held against real answers."""
    at, asked = door(filled()), 0
    for document in documents(catalogue()).values():
        panels = [one for one in document["panels"] if (one.get("datasource") or {}).get("type") == INFINITY]
        offered = {one["name"]: one.get("query") for one in document["templating"]["list"]}
        if panels:
            assert offered["engine"] == INFINITY
        for panel in panels:
            [target] = panel["targets"]
            assert target["datasource"] == {"type": INFINITY, "uid": "${engine}"}
            assert set(re.findall(r"\$\{(\w+)", target["url"])) <= offered.keys()
            path = target["url"].replace("${consumer:percentencode}", "acme")
            rows = at.get(path, headers=SHOWN).json()
            assert rows, path
            assert {column["selector"] for column in target["columns"]} <= rows[0].keys()
            asked += 1
    assert asked == 4
