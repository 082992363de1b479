"""Whatever is wrong around the engine: one clear line, the right exit code, nothing lost, and the next run carries on.

Each story breaks one thing, says what is seen, repairs it, and ends with the book that an undisturbed run would have.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from rating.adapters.store import engine as store_engine
from rating.cli import run
from rating.cli.frame import DONE, FAILED, LOOK, WRONG_INPUT
from rating.core.periods import Period
from rating_demo.parts import free_port
from rating_demo.truth import World
from tests.promises.metering.proxy import Proxy, Spoil

from . import platform_story as story
from .platform_story import CONSUMERS, HOUR, STRANGER, booked, catalogue, truth

START = datetime(2026, 9, 1, tzinfo=UTC)
DAY = Period(START, START + timedelta(days=1))
SPAN = Period(START, START + 4 * HOUR)
ASKED = ("collect", "--from", "2026-09-01", "--to", "2026-09-01T04:00")


@pytest.fixture(scope="module")
def told() -> World:
    return story.world(START, DAY.end + HOUR, CONSUMERS | STRANGER)


@pytest.fixture(scope="module")
def prometheus(told: World, tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, promtool: Path):
    with story.prometheus(tmp_path_factory.mktemp("bad-input"), told, promtool) as server:
        yield server.url


@pytest.fixture(scope="module")
def proxy(prometheus: str) -> Iterator[Proxy]:
    with Proxy(prometheus) as proxy:
        yield proxy


class Desk:
    """A person at a terminal: the files, the settings, and what each command said."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.catalogue, self.file = folder / "catalogue.yaml", folder / "book.db"
        self.database = f"sqlite:///{self.file}"
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.catalogue.write_text(catalogue(START))
        self.set(CATALOG=str(self.catalogue), DATABASE_URL=self.database)

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self._monkeypatch.setenv(f"RATING_{name}", value)

    def types(self, *arguments: str) -> tuple[int, str]:
        """Exit code and what was said to the person."""
        self._capsys.readouterr()
        code = run(arguments)
        return code, self._capsys.readouterr().err

    def reads(self, *arguments: str) -> list[dict[str, Any]]:
        self._capsys.readouterr()
        run([*arguments, "--format", "json"])
        found: list[dict[str, Any]] = json.loads(self._capsys.readouterr().out)
        return found


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prometheus: str) -> Desk:
    desk = Desk(tmp_path, monkeypatch, capsys)
    desk.set(PROMETHEUS_URL=prometheus)
    return desk


def repaired(desk: Desk, told: World) -> None:
    """The next run, in a repaired world, ends with what was truly used, and a third one finds nothing to do."""
    code, said = desk.types(*ASKED)
    assert code == DONE, said
    assert booked(desk.database, DAY) == truth(told, SPAN)
    assert desk.types(*ASKED) == (DONE, "no window is due since 2026-09-01 00:00\n")


def lines(said: str) -> list[str]:
    return said.splitlines()


# Prometheus -----------------------------------------------------------------------------------------------------------

ANSWERS: dict[Spoil, str] = {
    Spoil.SILENCE: "no whole answer within 0.4 s; retry, or raise RATING_PROMETHEUS_TIMEOUT",
    Spoil.HTML: "instead of JSON (HTTP 200); RATING_PROMETHEUS_URL points at a web page or a login, not at Prometheus",
    Spoil.UNAUTHORISED: "HTTP 401, no reason given; set RATING_PROMETHEUS_BEARER_TOKEN or user and password",
    Spoil.UNAVAILABLE: "HTTP 503, <h1>503 Service Unavailable</h1>; retry later",
}


@pytest.mark.parametrize("spoil", ANSWERS, ids=lambda spoil: spoil.value)
def test_a_prometheus_that_answers_badly(desk: Desk, proxy: Proxy, told: World, spoil: Spoil) -> None:
    """In the middle of the second window: the first stays, the others wait."""
    desk.set(PROMETHEUS_URL=proxy.url, PROMETHEUS_TIMEOUT="0.4" if spoil is Spoil.SILENCE else "30")
    first = len([1 for _ in asked_of(desk, proxy)])
    proxy.spoil(lambda number: spoil if number >= first + 1 else None)
    code, said = desk.types(*ASKED)
    assert code == FAILED
    stopped, waiting = lines(said)
    assert stopped.startswith("calls stopped at 2026-09-01 01:00 to 2026-09-01 02:00: http://127.0.0.1:")
    assert ANSWERS[spoil] in stopped
    assert waiting == "3 windows wait; run `rating collect` again to go on"
    assert booked(desk.database, DAY) == truth(told, Period(START, START + HOUR))
    proxy.spoil(lambda number: None)
    desk.set(PROMETHEUS_TIMEOUT="30")
    repaired(desk, told)


def asked_of(desk: Desk, proxy: Proxy) -> range:
    """The questions that the first window takes."""
    proxy.spoil(lambda number: None)
    assert desk.types("collect", "--from", "2026-09-01", "--to", "2026-09-01T01:00", "--dry-run")[0] == DONE
    return range(proxy.asked)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("http://127.0.0.1:1", "Connection refused); is it running there?"),
        ("{url}/grafana", "HTTP 404; RATING_PROMETHEUS_URL has no Prometheus API under it, check its path"),
    ],
    ids=["down", "a wrong path"],
)
def test_a_prometheus_that_is_not_there(desk: Desk, prometheus: str, told: World, wrong: str, sentence: str) -> None:
    desk.set(PROMETHEUS_URL=wrong.format(url=prometheus))
    code, said = desk.types(*ASKED)
    assert (code, len(lines(said))) == (FAILED, 2), said
    assert sentence in said
    assert "4 windows wait" in said
    assert desk.types("doctor")[0] == FAILED
    desk.set(PROMETHEUS_URL=prometheus)
    repaired(desk, told)


def test_a_prometheus_without_a_url_is_wrong_input(desk: Desk) -> None:
    desk.set(PROMETHEUS_URL="prometheus:9090x")
    code, said = desk.types(*ASKED)
    assert (code, len(lines(said))) == (WRONG_INPUT, 1), said
    assert 'RATING_PROMETHEUS_URL: "prometheus:9090x" is not a URL; write it like http://' in said


def test_a_prometheus_that_doubts_its_own_answer(desk: Desk, proxy: Proxy, told: World) -> None:
    """Half an answer with a warning is held, not billed, and an invoice waits for it."""
    proxy.spoil(lambda number: Spoil.PARTIAL)
    desk.set(PROMETHEUS_URL=proxy.url)
    code, said = desk.types(*ASKED)
    assert code == LOOK
    assert [line.partition(": the source")[0] for line in lines(said)] == [
        f"held: calls 2026-09-01 {hour:02}:00 to 2026-09-01 {hour + 1:02}:00" for hour in range(4)
    ]
    assert "doubts its own answer: store gateway 3 of 4 did not answer; retry when it is whole again" in said
    assert booked(desk.database, DAY) == {}
    code, said = desk.types("bill", "--period", "2026-09-01")
    assert code == LOOK
    assert "meter calls: 24 windows not closed, 4 of them held, the first at 2026-09-01 00:00" in said
    assert desk.types("windows", "list", "--held")[0] == LOOK
    proxy.spoil(lambda number: None)
    repaired(desk, told)
    assert desk.types("windows", "list", "--held") == (DONE, "no window is held\n")


def test_a_machine_whose_clock_runs_ahead_of_prometheus(desk: Desk, proxy: Proxy, told: World) -> None:
    """By Prometheus's clock the third window is half over: it and the next are not closed with what is there."""
    proxy.spoil(lambda number: None)
    theirs = START + 2.5 * HOUR
    proxy.behind = (datetime.now(UTC) - theirs).total_seconds()
    desk.set(PROMETHEUS_URL=proxy.url)
    code, said = desk.types(*ASKED)
    assert code == FAILED
    stopped, waiting = lines(said)
    assert stopped.startswith("calls stopped at 2026-09-01 02:00 to 2026-09-01 03:00")
    assert "its clock says 2026-09-01 02:30:" in stopped
    assert "the window ends 2026-09-01 03:00:00 and settles for 0:05:00" in stopped
    assert f"this machine's says {datetime.now(UTC):%Y-%m-%d} " in stopped
    assert waiting == "2 windows wait; run `rating collect` again to go on"
    assert booked(desk.database, DAY) == truth(told, Period(START, START + 2 * HOUR))
    assert desk.types("windows", "list", "--held") == (DONE, "no window is held\n")
    proxy.behind -= HOUR.total_seconds()  # theirs shows 03:30 now
    code, said = desk.types(*ASKED)
    assert (code, booked(desk.database, DAY)) == (FAILED, truth(told, Period(START, START + 3 * HOUR)))
    proxy.behind = 0
    repaired(desk, told)


# consumers and catalogues ---------------------------------------------------------------------------------------------


def test_a_consumer_nobody_subscribed(desk: Desk, told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept and listed, and billed from its first request once somebody subscribes it."""
    monkeypatch.setattr("rating.cli.accrue.now", lambda: SPAN.end)
    assert desk.types(*ASKED)[0] == DONE
    counted = truth(told, SPAN)["stranger"]
    assert counted
    shown = desk.reads("usage", "--consumer", "stranger", "--from", "2026-09-01", "--to", "2026-09-02")
    assert sum(int(row["quantity"]) for row in shown) == counted
    code, said = desk.types("accrue")
    assert code == LOOK
    assert f"meter calls: {counted} counted this month for nobody: stranger; `rating subscriptions add`" in said
    desk.catalogue.write_text(f"{catalogue(START)}  - {{consumer: stranger, plan: pro, start: 2026-09-01}}\n")
    assert desk.types("accrue")[0] == DONE
    [row] = [row for row in desk.reads("accrue") if (row["consumer"], row["charge"]) == ("stranger", "calls")]
    assert int(row["used"]) == counted


def test_a_catalogue_edited_under_an_open_period(desk: Desk, told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of September is billed by what it began with, the second by what was written during the first."""
    clock = [START + 30 * timedelta(minutes=1)]
    for command in ("collect", "bill", "accrue"):
        monkeypatch.setattr(f"rating.cli.{command}.now", lambda: clock[-1])
    assert desk.types("bill")[0] == DONE  # nothing is due; the catalogue is kept
    clock.append(START + 10 * HOUR)
    desk.catalogue.write_text(catalogue(START, price="0.50"))
    assert desk.types("bill")[0] == DONE
    clock.append(DAY.end + HOUR)
    assert desk.types("collect")[0] == DONE
    assert desk.types("bill")[0] == DONE
    totals = {row["consumer"]: row["total"] for row in desk.reads("invoices", "list")}
    used = truth(told, DAY)
    assert totals == {name: f"{1 + used[name] / 100:.2f}" for name in CONSUMERS}
    clock.append(DAY.end + 1.5 * HOUR)
    today = truth(told, Period(DAY.end, DAY.end + HOUR))
    assert desk.types("collect")[0] == DONE
    accrued = {row["consumer"]: row["accrued"] for row in desk.reads("accrue") if row["charge"] == "calls"}
    assert accrued == {name: f"{today[name] / 2:.2f}" for name in CONSUMERS}


def test_a_meter_that_changes_under_an_open_period(desk: Desk) -> None:
    assert desk.types("collect", "--from", "2026-09-01", "--to", "2026-09-01T02:00")[0] == DONE
    desk.catalogue.write_text(catalogue(START, meter=', where: {endpoint: "/search"}'))
    code, said = desk.types(*ASKED)
    assert code == LOOK
    assert lines(said) == [
        "meter calls: its definition changed; windows up to 2026-09-01 02:00 stand as they were measured, later ones "
        "follow the new definition; give it a name of its own if invoices must not mix both"
    ]
    assert desk.types(*ASKED)[0] == DONE
    shown = desk.reads("usage", "--from", "2026-09-01", "--to", "2026-09-01T04:00")
    assert {row["endpoint"] for row in shown if row["start"] < "2026-09-01T02"} == {"/search", "/chat"}
    assert {row["endpoint"] for row in shown if row["start"] > "2026-09-01T02"} == {"/search"}


def test_a_meter_whose_resolution_changes_is_refused(desk: Desk, told: World) -> None:
    assert desk.types("bill")[0] in (DONE, LOOK)  # keeps the catalogue
    desk.catalogue.write_text(catalogue(START, meter=', resolution: "0.001"'))
    code, said = desk.types(*ASKED)
    assert (code, len(lines(said))) == (WRONG_INPUT, 1)
    assert "meter calls: counts with 3 decimals, and its windows in the book are counted with 0" in said
    desk.catalogue.write_text(catalogue(START))
    repaired(desk, told)


@pytest.mark.parametrize("command", [ASKED, ("bill",), ("accrue",), ("usage",), ("run",)], ids=lambda words: words[0])
def test_a_catalogue_that_does_not_compile(desk: Desk, told: World, command: tuple[str, ...]) -> None:
    """Every mistake at once, each on its line, before anything is touched."""
    desk.catalogue.write_text(catalogue(START).replace('"0.01"', "0.01").replace("api_requests_total", "api-requests"))
    code, said = desk.types(*command)
    assert (code, len(lines(said))) == (WRONG_INPUT, 2), said
    assert all(line.startswith(f"{desk.catalogue}:") for line in lines(said))
    if desk.file.exists():  # made by the engine before it looked
        assert booked(desk.database, DAY) == {}
    desk.catalogue.unlink()
    code, said = desk.types(*command)
    assert (code, lines(said)) == (
        WRONG_INPUT,
        [f"{desk.catalogue}: no such file; set RATING_CATALOG or --catalog to your catalogue"],
    )


# the database ---------------------------------------------------------------------------------------------------------


def test_a_database_newer_than_the_code(desk: Desk, told: World) -> None:
    assert desk.types("collect", "--from", "2026-09-01", "--to", "2026-09-01T02:00")[0] == DONE
    with sqlite3.connect(desk.file) as connection:
        [known] = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in (ASKED, ("accrue",), ("run",)):
        code, said = desk.types(*command)
        assert (code, len(lines(said))) == (FAILED, 1), said
        assert f"has schema 9999 but this program knows only {known}; install the newer rating-engine" in said
    with sqlite3.connect(desk.file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [known])
    connection.close()
    repaired(desk, told)


def test_a_database_somebody_keeps_locked(desk: Desk, told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading goes on; what must write waits its time and gives up in one line."""
    monkeypatch.setattr(store_engine, "BUSY_SECONDS", 0.3)
    assert desk.types("collect", "--from", "2026-09-01", "--to", "2026-09-01T02:00")[0] == DONE
    other = sqlite3.connect(desk.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    code, said = desk.types(*ASKED)
    assert (code, len(lines(said))) == (FAILED, 1), said
    assert "another process kept it locked for 0.3 s" in said
    assert desk.types("usage", "--from", "2026-09-01", "--to", "2026-09-02")[0] == DONE
    other.execute("ROLLBACK")
    other.close()
    repaired(desk, told)


def test_a_database_that_is_only_busy_is_waited_for(desk: Desk, told: World) -> None:
    assert desk.types("collect", "--from", "2026-09-01", "--to", "2026-09-01T01:00")[0] == DONE
    other = sqlite3.connect(desk.file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    later = threading.Timer(1, lambda: other.execute("ROLLBACK"))
    later.start()
    repaired(desk, told)
    later.join()
    other.close()


def test_a_disk_that_is_full(desk: Desk, told: World) -> None:
    """SQLite's own limit on a file's pages stands for the disk: its error is the same."""
    assert desk.types("collect", "--from", "2026-09-01", "--to", "2026-09-01T01:00")[0] == DONE

    def full(connection: Any, _record: Any) -> None:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")

    event.listen(Engine, "connect", full)
    try:
        code, said = desk.types(*ASKED)
    finally:
        event.remove(Engine, "connect", full)
    assert (code, len(lines(said))) == (FAILED, 1), said
    assert "the disk is full (database or disk is full); nothing was lost, free some space" in said
    kept = booked(desk.database, DAY)
    assert truth(told, Period(START, START + HOUR))["acme"] <= kept["acme"] < truth(told, SPAN)["acme"]
    repaired(desk, told)
    assert desk.types("book", "check")[0] == DONE


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql+psycopg://billing:s3cret@127.0.0.1:{port}/ledger", "cannot be reached"),
        ("mysql://billing:s3cret@127.0.0.1/ledger", "the book cannot be kept in 'mysql'"),
        ("sqlite:////nowhere/at/all/book.db", "check that the folder exists and may be written"),
    ],
    ids=["PostgreSQL down", "no database we know", "no such folder"],
)
def test_a_database_that_is_not_there(desk: Desk, told: World, url: str, sentence: str) -> None:
    desk.set(DATABASE_URL=url.format(port=free_port()))
    for command in (ASKED, ("run",)):
        code, said = desk.types(*command)
        assert (code, len(lines(said))) == (FAILED, 1), said
        assert sentence in said
        assert "s3cret" not in said
    desk.set(DATABASE_URL=desk.database)
    repaired(desk, told)


def test_an_address_that_cannot_be_listened_on(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        desk.set(LISTEN=f"127.0.0.1:{port}")
        code, said = desk.types("run")
    assert (code, lines(said)[-1]) == (
        FAILED,
        f"cannot listen on 127.0.0.1:{port}; is another engine running there? set RATING_LISTEN",
    )
    desk.set(LISTEN="localhost")
    assert desk.types("run") == (
        WRONG_INPUT,
        "RATING_LISTEN: 'localhost' is not an address and port; write 127.0.0.1:9465\n",
    )


def test_settings_that_cannot_be_read(desk: Desk, told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.set(PROMETHEUS_TIMEOUT="soon", CATALOGUE="typo.yaml")
    code, said = desk.types(*ASKED)
    assert code == WRONG_INPUT
    assert [line.partition(";")[0] for line in lines(said)] == [
        "RATING_PROMETHEUS_TIMEOUT: 'soon' is not a float",
        "RATING_CATALOGUE: no such setting",
    ]
    monkeypatch.delenv("RATING_CATALOGUE")
    for never in ("0", "-1", "nan", "inf"):
        desk.set(PROMETHEUS_TIMEOUT="30", TICK_SECONDS=never)
        code, said = desk.types("run")
        assert (code, lines(said)) == (
            WRONG_INPUT,
            [
                f"RATING_TICK_SECONDS: {never} seconds cannot be waited for; "
                "how often `rating run` asks what is due, more than 0 and at most a day"
            ],
        )
    desk.set(TICK_SECONDS="15")
    repaired(desk, told)
