"""Eight billers on one book: the processes that contend, and what must be true of the book afterwards.

Each round has three subscriptions of a day: two of one customer, who wants one invoice, and one of another. All billers
bill them at once. One of them corrects usage at that moment; all of them pay, each a payment of its own and the same
one besides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from multiprocessing.connection import Connection

from rating.adapters.store import open_book
from rating.core.catalogue import Catalogue
from rating.core.invoices import Draft
from rating.core.lifecycle import payment
from rating.core.money import Money
from rating.core.parties import Customer, Parties, Together
from rating.core.periods import EPOCH, Cadence, Period
from rating.core.subscriptions import Subscription
from rating.core.windows import Adjustment, Usage
from rating.errors import Overtaken
from rating.jobs.audit import audit
from rating.jobs.bill import bill
from rating.jobs.contracts import Contracts
from rating.ports import Book
from tests.forked import FORKED
from tests.stories import CALLS, DAY, OCTOBER, PRO, USD, close_days

BILLERS = 8
DAILY = replace(PRO, cadence=Cadence.DAY, fee=Fraction(1), upsell=None)
PARTIES = Parties(customers={"holding": Customer("holding", invoices=Together.CONSOLIDATED)})


def contracts(number: int) -> tuple[Contracts, datetime]:
    """Who is billed in this round, and when."""
    start = OCTOBER.start + number * DAY
    payers = {f"a{number}": "holding", f"b{number}": "holding", f"c{number}": ""}
    subscriptions = tuple(
        Subscription(name, DAILY.key, start, start + DAY, customer=payer) for name, payer in payers.items()
    )
    catalogue = Catalogue(
        USD, {CALLS.name: CALLS}, {DAILY.key: DAILY}, subscriptions, parties=PARTIES, text="eight", digest="eight"
    )
    return Contracts(((EPOCH, catalogue),), subscriptions), start + DAY + timedelta(hours=1)


def close(book: Book, number: int) -> None:
    close_days(book, {f"{name}{number}": 200 for name in "abc"}, days=range(number, number + 1))


def _biller(url: str, place: int, told: Connection) -> None:
    with open_book(url) as book:
        told.send("ready")
        while (number := told.recv()) is not None:
            agreed, now = contracts(number)
            if place == number % BILLERS:
                window = Period(now - DAY - timedelta(hours=1), now - timedelta(hours=1))
                rows = (Usage(f"a{number}", ("/search",), 7),)
                book.adjust(Adjustment(CALLS.name, window, 1, rows, "late", "eight"), at=now)
            attempts = 0
            while True:
                try:
                    bill(book, agreed, now=now)
                    break
                except Overtaken:
                    attempts += 1
                    if attempts == 5:
                        raise
            [invoice] = book.invoices(consumer=f"c{number}")
            book.enter(payment(invoice.number, Money(1, USD), now.date(), reference=f"from {place}"), at=now)
            book.enter(payment(invoice.number, Money(2, USD), now.date(), reference="everybody"), at=now)
            told.send("done")


def contend(url: str, rounds: int) -> None:
    """Run the rounds; raises when a biller fails."""
    pipes, processes = [], []
    for place in range(BILLERS):
        ours, theirs = FORKED.Pipe()
        process = FORKED.Process(target=_biller, args=(url, place, theirs))
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        assert [pipe.recv() for pipe in pipes] == ["ready"] * BILLERS
        with open_book(url) as book:
            for number in range(rounds):
                close(book, number)
                for pipe in pipes:
                    pipe.send(number)
                assert [pipe.recv() for pipe in pipes] == ["done"] * BILLERS
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * BILLERS
    finally:
        for process in processes:
            process.kill()


def wrongs(url: str, rounds: int) -> Iterator[str]:
    """Every way in which the book is not what one biller alone would have made of it."""
    with open_book(url) as book:
        invoices = book.invoices()
        numbers = [invoice.number for invoice in invoices]
        if numbers != [f"INV-{place:06d}" for place in range(1, 2 * rounds + 1)]:
            yield f"{len(numbers)} invoices for {2 * rounds}, or a gap in their numbers"
        billed = Counter(key for invoice in invoices for key in invoice.draft.keys)
        yield from (f"{key} is billed {count} times" for key, count in billed.items() if count > 1)
        if len(billed) != 3 * rounds:
            yield f"{len(billed)} of {3 * rounds} subscriptions are billed"
        for number in range(rounds):
            yield from _entries(book, number)
        yield from map(str, audit(book))


def _entries(book: Book, number: int) -> Iterator[str]:
    [invoice] = book.invoices(consumer=f"c{number}")
    paid = [entry.reference for entry in book.entries(invoice.number)]
    if sorted(paid) != sorted(["everybody", *(f"from {place}" for place in range(BILLERS))]):
        yield f"round {number}: payments {paid}"
    [together] = book.invoices(consumer=f"a{number}")
    if _quantity(together.draft, f"a{number}") not in (200, 207):
        yield f"round {number}: charged {_quantity(together.draft, f'a{number}')} calls"


def _quantity(draft: Draft, consumer: str) -> int:
    return sum(int(line.quantity) for _, part in draft.parts if part.consumer == consumer for line in part.lines)
