"""Invoices in the book: each issued once, numbered without gaps, chained, never changed."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rating.core.canonical import canonical, digest
from rating.core.entries import Paper
from rating.core.money import Money
from rating.core.periods import Period
from rating.errors import BookError, Contradiction
from rating.ports import Book

from .books import AUGUST, LATER, USD, draft


def test_drafts_are_numbered_in_the_order_given(book: Book) -> None:
    first = book.issue([draft("c42"), draft("a1")], at=LATER)
    second = book.issue([draft("b7")], at=LATER)
    assert [(invoice.number, invoice.draft.consumer) for invoice in (*first, *second)] == [
        ("INV-000001", "c42"),
        ("INV-000002", "a1"),
        ("INV-000003", "b7"),
    ]
    assert book.invoices() == first + second
    assert book.invoice("INV-000002") == first[1]
    assert book.invoice("INV-000009") is None


def test_an_invoice_comes_back_exactly(book: Book) -> None:
    [issued] = book.issue([draft()], at=LATER)
    assert issued.draft == draft()
    assert issued.issued_at == LATER.replace(microsecond=123000)
    assert issued.total == Money(1230, USD)
    assert book.invoice(issued.number) == issued


def test_the_same_draft_is_issued_once(book: Book) -> None:
    [issued] = book.issue([draft()], at=LATER)
    assert book.issue([draft(), draft("b7"), draft()], at=LATER + timedelta(days=1)) == (
        issued,
        book.invoices()[1],
        issued,
    )
    assert [invoice.number for invoice in book.invoices()] == ["INV-000001", "INV-000002"]


@pytest.mark.parametrize(
    ("again", "sentence"),
    [
        (draft(cents=1240), "INV-000001 for c42/pro/2026-08-01/2026-08-01T00:00:00+00:00 was issued over 12.30 USD "
                            "and now comes to 12.40 USD; an issued invoice changes only by a credit note"),
        (draft(catalogue="a" * 64), "under catalogue ffffffffffff and is now rated under aaaaaaaaaaaa"),
        (draft(customer="Beta"), '"customer":"Größenwahn AG"'),
        (draft(lines=(draft().lines[1], draft().lines[0])), "line 1"),
    ],
    ids=["other total", "other catalogue", "other customer", "other lines"],
)  # fmt: skip
def test_other_content_under_an_issued_key_stops_the_whole_batch(book: Book, again, sentence: str) -> None:
    issued = book.issue([draft()], at=LATER)
    with pytest.raises(Contradiction) as refusal:
        book.issue([draft("b7"), again, draft("d8")], at=LATER)
    assert sentence in str(refusal.value)
    assert book.invoices() == issued
    assert [invoice.number for invoice in book.issue([draft("e9")], at=LATER)] == ["INV-000002"]


def test_each_invoice_carries_the_hash_of_the_one_before(book: Book) -> None:
    invoices = book.issue([draft("a"), draft("b"), draft("c")], at=LATER)
    previous = ""
    for invoice in invoices:
        paper = Paper(invoice.number, invoice.issued_at, previous, invoice.draft)
        assert invoice.previous_hash == previous
        assert invoice.content_hash == digest(canonical(paper))
        previous = invoice.content_hash
    assert len({invoice.content_hash for invoice in invoices}) == 3


def test_every_book_gives_the_same_hash(book: Book) -> None:
    """The paper's text is the same on every engine and in every year: changing this hash breaks issued invoices."""
    [issued] = book.issue([draft()], at=LATER)
    assert issued.content_hash == "cd83246ca9ff3249f3e7eb959a505e3095f99daea44d4176f0dd28e62bd72b2a"


def test_issued_keys_are_those_of_the_invoices(book: Book) -> None:
    assert book.issued() == frozenset()
    book.issue([draft("a"), draft("b", month=9)], at=LATER)
    assert book.issued() == {
        "a/pro/2026-08-01/2026-08-01T00:00:00+00:00",
        "b/pro/2026-08-01/2026-09-01T00:00:00+00:00",
    }


def test_invoices_are_found_by_period_and_consumer(book: Book) -> None:
    book.issue([draft("a"), draft("b"), draft("a", month=9)], at=LATER)
    numbers = lambda found: [invoice.number for invoice in found]  # noqa: E731
    assert numbers(book.invoices(AUGUST)) == ["INV-000001", "INV-000002"]
    assert numbers(book.invoices(consumer="a")) == ["INV-000001", "INV-000003"]
    september = Period(AUGUST.end, datetime(2026, 10, 1, tzinfo=UTC))
    assert numbers(book.invoices(september, "a")) == ["INV-000003"]
    assert numbers(book.invoices(september, "b")) == []
    assert book.issue([], at=LATER) == ()


def test_an_amount_beyond_64_bits_is_refused(book: Book) -> None:
    huge = draft().lines[0]
    with pytest.raises(BookError, match="total 9223372036854775808 is beyond"):
        book.issue([draft("a"), draft(lines=(replace(huge, amount=Money(2**63, USD)),))], at=LATER)
    assert book.invoices() == ()


def test_eight_threads_never_share_or_skip_a_number(book: Book) -> None:
    """Each thread issues its own drafts and everybody's first one, two at a time."""
    failures: list[Exception] = []

    def issuer(thread: int) -> None:
        try:
            for month in range(1, 11):
                book.issue([draft(f"t{thread}", month=month), draft("everybody", month=month)], at=LATER)
        except Exception as error:  # noqa: BLE001, shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=issuer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    invoices = book.invoices()
    assert [invoice.number for invoice in invoices] == [f"INV-{number:06d}" for number in range(1, 91)]
    assert len({invoice.draft.key for invoice in invoices}) == 90
    previous = ""
    for invoice in invoices:
        assert invoice.previous_hash == previous
        previous = invoice.content_hash
