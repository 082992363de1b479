"""What the journal is written from: everything of a span once, in order, however little is in memory at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from rating.core.creditnotes import Cause, credit
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.money import Money
from rating.core.periods import Period
from rating.core.wallets import Grant
from rating.ports import Book

from .books import HOUR, USD, draft

DAY = timedelta(days=1)
FIRST = datetime(2026, 9, 1, tzinfo=UTC)


def of(day: int) -> Period:
    return Period(FIRST + day * DAY, FIRST + (day + 1) * DAY)


def test_papers_of_a_span_come_once_each_in_order_of_number(book: Book) -> None:
    """450 invoices on three days, more than are read at once."""
    drafts = [draft(f"c{number:03}") for number in range(450)]
    for day in range(3):
        book.issue(drafts[day * 150 : (day + 1) * 150], at=FIRST + day * DAY)
    whole = Period(FIRST, FIRST + 3 * DAY)
    assert list(book.issued_in(whole)) == list(book.invoices())
    for day in range(3):
        assert list(book.issued_in(of(day))) == list(book.invoices()[day * 150 : (day + 1) * 150])
    assert list(book.issued_in(of(3))) == []
    numbers = [one.number for one in book.invoices()]
    assert book.papers(numbers) == {one.number: one for one in book.invoices()}
    assert book.papers([numbers[7], "INV-999999"]) == {numbers[7]: book.invoices()[7]}
    assert book.papers([]) == {}


def test_notes_and_steps_come_on_their_days(book: Book) -> None:
    [paper] = book.issue([draft()], at=FIRST)
    note = credit(paper, {1: Money(100, USD)}, (), cause=Cause.MANUAL, reason="an outage")
    kept = book.credit(note, at=FIRST + DAY)
    assert [list(book.credited_in(of(day))) for day in range(3)] == [[], [kept], []]
    paid = InvoiceEntry(paper.number, Step.PAY, date(2026, 9, 3), Money(5, USD), source="b", reference="2")
    first = replace(paid, source="a", reference="1")
    for step in (paid, first):
        book.enter(step, at=FIRST + 5 * DAY)
    assert list(book.entered_on(date(2026, 9, 3))) == sorted((paid, first), key=lambda step: step.key)
    assert list(book.entered_on(date(2026, 9, 6))) == []


def test_grants_come_whole_when_they_move_and_when_they_expire(book: Book) -> None:
    expires = FIRST + 3 * DAY
    book.fund(Grant("c42", "p", Money(500, USD), expires=expires), at=FIRST)
    book.fund(Grant("c77", "q", Money(100, USD)), at=FIRST + DAY + HOUR)
    book.issue([draft()], at=FIRST + 2 * DAY)
    book.fund(Grant("Größenwahn AG", "r", Money(100, USD)), at=FIRST + DAY)
    book.issue([draft("c43")], at=FIRST + 4 * DAY)
    found = [[(one.grant.reference, len(one.moves)) for one in book.moved_in(of(day))] for day in range(6)]
    assert found == [[("p", 1)], [("q", 1), ("r", 2)], [], [("p", 1)], [("r", 2)], []]
    [account] = book.moved_in(of(3))
    assert account == book.wallets("c42")[0].accounts[0]


def test_statements_come_in_their_span(book: Book) -> None:
    from .test_book_statements import draft as statement

    [payout] = book.issue_statements([statement()], at=FIRST + DAY)
    assert [list(book.stated_in(of(day))) for day in range(3)] == [[], [payout], []]
