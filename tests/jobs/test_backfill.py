"""Months at once: several windows are read beside each other and entered in order, and an early end loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.memory_source import MemorySource
from rating.adapters.store import open_book
from rating.core.counters import Readings
from rating.core.meters import Meter
from rating.core.periods import Period, milliseconds
from rating.core.windows import Closing
from rating.errors import EdgeUnavailable, SamplesMissing
from rating.jobs.collect import collect
from rating.jobs.reading import AHEAD, RUN
from rating.ports import CounterSource

DAY = datetime(2026, 8, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 60
NOW = DAY + (HOURS + 1) * HOUR
SPAN = Period(DAY, NOW)
METERS = tuple(
    Meter(name, f"{name}_total", "consumer_id", window=HOUR, scrape_interval=timedelta(minutes=5), lookback=2 * HOUR)
    for name in ("calls", "tokens")
)


def source() -> MemorySource:
    start, target = milliseconds(DAY), {"job": "api", "instance": "one"}
    steps = range(-6, 12 * (HOURS + 2))
    counters = [
        (
            {"__name__": f"{name}_total", "consumer_id": "acme", **target},
            [(start + step * 300_000, 7 + step * step * factor) for step in steps],
        )
        for name, factor in (("calls", 1), ("tokens", 3))
    ]
    return MemorySource([*counters, ({"__name__": "up", **target}, [(start + step * 300_000, 1) for step in steps])])


SOURCE = source()


class Watched:
    """Knows how many windows are being read, and fails where it is told to."""

    lock = threading.Lock()

    def __init__(self, log: list[int], fails: dict[tuple[str, datetime], Exception] | None = None) -> None:
        self._log, self._fails = log, fails or {}

    def read(self, meter: Meter, window: Period) -> Readings:
        with self.lock:
            self._log[0] += 1
            self._log[1] = max(self._log[1], self._log[0])
            self._log[2] += 1
        time.sleep(0.002)
        try:
            if error := self._fails.get((meter.name, window.start)):
                raise error
            return SOURCE.read(meter, window)
        finally:
            with self.lock:
                self._log[0] -= 1


def everything(book: MemoryBook) -> list[object]:
    return [(row.meter, row.window, row.usage) for row in book.usage(SPAN)]


def alone() -> list[object]:
    book = MemoryBook()
    collect(book, SOURCE, METERS, since=DAY, now=NOW)
    return everything(book)


def test_several_readers_enter_what_one_would_and_each_meter_oldest_first() -> None:
    book, log, order = MemoryBook(), [0, 0, 0], []
    readers: list[CounterSource] = [Watched(log) for _ in range(3)]
    told: list[tuple[int, int]] = []

    def closed(closing: Closing) -> None:
        order.append((closing.meter, closing.window.start))
        # What was read and not entered yet stays within what the readers may be ahead.
        assert log[2] - len(order) <= (AHEAD * 4 + 1) * RUN + 4

    collected = collect(
        book,
        Watched(log),
        METERS,
        since=DAY,
        now=NOW,
        readers=readers,
        closed=closed,
        progress=lambda done, total, _: told.append((done, total)),
    )
    assert everything(book) == alone()
    assert len(collected.closed) == len(order) == 2 * HOURS
    assert 1 < log[1] <= 4
    for meter in METERS:
        own = [start for name, start in order if name == meter.name]
        assert own == sorted(own)
    assert told == [(done, 2 * HOURS) for done in range(2 * HOURS)]


def test_a_window_that_fails_stops_its_meter_and_loses_no_other() -> None:
    book, log = MemoryBook(), [0, 0, 0]
    failing = {
        ("calls", DAY + 10 * HOUR): EdgeUnavailable("503"),
        ("tokens", DAY + 5 * HOUR): SamplesMissing("gone"),
    }
    readers: list[CounterSource] = [Watched(log, failing) for _ in range(4)]
    collected = collect(book, readers[0], METERS, since=DAY, now=NOW, readers=readers[1:])
    [stopped] = collected.stopped
    assert (stopped.due.meter.name, stopped.due.window.start, stopped.reason) == ("calls", DAY + 10 * HOUR, "503")
    assert [held.window.start for held in collected.held] == [DAY + 5 * HOUR]
    assert len(book.closings("tokens", SPAN)) == HOURS - 1
    closed = len(book.closings("calls", SPAN))
    assert 10 <= closed < HOURS - 1
    assert collected.waiting == HOURS - closed
    collect(book, SOURCE, METERS, since=DAY, now=NOW)
    assert everything(book) == alone()


def test_asked_to_stop_it_keeps_what_was_read_and_says_what_waits() -> None:
    book, log = MemoryBook(), [0, 0, 0]
    collected = collect(
        book,
        Watched(log),
        METERS,
        since=DAY,
        now=NOW,
        readers=[Watched(log)],
        stopping=lambda: log[2] > 20,
    )
    assert 20 <= len(collected.closed) < 2 * HOURS
    assert len(collected.closed) + collected.waiting == 2 * HOURS


def test_one_who_enters_them_and_fails_leaves_no_reader_behind() -> None:
    class Full(MemoryBook):
        def close(self, closing: Closing, *, meter_digest: str, at: datetime) -> bool:
            if closing.window.start == DAY + 3 * HOUR:
                raise EdgeUnavailable("the disk is full")
            return super().close(closing, meter_digest=meter_digest, at=at)

    log = [0, 0, 0]
    with pytest.raises(EdgeUnavailable, match="disk"):
        collect(Full(), Watched(log), METERS, since=DAY, now=NOW, readers=[Watched(log)] * 3)
    assert log[0] == 0
    assert log[2] < 2 * HOURS


BACKFILL = """
import sys, time
from rating.adapters.store import open_book
from rating.jobs.collect import collect
from tests.jobs.test_backfill import DAY, METERS, NOW, Watched
with open_book(sys.argv[1]) as book:
    log = [0, 0, 0]
    collect(book, Watched(log), METERS, since=DAY, now=NOW, readers=[Watched(log) for _ in range(3)],
            closed=lambda closing: print(closing.meter, flush=True))
"""


def test_killed_in_the_middle_the_next_run_goes_on_from_the_book(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'book.db'}"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", BACKFILL, url]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    for after in (9, 30):
        running = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=root)
        assert running.stdout is not None
        for _ in range(after):
            assert running.stdout.readline()
        running.send_signal(signal.SIGKILL)
        running.wait()
        running.stdout.close()
    with open_book(url) as book:
        kept = sum(len(book.closings(meter.name, SPAN)) for meter in METERS)
        assert 39 <= kept < 2 * HOURS
        again = collect(book, SOURCE, METERS, since=DAY, now=NOW, readers=[SOURCE] * 3)
        assert len(again.closed) == 2 * HOURS - kept
        assert [(row.meter, row.window, row.usage) for row in book.usage(SPAN)] == alone()


def test_few_due_windows_are_read_by_one() -> None:
    log, others = [0, 0, 0], [0, 0, 0]
    few = replace(METERS[0], settling=timedelta(0))
    collect(MemoryBook(), Watched(log), (few,), since=DAY, until=DAY + 15 * HOUR, now=NOW, readers=[Watched(others)])
    assert (log[2], others[2]) == (15, 0)
