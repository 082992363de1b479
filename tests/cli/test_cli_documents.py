"""Documents as typed: where they go, what is said about them, and that a customer can check the hash with sha256sum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from rating.core.creditnotes import Cause, take_back
from tests.conftest import part
from tests.stories import CALLS, close_days

CATALOGUE = """
version: 1
currency: EUR
meters:
  api_calls: {metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint], window: 1d}
plans:
  pro:
    name: Pro
    period: month
    fee: "49.00"
    charges:
      - {meter: api_calls, unit_price: "0.0005", share: {partner: maps, percent: "30%"}}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01, customer: شركة النخيل}
  - {consumer: "../=evil", plan: pro, start: 2026-10-01}
"""

Rating = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def rating(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Rating:
    """Run one command against a book with two invoices; answers exit code, stdout and stderr."""
    for name in ("RATING_CATALOG", "RATING_DATABASE_URL", "RATING_LOCALE", "RATING_BRANDS", "RATING_SELLER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("rating.cli.bill.now", lambda: datetime(2026, 11, 2, tzinfo=UTC))
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    url = f"sqlite:///{tmp_path / 'book.db'}"
    with open_book(url) as book:
        close_days(book, {"acme": 4321, "../=evil": 7}, meter=CALLS)

    def command(*arguments: str) -> tuple[int, bytes, str]:
        code = run(["--catalog", str(tmp_path / "catalogue.yaml"), "--database-url", url, *arguments])
        captured = capfdbinary.readouterr()
        return code, captured.out, captured.err.decode()

    assert command("bill")[2] == ""
    return command


def test_the_hash_on_the_paper_is_the_sha256_of_the_text(rating: Rating) -> None:
    code, text, _ = rating("invoices", "render", "INV-000002", "--format", "text")
    assert code == 0
    said = json.loads(rating("invoices", "render", "INV-000002", "--format", "json")[1])
    assert hashlib.sha256(text).hexdigest() == said["content_hash"]
    assert said["customer"] == {"name": "شركة النخيل"}
    assert [day["quantity"] for day in said["lines"][1]["days"]] == ["4321"] * 31


def test_a_period_goes_into_a_folder_and_no_name_leaves_it(rating: Rating, tmp_path: Path) -> None:
    for name in ("pango", "harfbuzz_subset", "noto"):
        part(name)
    out = tmp_path / "papers"
    code, _, said = rating("invoices", "render", "--period", "2026-10", "--out", str(out))
    assert code == 0
    assert sorted(file.name for file in out.iterdir()) == ["INV-000001.pdf", "INV-000002.pdf"]
    assert "2 documents in" in said
    assert "INV-000001 carries no e-invoice: the seller's name is not known" in said
    assert all(file.read_bytes().startswith(b"%PDF-") for file in out.iterdir())


def test_the_language_and_brand_are_chosen_by_flag_or_setting(
    rating: Rating, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Gesamtbetrag" in rating("invoices", "render", "INV-000002", "-f", "html", "--locale", "de")[1].decode()
    (tmp_path / "brands" / "acme").mkdir(parents=True)
    (tmp_path / "brands" / "acme" / "colours.yaml").write_text('accent: "#aa0011"\n')
    monkeypatch.setenv("RATING_BRANDS", str(tmp_path / "brands"))
    monkeypatch.setenv("RATING_LOCALE", "fr")
    page = rating("invoices", "render", "INV-000002", "-f", "html", "--brand", "acme")[1].decode()
    assert "#aa0011" in page
    assert "Facture" in page
    assert rating("invoices", "render", "INV-000002", "-f", "html", "--brand", "../acme")[0] == 2


def test_a_credit_note_is_rendered_by_its_number_or_beside_its_invoice(rating: Rating, tmp_path: Path) -> None:
    with open_book(f"sqlite:///{tmp_path / 'book.db'}") as book:
        invoice = book.invoice("INV-000002")
        assert invoice is not None
        book.credit(take_back(invoice, (), cause=Cause.MANUAL, reason="=our mistake"), at=invoice.issued_at)
    said = json.loads(rating("invoices", "render", "CN-000001", "-f", "json")[1])
    assert (said["document"], said["corrects"], said["reason"]) == ("credit_note", "INV-000002", "=our mistake")
    assert said["total"] == "115.98"
    text = rating("invoices", "render", "CN-000001", "-f", "text")[1]
    assert hashlib.sha256(text).hexdigest() == said["content_hash"]
    out = tmp_path / "all"
    rating("invoices", "render", "--period", "2026-10", "--credit-notes", "-f", "csv", "-o", str(out))
    assert sorted(file.name for file in out.iterdir()) == ["CN-000001.csv", "INV-000001.csv", "INV-000002.csv"]


def test_partner_statements_become_documents(rating: Rating, tmp_path: Path) -> None:
    code, _, said = rating("statements", "--out", str(tmp_path / "owed"), "--paper", "csv")
    assert code == 0, said
    (file,) = (tmp_path / "owed").iterdir()
    assert file.name == "maps 2026-10 EUR.csv"
    assert "INV-000002/2" in file.read_text()


def test_what_is_wrong_is_said_in_a_line(rating: Rating, tmp_path: Path) -> None:
    for arguments, code, sentence in (
        (("invoices", "render"), 2, "name an invoice, or say which: --period 2026-10"),
        (("invoices", "render", "INV-000009"), 2, "the book holds no invoice INV-000009"),
        (("invoices", "render", "--period", "2026-10", "-f", "csv"), 2, "2 documents need a folder; give --out"),
        (("invoices", "render", "INV-000001", "-f", "xml"), 1, "the seller's name is not known"),
        (("invoices", "render", "INV-000001", "-f", "html", "--locale", "zz"), 2, "'zz' is not a locale"),
        (
            ("invoices", "render", "INV-000001", "-f", "csv", "-o", "/proc/no/x.csv"),
            1,
            "/proc/no/x.csv cannot be written",
        ),
    ):
        got, _, said = rating(*arguments)
        assert (got, sentence in said) == (code, True), said
    code, _, said = rating("invoices", "render", "--period", "2026-10", "-f", "xml", "-o", str(tmp_path / "xml"))
    assert code == 3
    assert "0 documents in" in said
    assert "2 refused" in said
