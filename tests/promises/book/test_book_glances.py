"""What is asked of the book at every tick is cheap, and says the same as the long answer."""

from __future__ import annotations

from rating.core.windows import Adjustment, Completeness, Usage
from rating.ports import Book

from .books import AUGUST, HOUR, LATER, NOON, closing, draft, held, window


def test_closed_is_what_closings_say_without_the_evidence(book: Book) -> None:
    assert dict(book.closed("search", AUGUST)) == {}
    book.close(closing(2), meter_digest="m", at=LATER)
    book.close(closing(0, completeness=Completeness.DEGRADED), meter_digest="m", at=LATER)
    book.close(closing(1, meter="ingest"), meter_digest="m", at=LATER)
    book.hold(held(1), at=LATER)
    assert dict(book.closed("search", AUGUST)) == {
        NOON: Completeness.DEGRADED,
        NOON + 2 * HOUR: Completeness.COMPLETE,
    }
    heads = book.closings("search", AUGUST)
    assert dict(book.closed("search", AUGUST)) == {head.window.start: head.completeness for head in heads}


def test_closed_through_is_the_end_of_the_last_window(book: Book) -> None:
    assert book.closed_through("search") is None
    for hour in (3, 1):
        book.close(closing(hour), meter_digest="m", at=LATER)
    book.close(closing(7, meter="ingest"), meter_digest="m", at=LATER)
    assert book.closed_through("search") == NOON + 4 * HOUR


def test_issued_are_the_keys_of_all_invoices(book: Book) -> None:
    assert book.issued() == frozenset()
    drafts = [draft("c42"), draft("c77")]
    book.issue(drafts, at=LATER)
    assert book.issued() == {one.key for one in drafts}


def test_sums_are_the_totals_of_each_consumer(book: Book) -> None:
    rows = (Usage("a", ("/x",), 2**62), Usage("a", ("/y",), 5), Usage("b", ("/x",), 7))
    for hour in range(3):
        book.close(closing(hour, rows), meter_digest="m", at=LATER)
    book.close(closing(0, rows, "ingest"), meter_digest="m", at=LATER)
    assert dict(book.sums("search", AUGUST)) == {"a": 3 * (2**62 + 5), "b": 21}
    assert dict(book.sums("search", AUGUST, "b")) == {"b": 21}
    late = Adjustment(
        "search", window(0), 1, (Usage("b", ("/x",), -3), Usage("c", ("/z",), 1)), "late samples", "rating"
    )
    book.adjust(late, at=LATER)
    assert dict(book.sums("search", AUGUST)) == {"a": 3 * (2**62 + 5), "b": 18, "c": 1}
    assert dict(book.sums("nothing", AUGUST)) == {}
