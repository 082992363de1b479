"""From a real Prometheus to closed windows by command: collect, usage, windows, verify, doctor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rating.cli import run
from rating.cli.frame import DONE, FAILED, LOOK, WRONG_INPUT
from rating.core.periods import Period
from rating_demo import blocks
from rating_demo.faults import Outage, Traffic
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY
from rating_demo.truth import World

HOUR = timedelta(hours=1)
WORLD = World(
    seed=11,
    start=FIRST_DAY,
    end=FIRST_DAY + 5 * HOUR,
    consumers={"acme": Traffic(300), "globex": Traffic(40)},
    faults=(Outage(2.3 * HOUR, 0.2 * HOUR),),
)
DAY = f"{FIRST_DAY:%Y-%m-%d}"
SPAN = ("--from", DAY, "--to", f"{DAY}T04:00")
CATALOGUE = """
version: 1
currency: USD
meters:
  calls: {metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint], where: {status: "2.."}}
plans:
  pro: {name: Pro, charges: [{meter: calls, unit_price: "0.01"}]}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-09-01}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, promtool: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("metered")
    blocks.create(WORLD.series(), folder / "blocks", promtool)
    with Prometheus(folder, blocks=folder / "blocks", retention="4000d") as server:
        yield server.url


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    monkeypatch.setenv("RATING_CATALOG", str(tmp_path / "catalogue.yaml"))
    monkeypatch.setenv("RATING_DATABASE_URL", f"sqlite:///{tmp_path / 'book.db'}")
    monkeypatch.setenv("RATING_PROMETHEUS_URL", url)


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the rows printed as JSON, and what was said on stderr."""
    code = run([*arguments, "--format", "json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else [], printed.err


def test_from_samples_to_usage_once_and_verified(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, said = answered(capsys, "collect", *SPAN)
    assert code == LOOK, said
    assert [row["start"] for row in rows] == [f"{DAY}T0{hour}:00Z" for hour in (0, 1, 3)]
    assert f"held: calls {DAY} 02:00 to {DAY} 03:00" in said
    assert "(80.0 %), the meter asks for 98.0 %" in said

    code, rows, _ = answered(capsys, "windows", "list", "--held")
    assert (code, [row["start"] for row in rows]) == (LOOK, [f"{DAY}T02:00Z"])

    assert run(["windows", "retry", "calls"]) == LOOK
    assert f"held: calls {DAY} 02:00 to {DAY} 03:00: 384 of 480" in capsys.readouterr().err
    assert run(["windows", "release", "calls", f"{DAY}T02:00", "--dry-run"]) == DONE
    assert f"would be released: calls {DAY} 02:00" in capsys.readouterr().err

    assert run(["windows", "release", "calls", f"{DAY}T02:00"]) == DONE
    assert f"released: calls {DAY} 02:00 to {DAY} 03:00, 2 consumers" in capsys.readouterr().err
    assert answered(capsys, "windows", "list", "--held") == (DONE, [], "no window is held\n")

    code, rows, _ = answered(capsys, "usage", *SPAN)
    assert code == DONE
    assert list(rows[0]) == [
        *("consumer", "meter", "endpoint", "start", "end", "quantity", "unit", "completeness", "unseen", "unseen is"),
    ]
    assert {row["unseen is"] for row in rows} == {"estimate"}
    proven = WORLD.usage(Period(WORLD.start, WORLD.start + 4 * HOUR))
    for who, quantity in proven.items():
        own = [row for row in rows if (row["consumer"], row["endpoint"]) == who]
        assert sum(int(row["quantity"]) for row in own) == quantity
    assert {row["completeness"] for row in rows if row["start"] == f"{DAY}T02:00Z"} == {"degraded"}

    code, rows, said = answered(capsys, "collect", *SPAN)
    assert (code, rows, said) == (DONE, [], f"no window is due since {DAY} 00:00\n")

    code, rows, said = answered(capsys, "verify", "--period", DAY)
    assert (code, rows) == (DONE, [])
    assert "4 windows measure what the book says, 0 differ, 0 cannot be measured again" in said


def test_a_held_window_is_retried_once_the_reason_is_gone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["windows", "retry"]) == DONE
    assert capsys.readouterr().err == "no window is held\n"
    assert run(["collect", *SPAN]) == LOOK
    (tmp_path / "catalogue.yaml").write_text(
        CATALOGUE.replace("consumer: consumer_id,", "consumer: consumer_id, coverage: 50%,")
    )
    capsys.readouterr()
    assert run(["windows", "retry", "calls", "--to", f"{DAY}T02:00"]) == DONE
    assert capsys.readouterr().err == "no window is held\n"
    for flags, said in ((["--dry-run"], "would be closed"), ([], "closed")):
        assert run(["windows", "retry", *flags]) == DONE
        assert capsys.readouterr().err == f"{said}: calls {DAY} 02:00 to {DAY} 03:00, degraded, 2 consumers\n"
    assert answered(capsys, "windows", "list", "--held")[:2] == (DONE, [])


def test_windows_say_what_they_may_lack_and_what_kind_of_figure_that_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    limited = CATALOGUE.replace("consumer: consumer_id,", "consumer: consumer_id, coverage: 50%, max_rate: 20/s,")
    (tmp_path / "catalogue.yaml").write_text(limited)
    assert run(["collect", *SPAN]) == DONE
    capsys.readouterr()
    _, rows, _ = answered(capsys, "windows", "list", "--from", DAY, "--to", f"{DAY}T04:00")
    assert {row["unseen is"] for row in rows} == {"at most, each consumer"}
    bounds = [int(row["unseen"]) for row in rows]
    # The targets came in the first hour, and Prometheus was down for twelve minutes of the third.
    assert bounds[0] == 20 * 3601
    assert (bounds[1], bounds[3]) == (0, 0)
    assert 20 * 720 <= bounds[2] <= 20 * 780
    assert all(0 < int(row["tail"]) <= 20 * 16 for row in rows[1:])


def test_a_dry_run_keeps_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, _ = answered(capsys, "collect", "--from", DAY, "--to", f"{DAY}T02:00", "--dry-run")
    assert (code, len(rows)) == (DONE, 2)
    assert answered(capsys, "windows", "list", "--from", DAY)[1] == []


def test_prometheus_down_is_one_line_and_the_next_run_carries_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("RATING_PROMETHEUS_URL", "http://127.0.0.1:1")
    code, rows, said = answered(capsys, "collect", "--from", DAY, "--to", f"{DAY}T02:00")
    assert (code, rows) == (FAILED, [])
    assert f"calls stopped at {DAY} 00:00 to {DAY} 01:00: http://127.0.0.1:1" in said
    assert "2 windows wait" in said
    monkeypatch.setenv("RATING_PROMETHEUS_URL", url)
    assert len(answered(capsys, "collect", "--from", DAY, "--to", f"{DAY}T02:00")[1]) == 2


def test_the_doctor_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """The samples end long before now: the meter's counter is gone, and the doctor says so."""
    code, rows, _ = answered(capsys, "doctor")
    assert code == FAILED
    by_verdict = {(row["verdict"], row["about"]): row for row in rows}
    assert by_verdict["fail", "calls"]["what"] == "no series of api_requests_total in the last hour"
    assert any(row["what"].startswith("reachable, version") for row in rows)


@pytest.mark.parametrize("arguments", [("collect", "--meter", "nope"), ("usage", "--from", "yesterday")])
def test_wrong_flags_are_wrong_input(arguments: tuple[str, ...]) -> None:
    assert run(arguments) == WRONG_INPUT


def test_a_day_before_the_first_sample_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    before = f"{FIRST_DAY - timedelta(days=1):%Y-%m-%d}"
    code, rows, said = answered(capsys, "collect", "--from", before, "--to", f"{before}T23:00")
    assert (code, rows) == (LOOK, [])
    held, what_to_do = said.splitlines()
    assert held.startswith(f"held: calls {before} 00:00 to {before} 23:00, 23 windows: 0 of 240 expected scrapes")
    assert "`rating windows release METER START --to END`" in what_to_do
