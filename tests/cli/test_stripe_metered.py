"""Metered mode by command: plan, apply, publish, against the local Stripe at the machine's own time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rating.bootstrap import load_catalogue, open_book
from rating.cli import run
from rating.cli.frame import DONE, LOOK, WRONG_INPUT
from rating.core.keys import meter_digest
from rating.core.periods import Period
from rating.core.windows import Closing, Completeness, Evidence, Usage
from rating.settings import Settings

if TYPE_CHECKING:
    from tests.stripe_peer.peer import StripePeer

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
CATALOGUE = f"""
version: 1
currency: USD
meters:
  calls: {{metric: calls_total, consumer: c, window: 24h}}
plans:
  pro: {{name: Pro, period: year, charges: [{{meter: calls, name: Calls, unit_price: "0.002"}}]}}
  odd: {{name: Odd, period: year, minimum: "5", charges: [{{meter: calls, name: Calls, unit_price: "0.002"}}]}}
subscriptions:
  - {{consumer: ada, plan: pro, start: {TODAY - 3 * DAY:%Y-%m-%d}}}
"""


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripePeer]:
    from tests.stripe_peer.peer import StripePeer

    with StripePeer() as server:
        gateways = (
            f"gateways:\n  main: {{kind: stripe, key: {server.key}, url: '{server.url}', mode: metered, "
            "collection: charge_automatically}\n"
        )
        (tmp_path / "gateways.yaml").write_text(gateways)
        (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
        monkeypatch.setenv("RATING_CATALOG", str(tmp_path / "catalogue.yaml"))
        monkeypatch.setenv("RATING_DATABASE_URL", f"sqlite:///{tmp_path / 'book.db'}")
        monkeypatch.setenv("RATING_GATEWAYS", str(tmp_path / "gateways.yaml"))
        yield server
        assert not server.defects()


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    capsys.readouterr()
    code = run([*arguments, "--format", "json"])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out else [], told.err


def close(*, quantity: int) -> None:
    settings = Settings.from_environment()
    meter = load_catalogue(settings).meters["calls"]
    window = Period(TODAY - 2 * DAY, TODAY - DAY)
    with open_book(settings) as book:
        closing = Closing("calls", window, Completeness.COMPLETE, (Usage("ada", (), quantity),), Evidence())
        book.close(closing, meter_digest=meter_digest(meter), at=window.end)


def test_from_the_catalogue_to_a_meter_that_counts(
    peer: StripePeer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, rows, _ = answered(capsys, "stripe", "plan")
    assert code == DONE
    assert [(row["action"], row["what"]) for row in rows] == [
        ("create", "meter"),
        ("create", "product"),
        ("create", "price"),
        ("cannot", "plan"),
    ]
    assert rows[2]["detail"] == "0.2 of the smallest unit of USD"
    assert rows[3]["detail"] == "cannot be metered: it has a minimum; use `mode: invoices` for it"
    assert peer.state()["prices"] == []

    code, _, said = answered(capsys, "stripe", "apply")
    assert (code, "give --yes" in said) == (WRONG_INPUT, True)
    code, rows, said = answered(capsys, "stripe", "apply", "--yes")
    assert (code, len(rows)) == (DONE, 3)
    assert said.startswith("plan odd: cannot be metered")
    assert answered(capsys, "stripe", "apply", "--yes")[:2] == (DONE, [])

    code, rows, _ = answered(capsys, "publish", "--dry-run")
    assert [(row["subject"].partition("/")[0], row["action"]) for row in rows] == [("subscription", "would be made")]
    assert peer.state()["subscriptions"] == []
    close(quantity=1_234)
    code, rows, _ = answered(capsys, "publish")
    assert (code, [row["outcome"] for row in rows]) == (DONE, ["done", "done"])
    assert rows[1]["said"].startswith("1 numbers told")
    assert answered(capsys, "publish")[:2] == (DONE, [])
    assert [event["value"] for event in peer.state()["meter_events"]] == [1_234]

    dearer = CATALOGUE.replace("0.002", "0.003").replace("name: Calls", "name: Requests")
    (tmp_path / "catalogue.yaml").write_text(dearer)
    _, rows, _ = answered(capsys, "stripe", "plan")
    assert [(row["action"], row["what"], row["title"]) for row in rows][:2] == [
        ("change", "product", "Requests"),
        ("create", "price", "Requests"),
    ]


def test_what_is_declined_is_parked_and_tried_again_by_name(
    peer: StripePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(capsys, "stripe", "apply", "--yes")
    answered(capsys, "publish")
    close(quantity=10**16)
    code, rows, _ = answered(capsys, "publish")
    (parked,) = [row for row in rows if row["outcome"] == "refused"]
    assert code == LOOK
    assert "more than 15 digits; give the meter a coarser resolution" in parked["said"]
    assert answered(capsys, "publish", "--parked")[1][0]["subject"] == parked["subject"]
    assert answered(capsys, "stripe", "retry", parked["subject"])[0] == DONE


def test_what_is_not_carried_is_said_by_every_command_until_it_is_put_away(
    peer: StripePeer, capsys: pytest.CaptureFixture[str]
) -> None:
    subscription = f"ada/pro/{TODAY - 3 * DAY:%Y-%m-%d}"
    assert run(["items", "add", subscription, "--amount", "250", "--title", "Setup fee"]) == DONE
    assert run(["wallets", "topup", "ada", "50", "--reference", "pi_1"]) == DONE
    answered(capsys, "stripe", "apply", "--yes")
    code, rows, _ = answered(capsys, "stripe", "plan")
    assert (code, [row["what"] for row in rows]) == (DONE, ["plan", "item", "wallet"])
    assert '"Setup fee" over 250 USD is on our invoice and is not carried there' in rows[1]["detail"]
    code, rows, _ = answered(capsys, "publish", "--dry-run")
    assert (code, [row["subject"].partition("/")[0] for row in rows]) == (DONE, ["item", "wallet"])
    code, rows, _ = answered(capsys, "stripe", "reconcile")
    assert (code, {row["kind"] for row in rows}) == (LOOK, {"not_carried"})
    code, rows, said = answered(capsys, "publish")
    assert (code, {row["outcome"] for row in rows}) == (LOOK, {"refused"})
    assert "is not made there, ada has money in a wallet here" in said
    _, rows, _ = answered(capsys, "publish", "--parked")
    for row in rows:
        assert run(["stripe", "dismiss", row["subject"], "--reason", "added there"]) == DONE
    code, rows, _ = answered(capsys, "publish")
    assert (code, [row["subject"].partition("/")[0] for row in rows]) == (DONE, ["subscription"])
    assert answered(capsys, "stripe", "reconcile")[:2] == (DONE, [])
    assert run(["stripe", "dismiss", "invoice/INV-1", "--reason", "x"]) == 1
    assert "invoice/INV-1 cannot be dismissed" in capsys.readouterr().err


def test_nothing_is_corrected_where_nothing_differs(peer: StripePeer, capsys: pytest.CaptureFixture[str]) -> None:
    answered(capsys, "stripe", "apply", "--yes")
    answered(capsys, "publish")
    close(quantity=1_234)
    answered(capsys, "publish")
    for flags in (("--dry-run",), ("--gateway", "main")):
        assert answered(capsys, "stripe", "correct", *flags)[:2] == (DONE, [])
    assert peer.state()["items"] == []
    code, _, said = answered(capsys, "stripe", "correct", "--gateway", "other")
    assert (code, 'no gateway in metered mode is called "other"' in said) == (WRONG_INPUT, True)


def test_without_a_gateway_in_metered_mode_nothing_is_planned(
    peer: StripePeer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gateways = tmp_path / "gateways.yaml"
    gateways.write_text(gateways.read_text().replace("mode: metered, ", ""))
    code, _, said = answered(capsys, "stripe", "plan")
    assert (code, said.strip()) == (
        WRONG_INPUT,
        "RATING_GATEWAYS: no gateway is in metered mode; write `mode: metered` for one in the file of RATING_GATEWAYS",
    )
    code, _, said = answered(capsys, "stripe", "plan", "--gateway", "other")
    assert (code, 'called "other"' in said) == (WRONG_INPUT, True)
