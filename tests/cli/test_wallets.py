"""`rating wallets` as typed: topping up, looking, drawing on it by billing, and what the history says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from rating.core.meters import Meter
from tests.stories import DAY, close_days

CATALOGUE = """\
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id, dimensions: [endpoint], window: 1d}
plans:
  pro:
    fee: "20.00"
    taxes: [{name: VAT, percent: 10%}]
    charges: [{meter: calls, unit_price: "0.10"}]
subscriptions:
  - {consumer: c42, customer: acme, plan: pro, start: 2026-10-01}
"""

CALLS = Meter(name="calls", metric="calls_total", consumer="consumer_id", dimensions=("endpoint",), window=DAY)
Rating = Callable[..., tuple[int, str, str]]
AT = {"now": datetime(2026, 10, 16, tzinfo=UTC)}


@pytest.fixture
def rating(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rating:
    """Commands on a book in which c42 called ten times a day in the first half of October."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    with open_book(url) as book:
        close_days(book, {"c42": 10}, days=range(15), meter=CALLS)
    monkeypatch.setenv("COLUMNS", "160")
    AT["now"] = datetime(2026, 10, 16, tzinfo=UTC)
    for noun in ("bill", "wallets"):
        monkeypatch.setattr(f"rating.cli.{noun}.now", lambda: AT["now"])
    path = tmp_path / "catalogue.yaml"
    path.write_text(CATALOGUE)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["--catalog", str(path), "--database-url", url, *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def rows(rating: Rating, *arguments: str) -> list[dict[str, object]]:
    code, out, err = rating(*arguments, "--format", "json")
    assert code == 0, err
    found = json.loads(out)
    assert isinstance(found, list)
    return found


def test_a_wallet_from_the_first_topup_to_the_last_cent(rating: Rating, tmp_path: Path) -> None:
    assert rating("wallets", "topup", "acme", "50", "--reference", "pi_1", "--dry-run")[1] == (
        "would put 50.00 USD into the wallet of acme as pi_1; it holds 0.00 USD\n"
    )
    assert rating("wallets", "topup", "acme", "50", "--reference", "pi_1")[:2] == (
        0,
        "put 50.00 USD into the wallet of acme as pi_1; it holds 50.00 USD\n",
    )
    assert rating("wallets", "topup", "acme", "50.00", "--reference", "pi_1")[1].startswith("had put 50.00 USD")
    rating("wallets", "grant", "acme", "5", "--reference", "sorry", "--expires", "2026-11-15", "--note", "outage")
    assert rating("wallets", "warn", "acme", "10")[1] == "the wallet of acme is low at 10.00 USD or less\n"
    # 20.00 and 150 calls at 0.10, with 10 % on top: an open period of 38.50.
    assert rows(rating, "wallets", "list") == [
        {"customer": "acme", "currency": "USD", "balance": "55.00", "accrued": "38.50", "would burn": "38.50",
         "left": "16.50", "low at": "10.00", "low": "no"}
    ]  # fmt: skip
    code, out, _ = rating("wallets", "show", "acme")
    assert code == 0
    assert out.index("sorry") < out.index("pi_1"), "what expires pays first"
    assert "Balance 55.00 USD; accrued so far 38.50 USD, which would burn 38.50 USD and leave 16.50 USD" in out

    with open_book(f"sqlite:///{tmp_path / 'book.db'}") as book:
        close_days(book, {"c42": 10}, days=range(15, 31), meter=CALLS)
    AT["now"] = datetime(2026, 11, 2, tzinfo=UTC)
    assert rating("bill")[0] == 0
    # 20.00 and 310 calls at 0.10, 51.00, with 10 % on top.
    assert [(row["what"], row["grant"], row["amount"], row["balance"], row["invoice"]) for row in
            rows(rating, "wallets", "history", "acme")] == [
        ("topup", "pi_1", "50.00", "50.00", None),
        ("grant", "sorry", "5.00", "55.00", None),
        ("burned", "pi_1", "-50.00", "0.00", "INV-000001"),
        ("burned", "sorry", "-5.00", "0.00", "INV-000001"),
    ]  # fmt: skip


def test_what_expires_is_in_the_history_though_it_is_no_entry(rating: Rating) -> None:
    rating("wallets", "grant", "acme", "5", "--reference", "welcome", "--expires", "2026-10-20")
    AT["now"] = datetime(2026, 10, 19, tzinfo=UTC)
    assert [row["what"] for row in rows(rating, "wallets", "history", "acme")] == ["grant"]
    AT["now"] = datetime(2026, 10, 20, tzinfo=UTC)
    assert [(row["what"], row["amount"], row["balance"]) for row in rows(rating, "wallets", "history", "acme")] == [
        ("grant", "5.00", "5.00"),
        ("expired", "-5.00", "0.00"),
    ]
    assert rows(rating, "wallets", "list")[0]["balance"] == "0.00"


def test_taking_out_what_is_left(rating: Rating) -> None:
    rating("wallets", "topup", "acme", "50", "--reference", "pi_1")
    take = ("wallets", "withdraw", "acme", "pi_1", "--why", "paid back")
    assert rating(*take, "--dry-run")[1] == "would take 50.00 USD out of pi_1 of acme\n"
    assert rating(*take)[1] == "took 50.00 USD out of pi_1 of acme\n"
    assert rating(*take)[1] == "nothing is left of pi_1 of acme\n"
    [_, taken] = rows(rating, "wallets", "history", "acme")
    assert (taken["what"], taken["amount"], taken["cause"]) == ("withdrawn", "-50.00", "paid back")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("topup", "acme", "5.001", "--reference", "a"), 2, "5.001 has more than the 2 decimals of USD"),
        (("topup", "acme", "0", "--reference", "a"), 2, "0.00 USD is too little; write more than 0"),
        (("topup", "acme", "much", "--reference", "a"), 2, "'much' is not a decimal number"),
        (("topup", "acme", "5", "--reference", ""), 2, "a reference that names it"),
        (("topup", "acme", "5", "--reference", "a", "--currency", "usd"), 2, "not a three-letter ISO 4217 code"),
        (("grant", "acme", "5", "--reference", "a", "--expires", "2026-10-16"), 2, "choose a later day"),
        (("topup", "acne", "5", "--reference", "a"), 3, 'nobody who pays is called acne, so nothing draws on it yet; '
                                                        'did you mean "acme"?'),
        (("show", "acme"), 2, "'acme' has no wallet"),
        (("withdraw", "acme", "x", "--why", "y"), 2, "'acme' has no wallet"),
    ],
)  # fmt: skip
def test_what_is_refused(rating: Rating, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    found, _, err = rating("wallets", *arguments)
    assert (found, sentence in " ".join(err.split())) == (code, True), err


def test_one_reference_with_two_amounts_calls_a_person(rating: Rating) -> None:
    rating("wallets", "topup", "acme", "50", "--reference", "pi_1")
    code, _, err = rating("wallets", "topup", "acme", "60", "--reference", "pi_1")
    assert code == 3
    assert "one reference names one payment or gift" in err
    assert rows(rating, "wallets", "list")[0]["balance"] == "50.00"
