"""Exports: what the files say is what the book says, to the unit and the cent, as text that nothing runs."""

from __future__ import annotations

import csv
import gc
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from rating.adapters.store import StoreBook, open_book
from rating.cli import run
from rating.core.journal import Accounts
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.money import Money
from rating.core.partners import PartnerLine
from rating.core.payouts import StatementDraft
from rating.core.periods import Period
from rating.core.wallets import Grant
from rating.jobs.export import ledger
from tests.promises.book.books import draft
from tests.stories import CALLS, OCTOBER, USD, close_days

CATALOGUE = """
version: 1
currency: USD
meters:
  api_calls: {metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint], window: 1d}
plans:
  pro:
    name: Pro
    period: month
    fee: "49.00"
    taxes: [{name: VAT, percent: "19%"}]
    charges:
      - {meter: api_calls, unit_price: "0.0101"}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01}
  - {consumer: "=cmd()", plan: pro, start: 2026-10-01}
"""

Rating = Callable[..., tuple[int, str]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'book.db'}"


@pytest.fixture
def rating(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rating:
    """A book with October's invoices, one of them paid by a wallet and the bank; answers exit code and stderr."""
    for name in ("RATING_CATALOG", "RATING_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("rating.cli.bill.now", lambda: datetime(2026, 11, 2, tzinfo=UTC))
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    with open_book(url) as book:
        close_days(book, {"acme": 1234, "=cmd()": 7}, meter=CALLS)
        book.fund(Grant("acme", "pay-1", Money(2000, USD)), at=datetime(2026, 10, 20, tzinfo=UTC))

    def command(*arguments: str) -> tuple[int, str]:
        code = run(["--catalog", str(tmp_path / "catalogue.yaml"), "--database-url", url, *arguments])
        return code, capsys.readouterr().err

    assert command("bill")[0] == 0
    with open_book(url) as book:
        paid = InvoiceEntry("INV-000002", Step.PAY, date(2026, 11, 9), Money(1000, USD), source="sepa")
        book.enter(paid, at=datetime(2026, 11, 9, tzinfo=UTC))
    return command


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def test_every_table_equals_the_book(rating: Rating, url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert rating("export", "all", "--period", "2026-10", "--out", str(out))[0] == 0
    with open_book(url) as book:
        used = list(book.usage(OCTOBER))
        papers = book.invoices()
    assert [(row["meter"], int(row["quantity"])) for row in rows(out / "usage.csv")] == [
        (row.meter, row.usage.quantity) for row in used
    ]
    lines = [(paper.number, line) for paper in papers for line in paper.draft.lines]
    assert [(row["invoice"], row["amount"], row["exact"]) for row in rows(out / "charges.csv")] == [
        (number, line.amount.digits, str(Decimal(line.exact.numerator) / line.exact.denominator))
        for number, line in lines
    ]
    assert [(row["total"], row["content_hash"]) for row in rows(out / "invoices.csv")] == [
        (paper.total.digits, paper.content_hash) for paper in papers
    ]
    assert all(Decimal(row["net"]) + Decimal(row["tax"]) == Decimal(row["total"]) for row in rows(out / "invoices.csv"))
    assert rows(out / "usage.csv")[0]["consumer"] == "'=cmd()"


def test_parquet_says_the_same_with_types(rating: Rating, url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for format in ("csv", "parquet"):
        assert rating("export", "all", "--period", "2026", "--out", str(out), "--format", format)[0] == 0
    table = parquet.read_table(out / "usage.parquet")
    assert table.schema.field("quantity").type == pa.int64()
    assert table.schema.field("start").type == pa.timestamp("ms", tz="UTC")
    for name in ("usage", "charges", "invoices", "ledger"):
        plain = [tuple(row.values()) for row in rows(out / f"{name}.csv")]
        typed = parquet.read_table(out / f"{name}.parquet").to_pylist()
        assert len(plain) == len(typed) > 0
        if name in ("charges", "invoices"):
            assert [row["currency"] for row in typed] == ["USD"] * len(plain)
    assert not any(pa.types.is_floating(field.type) for field in parquet.read_table(out / "charges.parquet").schema)


def test_the_ledger_balances_and_adds_up_to_what_is_owed(rating: Rating, url: str, tmp_path: Path) -> None:
    numbers = tmp_path / "accounts.yaml"
    numbers.write_text('receivable: "1400"\nrevenue: "8400"\ntax/VAT: "1776"\nwallet: "1718"\nbank: "1200"\n')
    out = tmp_path / "out"
    code, said = rating("export", "ledger", "--period", "2026", "--out", str(out), "--accounts", str(numbers))
    assert code == 0, said
    ledger = rows(out / "ledger.csv")
    assert sum(int(row["minor"]) for row in ledger) == 0
    debits, credits = (sum(Decimal(row[side] or 0) for row in ledger) for side in ("debit", "credit"))
    assert debits == credits > 0
    with open_book(url) as book:
        owed = sum(paper.total.minor for paper in book.invoices()) - 2000 - 1000
    assert sum(int(row["minor"]) for row in ledger if row["account"] == "1400") == owed
    assert sum(int(row["minor"]) for row in ledger if row["account"] == "1718") == 0
    assert sum(int(row["minor"]) for row in ledger if row["account"] == "1200") == 2000 + 1000
    again = rows(out / "ledger.csv")
    rating("export", "ledger", "--period", "2026", "--out", str(out), "--accounts", str(numbers))
    assert rows(out / "ledger.csv") == again


def test_the_ledger_knows_what_expired_and_what_was_stated(
    rating: Rating, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A top-up that nobody used by the 10th, and a partner's statement of the 2nd."""
    share = PartnerLine(
        "INV-000001", 1, "maps", "Maps", OCTOBER, Money(800, USD), Fraction(25), Fraction(2), Money(200, USD), ""
    )
    with open_book(url) as book:
        expires = datetime(2026, 11, 10, tzinfo=UTC)
        book.fund(Grant("zeta", "pay-9", Money(700, USD), expires=expires), at=datetime(2026, 11, 3, tzinfo=UTC))
        draft = StatementDraft("Maps Ltd", date(2026, 10, 1), USD, (share,))
        book.issue_statements([draft], at=datetime(2026, 11, 2, tzinfo=UTC))
    out = tmp_path / "out"
    for day, expired in ((9, []), (11, [("wallet/zeta/pay-9/expired", "2026-11-10", 700)])):
        monkeypatch.setattr("rating.cli.export.now", lambda day=day: datetime(2026, 11, day, tzinfo=UTC))
        assert rating("export", "ledger", "--period", "2026", "--out", str(out))[0] == 0
        ledger = rows(out / "ledger.csv")
        assert sum(int(row["minor"]) for row in ledger) == 0
        found = [row for row in ledger if row["entry"].endswith("/expired") and row["account"] == "wallet"]
        assert [(row["entry"], row["date"], int(row["minor"])) for row in found] == expired
    assert [(row["name"], row["minor"]) for row in ledger if row["document"] == "ST-000001"] == [
        ("share/Maps Ltd/maps", "200"),
        ("payable/Maps Ltd", "-200"),
    ]


def test_the_ledger_streams(tmp_path: Path) -> None:
    """Four times as many invoices of one day take hardly more memory: keys of all, papers of a few."""
    peaks = []
    for count in (500, 2000):
        with open_book(f"sqlite:///{tmp_path}/{count}.db") as book:
            book.issue([draft(f"c{number}") for number in range(count)], at=datetime(2026, 9, 1, tzinfo=UTC))
            table = ledger(book, (date(2026, 8, 1), date(2026, 10, 1)), Accounts(), datetime(2026, 12, 1, tzinfo=UTC))
            gc.collect()
            tracemalloc.start()
            written = sum(1 for _ in table.rows)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert written == 3 * count
    assert peaks[1] < 2 * peaks[0], peaks


def test_a_file_is_there_whole_or_not_at_all(rating: Rating, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = StoreBook.usage

    def breaking(self: StoreBook, period: Period, *rest: object, **named: object) -> object:
        yield from list(usage(self, period))[:3]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StoreBook, "usage", breaking)
    code, said = rating("export", "usage", "--period", "2026-10", "--out", str(tmp_path / "out"))
    assert code == 1
    assert "usage.csv cannot be written: No space left on device" in said
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_wrong_is_said(rating: Rating, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("revenu: 1\n")
    for arguments, sentence in (
        (("usage", "--out", "x"), "--period"),
        (("usage", "--period", "2026-13", "--out", "x"), "'2026-13' is not a period"),
        (
            ("ledger", "--period", "2026", "--out", "x", "--accounts", str(tmp_path / "wrong.yaml")),
            "did you mean",
        ),
    ):
        code, said = rating("export", *arguments)
        assert code == 2
        assert sentence in said
