"""The engine as a process that can be killed: three days of collect and bill on a fixed clock, over samples in memory.

Each tick of the clock is what the scheduler does: keep the catalogue, close what is due, issue what is due.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import Engine, event

from rating.adapters.memory_source import MemorySource
from rating.adapters.store import open_book
from rating.core.catalogue import Catalogue
from rating.core.periods import Period, milliseconds
from rating.jobs.bill import bill
from rating.jobs.collect import collect
from rating.jobs.contracts import gather, keep
from rating.specs.compile import compile_catalogue

START = datetime(2026, 8, 1, tzinfo=UTC)
STEP = timedelta(hours=6)
TICKS = 12
"""Three days and their three invoice runs."""

TEXT = """
version: 1
currency: USD
meters:
  calls: {metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint], scrape_interval: 10m, lookback: 1d}
  tokens: {metric: api_tokens_total, consumer: consumer_id, unit: token, window: 3h, scrape_interval: 10m, lookback: 1d}
plans:
  pro:
    period: day
    fee: "1.10"
    charges:
      - meter: calls
        included: 100
        graduated: [{up_to: 500, unit_price: "0.0123"}, {unit_price: "0.0099"}]
      - {meter: tokens, package: {size: 1000, price: "0.40"}}
subscriptions:
"""
CONSUMERS = [f"c{number}" for number in range(6)]


@cache
def catalogue() -> Catalogue:
    lines = [f"  - {{consumer: {consumer}, plan: pro, start: 2026-08-01}}" for consumer in CONSUMERS]
    return compile_catalogue([("crash.yaml", TEXT + "\n".join(lines) + "\n")])


def times() -> Iterator[int]:
    """A scrape every ten minutes, from an hour before the first window to an hour after the last."""
    at = START - timedelta(hours=1)
    while at < START + TICKS * STEP + timedelta(hours=1):
        yield milliseconds(at)
        at += timedelta(minutes=10)


@cache
def source() -> MemorySource:
    """Counters that grow differently for everybody, one that restarts, one that is born on the second day, a gap."""
    series: list[tuple[dict[str, str], list[tuple[int, int]]]] = []
    scrapes = list(times())
    target = {"job": "api", "instance": "api-1:8000"}
    series.append(({"__name__": "up", **target}, [(time, 1) for time in scrapes]))
    started = milliseconds(START - timedelta(days=2)) // 1000
    restarted = milliseconds(START + timedelta(hours=31)) // 1000
    series.append(
        (
            {"__name__": "process_start_time_seconds", **target},
            [(time, started if time < restarted * 1000 else restarted) for time in scrapes],
        )
    )
    for number, consumer in enumerate(CONSUMERS):
        for metric, factor in (("api_requests_total", 1), ("api_tokens_total", 137)):
            labels = {"__name__": metric, **target, "consumer_id": consumer, "endpoint": f"/v{number % 2}"}
            samples, value = [], 1000 + number
            for index, time in enumerate(scrapes):
                if time >= restarted * 1000 and scrapes[index - 1] < restarted * 1000:
                    value = 0
                value += factor * ((index * (number + 8)) % 7)
                if number == 5 and index < 170:
                    continue
                if 300 <= index < 303:
                    continue
                samples.append((time, value))
            series.append((labels, samples))
    return MemorySource(series)


def clock(tick: int) -> datetime:
    return START + (tick + 1) * STEP + timedelta(minutes=10)


def first_unfinished(url: str) -> int:
    """The first tick whose windows or invoices are absent: what a scheduler would find due."""
    whole = Period(START, START + TICKS * STEP)
    with open_book(url) as book:
        calls, tokens = (len(book.closings(meter, whole)) for meter in ("calls", "tokens"))
        invoices = len(book.invoices())
    for tick in range(TICKS):
        done = tick + 1
        if calls < 6 * done or tokens < 2 * done or invoices < len(CONSUMERS) * (done // 4):
            return tick
    return TICKS


def run(url: str, ticks: range, told: Connection | None = None, kill_at: int = 0) -> int:
    """Run these ticks and return how many statements and commits there were; die by SIGKILL just before one of them."""
    seen = 0

    def moment(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", moment)
    event.listen(Engine, "commit", moment)
    try:
        if told is not None:
            told.send("begun")
        for tick in ticks:
            now = clock(tick)
            with open_book(url) as book:
                keep(book, catalogue(), now=now)
                contracts = gather(book, catalogue(), now=now)
                collect(book, source(), list(contracts.current.meters.values()), since=START, now=now)
                bill(book, contracts, now=now)
    finally:
        event.remove(Engine, "before_cursor_execute", moment)
        event.remove(Engine, "commit", moment)
    if told is not None:
        told.send(seen)
    return seen
