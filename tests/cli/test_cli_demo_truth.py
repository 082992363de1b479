"""`rating demo truth`: samples for anybody, and the truth to hold a bill against; here the engine's own."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest
import requests

from rating.bootstrap import load_catalogue
from rating.cli import run
from rating.cli.frame import DONE, FAILED, WRONG_INPUT
from rating.settings import Settings
from rating_demo import blocks
from rating_demo.export import catalogue
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY, HAPPENINGS, scenario, scenarios

RECEIVER = ["--web.enable-remote-write-receiver"]
CONFIG = "storage: {tsdb: {out_of_order_time_window: 90d}}\n"


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_the_catalogue_written_is_the_scenarios_meter(
    scenario: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "catalogue.yaml").write_text(catalogue(scenario))
    compiled = load_catalogue(Settings(catalog=tmp_path / "catalogue.yaml"))
    assert compiled.meters == {scenario.meter.name: scenario.meter}
    assert {one.consumer for one in compiled.subscriptions} == set(scenario.world.consumers)


def test_what_is_written_is_billed_as_its_truth_says(
    tmp_path: Path, prometheus_binary: Path, promtool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the help page has it: late samples come as a second set of blocks."""
    out = tmp_path / "trial"
    world = ["restarts", "seconds", "late", "--hours", "8", "--seed", "5", "--start", "2026-10-03", "--out", str(out)]
    assert run(["demo", "truth", *world, "--format", "json"]) == DONE
    (told,) = json.loads(capsys.readouterr().out)
    assert told["late"] > 1_000
    assert sorted(path.name for path in out.iterdir()) == ["catalogue.yaml", "late.om", "samples.om", "truth.csv"]
    for text in ("samples.om", "late.om"):
        blocks.from_openmetrics(out / text, out / "data", promtool)
    with (out / "truth.csv").open() as file:
        truth = {
            (row["consumer"], row["endpoint"], row["start"]): Fraction(row["provable"]) for row in csv.DictReader(file)
        }
    with Prometheus(tmp_path / "server", blocks=out / "data", retention="100y") as server:
        settings = ["--catalog", str(out / "catalogue.yaml"), "--database-url", f"sqlite:///{out / 'book.db'}"]
        settings += ["--prometheus-url", server.url]
        assert run([*settings, "collect", "--from", "2026-10-03", "--to", "2026-10-03T09:00"]) == DONE
    capsys.readouterr()
    assert run([*settings, "usage", "--from", "2026-10-03", "--format", "json"]) == DONE
    billed: dict[tuple[str, str, str], Fraction] = defaultdict(Fraction)
    for row in json.loads(capsys.readouterr().out):
        billed[row["consumer"], row["endpoint"], row["start"]] += Fraction(row["quantity"])
    assert billed == {cell: amount for cell, amount in truth.items() if amount}
    assert sum(truth.values()) == Fraction(told["provable"]) < Fraction(told["counted"])


def test_the_same_seed_is_the_same_file_and_more_of_everything_is_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = {}
    for folder, seed in (("one", "3"), ("same", "3"), ("other", "4")):
        assert run(["demo", "truth", "births", "--hours", "2", "--seed", seed, "--out", str(tmp_path / folder)]) == DONE
        written[folder] = (tmp_path / folder / "samples.om").read_text()
    assert written["one"] == written["same"] != written["other"]
    capsys.readouterr()
    large = ["--hours", "2", "--consumers", "40", "--instances", "3", "--out", str(tmp_path / "large")]
    assert run(["demo", "truth", "bursty", *large, "--format", "json"]) == DONE
    text = (tmp_path / "large" / "samples.om").read_text()
    assert 'consumer_id="c39"' in text
    assert "bursty_traffic-3:8000" in text


def test_samples_are_sent_with_the_markers_that_end_them(
    tmp_path: Path, prometheus_binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pod that is gone is gone at once, as it would be had the server scraped it, and late samples are taken too."""
    with Prometheus(tmp_path, CONFIG, retention="100y", flags=RECEIVER) as server:
        sent = ["churn", "disordered", "--hours", "3", "--write-to", f"{server.url}/api/v1/write", "--format", "json"]
        assert run(["demo", "truth", *sent, "--dry-run"]) == DONE
        (dry,) = json.loads(capsys.readouterr().out)

        def asked(query: str, at: str = "2026-09-01T03:00:00Z") -> int:
            answer = requests.get(f"{server.url}/api/v1/query", params={"query": query, "time": at}, timeout=30).json()
            return sum(int(row["value"][1]) for row in answer["data"]["result"])

        assert asked("count({job=~'.+'})") == 0, "nothing was sent"
        assert run(["demo", "truth", *sent]) == DONE
        assert [dry] == json.loads(capsys.readouterr().out)
        metrics = ("up", "process_start_time_seconds", scenario(["churn", "disordered"], 0, FIRST_DAY).meter.metric)
        assert sum(asked(f"sum(count_over_time({metric}[4h]))") for metric in metrics) == dry["samples"] + dry["late"]
        # Five minutes is how long a series without a marker would still be there.
        gone = [
            asked("count(up{job!='prometheus'})", f"2026-09-01T0{hour}:{m:02}:00Z")
            for hour in (0, 1)
            for m in range(1, 60)
        ]
        assert max(gone) == 2, "no more pods than there are slots"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["restart", "--out", "x"], "nothing is called restart; there are steady, bursty"),
        ([], "say what happens, or `steady` for nothing; --list has the names"),
        (["steady"], "say where to: --out FOLDER, --write-to URL, or both"),
    ],
)
def test_what_is_missing_or_misspelt_is_said(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "truth", *arguments]) in (FAILED, WRONG_INPUT)
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_server_that_takes_no_samples_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "truth", "steady", "--hours", "1", "--write-to", "http://127.0.0.1:9/api/v1/write"]) == FAILED
    said = " ".join(capsys.readouterr().err.split())
    assert "http://127.0.0.1:9/api/v1/write cannot be written to" in said
    assert "is it running there, with remote write on?" in said


def test_everything_that_can_happen_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "truth", "--list", "--format", "json"]) == DONE
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(HAPPENINGS)
