"""Killing the engine at any moment costs nothing but time: the book ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from rating.adapters.store import open_book
from rating.core.periods import Period
from rating.jobs.audit import audit
from rating.jobs.collect import collect
from tests.forked import FORKED

from . import crash_engine
from .crash_engine import START, STEP, TICKS, catalogue, clock, first_unfinished, source

WHOLE = Period(START, START + TICKS * STEP)


def contents(url: str) -> dict[str, object]:
    """Everything the book says, but for the numbers a database gives its rows."""
    with open_book(url) as book:
        records = book.invoice_records()
        closings = list(book.closing_records())
        assert list(audit(book)) == []
        return {
            "catalogues": book.catalogues(),
            "held": book.held(),
            "closings": [book.closings(meter, WHOLE) for meter in ("calls", "tokens")],
            "usage": closings,
            "invoices": records,
        }


def child(url: str, ticks: range, kill_at: int = 0, kill_after: float | None = None) -> int | None:
    """Run the engine in a process of its own; None when it was killed, otherwise how many moments it saw."""
    ours, theirs = FORKED.Pipe()
    process = FORKED.Process(target=crash_engine.run, args=(url, ticks, theirs, kill_at))
    process.start()
    theirs.close()
    try:
        if kill_after is not None and ours.recv() == "begun":
            time.sleep(kill_after)
            process.kill()
        process.join(120)
        assert process.exitcode in (0, -signal.SIGKILL), f"the engine ended with {process.exitcode}"
        if process.exitcode:
            return None
        seen = ours.recv()
        return int(ours.recv() if seen == "begun" else seen)
    finally:
        process.kill()
        process.join()


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[[str], str], Callable[[str, str], str]]:
    """How to name an empty database, and how to copy one at rest, on each engine."""
    if request.param == "sqlite":

        def copied(source: str, name: str) -> str:
            for file in tmp_path.glob(f"{name}.db*"):
                file.unlink()
            for file in tmp_path.glob(f"{source}.db*"):
                shutil.copy(file, tmp_path / file.name.replace(source, name, 1))
            return f"sqlite:///{tmp_path}/{name}.db"

        return lambda name: f"sqlite:///{tmp_path}/{name}.db", copied

    server = request.getfixturevalue("postgres")
    prefix = f"crash_{os.getpid()}_{request.node.callspec.id}_{abs(hash(request.node.name)) % 9973}"

    def copied(source: str, name: str) -> str:
        engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{prefix}_{name}"')
            connection.exec_driver_sql(f'CREATE DATABASE "{prefix}_{name}" TEMPLATE "{prefix}_{source}"')
        engine.dispose()
        return str(server.url.rpartition("/")[0] + f"/{prefix}_{name}")

    return lambda name: server.database(f"{prefix}_{name}"), copied


@pytest.mark.slow
def test_killed_fifty_times_at_random_moments(databases) -> None:
    """Half of the kills come by the clock, half at a statement; each time the engine starts again and runs on."""
    new, _ = databases
    undisturbed = new("undisturbed")
    begun = time.perf_counter()
    crash_engine.run(undisturbed, range(TICKS))
    seconds = time.perf_counter() - begun
    expected = contents(undisturbed)
    assert len(expected["invoices"]) == 3 * len(crash_engine.CONSUMERS)
    assert [len(heads) for heads in expected["closings"]] == [72, 24]

    chance = random.Random(20260801)
    kills = books = 0
    while kills < 50:
        books += 1
        disturbed = new(f"disturbed{books}")
        first, attempt = 0, 0
        while first < TICKS and kills < 50:
            attempt += 1
            # The first ones meet an empty database, and die while its tables are made.
            early = attempt <= 6
            if kills % 2:
                died = child(disturbed, range(first, TICKS), kill_after=chance.uniform(0, seconds / 10))
            else:
                died = child(disturbed, range(first, TICKS), kill_at=chance.randrange(1, 25 if early else 60))
            kills += died is None
            first = 0 if early else first_unfinished(disturbed)
        assert child(disturbed, range(first, TICKS)) is not None
        assert contents(disturbed) == expected


@pytest.mark.slow
def test_killed_before_every_statement_and_commit(databases) -> None:
    """The end of a day: windows to close and invoices to issue. Every moment between two statements is a crash once."""
    new, copied = databases
    start, last = new("start"), 3
    crash_engine.run(start, range(last))
    with open_book(start) as book:
        meters = list(catalogue().meters.values())
        collect(book, source(), meters, since=START, now=clock(last), until=START + timedelta(hours=22))

    undisturbed = copied("start", "undisturbed")
    moments = child(undisturbed, range(last, last + 1))
    expected = contents(undisturbed)
    assert len(expected["invoices"]) == len(crash_engine.CONSUMERS)
    with open_book(start) as book:
        assert book.invoices() == ()
        assert sum(len(book.closings(meter, WHOLE)) for meter in ("calls", "tokens")) == 22 + 7

    assert moments is not None
    for moment in range(1, moments + 1):
        url = copied("start", "killed")
        assert child(url, range(last, last + 1), kill_at=moment) is None
        assert child(url, range(last, last + 1)) is not None
        assert contents(url) == expected, f"killed before statement {moment} of {moments}"
