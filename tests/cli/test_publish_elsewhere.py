"""`rating publish` to files, Chargebee and Recurly at once: as typed, from the file of gateways to what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.cli import run
from rating.core.money import Currency
from tests.promises.gateways.chargebee_site import KEY, ChargebeeSite
from tests.promises.gateways.papers import draft
from tests.promises.gateways.recurly_site import KEY as RECURLY_KEY
from tests.promises.gateways.recurly_site import RecurlySite

NOW = datetime(2026, 9, 1, 6, tzinfo=UTC)


@pytest.fixture
def sites() -> Iterator[tuple[ChargebeeSite, RecurlySite]]:
    with closing(ChargebeeSite()) as chargebee, closing(RecurlySite()) as recurly:
        yield chargebee, recurly


def test_three_customers_three_collectors(
    tmp_path: Path,
    sites: tuple[ChargebeeSite, RecurlySite],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chargebee, recurly = sites
    url = f"sqlite:///{tmp_path / 'book.db'}"
    (tmp_path / "gateways.yaml").write_text(
        f"""
        gateways:
          books: {{kind: files, folder: handed}}
          eu: {{kind: chargebee, site: acme-test, key: {KEY}, url: "{chargebee.url}", customers: [acme]}}
          us: {{kind: recurly, key: {RECURLY_KEY}, live: false, url: "{recurly.url}", customers: [beta]}}
        """
    )
    with open_book(url) as book:
        book.issue(
            [draft("acme", 1000, 230), draft("beta", 99_905), draft("gamma", 42, currency=Currency("JPY"))], at=NOW
        )

    monkeypatch.setenv("RATING_GATEWAYS", str(tmp_path / "gateways.yaml"))

    def publish(*flags: str) -> tuple[int, list[dict[str, str]], str]:
        code = run(["--database-url", url, "publish", "--format", "json", *flags])
        out, err = capsys.readouterr()
        assert KEY not in out + err
        assert RECURLY_KEY not in out + err
        return code, json.loads(out or err), err

    code, planned, _ = publish("--dry-run")
    assert code == 0
    assert {row["gateway"]: row["action"].split()[0] for row in planned} == {
        "books": "write", "eu": "import", "us": "purchase",
    }  # fmt: skip
    assert not chargebee.calls + recurly.calls
    assert not (tmp_path / "handed").exists()

    code, entered, err = publish()
    assert (code, {row["gateway"]: row["outcome"] for row in entered}) == (
        0, {"books": "done", "eu": "done", "us": "done"},
    )  # fmt: skip
    assert "1 papers in batch 1" in err
    assert [one["total"] for one in chargebee.invoices.values()] == [1230]
    assert [one["total"] for one in recurly.invoices.values()] == [999.05]
    batch = (tmp_path / "handed" / "batches" / "000001.jsonl").read_text()
    assert (json.loads(batch)["total"], json.loads(batch)["currency"]) == ("42", "JPY")

    code, entered, _ = publish()
    assert (code, entered) == (0, [])
    assert (len(chargebee.invoices), len(recurly.invoices)) == (1, 1)
