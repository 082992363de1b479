"""The commands around invoices, on a real SQLite book: what they print, and their exit codes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Adjustment, Usage
from tests.stories import DAY, OCTOBER, close_days

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
    charges:
      - meter: api_calls
        included: 100
        graduated: [{up_to: 200, unit_price: "0.015"}, {unit_price: "0.0101"}]
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01}
  - {consumer: "=cmd()", plan: pro, start: 2026-10-01, customer: Größenwahn AG}
"""

CALLS = Meter(
    name="api_calls", metric="api_requests_total", consumer="consumer_id", dimensions=("endpoint",), window=DAY
)

Rating = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rating(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rating:
    """Run one command against a book in which October is closed; answers exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("RATING_CATALOG", "RATING_DATABASE_URL", "RATING_PROMETHEUS_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    url = f"sqlite:///{tmp_path / 'book.db'}"
    with open_book(url) as book:
        close_days(book, {"acme": 10, "=cmd()": 1, "stranger": 5}, meter=CALLS)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["--catalog", str(tmp_path / "catalogue.yaml"), "--database-url", url, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture(autouse=True)
def november(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock at the edge stands on 2 November 2026."""
    moment = datetime(2026, 11, 2, tzinfo=UTC)
    for noun in ("bill", "accrue", "catalog"):
        monkeypatch.setattr(f"rating.cli.{noun}.now", lambda: moment)


def test_bill_issues_once_and_says_when_nothing_is_due(rating: Rating) -> None:
    code, out, _ = rating("bill", "--format", "json")
    assert code == 0
    rows = json.loads(out)
    assert [(row["invoice"], row["consumer"], row["total"], row["period"]) for row in rows] == [
        ("INV-000001", "=cmd()", "49.00", "2026-10-01 to 2026-10-31"),
        ("INV-000002", "acme", "52.10", "2026-10-01 to 2026-10-31"),
    ]
    code, out, err = rating("bill")
    assert (code, out) == (0, "")
    assert err == "no invoice is due; the next billing period ends at 2026-12-01 00:00 UTC\n"


def test_a_mistyped_consumer_is_not_an_empty_answer(rating: Rating) -> None:
    for command in ("bill", "accrue"):
        code, out, err = rating(command, "--consumer", "acne")
        assert (code, out) == (2, "")
        assert "no subscription of consumer 'acne'; see `rating subscriptions list`" in err


def test_what_is_missing_on_the_command_line_points_to_its_help(rating: Rating) -> None:
    assert rating("explain") == (2, "", "Missing argument 'INVOICE[/LINE]'; see `rating explain --help`\n")
    code, _, err = rating("frobnicate")
    assert (code, err) == (2, "No such command 'frobnicate'; see `rating --help`\n")


def test_a_dry_run_leaves_no_trace(rating: Rating) -> None:
    code, out, _ = rating("bill", "--dry-run", "--format", "csv")
    assert code == 0
    assert [row["total"] for row in csv.DictReader(io.StringIO(out))] == ["49.00", "52.10"]
    assert json.loads(rating("invoices", "list", "--format", "json")[1]) == []
    assert json.loads(rating("catalog", "list", "--format", "json")[1]) == []


def test_an_invoice_shows_its_lines_and_each_is_explained(rating: Rating) -> None:
    rating("bill")
    code, out, _ = rating("invoices", "show", "INV-000002")
    assert code == 0
    assert "Pro fee" in out
    assert "Total USD" in out
    assert "52.10" in out
    code, out, _ = rating("explain", "INV-000002/2")
    assert code == 0
    assert "310 request counted, 100 included, 210 beyond it" in out
    assert "tier 1 (up to 200)" in out
    assert "exact amount 3.101, rounded once to 3.10 USD" in out
    assert "31 windows of meter api_calls, 0 of them degraded; they sum to the quantity above" in out
    assert "2026-10-31" in out


def test_exports_are_inert_in_a_spreadsheet_and_exact_for_programs(rating: Rating) -> None:
    rating("bill")
    _, out, _ = rating("invoices", "list", "--format", "csv")
    listed = list(csv.DictReader(io.StringIO(out)))
    assert [row["consumer"] for row in listed] == ["'=cmd()", "acme"]
    _, out, _ = rating("invoices", "export", "--format", "json")
    lines = json.loads(out)
    assert [(line["invoice"], line["charge"], line["exact"], line["amount"]) for line in lines][2:] == [
        ("INV-000002", "fee", "49", "49.00"),
        ("INV-000002", "api_calls", "3.101", "3.10"),
    ]


def test_usage_of_nobody_is_said_and_asks_for_a_person(rating: Rating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rating.cli.accrue.now", lambda: datetime(2026, 10, 31, 23, tzinfo=UTC))
    code, out, err = rating("accrue", "--format", "json")
    assert code == 3
    used = {(row["consumer"], row["charge"]): row["used"] for row in json.loads(out)}
    assert used["acme", "api_calls"] == "310"
    assert "155 counted this month for nobody: stranger" in err


def test_an_invoice_waits_for_its_windows(rating: Rating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rating.cli.bill.now", lambda: datetime(2026, 12, 1, tzinfo=UTC) + timedelta(hours=1))
    code, out, err = rating("bill", "--period", "2026-11")
    assert (code, out) == (3, "")
    assert "waiting: acme/pro/2026-10-01" in err
    assert "meter api_calls: 30 windows not closed, the first at 2026-11-01 00:00" in err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["invoices", "show", "INV-000009"], 2, "the book holds no invoice INV-000009"),
        (["explain", "INV-000009"], 2, "the book holds no invoice INV-000009"),
        (["bill", "--period", "2026-13"], 2, "'2026-13' is not a period"),
        (["bill", "--perod", "2026-10"], 2, "--perod"),
        (["--catalog", "nowhere.yaml", "check"], 2, "nowhere.yaml: no such file"),
        (["--database-url", "postgresql+psycopg://me:hunter2@127.0.0.1:1/none", "invoices", "list"], 1, "me:***@"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_the_right_code(
    rating: Rating, arguments: list[str], code: int, sentence: str
) -> None:
    got, _, err = rating(*arguments)
    assert got == code, err
    assert sentence in err
    assert "Traceback" not in err
    assert "hunter2" not in err


def test_a_line_that_does_not_exist_is_wrong_input(rating: Rating) -> None:
    rating("bill")
    code, _, err = rating("explain", "INV-000001/7")
    assert code == 2
    assert "has lines 1 to 2, not '7'" in err


def test_adopting_says_what_it_would_do_first(rating: Rating) -> None:
    code, _, err = rating("catalog", "adopt", "--from", "2026-10-01", "--dry-run")
    assert code == 0
    assert "would keep catalogue" in err
    assert rating("catalog", "adopt", "--from", "2026-10-01")[0] == 0
    rows = json.loads(rating("catalog", "list", "--format", "json")[1])
    assert [row["in force from"] for row in rows] == ["2026-10-01 00:00"]


def test_late_usage_is_explained_on_the_old_invoice_and_on_the_new_one(
    rating: Rating, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rating("bill")[0] == 0
    window = Period(OCTOBER.start + 3 * DAY, OCTOBER.start + 4 * DAY)
    with open_book(f"sqlite:///{tmp_path / 'book.db'}") as book:
        late = Adjustment("api_calls", window, 1, (Usage("acme", ("/search",), 100),), "late samples", "rating")
        book.adjust(late, at=datetime(2026, 11, 3, tzinfo=UTC))
        close_days(book, {"acme": 10, "=cmd()": 1}, meter=CALLS, days=range(31, 61))
    code, out, _ = rating("explain", "INV-000002/2")
    assert code == 0
    assert "they sum to the quantity above" in out
    story = "+100 (/search) in 2026-10-04 00:00 to 2026-10-05 00:00, recorded 2026-11-03 00:00 by rating: late samples"
    assert f"after issue, for a later invoice to settle: {story}" in out

    monkeypatch.setattr("rating.cli.bill.now", lambda: datetime(2026, 12, 2, tzinfo=UTC))
    assert rating("bill", "--consumer", "acme")[0] == 0
    code, out, _ = rating("explain", "INV-000003/3")
    assert code == 0
    assert "Line 3: Late usage of October 2026: " in out
    assert ", INV-000002 line 2: 1.01 USD" in out
    assert "100 request more than was charged so far for INV-000002 line 2" in out
    assert "billed so far for INV-000002 line 2" in out
    assert f"contains {story}" in out
    assert "they are what the whole period is rated from" in out
    assert rating("book", "check")[0] == 0
    code, out, _ = rating("usage", "--from", "2026-10-04", "--to", "2026-10-05", "--consumer", "acme", "-f", "json")
    assert [row["quantity"] for row in json.loads(out)] == ["110"]
