"""Killing the engine at any moment costs nothing but time: the book ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from rating.adapters.store import open_book
from rating.core.checks import check_invoices, usage_as_closed
from rating.core.periods import Period
from tests.forked import FORKED

from . import crash_engine
from .crash_engine import START, STEP, TICKS

WHOLE = Period(START, START + TICKS * STEP)


def contents(url: str) -> dict[str, object]:
    """Everything the book says, but for the numbers a database gives its rows."""
    with open_book(url) as book:
        records = book.invoice_records()
        closings = list(book.closing_records())
        assert list(check_invoices(records)) == []
        assert [finding for closing in closings for finding in usage_as_closed(closing)] == []
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
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        process.join(120)
        assert process.exitcode in (0, -signal.SIGKILL), f"the engine ended with {process.exitcode}"
        if process.exitcode:
            return None
        seen = ours.recv()
        return int(ours.recv() if seen == "begun" else seen)
    finally:
        process.kill()
        process.join()


Copy = Callable[[str], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[[str], str], Callable[[str, str], str]]:
    """How to name an empty database, and how to copy one at rest, on each engine."""
    if request.param == "sqlite":

        def copied(source: str, name: str) -> str:
            for file in tmp_path.glob(f"{source}.db*"):
                shutil.copy(file, tmp_path / file.name.replace(source, name, 1))
            return f"sqlite:///{tmp_path}/{name}.db"

        return lambda name: f"sqlite:///{tmp_path}/{name}.db", copied

    server = request.getfixturevalue("postgres")
    prefix = f"crash_{os.getpid()}_{request.node.callspec.id}_{abs(hash(request.node.name)) % 9973}"

    def copied(source: str, name: str) -> str:
        engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{prefix}_{name}" TEMPLATE "{prefix}_{source}"')
        engine.dispose()
        return str(server.url.rpartition("/")[0] + f"/{prefix}_{name}")

    return lambda name: server.database(f"{prefix}_{name}"), copied


@pytest.mark.slow
def test_killed_fifty_times_at_random_moments(databases) -> None:
    """One book; half of the kills come by the clock, half at a statement; then the engine runs on to the end."""
    new, _ = databases
    undisturbed, disturbed = new("undisturbed"), new("disturbed")
    begun = time.perf_counter()
    moments = crash_engine.run(undisturbed, range(TICKS))
    seconds = time.perf_counter() - begun
    expected = contents(undisturbed)
    assert len(expected["invoices"]) == 3 * len(crash_engine.CONSUMERS)
    assert sum(len(heads) for heads in expected["closings"]) == 72 + 24

    chance = random.Random(20260801)
    kills = 0
    for attempt in range(50):
        # Later attempts find more done already: what they pass on their way there is not what should be hit.
        first = attempt * TICKS // 50
        if attempt % 2:
            died = child(disturbed, range(first, TICKS), kill_at=chance.randrange(1, moments // 12))
        else:
            died = child(disturbed, range(first, TICKS), kill_after=chance.uniform(0, seconds / 12))
        kills += died is None
    assert kills == 50
    assert child(disturbed, range(TICKS)) is not None
    assert contents(disturbed) == expected


@pytest.mark.slow
def test_killed_before_every_statement_and_commit(databases) -> None:
    """The end of a day: windows to close and invoices to issue. Every moment between two statements is a crash once."""
    new, copied = databases
    start = new("start")
    crash_engine.run(start, range(3))
    # Leave a little to collect: the windows of the last two hours, which end the day.
    moments = child(copied("start", "undisturbed"), range(3, 4))
    undisturbed = copied("start", "again")
    assert child(undisturbed, range(3, 4)) == moments
    expected = contents(undisturbed)
    assert len(expected["invoices"]) == len(crash_engine.CONSUMERS)

    assert moments is not None
    for moment in range(1, moments + 1):
        url = copied("start", f"killed{moment}")
        assert child(url, range(3, 4), kill_at=moment) is None
        assert child(url, range(3, 4)) is not None
        assert contents(url) == expected, f"killed before statement {moment} of {moments}"
