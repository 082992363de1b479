"""Several processes on one book: claims that die with their holder, numbers without gaps."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from rating.adapters.store import open_book
from rating.core.checks import check_invoices
from rating.core.periods import Period
from tests.forked import FORKED

from .stories import DAY, NOW, draft, fill


def _hold(url: str, told: Connection) -> None:
    with open_book(url) as book, book.claim("collect") as held:
        told.send(held)
        told.recv()
    told.send("left")


@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_a_claim_ends_with_its_process(url: str, ending: str) -> None:
    ours, theirs = FORKED.Pipe()
    holder = FORKED.Process(target=_hold, args=(url, theirs))
    holder.start()
    try:
        assert ours.recv() is True
        with open_book(url) as book:
            with book.claim("collect") as held, book.claim("bill") as other:
                assert (held, other) == (False, True)
            if ending == "is killed":
                assert holder.pid is not None
                os.kill(holder.pid, signal.SIGKILL)
                holder.join(30)
            else:
                ours.send("leave")
                assert ours.recv() == "left"
            assert _claimed_soon(book)
    finally:
        holder.kill()
        holder.join(30)


def _claimed_soon(book) -> bool:
    """PostgreSQL notices a killed client when it next looks at its socket: at once, but not in zero time."""
    for _ in range(100):
        with book.claim("collect") as held:
            if held:
                return True
        time.sleep(0.05)
    return False


def _issue(url: str, process: int) -> None:
    with open_book(url) as book:
        for round in range(5):
            month = Period(DAY.start.replace(month=round + 1), DAY.start.replace(month=round + 2))
            own = [
                replace(draft(book, consumer), period=month, subscription=f"{consumer}/{round}")
                for consumer in (f"p{process}", "everybody")
            ]
            book.issue(own, at=NOW)


def test_eight_processes_never_share_or_skip_a_number(url: str) -> None:
    with open_book(url) as book:
        fill(book, ("everybody", *(f"p{number}" for number in range(8))))
        before = len(book.invoices())
    issuers = [FORKED.Process(target=_issue, args=(url, number)) for number in range(8)]
    for issuer in issuers:
        issuer.start()
    for issuer in issuers:
        issuer.join(120)
    assert [issuer.exitcode for issuer in issuers] == [0] * 8
    with open_book(url) as book:
        numbers = [invoice.number for invoice in book.invoices()]
        # Nine of each round: one of every process, and everybody's, which was issued once.
        assert numbers == [f"INV-{number:06d}" for number in range(1, before + 5 * 9 + 1)]
        chain = [finding for finding in check_invoices(book.invoice_records()) if "charges" not in finding.what]
        assert chain == []


def test_the_lock_of_a_sqlite_claim_lies_beside_the_database(tmp_path: Path) -> None:
    with open_book(f"sqlite:///{tmp_path}/rating.db") as book, book.claim("collect api/calls"):
        [lock] = tmp_path.glob("rating.db.*.lock")
        assert lock.name.startswith("rating.db.collect_api_calls-")
