"""Publishing: what is carried, in which order, and what a gateway that fails or declines leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.core.collection import Collection
from rating.core.creditnotes import Cause, credit
from rating.core.lifecycle import InvoiceEntry, Step, payment
from rating.core.money import Money
from rating.core.publications import CreditNoteDispatch, Dispatch, InvoiceDispatch, Outcome
from rating.core.wallets import Grant
from rating.errors import BookError, EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.jobs.publish import Served, publish, retry, waiting
from rating.ports import Trail
from tests.promises.gateways.papers import USD, draft

NOW = datetime(2026, 9, 1, 6, tzinfo=UTC)
WHO = Collection("main")


class Scripted:
    """A gateway that does what a test says about a subject, and remembers what it was asked."""

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.asked: list[str] = []
        self.begun: dict[str, datetime | None] = {}
        self.dispatches: dict[str, Dispatch] = {}
        self.answers: dict[str, Callable[[Trail], None]] = {}
        self.rounds = 0

    def preview(self, dispatch: Dispatch) -> str:
        return dispatch.subject

    def publish(self, dispatch: Dispatch, trail: Trail, *, now: datetime) -> str:
        self.asked.append(dispatch.subject)
        self.begun[dispatch.subject] = trail.begun_at
        self.dispatches[dispatch.subject] = dispatch
        if dispatch.subject in self.answers:
            self.answers[dispatch.subject](trail)
        return "carried"

    def finish(self, *, now: datetime) -> str:
        self.rounds += 1
        return ""


def raising(error: Exception) -> Callable[[Trail], None]:
    def answer(trail: Trail) -> None:
        raise error

    return answer


def issued(*customers: str) -> MemoryBook:
    book = MemoryBook()
    book.issue([draft(customer, 10_000) for customer in customers], at=NOW)
    return book


def carry(book: MemoryBook, gateway: Scripted, hours: float = 0, **options: Any) -> Any:
    now = NOW + timedelta(hours=hours)
    return publish(
        book, [Served(gateway, options.pop("workers", 1), options.pop("since", None))], WHO, now=now, **options
    )


def test_what_is_done_is_not_done_again() -> None:
    book, gateway = issued("acme", "beta"), Scripted()
    first, second = carry(book, gateway), carry(book, gateway)
    assert gateway.asked == ["invoice/INV-000001", "invoice/INV-000002"]
    assert ([one.outcome for one in first.entries], second.entries) == ([Outcome.DONE] * 2, ())
    assert gateway.rounds == 2


def test_begun_stands_in_the_book_before_the_first_call_and_a_second_attempt_is_told_when() -> None:
    book, gateway = issued("acme"), Scripted()

    def dies(trail: Trail) -> None:
        [begun] = book.progressed("main", "invoice/INV-000001")
        assert begun.progress.outcome is Outcome.BEGUN
        trail.keep("in_1")
        raise KeyboardInterrupt

    gateway.answers["invoice/INV-000001"] = dies
    with pytest.raises(KeyboardInterrupt):
        carry(book, gateway)
    assert gateway.begun == {"invoice/INV-000001": None}
    gateway.answers.clear()
    carry(book, gateway, hours=30)
    assert gateway.begun == {"invoice/INV-000001": NOW}
    assert [one.name for one in book.remote_names("main")] == ["in_1"]


def test_a_gateway_that_is_away_is_left_alone_until_it_said_it_would_be_back() -> None:
    book, gateway = issued("acme", "beta", "gamma"), Scripted()
    away = EdgeUnavailable("too many requests", retry_after=timedelta(hours=2))
    gateway.answers["invoice/INV-000001"] = raising(away)
    done = carry(book, gateway)
    assert gateway.asked == ["invoice/INV-000001"]
    assert (done.entries[0].outcome, done.entries[0].retry_after, done.later) == (Outcome.FAILED, 7200, 3)
    gateway.asked.clear()
    carry(book, gateway, hours=1)
    assert gateway.asked == ["invoice/INV-000002", "invoice/INV-000003"]
    gateway.answers.clear()
    carry(book, gateway, hours=2)
    assert gateway.asked[2:] == ["invoice/INV-000001"]


def test_what_is_declined_is_parked_with_what_follows_on_it_and_nothing_else() -> None:
    book, gateway = issued("acme", "acme2"), Scripted()
    first = book.invoices()[0]
    book.credit(credit(first, {1: Money(100, USD)}, (), cause=Cause.MANUAL, reason="sorry"), at=NOW)
    gateway.answers["invoice/INV-000001"] = raising(EdgeDisagrees("99.00 USD there, 100.00 USD here"))
    done = carry(book, gateway)
    assert gateway.asked == ["invoice/INV-000001", "invoice/INV-000002"]
    assert (done.parked, done.later) == (1, 2)
    gateway.answers.clear()
    assert carry(book, gateway, hours=48).entries == ()

    with pytest.raises(BookError, match="invoice/INV-000009 is not parked at main"):
        retry(book, ["main"], "invoice/INV-000009", now=NOW)
    [revived] = retry(book, ["main"], None, now=NOW)
    assert revived.outcome is Outcome.REVIVED
    carry(book, gateway, hours=49)
    assert gateway.asked[2:] == ["invoice/INV-000001", "credit_note/CN-000001"]
    assert carry(book, gateway, hours=50).parked == 0


def test_a_dozen_failures_park_a_paper() -> None:
    book, gateway = issued("acme"), Scripted()
    gateway.answers["invoice/INV-000001"] = raising(EdgeUnavailable("no answer"))
    for attempt in range(14):
        carry(book, gateway, hours=7 * attempt)
    assert len(gateway.asked) == 12
    assert [one.progress.said for one in book.parked("main")] == ["no answer"]


def test_the_order_of_one_invoice() -> None:
    """A note on what is open comes before the payment of the rest; one on what was paid comes after it."""
    book, gateway = issued("acme", "beta"), Scripted()
    early, late = book.invoices()
    book.credit(credit(early, {1: Money(1_000, USD)}, (), cause=Cause.MANUAL, reason="open"), at=NOW)
    book.enter(payment(early.number, Money(9_000, USD), date(2026, 9, 2), reference="wire 1"), at=NOW)
    book.enter(payment(late.number, Money(10_000, USD), date(2026, 9, 2), reference="wire 2"), at=NOW)
    book.credit(credit(late, {1: Money(2_000, USD)}, (), cause=Cause.MANUAL, reason="paid"), at=NOW)
    carry(book, gateway)
    assert gateway.asked == [
        "invoice/INV-000001",
        "credit_note/CN-000001",
        "step/INV-000001/pay/bank/wire 1",
        "invoice/INV-000002",
        "step/INV-000002/pay/bank/wire 2",
        "credit_note/CN-000002",
    ]
    settled = [one.settled for one in gateway.dispatches.values() if isinstance(one, CreditNoteDispatch)]
    assert settled == [Money(0, USD), Money(2_000, USD)]


def test_what_the_wallet_paid_goes_with_the_invoice_whatever_was_given_back_since() -> None:
    book, gateway = MemoryBook(), Scripted()
    book.fund(Grant("acme", "top-up 1", Money(3_000, USD)), at=NOW)
    [invoice] = book.issue([draft("acme", 10_000)], at=NOW)
    book.credit(credit(invoice, {1: Money(10_000, USD)}, (), cause=Cause.MANUAL, reason="all of it"), at=NOW)
    carry(book, gateway)
    carried = gateway.dispatches["invoice/INV-000001"]
    assert isinstance(carried, InvoiceDispatch)
    assert carried.prepaid == Money(3_000, USD)
    note = gateway.dispatches["credit_note/CN-000001"]
    assert isinstance(note, CreditNoteDispatch)
    assert note.settled == Money(3_000, USD)


def test_nobody_hears_of_what_was_void_before_or_is_older_or_is_somebody_elses() -> None:
    book, gateway = issued("acme", "beta", "gamma"), Scripted()
    book.enter(InvoiceEntry("INV-000001", Step.VOID, date(2026, 9, 1), reason="wrong"), at=NOW)
    book.enter(payment("INV-000002", Money(10_000, USD), date(2026, 9, 2), source="main", reference="pi_1"), at=NOW)
    who = Collection("main", {"gamma": "other"})
    left = waiting(book, [Served(gateway)], who)
    assert [one.subject for one in left[0].dispatches] == ["invoice/INV-000002"]
    assert waiting(book, [Served(gateway, since=date(2026, 9, 2))], who)[0].dispatches == ()
    publish(book, [Served(gateway)], who, now=NOW)
    book.enter(InvoiceEntry("INV-000003", Step.VOID, date(2026, 9, 1), reason="wrong"), at=NOW)
    assert gateway.asked == ["invoice/INV-000002"]


def test_a_void_after_it_was_carried_is_carried_too() -> None:
    book, gateway = issued("acme"), Scripted()
    carry(book, gateway)
    book.enter(InvoiceEntry("INV-000001", Step.VOID, date(2026, 9, 1), reason="wrong"), at=NOW)
    carry(book, gateway)
    assert gateway.asked == ["invoice/INV-000001", "step/INV-000001/void"]


def test_customers_are_served_at_once_and_each_in_order() -> None:
    book, gateway = issued("a", "b", "c"), Scripted()
    book.issue([replace(draft(one, 500), opening=True) for one in ("a", "b", "c")], at=NOW)
    together = threading.Barrier(3, timeout=60)
    for number in (1, 2, 3):
        gateway.answers[f"invoice/INV-00000{number}"] = lambda trail: together.wait() and None
    carry(book, gateway, workers=3)
    places = {subject: place for place, subject in enumerate(gateway.asked)}
    assert len(places) == 6
    assert all(places[f"invoice/INV-00000{n}"] < places[f"invoice/INV-00000{n + 3}"] for n in (1, 2, 3))


def test_only_one_invoice_and_what_follows_on_it() -> None:
    book, gateway = issued("acme", "beta"), Scripted()
    carry(book, gateway, only="INV-000002")
    assert gateway.asked == ["invoice/INV-000002"]


def test_somebody_else_is_at_it() -> None:
    book, gateway = issued("acme"), Scripted()
    with book.claim("publish"):
        assert carry(book, gateway).entries == ()
    assert gateway.asked == []


def test_it_stops_between_two_papers() -> None:
    book, gateway = issued("acme", "beta"), Scripted()
    done = carry(book, gateway, stopping=lambda: bool(gateway.asked))
    assert (gateway.asked, done.later) == (["invoice/INV-000001"], 1)


def test_a_refusal_is_remembered_with_its_sentence() -> None:
    book, gateway = issued("acme"), Scripted()
    gateway.answers["invoice/INV-000001"] = raising(EdgeRefused("5.124 KWD cannot be said"))
    told: list[tuple[str, int]] = []
    carry(book, gateway, entered=lambda entry, of: told.append((entry.said, of)))
    assert told == [("5.124 KWD cannot be said", 1)]
