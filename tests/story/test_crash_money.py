"""Killed between every two statements of everything that moves money: the book ends as if nothing had happened."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from rating.adapters.store import StoreBook, open_book
from rating.core.money import Money
from rating.jobs.audit import audit
from tests.forked import FORKED

from . import crash_money
from .crash_money import STEPS, USD


def contents(book: StoreBook) -> dict[str, object]:
    """Everything the book says, but for the numbers a database gives its rows."""
    return {
        "closings": [*book.closing_records()],
        "adjustments": book.adjustment_records(),
        "invoices": book.invoice_records(),
        "steps": [one[1:] for one in book.entry_records()],
        "credit notes": book.credit_records(),
        "moves": sorted(book.move_records()),
        "wallets": book.wallets(),
        "lows": book.lows(),
        "statements": book.statement_records(),
    }


def child(url: str, step: int, kill_at: int) -> bool:
    """Do one step in a process of its own. False when it was killed."""
    process = FORKED.Process(target=crash_money.run, args=(url, step, kill_at))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), f"{STEPS[step].__name__} ended with {process.exitcode}"
    return process.exitcode == 0


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Two databases, each with the first day's windows in it."""
    names = ("undisturbed", "killed")
    if request.param == "sqlite":
        found = [f"sqlite:///{tmp_path}/{name}.db" for name in names]
    else:
        server = request.getfixturevalue("postgres")
        found = [server.database(f"money_{name}") for name in names]
    for url in found:
        with open_book(url) as book:
            crash_money.prepare(book)
    return found[0], found[1]


@pytest.mark.slow
def test_killed_before_every_statement_and_commit_of_what_moves_money(urls: tuple[str, str]) -> None:
    """Each step is begun again and again, and each time dies one moment later. Whenever something of it was kept, the
    moments are counted anew, so that every moment between two statements is a crash from every state there is.
    """
    undisturbed, killed = urls
    kills = 0
    with open_book(undisturbed) as calm, open_book(killed) as book:
        for step, act in enumerate(STEPS):
            crash_money.run(undisturbed, step)
            state, moment = contents(book), 1
            while not child(killed, step, moment):
                kills += 1
                found = contents(book)
                if found == state:
                    moment += 1
                else:
                    assert list(audit(book)) == [], f"killed in {act.__name__} before moment {moment}"
                    state, moment = found, 1
            assert contents(book) == contents(calm), f"after {act.__name__}"
        assert list(audit(book)) == []
    assert kills > 150, "there was something to kill"


def test_what_the_two_days_come_to(tmp_path: Path) -> None:
    """The story the kills are about, in numbers."""
    url = f"sqlite:///{tmp_path}/story.db"
    with open_book(url) as book:
        crash_money.prepare(book)
    for step in range(len(STEPS)):
        crash_money.run(url, step)
        with open_book(url) as book:
            before = contents(book)
            crash_money.run(url, step)
            assert contents(book) == before, f"{STEPS[step].__name__} twice is once"
            assert list(audit(book)) == []
    with open_book(url) as book:
        totals = [(invoice.draft.consumer, invoice.total.digits) for invoice in book.invoices()]
        moves = [(one.reference, one.change, one.kind, one.invoice) for one in book.move_records()]
        assert [(payout.number, payout.total.digits) for payout in book.statements()] == [("ST-000001", "2.52")]
        assert [low.balance for low in book.lows()] == [Money(0, USD), Money(0, USD)]
    # 1.10 and 108 calls at 0.05 with 10 % on top; 144 calls; those and 36 that came late; 144 calls.
    assert totals == [("c0", "7.15"), ("c1", "9.13"), ("c0", "11.11"), ("c1", "9.13")]
    assert moves == [
        ("pay-1", 500, "granted", ""),
        ("pay-1", -500, "burned", "INV-000001"),
        # 5.00 from the wallet, 1.00 by bank, 3.30 credited: 2.15 too much of 7.15.
        ("pay-1", 215, "returned", "INV-000001"),
        ("pay-1", -215, "burned", "INV-000003"),
        ("pay-1", 215, "returned", "INV-000003"),
        ("pay-1", -215, "withdrawn", ""),
        ("gift-1", 100, "granted", ""),
        ("pay-2", 900, "granted", ""),
        ("pay-2", -900, "burned", "INV-000002"),
        ("gift-2", 100, "granted", ""),
        ("gift-2", -13, "burned", "INV-000002"),
    ]
