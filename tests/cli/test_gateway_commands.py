"""`rating stripe settle`, `signals`, `dismiss` and `reconcile`, as typed, with the local Stripe on the other side."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from tests.adapters.stripe.months import month
from tests.stripe_peer.peer import StripePeer

CATALOGUE = """
version: 1
currency: USD
meters:
  calls: {metric: api_requests_total, unit: call, consumer: consumer_id}
plans:
  pro: {period: month, charges: [{meter: calls, unit_price: "0.01"}]}
"""


@pytest.fixture
def peer() -> Iterator[StripePeer]:
    """Its clock is the machine's, as the commands' is: a gateway remembers thirty days."""
    with StripePeer(now=int(time.time()) - 3_600, standing=True) as one:
        yield one
        assert not one.defects()


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: StripePeer) -> str:
    url = f"sqlite:///{tmp_path}/rating.db"
    with open_book(url) as made:
        month(made)
    main = f"{{kind: stripe, key: {peer.key}, url: '{peer.url}', requests_per_second: 100}}"
    (tmp_path / "gateways.yaml").write_text(f"gateways:\n  main: {main}\n")
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    monkeypatch.setenv("RATING_DATABASE_URL", url)
    monkeypatch.setenv("RATING_GATEWAYS", str(tmp_path / "gateways.yaml"))
    monkeypatch.setenv("RATING_CATALOG", str(tmp_path / "catalogue.yaml"))
    return url


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert run([*words, "--format", "json"]) == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def test_compared_settled_looked_at_and_put_away(
    book: str, peer: StripePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["publish"]) == 0
    capsys.readouterr()
    assert told(capsys, "stripe", "reconcile") == []
    there = {one["metadata"]["rating_invoice"]: one["id"] for one in peer.state()["invoices"]}
    peer.pay(there["INV-000001"])
    peer.client().v1.credit_notes.create({"invoice": there["INV-000004"], "amount": 100})
    # A dry run takes nothing up: the payment is missing in our book.
    kinds = [row["kind"] for row in told(capsys, "stripe", "reconcile", "--dry-run", code=3)]
    assert sorted(kinds) == ["credit_note_missing_here", "paid_there", "payment_missing_here"]
    with open_book(book) as opened:
        assert opened.entries() == ()
    kinds = [row["kind"] for row in told(capsys, "stripe", "reconcile", code=3)]
    assert kinds == ["credit_note_missing_here"]
    with open_book(book) as opened:
        assert [(one.invoice, one.source, str(one.amount)) for one in opened.entries()] == [
            ("INV-000001", "main", "36.13 USD")
        ]
    (parked,) = told(capsys, "stripe", "signals", "--parked", code=3)
    assert (parked["kind"], parked["state"]) == ("credit_note.created", "parked")
    assert "money moved that our book does not know" in parked["said"]
    assert told(capsys, "stripe", "signals", "--waiting", code=3) == []
    subject = f"signal/{parked['signal']}"
    assert told(capsys, "stripe", "retry", subject) == [{"gateway": "main", "subject": subject}]
    (again,) = told(capsys, "stripe", "settle", "--dry-run", code=3)
    assert (again["signal"], again["verdict"]) == (parked["signal"], "parked")
    assert run(["stripe", "settle"]) == 3
    assert "1 parked" in capsys.readouterr().out
    assert run(["stripe", "dismiss", parked["signal"], "--reason", "agreed", "--dry-run"]) == 0
    assert "would be dismissed" in capsys.readouterr().out
    assert run(["stripe", "dismiss", parked["signal"], "--reason", "agreed", "--author", "ada"]) == 0
    assert f"dismissed {parked['signal']}" in capsys.readouterr().out
    assert told(capsys, "stripe", "signals", "--parked") == []
    assert run(["stripe", "settle"]) == 0
    assert "nothing waited" in capsys.readouterr().out
    assert run(["stripe", "dismiss", "evt_none", "--reason", "x"]) == 1
    assert "no gateway told us anything that is called evt_none" in capsys.readouterr().err


def test_only_one_period_and_one_gateway(book: str, peer: StripePeer, capsys: pytest.CaptureFixture[str]) -> None:
    # Nothing was carried yet: that is under way, and none of September is ours.
    assert run(["stripe", "reconcile", "--period", "2026-08"]) == 0
    assert "main: 7 invoices of ours, 0 there, 0 differences, 7 under way" in capsys.readouterr().out
    assert run(["stripe", "reconcile", "--period", "2026-09", "--gateway", "main"]) == 0
    assert "main: 0 invoices of ours" in capsys.readouterr().out
    assert run(["stripe", "reconcile", "--gateway", "other"]) == 2
    assert "no gateway is called other" in capsys.readouterr().err


def test_a_gateway_that_is_away(book: str, peer: StripePeer, capsys: pytest.CaptureFixture[str]) -> None:
    peer.fail(status=503, times=None)
    assert run(["stripe", "reconcile"]) == 1
    assert "gateway main" in capsys.readouterr().err
