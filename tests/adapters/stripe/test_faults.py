"""Cut off between every two calls, and answered wrongly at every call: nothing is doubled and nothing is lost."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from rating.adapters.store import open_book
from rating.ports import Book
from tests.forked import FORKED
from tests.stripe_peer.peer import StripePeer

from . import dying
from .months import NOW, carry, gateway, happenings, month, there

CUSTOMERS = ("wallet", "noted", "wired", "void")

FAULTS: dict[str, dict[str, Any]] = {
    "cut before the work": {"kind": "cut"},
    "cut after the work": {"kind": "cut", "when": "after"},
    "500 before": {"status": 500},
    "500 after it was done": {"status": 500, "when": "after"},
    "409": {"status": 409},
    "429 that may be asked again": {"status": 429, "headers": {"Stripe-Should-Retry": "true", "Retry-After": "1"}},
    "429": {"status": 429, "headers": {"Retry-After": "60"}},
    "no answer in time": {"kind": "silence", "when": "after"},
}


def peer_of() -> StripePeer:
    return StripePeer(now=int(NOW.timestamp()), standing=True)


@pytest.fixture(scope="module")
def undisturbed() -> tuple[dict[str, Any], int]:
    """What stands at Stripe at the end, and how many calls it took."""
    with peer_of() as peer:
        book, to = month(customers=CUSTOMERS), gateway(peer)
        carry(book, to)
        happenings(book)
        carry(book, to)
        return there(peer), to.calls


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_at_every_call(undisturbed: tuple[dict[str, Any], int], fault: dict[str, Any]) -> None:
    """Each call of the month meets it, three times in a row, in a month of its own. One half of them goes on within the
    hour, the other half when Stripe has forgotten the keys.
    """
    expected, calls = undisturbed
    for number in range(1, calls + 1):
        with peer_of() as peer:
            book, to = (
                month(customers=CUSTOMERS),
                gateway(peer, timeout=0.3 if fault.get("kind") == "silence" else 30.0),
            )
            # The client itself asks twice again.
            peer.fail(**fault, number=number)
            peer.fail(**fault, number=number + 1)
            peer.fail(**fault, number=number + 2)
            pauses = iter((1, 31, 61, 91) if number % 2 else (30, 60, 90, 120))
            carry(book, to)
            if book.unfinished("main"):
                peer.clear_faults()
                _go_on(book, peer, next(pauses))
                _go_on(book, peer, next(pauses))
            happenings(book)
            carry(book, to)
            peer.clear_faults()
            _go_on(book, peer, next(pauses))
            _go_on(book, peer, next(pauses))
            assert there(peer) == expected, (number, book.progressed("main"))
            assert (book.unfinished("main"), book.parked("main")) == ((), ()), number


def _go_on(book: Book, peer: StripePeer, hours: int) -> None:
    """A new process, so many hours after the first."""
    peer.advance_to(int(NOW.timestamp()) + 3600 * hours)
    carry(book, gateway(peer), hours=hours)


@pytest.mark.slow
def test_killed_between_every_two_statements_and_calls(tmp_path: Path) -> None:
    """SIGKILL before the n-th statement of the book, before and after the n-th request; the next process dies as well a
    little later, and the third begins 30 hours afterwards. Each is a process of its own.
    """
    expected = None
    deaths = 0
    while True:
        database = f"sqlite:///{tmp_path}/{deaths}.db"
        with open_book(database) as book:
            month(book, customers=("wallet",))
        with peer_of() as peer:
            if expected is None:
                assert not killed(database, peer, 0)
                expected = there(peer)
                deaths = 1
                continue
            if not killed(database, peer, deaths):
                break
            killed(database, peer, deaths // 2 + 1)
            peer.advance(30 * 3600)
            assert not killed(database, peer, 0, hours=30)
            assert there(peer) == expected, deaths
            with open_book(database) as book:
                assert (book.unfinished("main"), book.parked("main")) == ((), ()), deaths
        deaths += 1
    assert deaths > 40


def killed(database: str, peer: StripePeer, at: int, *, hours: int = 0) -> bool:
    """One round in a process of its own. True when it was killed."""
    process = FORKED.Process(target=dying.run, args=(database, peer.url, peer.key, at, hours))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), f"at {at} it ended with {process.exitcode}"
    return process.exitcode != 0
