"""What follows an invoice, as a person types it: what is printed, what is kept, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from tests.stories import close_days

CATALOGUE = """\
version: 1
currency: USD
meters:
  api_calls: {metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint], window: 1d}
plans:
  pro:
    name: Pro
    fee: "49.00"
    taxes: [{name: VAT, percent: 10%}]
    charges: [{meter: api_calls, included: 100, unit_price: "0.10"}]
sellers:
  us: {name: Calls Inc., series: US, terms: net 14}
customers:
  acme: {name: Acme Corporation, purchase_order: PO-7}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01, end: 2026-12-01}
"""

Typed = Callable[..., int]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """October of acme, 310 calls, is closed and billed: 49.00 + 21.00 + 7.00 VAT is 77.00."""
    for name in ("RATING_CATALOG", "RATING_DATABASE_URL", "RATING_PROMETHEUS_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    url = f"sqlite:///{tmp_path}/rating.db"
    with open_book(url) as book:
        close_days(book, {"acme": 10})

    def typed(*arguments: str) -> int:
        return run(["--catalog", str(tmp_path / "catalogue.yaml"), "--database-url", url, *arguments])

    assert typed("bill", "--period", "2026-10") == 0
    return typed


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return json.loads(capsys.readouterr().out)


def test_a_payment_in_two_parts(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert typed("invoices", "send", "US-000001", "--how", "email") == 0
    assert typed("invoices", "pay", "US-000001", "--amount", "7.00", "--reference", "T1", "--dry-run") == 0
    assert "would be kept; it is " in capsys.readouterr().out
    assert typed("invoices", "pay", "US-000001", "--amount", "7.00", "--reference", "T1", "--format", "json") == 0
    [kept] = rows(capsys)
    assert (kept["amount"], kept["due"], kept["kept"]) == ("7.00", "70.00", "kept")
    assert typed("invoices", "pay", "US-000001", "--amount", "7.00", "--reference", "T1") == 0
    assert "was kept before" in capsys.readouterr().out
    assert typed("invoices", "pay", "US-000001", "--amount", "8.00", "--reference", "T1") == 3
    assert "give what is really another payment or step a reference" in capsys.readouterr().err
    assert typed("invoices", "pay", "US-000001", "--amount", "70.01", "--reference", "T2") == 3
    assert "70.01 USD would be paid and 70.00 USD is outstanding" in capsys.readouterr().err
    assert typed("invoices", "pay", "US-000001", "--reference", "T2") == 0
    capsys.readouterr()
    assert typed("invoices", "list", "--state", "paid", "--format", "json") == 0
    [paid] = rows(capsys)
    assert (paid["state"], paid["due"]) == ("paid", "0.00")


def test_amounts_and_days_are_read_with_care(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("invoices", "pay", "US-000001", "--amount", "7.005") == 2
    assert "finer than USD has decimals" in capsys.readouterr().err
    assert typed("invoices", "pay", "US-000001", "--date", "yesterday") == 2
    assert "is not a day; write it like 2026-10-15" in capsys.readouterr().err
    assert typed("invoices", "pay", "INV-000009") == 1
    assert "the book holds no invoice INV-000009" in capsys.readouterr().err
    assert typed("disputes", "open", "US-000001", "--reason", "x") == 2
    assert "names no line; write INV-000042/2" in capsys.readouterr().err


def test_a_dispute_becomes_a_credit_note(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("disputes", "open", "US-000001/2", "--reason", "a test client", "--author", "ann") == 0
    capsys.readouterr()
    assert typed("disputes", "list", "--format", "json") == 0
    [held] = rows(capsys)
    assert (held["line"], held["on hold"], held["author"]) == (2, "23.10", "ann")
    assert typed("disputes", "accept", "US-000001/2", "--reason", "it was ours", "--dry-run") == 0
    assert "with a credit note over 23.10 USD would be kept" in capsys.readouterr().out
    assert typed("disputes", "accept", "US-000001/2", "--reason", "it was ours") == 0
    assert "with credit note CN-000001 over 23.10 USD kept" in capsys.readouterr().out
    assert typed("credit-notes", "show", "CN-000001", "--format", "json") == 0
    assert [(row["corrects"], row["amount"]) for row in rows(capsys)] == [
        ("US-000001/2", "-21.00"),
        ("US-000001/3", "-2.10"),
    ]
    assert typed("verify", "--book") == 0
    assert "every rule holds" in capsys.readouterr().err


def test_void_item_and_reissue(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("items", "add", "acme/pro/2026-10-01", "--title", "Setup", "--amount", "100.00") == 0
    assert typed("invoices", "reissue", "US-000001") == 3
    assert "still stands" in capsys.readouterr().err
    assert typed("invoices", "void", "US-000001", "--reason", "setup forgotten") == 0
    assert typed("invoices", "reissue", "US-000001", "--dry-run", "--format", "json") == 0
    assert typed("invoices", "reissue", "US-000001", "--format", "json") == 0
    assert typed("items", "list", "--format", "json") == 0
    out = capsys.readouterr().out
    assert '"total": "187.00"' in out  # 49 + 21 + 100 and a tenth of it
    assert '"invoice": "US-000002"' in out
    assert typed("invoices", "list", "--state", "void", "--format", "json") == 0
    [void] = rows(capsys)
    assert (void["invoice"], void["due"], void["due on"] is not None) == ("US-000001", "0.00", True)


def test_a_manual_credit_with_reason_and_author(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("credit-notes", "add", "US-000001/2", "--amount", "10.00", "--reason", "an outage", "--author", "ann")
    assert typed(*command) == 0
    assert typed(*command) == 0
    capsys.readouterr()
    assert typed("credit-notes", "list", "--format", "json") == 0
    [note] = rows(capsys)
    assert (note["total"], note["reason"], note["author"], note["cause"]) == ("11.00", "an outage", "ann", "manual")
    assert typed("credit-notes", "add", "US-000001/3", "--amount", "1.00", "--reason", "tax") == 3
    assert "line 3 is a tax: it follows the charges" in capsys.readouterr().err


def test_what_was_billed_cannot_be_paused(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("subscriptions", "pause", "acme/pro/2026-10-01", "--from", "2026-10-15") == 2
    assert "invoice US-000001 has billed until 2026-11-01 00:00" in capsys.readouterr().err
    assert typed("subscriptions", "pause", "acme/pro/2026-10-01", "--from", "2026-11-10") == 0
    assert typed("subscriptions", "resume", "acme/pro/2026-10-01", "--on", "2026-11-20", "--dry-run") == 0
    assert "would resume acme/pro/2026-10-01 at 2026-11-20 00:00 UTC" in capsys.readouterr().out
    assert typed("subscriptions", "cancel", "acme/pro/2026-10-01") == 2
    assert "write one of --end DAY, --now and --at-period-end" in capsys.readouterr().err
