"""Everything that moves money, as steps of a process that can be killed: two days of a small business on a fixed clock.

Windows are collected beforehand; `crash_engine` has the killing of that. Each step is what a person types or a tick
does, and doing it again is nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Engine, event

from rating.adapters.memory_source import MemorySource
from rating.adapters.store import StoreBook, open_book
from rating.core.catalogue import Catalogue
from rating.core.creditnotes import Cause, credit
from rating.core.invoices import Invoice
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.money import Currency, Money
from rating.core.periods import Period, milliseconds
from rating.core.wallets import Grant, GrantKind
from rating.jobs.bill import bill
from rating.jobs.collect import collect
from rating.jobs.contracts import gather, keep
from rating.jobs.correct import correct
from rating.jobs.statements import state
from rating.specs.compile import compile_catalogue

START = datetime(2026, 8, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WHOLE = Period(START, START + 3 * DAY)
USD = Currency("USD")

TEXT = """
version: 1
currency: USD
meters:
  calls: {metric: api_requests_total, consumer: consumer_id, window: 12h, scrape_interval: 10m, lookback: 1d}
plans:
  pro:
    period: day
    fee: "1.10"
    taxes: [{name: VAT, percent: 10%}]
    charges: [{meter: calls, unit_price: "0.05", share: {partner: Maps Ltd, percent: 15%}}]
subscriptions:
  - {consumer: c0, plan: pro, start: 2026-08-01}
  - {consumer: c1, plan: pro, start: 2026-08-01}
"""


@cache
def catalogue() -> Catalogue:
    return compile_catalogue([("money.yaml", TEXT)])


@cache
def source(late: bool) -> MemorySource:
    """One call every ten minutes by everybody; the last six hours of c0's first day come `late`."""
    scrapes = [milliseconds(START + number * HOUR / 6) for number in range(-6, 6 * 49)]
    started = milliseconds(START - DAY) // 1000
    target = {"job": "api", "instance": "api-1:8000"}
    series: list[tuple[dict[str, str], list[tuple[int, int]]]] = [
        ({"__name__": "up", **target}, [(at, 1) for at in scrapes]),
        ({"__name__": "process_start_time_seconds", **target}, [(at, started) for at in scrapes]),
    ]
    missing = range(milliseconds(START + 18 * HOUR), milliseconds(START + 24 * HOUR))
    for consumer in ("c0", "c1"):
        samples = [
            (at, 100 + number) for number, at in enumerate(scrapes) if late or consumer == "c1" or at not in missing
        ]
        series.append(({"__name__": "api_requests_total", **target, "consumer_id": consumer}, samples))
    return MemorySource(series)


def at(day: int, minutes: int = 10) -> datetime:
    return START + day * DAY + timedelta(minutes=minutes)


def prepare(book: StoreBook) -> None:
    """The catalogue and the first day's windows, before anybody is killed."""
    keep(book, catalogue(), now=START)
    meters = list(catalogue().meters.values())
    collect(book, source(False), meters, since=START, now=at(1), until=START + DAY)


def top_up(book: StoreBook) -> None:
    """One gift expires before anything is billed, the other between the first day's invoice and the second's."""
    book.fund(Grant("c0", "pay-1", Money(500, USD), note="invoice 17", author="ann"), at=at(0))
    book.fund(Grant("c0", "gift-1", Money(100, USD), GrantKind.GRANT, -1, START + 12 * HOUR), at=at(0))
    book.fund(Grant("c1", "pay-2", Money(900, USD)), at=at(0))
    book.fund(Grant("c1", "gift-2", Money(100, USD), GrantKind.GRANT, 1, START + DAY + 6 * HOUR), at=at(0))


def warn(book: StoreBook) -> None:
    book.warn_below("c0", Money(100, USD), at=at(0))


def bill_first_day(book: StoreBook) -> None:
    _bill(book, at(1))


def notice(book: StoreBook) -> None:
    book.notice_lows(at(1, 11))


def send_and_pay(book: StoreBook) -> None:
    paper = _invoice(book, "c0")
    book.enter(InvoiceEntry(paper.number, Step.SEND, date(2026, 8, 2), source="email"), at=at(1, 12))
    book.enter(payment(paper.number, Money(100, USD), date(2026, 8, 2), reference="T-1", author="ann"), at=at(1, 13))


def credit_back(book: StoreBook) -> None:
    """More than is still owed: the wallet has the rest back."""
    paper = _invoice(book, "c0")
    if not book.credit_notes(paper.number):
        note = credit(paper, {2: Money(300, USD)}, (), cause=Cause.MANUAL, reason="an outage", author="ann")
        book.credit(note, at=at(1, 14))


def correct_late(book: StoreBook) -> None:
    meters = tuple(catalogue().meters.values())
    correct(book, source(True), meters, Period(START, START + DAY), now=at(1, 15))


def collect_second_day(book: StoreBook) -> None:
    meters = list(catalogue().meters.values())
    collect(book, source(True), meters, since=START, now=at(2), until=START + 2 * DAY)


def bill_second_day(book: StoreBook) -> None:
    """Late usage is settled, and the wallet pays with what the credit note gave back."""
    _bill(book, at(2))


def notice_again(book: StoreBook) -> None:
    book.notice_lows(at(2, 11))


def void(book: StoreBook) -> None:
    """What the wallet paid of it goes back, in the same transaction."""
    paper = _invoice(book, "c0", 1)
    book.enter(InvoiceEntry(paper.number, Step.VOID, date(2026, 8, 3), reason="wrong customer"), at=at(2, 12))


def state_partners(book: StoreBook) -> None:
    contracts = gather(book, catalogue(), now=at(2, 13))
    state(book, contracts, month=date(2026, 8, 1), now=at(2, 13))


def withdraw(book: StoreBook) -> None:
    book.withdraw("c0", "pay-1", why="account closed", at=at(2, 14))


STEPS: tuple[Callable[[StoreBook], None], ...] = (
    top_up,
    warn,
    bill_first_day,
    notice,
    send_and_pay,
    credit_back,
    correct_late,
    collect_second_day,
    bill_second_day,
    notice_again,
    void,
    state_partners,
    withdraw,
)


def run(url: str, step: int, kill_at: int = 0) -> None:
    """Do this step; die by SIGKILL just before that statement or commit of it."""
    seen = 0

    def moment(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with open_book(url) as book:
        event.listen(Engine, "before_cursor_execute", moment)
        event.listen(Engine, "commit", moment)
        try:
            STEPS[step](book)
        finally:
            event.remove(Engine, "before_cursor_execute", moment)
            event.remove(Engine, "commit", moment)


def _bill(book: StoreBook, now: datetime) -> None:
    billed = bill(book, gather(book, catalogue(), now=now), now=now)
    assert billed.postponed == ()


def _invoice(book: StoreBook, consumer: str, place: int = 0) -> Invoice:
    return book.invoices(consumer=consumer)[place]
