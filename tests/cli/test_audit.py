"""A month with a pair of Prometheis in its second week, billed exactly and estimated by the obvious queries."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from rating.cli import run
from rating.cli.frame import DONE
from rating_demo import blocks
from rating_demo.faults import Outage, Replica, Restarts, Traffic
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY
from rating_demo.truth import World

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
WORLD = World(
    seed=3,
    start=FIRST_DAY,
    end=FIRST_DAY + 30 * DAY,
    consumers={
        "acme": Traffic(60),
        "globex": Traffic(7),
        # A call every five hours: increase() seldom sees two samples that differ.
        "initech": Traffic(0.2),
        "nobody": Traffic(3, begins=20 * DAY),
    },
    interval=timedelta(minutes=1),
    replicas=(Replica("a"), Replica("b")),
    faults=(Outage(timedelta(0), 7 * DAY, "b"), Outage(14 * DAY, 16 * DAY, "b")),
    restarts=Restarts(12 * 60 * timedelta(minutes=1), 4 * DAY),
)
CATALOGUE = """
version: 1
currency: USD
meters:
  calls:
    metric: api_requests_total
    consumer: consumer_id
    dimensions: [endpoint]
    window: 6h
    scrape_interval: 1m
plans:
  pro: {name: Pro, fee: "10", charges: [{meter: calls, included: 1000, unit_price: "0.01"}]}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-09-01}
  - {consumer: globex, plan: pro, start: 2026-09-01}
  - {consumer: initech, plan: pro, start: 2026-09-01}
"""


@pytest.fixture(scope="module")
def month(
    tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, promtool: Path
) -> Iterator[tuple[str, ...]]:
    """Flags that name a collected month."""
    folder = tmp_path_factory.mktemp("audited")
    blocks.create(WORLD.series(), folder / "blocks", promtool)
    (folder / "catalogue.yaml").write_text(CATALOGUE)
    with Prometheus(folder, blocks=folder / "blocks", retention="4000d") as server:
        book = f"sqlite:///{folder / 'book.db'}"
        flags = (
            "--catalog",
            str(folder / "catalogue.yaml"),
            "--database-url",
            book,
            "--prometheus-url",
            server.url,
        )
        assert run([*flags, "collect", "--from", "2026-09-01", "--to", "2026-10-01"]) == DONE
        yield flags


def test_the_exact_column_is_the_truth_and_increase_is_visibly_not(
    month: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run([*month, "audit", "--period", "2026-09", "--format", "json"]) == DONE
    rows = {row["consumer"]: row for row in json.loads(capsys.readouterr().out)}

    truth: dict[str, int] = {}
    for who, quantity in WORLD.usage().items():
        truth[who.consumer] = truth.get(who.consumer, 0) + quantity
    assert {name: int(row["exact"]) for name, row in rows.items()} == truth

    acme = rows["acme"]
    assert 40_000 < truth["acme"] < 46_000
    # A week of every sample twice is a quarter too much.
    assert 15 < Decimal(acme["increases_percent"]) < 30
    assert Decimal(acme["billed"]) == (truth["acme"] - 1000) * Decimal("0.01")
    more = Decimal(acme["increases"]) - truth["acme"]
    assert Decimal(acme["increases_difference"]) == more * Decimal("0.01")
    assert Decimal(rows["initech"]["increases_difference"]) == 0, "far below its 1000 included calls"
    assert rows["nobody"]["billed"] is None
    assert rows["nobody"]["increases_difference"] is None


def test_a_table_for_people_and_one_consumer_for_a_spreadsheet(
    month: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run([*month, "audit", "--period", "2026-09"]) == DONE
    printed = capsys.readouterr().out
    assert "hourly increase(): wrong for 4 of 4; bills" in printed
    assert run([*month, "audit", "--period", "2026-09", "--consumer", "globex", "-f", "csv"]) == DONE
    assert [row["consumer"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == ["globex"]


def test_the_same_by_keys_that_stand_for_consumers(
    month: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two keys are one consumer's; the last one is nobody's."""
    keyed = CATALOGUE.replace(
        "consumer: consumer_id", "consumer: consumer_id\n    consumers: {acme: a, globex: a, initech: i}"
    )
    keyed = keyed.replace("dimensions: [endpoint]", "dimensions: [endpoint]\n    dimension_values: {endpoint: [/chat]}")
    for old, new in (("acme, plan", "a, plan"), ("initech, plan", "i, plan"), ("globex, plan", "g, plan")):
        keyed = keyed.replace(f"consumer: {old}", f"consumer: {new}")
    (tmp_path / "catalogue.yaml").write_text(keyed)
    flags = ("--catalog", str(tmp_path / "catalogue.yaml"), "--database-url", f"sqlite:///{tmp_path / 'book.db'}")
    flags += month[4:]
    assert run([*flags, "collect", "--from", "2026-09-01", "--to", "2026-10-01"]) == DONE
    capsys.readouterr()
    rows = {}
    for catalogue in (month, flags):
        assert run([*catalogue, "audit", "--period", "2026-09", "--format", "json"]) == DONE
        rows[catalogue] = {row["consumer"]: row for row in json.loads(capsys.readouterr().out)}
    plain, named = rows[month], rows[flags]
    assert list(named) == ["<unknown:...dy>", "a", "i"]
    for column in ("exact", "increases"):
        assert int(named["a"][column]) == int(plain["acme"][column]) + int(plain["globex"][column])
        assert named["<unknown:...dy>"][column] == plain["nobody"][column]
    assert run([*flags, "usage", "--from", "2026-09-01", "--to", "2026-10-01", "--format", "json"]) == DONE
    assert {row["endpoint"] for row in json.loads(capsys.readouterr().out)} == {"/chat", "<other>"}


def test_windows_that_are_not_closed_are_named(month: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run([*month, "audit", "--period", "2026-10", "--format", "json"]) == DONE
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert "windows not closed, the first at 2026-10-01 00:00" in printed.err
