"""`rating publish` of usage to Chargebee and Recurly, as typed: from the file of gateways to what is recorded there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rating.bootstrap import load_catalogue, open_book
from rating.cli import run
from rating.cli.frame import DONE, LOOK, WRONG_INPUT
from rating.core.keys import meter_digest
from rating.core.periods import Period, seconds
from rating.core.windows import Closing, Completeness, Evidence, Usage
from rating.settings import Settings
from tests.promises.gateways.chargebee_site import KEY, ChargebeeSite
from tests.promises.gateways.recurly_site import KEY as RECURLY_KEY
from tests.promises.gateways.recurly_site import RecurlySite

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
BEGIN, END = TODAY - 3 * DAY, TODAY + 4 * DAY
CATALOGUE = f"""
version: 1
currency: USD
meters:
  calls: {{metric: calls_total, consumer: c, window: 24h}}
plans:
  pro: {{name: Pro, period: week, charges: [{{meter: calls, name: Calls, unit_price: "0.002"}}]}}
subscriptions:
  - {{consumer: ada, plan: pro, start: {BEGIN:%Y-%m-%d}, anchor: {BEGIN:%Y-%m-%d}}}
  - {{consumer: bob, plan: pro, start: {BEGIN:%Y-%m-%d}, anchor: {BEGIN:%Y-%m-%d}}}
"""

Sites = tuple[ChargebeeSite, RecurlySite]


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sites]:
    with closing(ChargebeeSite()) as chargebee, closing(RecurlySite()) as recurly:
        chargebee.usages.subscribe("cb-ada", "ada", seconds(BEGIN), seconds(END), "calls-USD-Weekly")
        (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
        (tmp_path / "gateways.yaml").write_text(
            f"""
            gateways:
              eu:
                kind: chargebee
                site: acme-test
                key: {KEY}
                url: "{chargebee.url}"
                mode: usage
                items: {{pro/charge/calls: calls-USD-Weekly}}
                default: true
              us:
                kind: recurly
                key: {RECURLY_KEY}
                live: false
                url: "{recurly.url}"
                mode: usage
                add_ons: {{pro/charge/calls: calls}}
                customers: [bob]
            """
        )
        monkeypatch.setenv("RATING_CATALOG", str(tmp_path / "catalogue.yaml"))
        monkeypatch.setenv("RATING_DATABASE_URL", f"sqlite:///{tmp_path / 'book.db'}")
        monkeypatch.setenv("RATING_GATEWAYS", str(tmp_path / "gateways.yaml"))
        yield chargebee, recurly


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    capsys.readouterr()
    code = run([*arguments, "--format", "json"])
    told = capsys.readouterr()
    assert KEY not in told.out + told.err
    assert RECURLY_KEY not in told.out + told.err
    return code, json.loads(told.out) if told.out else [], told.err


def close() -> None:
    settings = Settings.from_environment()
    meter = load_catalogue(settings).meters["calls"]
    rows = (Usage("ada", (), 1_234), Usage("bob", (), 5_678))
    with open_book(settings) as book:
        for window in (Period(TODAY - 2 * DAY, TODAY - DAY), Period(TODAY - DAY, TODAY)):
            closing = Closing("calls", window, Completeness.COMPLETE, rows, Evidence())
            book.close(closing, meter_digest=meter_digest(meter), at=window.end)


def test_usage_is_told_to_subscriptions_that_a_person_made(sites: Sites, capsys: pytest.CaptureFixture[str]) -> None:
    chargebee, recurly = sites
    code, rows, _ = answered(capsys, "publish", "--dry-run")
    assert [(row["gateway"], row["action"]) for row in rows] == [("eu", "would be made"), ("us", "would be made")]
    assert not chargebee.calls + recurly.calls

    code, rows, _ = answered(capsys, "publish")
    assert code == LOOK
    assert {row["gateway"]: row["outcome"] for row in rows} == {"eu": "done", "us": "refused"}
    _, (parked,), _ = answered(capsys, "publish", "--parked")
    assert parked["said"].startswith("Recurly has no running subscription of customer bob with calls for bob/pro/")
    began = {"current_period_started_at": f"{BEGIN:%Y-%m-%d}T06:00:00Z"}
    recurly.usages.subscribe("r-bob", "bob", END + timedelta(hours=6), "calls", **began)
    assert answered(capsys, "stripe", "retry", parked["subject"])[0] == DONE
    assert answered(capsys, "publish")[0] == DONE

    close()
    _, rows, _ = answered(capsys, "publish", "--dry-run")
    assert [(row["customer"], row["subject"], row["action"]) for row in rows] == [
        ("ada", "usage of rating.calls", "tell 2468 units in 2 days"),
        ("bob", "usage of rating.calls", "tell 11356 units in 2 days"),
    ]
    code, rows, _ = answered(capsys, "publish")
    assert (code, [row["outcome"] for row in rows]) == (DONE, ["done", "done"])
    assert rows[0]["said"] == "2 numbers told about 2 days of meters"
    assert answered(capsys, "publish")[:2] == (DONE, [])
    assert [(one["quantity"], one["usage_date"]) for one in chargebee.usages.records] == [
        ("1234", seconds(TODAY - 1.5 * DAY)),
        ("1234", seconds(TODAY - 0.5 * DAY)),
    ]
    assert [one["amount"] for one in recurly.usages.records.values()] == [5_678, 5_678]


def test_prices_there_are_not_made_from_the_catalogue(sites: Sites, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = answered(capsys, "stripe", "plan", "--gateway", "eu")
    assert (code, said.strip()) == (
        WRONG_INPUT,
        '--gateway: prices of "eu" are not made from the catalogue; make them there by hand; '
        "`rating publish --dry-run` says what is missing",
    )
