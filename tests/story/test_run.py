"""`rating run` as real processes against a real Prometheus with more than a day of history.

Whatever happens to them, the books end alike: every window closed once, the invoice issued once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from rating import engine as scheduled
from rating.adapters.memory_book import MemoryBook
from rating.adapters.store import open_book
from rating.core.periods import Period, align
from rating.jobs.audit import audit
from rating.settings import Settings
from rating.web.metrics import EngineMetrics
from rating_demo.parts import PostgreSQL, Prometheus, free_port
from rating_demo.truth import World
from tests.promises.metering.proxy import Proxy, Spoil

from . import platform_story as story
from .platform_story import CONSUMERS, HOUR, Engine, booked, catalogue, truth, until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Platform:
    """Yesterday and today so far, as Prometheus saw them."""

    told: World
    prometheus: str
    blocks: Path
    catalogue: Path
    start: datetime
    yesterday: Period
    finished: Period
    """The windows that are due when the stories begin; while they are told an hour may end."""

    @property
    def windows(self) -> int:
        return self.finished.length // HOUR

    def settings(self, database: str, **others: str) -> dict[str, str]:
        settings = {"CATALOG": str(self.catalogue), "DATABASE_URL": database, "PROMETHEUS_URL": self.prometheus}
        return {f"RATING_{name}": value for name, value in (settings | others).items()}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, promtool: Path) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("run")
    # A window is due five minutes after its end: ten minutes ago it was clear which day was yesterday.
    settled = datetime.now(UTC) - timedelta(minutes=10)
    today = datetime.combine(settled.date(), time(), UTC)
    start = today - timedelta(days=1)
    # History reaches into the future, so that an hour that ends meanwhile is whole as well.
    told = story.world(start, align(settled, HOUR) + 3 * HOUR, CONSUMERS)
    written = folder / "catalogue.yaml"
    written.write_text(catalogue(start))
    with story.prometheus(folder, told, promtool) as server:
        finished = Period(start, align(settled, HOUR))
        yield Platform(told, server.url, folder / "blocks", written, start, Period(start, today), finished)


@pytest.fixture
def proxy(platform: Platform) -> Iterator[Proxy]:
    """Prometheus, a fiftieth of a second away: windows take long enough to be interrupted."""
    with Proxy(platform.prometheus) as proxy:
        yield proxy


@dataclass(frozen=True, slots=True)
class Contents:
    """What a book says of the stories' span; equal books are equal values."""

    closings: dict[datetime, str] = field(default_factory=dict)
    """Digest of the usage, by the window's start."""
    invoices: tuple[tuple[str, str, str], ...] = ()
    """Number, key and total."""


def contents(platform: Platform, database: str) -> Contents:
    with open_book(database) as book:
        assert list(audit(book)) == []
        closings = [record for record in book.closing_records() if record.window.start < platform.finished.end]
        assert len({record.window.start for record in closings}) == len(closings)
        invoices = [invoice for invoice in book.invoices() if invoice.draft.period == platform.yesterday]
        assert len(invoices) == len(book.invoices())
        return Contents(
            {record.window.start: record.usage_digest for record in closings},
            tuple((invoice.number, invoice.draft.key, invoice.total.digits) for invoice in invoices),
        )


def closed(database: str) -> int:
    with open_book(database) as book:
        return len(list(book.closing_records()))


def expected_invoices(platform: Platform) -> list[str]:
    used = truth(platform.told, platform.yesterday)
    return [f"{1 + used[name] / 100:.2f}" for name in sorted(CONSUMERS)]


@pytest.fixture(scope="module")
def undisturbed(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """The book of one engine that nothing happened to, and what it told of itself meanwhile."""
    folder = tmp_path_factory.mktemp("undisturbed")
    database = f"sqlite:///{folder / 'book.db'}"
    with Engine(folder, platform.settings(database)) as engine:
        until(lambda: engine.health()[1]["ticks"] >= 2)
        status, health = engine.health()
        assert (status, health["leading"], health["errors"]) == (200, True, {})
        told = engine.metrics()
        assert told["rating_collect_lag_seconds", "calls"] == 0
        assert told["rating_windows_held", "calls"] == 0
        assert told["rating_windows_closed_total", "complete", "calls"] >= platform.windows - 1
        assert told["rating_invoices_issued_total", "pro"] == 2
        assert sum(value for (name, *labels), value in told.items() if name == "rating_queries_total") > 0
        for job in ("catalogue", "collect", "accrue", "bill"):
            assert told["rating_job_errors_total", job] == 0
            assert told["rating_job_last_success_timestamp_seconds", job] > platform.finished.end.timestamp()
        assert engine.ended_by(signal.SIGTERM) == 0
        assert "stopped; nothing is lost, the next run goes on from here" in engine.said
        assert "Traceback" not in engine.said
    return contents(platform, database)


def test_it_catches_up_and_bills_what_was_used(platform: Platform, undisturbed: Contents) -> None:
    assert list(undisturbed.closings) == [window.start for window in platform.finished.windows(HOUR)]
    assert [total for _, _, total in undisturbed.invoices] == expected_invoices(platform)
    assert [number for number, _, _ in undisturbed.invoices] == ["INV-000001", "INV-000002"]


@pytest.mark.parametrize("signalled", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_asked_to_leave_while_catching_up(
    platform: Platform, undisturbed: Contents, proxy: Proxy, tmp_path: Path, signalled: signal.Signals
) -> None:
    """It finishes the window at hand, oldest first, and leaves in order; the next run goes on from there."""
    database = f"sqlite:///{tmp_path / 'book.db'}"
    proxy.spoil(lambda number: Spoil.SLOW)
    slowly = {"COLLECT_WORKERS": "1", "PROMETHEUS_READ": "promql", "PROMETHEUS_QUERIES": "1"}
    with Engine(tmp_path / "first", platform.settings(database, PROMETHEUS_URL=proxy.url, **slowly)) as engine:
        assert engine.url
        until(lambda: closed(database) >= 2)
        behind = engine.metrics()["rating_collect_lag_seconds", "calls"] / HOUR.total_seconds()
        assert platform.windows / 2 < behind < platform.windows + 1
        assert engine.ended_by(signalled) == 0
        assert "nothing is lost" in engine.said
        assert "Traceback" not in engine.said
    early = contents(platform, database)
    done = len(early.closings)
    assert 2 <= done < platform.windows
    assert early.closings == dict(list(undisturbed.closings.items())[:done]), "the oldest first, each as it should be"
    assert early.invoices == ()
    proxy.spoil(lambda number: None)
    with Engine(tmp_path / "second", platform.settings(database, PROMETHEUS_URL=proxy.url)) as engine:
        until(lambda: engine.health()[1]["ticks"])
    assert contents(platform, database) == undisturbed


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_engines_on_one_book(
    platform: Platform,
    undisturbed: Contents,
    proxy: Proxy,
    tmp_path: Path,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    """One works and the other waits; when the first is killed in the middle of a window the other takes over."""
    if kind == "sqlite":
        database = f"sqlite:///{tmp_path / 'book.db'}"
    else:
        database = request.getfixturevalue("postgres_url")
    proxy.spoil(lambda number: Spoil.SLOW if number % 4 == 0 else None)
    settings = platform.settings(database, PROMETHEUS_URL=proxy.url)
    with ExitStack() as both:
        engines = [both.enter_context(Engine(tmp_path / name, settings)) for name in ("one", "two")]
        for engine in engines:
            assert engine.url
        until(lambda: closed(database) >= 3)
        leading = [engine.health()[1]["leading"] for engine in engines]
        assert sorted(leading) == [False, True]
        leader, other = engines if leading[0] else reversed(engines)
        assert other.metrics()["rating_windows_closed_total", "complete", "calls"] == 0
        assert other.health()[0] == 200, "waiting is well"
        os.kill(leader.process.pid, signal.SIGKILL)
        leader.process.wait()
        at_death = closed(database)
        proxy.spoil(lambda number: None)
        until(lambda: other.health()[1]["ticks"])
        told = other.metrics()
        assert other.health()[1]["leading"]
        assert told["rating_invoices_issued_total", "pro"] == 2
        made = sum(told["rating_windows_closed_total", how, "calls"] for how in ("complete", "degraded"))
        assert at_death + made == closed(database), "none of them twice"
    assert contents(platform, database) == undisturbed


def test_it_starts_before_prometheus_does(platform: Platform, undisturbed: Contents, tmp_path: Path) -> None:
    """Down is told once in the log, all the time in /healthz and the metrics, and over when it is over."""
    database, port = f"sqlite:///{tmp_path / 'book.db'}", free_port()
    url = f"http://127.0.0.1:{port}"
    with Engine(tmp_path / "engine", platform.settings(database, PROMETHEUS_URL=url)) as engine:
        status, health = until(lambda: failing(engine, "collect"))
        assert status == 503
        assert f"calls: {url}: /api/v1/status/runtimeinfo: cannot be reached" in health["errors"]["collect"]
        assert list(health["errors"]) == ["collect"], "the other jobs go on"
        told = engine.metrics()
        assert told["rating_job_errors_total", "collect"] >= 1
        assert told["rating_collect_lag_seconds", "calls"] > platform.yesterday.length.total_seconds() / 2
        with Prometheus(tmp_path / "prometheus", blocks=platform.blocks, retention="100y", port=port):
            until(lambda: closed(database) >= platform.windows and engine.health()[0] == 200)
            assert engine.health()[1]["errors"] == {}
            until(lambda: engine.metrics()["rating_collect_lag_seconds", "calls"] == 0)
            # The tick that closed the last window is not over before it has billed.
            until(lambda: engine.metrics().get(("rating_invoices_issued_total", "pro")) == 2)
        assert engine.said.count("cannot be reached") == 1
        assert engine.ended_by(signal.SIGTERM) == 0
    assert contents(platform, database) == undisturbed


def test_a_catalogue_edited_while_it_runs(platform: Platform, tmp_path: Path) -> None:
    """A good edit is taken over, a broken one leaves the last good one in force and is told until it is mended."""
    database, written = f"sqlite:///{tmp_path / 'book.db'}", tmp_path / "catalogue.yaml"
    written.write_text(catalogue(platform.start))
    with Engine(tmp_path / "engine", platform.settings(database, CATALOG=str(written))) as engine:
        until(lambda: engine.health()[1]["ticks"])
        first = versions(database)
        assert len(first) == 1
        written.write_text(catalogue(platform.start).replace("unit_price", "unit_prize"))
        status, health = until(lambda: failing(engine, "catalogue"))
        assert status == 503
        assert f"{written}:" in health["errors"]["catalogue"]
        assert "unit_prize" in health["errors"]["catalogue"]
        ticks = health["ticks"]
        until(lambda: engine.health()[1]["ticks"] > ticks + 1)
        assert any(name == "rating_accrued_amount" and "acme" in labels for name, *labels in engine.metrics())
        assert versions(database) == first
        assert engine.said.count("unit_prize") == 1, "told once, not at every tick"
        written.write_text(catalogue(platform.start, price="0.05"))
        until(lambda: engine.health()[0] == 200)
        until(lambda: len(versions(database)) == 2)
        assert engine.ended_by(signal.SIGTERM) == 0
    with open_book(database) as book:
        assert [invoice.total.digits for invoice in book.invoices()] == expected_invoices(platform)
    assert booked(database, platform.finished) == truth(platform.told, platform.finished)


def test_a_database_server_that_restarts(
    platform: Platform, undisturbed: Contents, proxy: Proxy, tmp_path: Path, postgres: PostgreSQL
) -> None:
    """In the middle of catching up: told, waited for, and gone on from."""
    with PostgreSQL() as server:
        database = server.database("story")
        proxy.spoil(lambda number: Spoil.SLOW if number % 4 == 0 else None)
        with Engine(tmp_path / "engine", platform.settings(database, PROMETHEUS_URL=proxy.url)) as engine:
            assert engine.url
            until(lambda: closed(database) >= 2)
            server.process.stop()
            status, health = until(lambda: failing(engine, "claim"))
            assert (status, health["leading"]) == (503, False)
            assert "cannot be reached" in health["errors"]["claim"]
            proxy.spoil(lambda number: None)
            server.start()
            until(lambda: engine.health()[1]["ticks"] and engine.health()[0] == 200)
            assert engine.health()[1]["leading"]
            assert engine.ended_by(signal.SIGTERM) == 0
            assert "Traceback" not in engine.said
        assert contents(platform, database) == undisturbed


def test_a_held_window_rests_longer_and_longer(platform: Platform, proxy: Proxy) -> None:
    """The engine's own job on a clock of ours: how many questions Prometheus is asked, minute by minute."""
    settings = Settings(catalog=platform.catalogue, prometheus_url=proxy.url)
    book = MemoryBook()
    engine = scheduled.Engine(settings, book, EngineMetrics())
    now = platform.start + 2 * HOUR + timedelta(minutes=10)
    proxy.spoil(lambda number: Spoil.WARNINGS)
    asked = []
    for minute in range(45):
        before = proxy.asked
        engine.collect(now + timedelta(minutes=minute), lambda: False)
        asked += [minute] if proxy.asked > before else []
    assert asked == [0, 10, 20, 40]
    assert len(book.held()) == 2
    proxy.spoil(lambda number: None)
    engine.collect(now + timedelta(minutes=50), lambda: False)
    assert [head.window.start for head in book.closings("calls", platform.yesterday)] == []
    later = now + timedelta(minutes=80)
    engine.collect(later, lambda: False)
    assert len(book.closings("calls", platform.yesterday)) == 3, "both of them, and the one that ended since"
    assert book.held() == ()


def failing(engine: Engine, job: str) -> tuple[int, dict[str, Any]] | None:
    status, health = engine.health()
    return (status, health) if job in health["errors"] else None


def versions(database: str) -> list[str]:
    with open_book(database) as book:
        return [version.digest for version in book.catalogues()]
