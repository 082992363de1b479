"""What is asked of the book at every tick is cheap, and says the same as the long answer."""

from __future__ import annotations

from rating.core.windows import Completeness
from rating.ports import Book

from .books import AUGUST, HOUR, LATER, NOON, closing, draft, held


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
