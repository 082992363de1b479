"""`rating statements` on a real book, what plans say of such agreements, and contracts that contradict each other."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from rating.core.creditnotes import Cause, credit
from rating.core.meters import Meter
from rating.core.money import Currency, Money
from rating.core.subscriptions import Subscription
from tests.stories import DAY, close_days

CATALOGUE = """\
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id, dimensions: [endpoint], window: 1d}
plans:
  pro:
    fees: [{key: setup, name: Setup, amount: "5.00", due: once}]
    charges:
      - {meter: calls, included: 10, rollover: 1, unit_price: "0.07", share: {partner: Maps Ltd, percent: "12.5%"}}
    pools: [{key: free, included: 100, charges: [calls], shared_by: customer}]
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01, credits: [{key: gift, amount: "1"}]}
"""

CALLS = Meter(name="calls", metric="calls_total", consumer="consumer_id", dimensions=("endpoint",), window=DAY)
Rating = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'book.db'}"
    with open_book(url) as book:
        close_days(book, {"acme": 10}, meter=CALLS)
    return url


@pytest.fixture
def rating(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rating:
    """Run one command on 2 November against a book in which acme made 310 calls in October."""
    monkeypatch.setenv("COLUMNS", "160")
    for noun in ("bill", "accrue", "statements", "plans"):
        monkeypatch.setattr(f"rating.cli.{noun}.now", lambda: datetime(2026, 11, 2, tzinfo=UTC))
    path = tmp_path / "catalogue.yaml"
    path.write_text(CATALOGUE)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["--catalog", str(path), "--database-url", url, *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def test_a_partner_gets_a_statement_of_the_issued_lines(rating: Rating, url: str) -> None:
    assert rating("statements") == (0, "", "nothing is owed to a partner\n")
    assert rating("bill")[0] == 0
    code, out, _ = rating("statements", "--format", "json")
    [row] = json.loads(out)
    # 310 calls, 10 included, 100 of the pool: 200 at 0.07 are 14.00, an eighth of it is 1.75.
    assert code == 0
    assert {key: row[key] for key in ("partner", "month", "invoice", "line", "base", "percent", "amount")} == {
        "partner": "Maps Ltd",
        "month": "2026-10",
        "invoice": "INV-000002",
        "line": 1,
        "base": "14.00",
        "percent": "12.5%",
        "amount": "1.75",
    }
    explained = rating("explain", f"{row['invoice']}/{row['line']}")
    assert explained[0] == 0
    assert "calls: 14.00 USD" in explained[1]
    with open_book(url) as book:
        invoice = book.invoice(row["invoice"])
    assert invoice is not None
    assert invoice.draft.lines[row["line"] - 1].usage_digest == row["usage_digest"]


def test_a_statement_for_people_ends_with_its_total(rating: Rating) -> None:
    rating("bill")
    code, out, _ = rating("statements")
    assert code == 0
    assert out.splitlines()[-1] == "Maps Ltd, 2026-10: 1.75 USD"
    _, out, _ = rating("statements", "--totals", "--format", "csv")
    assert list(csv.DictReader(io.StringIO(out))) == [
        {"partner": "Maps Ltd", "month": "2026-10", "lines": "1", "base": "14.00", "amount": "1.75", "currency": "USD"}
    ]


def test_an_issued_statement_is_a_document_in_every_form(rating: Rating, url: str, tmp_path: Path) -> None:
    rating("bill")
    rating("statements", "issue", "--period", "2026-10")
    out = tmp_path / "papers"
    for form in ("html", "pdf", "json", "csv", "text"):
        code, _, said = rating("statements", "render", "--period", "2026-10", "--format", form, "--out", f"{out}/")
        assert code == 0, said
        rating("statements", "render", "ST-000001", "--format", form, "--out", f"{out}/again.{form}")
    with open_book(url) as book:
        [payout] = book.statements()
    assert (out / "ST-000001.pdf").read_bytes() == (out / "again.pdf").read_bytes()
    assert (out / "ST-000001.pdf").read_bytes().startswith(b"%PDF")
    assert hashlib.sha256((out / "ST-000001.txt").read_bytes()).hexdigest() == payout.content_hash
    said_json = json.loads((out / "ST-000001.json").read_text())
    assert [said_json[key] for key in ("document", "number", "issued", "total", "content_hash")] == [
        "statement", "ST-000001", "2026-11-02", "1.75", payout.content_hash,
    ]  # fmt: skip
    assert said_json["customer"]["name"] == "Maps Ltd"
    [row] = csv.DictReader((out / "ST-000001.csv").open(newline=""))
    assert [row[key] for key in ("document", "number", "quantity", "unit", "amount", "names")] == [
        "statement", "ST-000001", "12.5", "%", "1.75", "INV-000002/1",
    ]  # fmt: skip
    page = (out / "ST-000001.html").read_text()
    assert "Bill to" not in page
    for sentence in (
        "Partner statement",
        "Maps Ltd",
        "share of INV-000002/1",
        "1.75",
        payout.content_hash,
        "rating statements render ST-000001 --format text",
        "rating statements explain ST-000001/1",
    ):
        assert sentence in page
    assert rating("statements", "render", "ST-000009")[0] == 1
    assert rating("statements", "render", "--partner", "Others")[::2] == (
        0,
        "no statement was issued for these; see `rating statements list`\n",
    )
    code, _, said = rating("statements", "render", "ST-000001", "--format", "xml")
    assert (code, "ST-000001 cannot be an e-invoice" in said) == (1, True)


@pytest.mark.parametrize("only", [("--partner", "Others"), ("--period", "2026-11")])
def test_a_statement_is_limited_to_what_is_asked_for(rating: Rating, only: tuple[str, str]) -> None:
    rating("bill")
    assert rating("statements", *only, "--format", "json")[:2] == (0, "[]\n")


def test_plans_show_says_fees_pools_rollover_and_shares(rating: Rating) -> None:
    _, out, _ = rating("plans", "show", "pro", "--format", "json")
    assert [(row["charge"], row["what"]) for row in json.loads(out)] == [
        ("fee", "Setup, once"),
        ("calls", "included"),
        ("calls", "each"),
        ("calls", "what is left of the included units is kept for 1 more period"),
        ("calls", "12.5% of it is owed to Maps Ltd"),
        ("pool free", "100 requests included for calls together, shared by all consumers of a customer"),
    ]


def test_a_diff_says_what_it_rates_without(rating: Rating, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(CATALOGUE.replace("included: 100", "included: 200"))
    code, out, err = rating("plans", "diff", str(tmp_path / "catalogue.yaml"), str(new), "--format", "csv")
    assert code == 0
    [row] = csv.DictReader(io.StringIO(out))
    assert (row["before"], row["after"]) == ("14.00", "7.00")
    assert err == (
        'plan "pro": left out on both sides: credits of subscriptions, units carried over from earlier periods, '
        "what other consumers of a customer use of a pool, fees due when a subscription begins; "
        "each period is rated by itself (warning)\n"
    )


@pytest.mark.parametrize("noun", ["bill", "accrue"])
def test_contracts_that_contradict_each_other_ask_for_a_person(rating: Rating, url: str, noun: str) -> None:
    assert rating(noun)[0] == 0
    with open_book(url) as book:
        start = datetime(2026, 10, 15, tzinfo=UTC)
        book.subscribe(Subscription("acme", "pro", start), at=start)
    code, _, err = rating(noun)
    assert code == 3
    assert "acme/pro/2026-10-15" in err
    assert "cancel one of them" in err


def rows(rating: Rating, *arguments: str) -> list[dict[str, object]]:
    code, out, err = rating(*arguments, "--format", "json")
    assert code == 0, err
    found = json.loads(out)
    assert isinstance(found, list)
    return found


def test_a_month_is_stated_once_numbered_and_explained_down_to_its_windows(rating: Rating, url: str) -> None:
    rating("bill")
    head = {
        "partner": "Maps Ltd", "month": "2026-10", "lines": 1, "total": "1.75", "currency": "USD",
    }  # fmt: skip
    assert rows(rating, "statements", "issue", "--period", "2026-10", "--dry-run") == [
        {"statement": "(dry run)", "issued": None, **head}
    ]
    assert rows(rating, "statements", "list") == []
    said = [{"statement": "ST-000001", "issued": "2026-11-02", **head}]
    assert rows(rating, "statements", "issue", "--period", "2026-10") == said
    assert rows(rating, "statements", "list") == said
    assert rows(rating, "statements", "list", "--partner", "Others") == []
    assert rating("statements", "issue", "--period", "2026-10") == (0, "", "everything owed up to 2026-10 is stated\n")
    [line] = rows(rating, "statements", "show", "ST-000001")
    assert (line["invoice"], line["of line"], line["base"], line["percent"], line["amount"]) == (
        "INV-000002", 1, "14.00", "12.5%", "1.75",
    )  # fmt: skip
    code, out, _ = rating("statements", "show", "ST-000001")
    assert "Statement ST-000001 to Maps Ltd, 2026-10, issued 2026-11-02" in out
    assert "Total USD" in out
    code, out, _ = rating("statements", "explain", "ST-000001/1")
    assert code == 0
    for sentence in (
        "12.5 % of 14.00 USD, the amount of INV-000002 line 1, is 1.75, rounded once to 1.75 USD",
        "Invoice INV-000002 to acme",
        "31 windows of meter calls",
    ):
        assert sentence in out
    assert rating("book", "check")[0] == 0


def test_what_a_credit_note_takes_back_is_on_a_later_statement(
    rating: Rating, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rating("bill")
    rating("statements", "issue", "--period", "2026-10")
    with open_book(url) as book:
        invoice = book.invoice("INV-000002")
        assert invoice is not None
        note = credit(invoice, {1: Money(400, Currency("USD"))}, (), cause=Cause.MANUAL, reason="an outage")
        book.credit(note, at=datetime(2026, 11, 5, tzinfo=UTC))
    monkeypatch.setattr("rating.cli.statements.now", lambda: datetime(2026, 12, 2, tzinfo=UTC))
    # November's invoice waits for its windows; the note is known.
    [said] = rows(rating, "statements", "issue", "--period", "2026-11")
    assert (said["statement"], said["total"]) == ("ST-000002", "-0.50")
    [line] = rows(rating, "statements", "show", "ST-000002")
    assert (line["invoice"], line["base"], line["corrects"]) == ("CN-000001", "-4.00", "INV-000002/1")
    # The paper says which line's share is taken back, beside the one it is a share of.
    _, page, _ = rating("statements", "render", "ST-000002", "--format", "html")
    assert "share of CN-000001/1 · takes back INV-000002/1" in page
    code, out, _ = rating("statements", "explain", "ST-000002")
    assert code == 0
    assert "credit note CN-000001 of 4.00 USD for INV-000002: an outage" in out
    assert rating("book", "check")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("issue", "--period", "2026-11"), 2, "2026-11 has not ended"),
        (("issue", "--period", "2026"), 2, "'2026' is not a month; write 2026-10"),
        (("issue", "--period", "soon"), 2, "'soon' is not a period"),
        (("show", "ST-000009"), 1, "the book holds no statement ST-000009"),
        (("explain", "ST-000001/7"), 2, "statement ST-000001 has lines 1 to 1, not '7'"),
    ],
)
def test_what_is_refused(rating: Rating, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    rating("bill")
    rating("statements", "issue", "--period", "2026-10")
    found, _, err = rating("statements", *arguments)
    assert (found, sentence in err) == (code, True), err
