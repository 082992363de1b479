"""Parts: found or explained, started alone, and gone when whoever started them is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import create_engine, text

from rating.bootstrap import load_catalogue
from rating.errors import RatingError
from rating.settings import Settings
from rating_demo.catalogue import dated
from rating_demo.history import History, _running_out
from rating_demo.inbox import Inbox
from rating_demo.parts import PartFailed, PartMissing, PostgreSQL, Process, Prometheus, answers, locate
from rating_demo.stage import AlreadyRunning, Stage


def gone(pid: int, within: float = 10) -> bool:
    """Whether the process ends (a zombie has ended)."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_variable_names_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "prometheus-of-mine"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PART_PROMETHEUS", str(own))
    assert locate("prometheus") == own


def test_a_variable_that_names_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PART_PROMETHEUS", "/nowhere/prometheus")
    with pytest.raises(PartMissing, match=r"PART_PROMETHEUS=/nowhere/prometheus is not a program; correct or unset"):
        locate("prometheus")


def test_what_is_missing_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rating_demo.finding._find", lambda part: None)
    with pytest.raises(PartMissing, match=r"amtool was not found; .*prometheus-alertmanager.* see compose/"):
        locate("amtool")


def test_a_part_that_fails_shows_the_end_of_its_log(tmp_path: Path, prometheus_binary: Path) -> None:
    with (
        pytest.raises(PartFailed, match=r"(?s)prometheus ended with status \d.*field nonsense not found"),
        Prometheus(tmp_path, "nonsense: 1\n"),
    ):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel ends children with their parent")
def test_a_killed_parent_takes_its_parts_with_it(tmp_path: Path) -> None:
    program = """
import os, sys, time
from pathlib import Path
from rating_demo.parts import Process
child = Process("sleeper", ["sleep", "600"], Path(sys.argv[1]) / "log")
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    assert gone(child)


def test_stopping_ends_what_a_part_left_behind(tmp_path: Path) -> None:
    """A shell that dies at once on SIGTERM, and its child that does not care."""
    script = "(trap '' TERM; exec sleep 600) & echo $!; wait"
    part = Process("shell", ["sh", "-c", script], tmp_path / "log")
    part.start()
    part.wait_until(lambda: part.tail().strip().isdigit(), 10)
    child = int(part.tail())
    part.stop()
    assert gone(child)
    part.stop()


def test_postgresql_runs_as_nobody_important_and_leaves_nothing(postgres: PostgreSQL) -> None:
    with PostgreSQL() as server:
        engine = create_engine(server.database("second"))
        with engine.connect() as connection:
            assert connection.scalar(text("select current_database()")) == "second"
        engine.dispose()
        assert Path(f"/proc/{server.process.pid}").stat().st_uid != 0
        pid, folder = server.process.pid, server.folder
    assert gone(pid)
    assert not folder.exists()


def test_one_demonstration_per_folder(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "demo")
    with (
        stage.opened(),
        pytest.raises(AlreadyRunning, match=r"already runs in .*demo; end it first"),
        Stage(tmp_path / "demo").opened(),
    ):
        pass


def test_a_folder_of_somebody_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(RatingError, match="is not empty and not ours to empty"), Stage(tmp_path).opened():
        pass
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


def test_the_inbox_keeps_what_alertmanager_delivers_and_refuses_the_rest(tmp_path: Path) -> None:
    alert = {"status": "firing", "labels": {"consumer": "hooli"}, "annotations": {"summary": "hooli grows"}}
    with Inbox(tmp_path) as inbox:
        assert requests.post(inbox.url, json={"receiver": "upsell", "alerts": [alert]}, timeout=5).status_code == 200
        assert requests.post(inbox.url, data="hello", timeout=5).status_code == 400
        assert requests.post(inbox.url, json={"alerts": 3}, timeout=5).status_code == 400
        [received] = inbox.received
    assert (received.receiver, received.labels["consumer"]) == ("upsell", "hooli")
    assert [file.name for file in tmp_path.iterdir()] == ["0001.json"]
    assert not answers(inbox.url)


def test_the_catalogue_begins_when_the_demonstration_does(tmp_path: Path) -> None:
    compiled = load_catalogue(Settings(catalog=dated(tmp_path, date(2027, 2, 1))))
    assert {subscription.start.date().isoformat() for subscription in compiled.subscriptions} == {"2027-02-01"}
    assert len(compiled.subscriptions) == 6


def test_the_environment_of_the_demonstration_holds_only_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATING_DATABASE_URL", "postgresql+psycopg://billing@production/ledger")
    monkeypatch.setenv("RATING_PROMETHEUS_URL", "https://prometheus.production")
    environment = Stage(tmp_path).environment
    assert environment["RATING_DATABASE_URL"] == f"sqlite:///{tmp_path}/rating.db"
    assert "RATING_PROMETHEUS_URL" not in environment
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 3, 1, 0, 3, tzinfo=UTC),
        datetime(2026, 3, 1, 2, 0, tzinfo=UTC),
        datetime(2026, 3, 31, 23, 50, tzinfo=UTC),
    ],
    ids=lambda now: f"{now:%d %H:%M}",
)
def test_whatever_the_day_one_customer_is_near_the_allowance_and_one_past_80_percent(now: datetime) -> None:
    history = History(now)
    usage = history.usage("api_calls", history.this_month)
    if history.this_month.length.total_seconds() < 600:
        assert usage == {}, "a month of minutes has no history yet"
    else:
        assert 7_000 < usage["hooli"] < 8_000
        assert 80_000 < usage["umbrella"] < 100_000
    assert history.last_month.start == datetime(2026, 2, 1, tzinfo=UTC)
    assert sum(history.usage("api_calls", history.last_month).values()) > 1_000_000


@pytest.mark.parametrize("month", [2, 4, 5])
def test_whatever_the_hour_one_customer_s_allowance_will_not_last(month: int) -> None:
    """At the average pace of any instant after the first tenth and before the last day of a month."""
    start = datetime(2027, month, 1, tzinfo=UTC)
    hours = int((datetime(2027, month + 1, 1, tzinfo=UTC) - start) / timedelta(hours=1))
    for hour in range(hours // 10, hours - 24):
        passed = History(start + timedelta(hours=hour)).month_passed
        assert passed == pytest.approx(hour / hours)
        assert 80_000 < _running_out(passed) < 99_000, "a thousand more calls are made while one looks"
        assert _running_out(passed) / passed > 101_000


def test_late_in_a_month_after_a_longer_one_it_will_not_last_either() -> None:
    history = History(datetime(2026, 11, 26, 15, 30, tzinfo=UTC))
    used = history.usage("api_calls", history.this_month)["umbrella"]
    assert used / history.month_passed > 102_000
