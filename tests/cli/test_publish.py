"""`rating publish` and `rating stripe retry`, as typed, with the local Stripe on the other side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from tests.adapters.stripe.months import happenings, month
from tests.stripe_peer.peer import StripePeer

LIVE = "sk_live_51HfooBARbazQUX"


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stripe_peer: StripePeer) -> str:
    """A book with seven invoices and a file of gateways, both in the environment."""
    url = f"sqlite:///{tmp_path}/rating.db"
    with open_book(url) as made:
        month(made)
    main = f"{{kind: stripe, key: {stripe_peer.key}, url: '{stripe_peer.url}', requests_per_second: 100}}"
    (tmp_path / "gateways.yaml").write_text(f"gateways:\n  main: {main}\n")
    monkeypatch.setenv("RATING_DATABASE_URL", url)
    monkeypatch.setenv("RATING_GATEWAYS", str(tmp_path / "gateways.yaml"))
    return url


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert run([*words, "--format", "json"]) == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def test_looked_at_then_carried_then_nothing_left(
    book: str, stripe_peer: StripePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = told(capsys, "publish", "--dry-run")
    assert [row["subject"] for row in planned] == [f"invoice/INV-{number:06d}" for number in range(1, 8)]
    assert planned[1]["action"] == (
        "create INV-000002 with 4 lines over 36.13 USD, 30.00 USD of it from the wallet, and send it"
    )
    assert stripe_peer.requests() == []
    [one] = told(capsys, "publish", "--only", "INV-000003")
    assert (one["subject"], one["outcome"]) == ("invoice/INV-000003", "done")
    assert len(told(capsys, "publish")) == 6
    with open_book(book) as opened:
        happenings(opened)
    assert len(told(capsys, "publish")) == 6
    assert told(capsys, "publish") == []
    assert run(["publish"]) == 0
    assert "0 carried, 0 failed and tried again later, 0 parked, 0 left" in capsys.readouterr().out
    assert {one["total"] for one in stripe_peer.state()["invoices"]} == {3_613}


def test_what_is_parked_is_listed_and_tried_again(
    book: str, stripe_peer: StripePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        stripe_peer.client().v1.customers.create({"name": "Twin", "metadata": {"rating_customer": "plain"}})
    assert run(["publish"]) == 3
    assert "6 carried, 0 failed and tried again later, 1 parked, 1 left" in capsys.readouterr().out
    [parked] = told(capsys, "publish", "--parked", code=3)
    assert "both say rating_customer plain" in parked["said"]
    twin = next(one for one in stripe_peer.state()["customers"] if one["name"] == "Twin")
    stripe_peer.client().v1.customers.update(twin["id"], {"metadata": {"rating_customer": ""}, "email": "a@b.example"})
    assert run(["stripe", "retry"]) == 2
    assert told(capsys, "stripe", "retry", "--all", "--dry-run") == [
        {"gateway": "main", "subject": "invoice/INV-000001"}
    ]
    assert told(capsys, "stripe", "retry", "invoice/INV-000001") == [
        {"gateway": "main", "subject": "invoice/INV-000001"}
    ]
    other = next(one for one in stripe_peer.state()["customers"] if one["name"] == "Twin" and one["id"] != twin["id"])
    stripe_peer.client().v1.customers.update(other["id"], {"email": "a@b.example"})
    assert [row["outcome"] for row in told(capsys, "publish")] == ["done"]
    assert told(capsys, "publish", "--parked") == []


def test_a_gateway_that_is_away_is_no_defect(
    book: str, stripe_peer: StripePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    stripe_peer.fail(status=429, headers={"Retry-After": "90"})
    # The customers that are served beside the first one come to their end.
    rows = told(capsys, "publish", code=1)
    assert [row["outcome"] for row in rows].count("failed") == 1


def test_real_money_is_announced_and_needs_a_yes(
    book: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gateways.yaml").write_text(f"gateways:\n  main: {{kind: stripe, key: {LIVE}, live: true}}\n")
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    assert run(["publish"]) == 2
    said = capsys.readouterr()
    assert "gateway main collects REAL MONEY: 7 invoices over 252.91 USD, 7 papers and steps in all" in said.err
    assert "--yes: real money would be moved and nobody can be asked; give --yes" in said.err
    assert LIVE not in said.err + said.out


def test_no_gateway_is_named(book: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("RATING_GATEWAYS")
    assert run(["publish"]) == 2
    assert "RATING_GATEWAYS: no gateway is named; write gateways:" in capsys.readouterr().err
    monkeypatch.setenv("RATING_GATEWAYS", "nowhere.yaml")
    assert run(["publish"]) == 2
    assert "nowhere.yaml: no such file" in capsys.readouterr().err
