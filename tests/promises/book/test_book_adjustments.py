"""Promises about late data: adjustments stand beside closings, once each, and the past can be read as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.adapters.store import open_book
from rating.core.entries import GREATEST
from rating.core.windows import Adjustment, Completeness, Usage
from rating.errors import BookError, Contradiction, Overtaken
from rating.ports import AdjustmentEntry, Book, UsageRow

from .books import AUGUST, EVIDENCE, HOUR, LATER, NOON, closing, draft, window

RECORDED = LATER.replace(microsecond=123000)
ONE = timedelta(milliseconds=1)


def adjustment(
    hour: int = 0,
    revision: int = 1,
    rows: tuple[Usage, ...] = (Usage("c42", ("/search",), 3),),
    meter: str = "search",
    reason: str = "late samples",
) -> Adjustment:
    return Adjustment(meter, window(hour), revision, rows, reason, "rating", EVIDENCE)


def quantities(book: Book, **options: object) -> list[tuple[str, tuple[str, ...], int]]:
    return [tuple(row.usage) for row in book.usage(AUGUST, **options)]  # type: ignore[arg-type]


def test_an_adjustment_is_added_to_the_usage_and_the_closing_stays(book: Book) -> None:
    book.close(closing(), meter_digest="m", at=LATER)
    late = adjustment(rows=(Usage("c42", ("/search",), 3), Usage("c42", ("/v2",), 7), Usage("c77", ("/search",), -1)))
    assert book.adjust(late, at=LATER)
    assert list(book.usage(AUGUST)) == [
        UsageRow("search", window(0), Usage("c42", ("/search",), 121), Completeness.COMPLETE),
        UsageRow("search", window(0), Usage("c42", ("/v2",), 7), Completeness.COMPLETE),
        UsageRow("search", window(0), Usage("c77", ("/search",), 4), Completeness.COMPLETE),
    ]
    assert book.totals("search", AUGUST, "c77") == (Usage("c77", ("/search",), 4),)
    assert book.adjustments(AUGUST) == (AdjustmentEntry(late, RECORDED),)
    assert book.adjusted() == {"c42", "c77"}
    # The closing is the entry it was: closing the window again with what it was closed with is nothing.
    assert not book.close(closing(), meter_digest="m", at=LATER)
    assert book.closings("search", AUGUST)[0].consumers == 2


def test_the_same_adjustment_twice_is_nothing_and_another_is_a_contradiction(book: Book) -> None:
    book.close(closing(), meter_digest="m", at=LATER)
    assert book.adjust(adjustment(), at=LATER)
    assert not book.adjust(adjustment(reason="somebody else found it as well"), at=LATER + HOUR)
    assert book.adjustments(AUGUST) == (AdjustmentEntry(adjustment(), RECORDED),)
    with pytest.raises(Contradiction) as refusal:
        book.adjust(adjustment(rows=(Usage("c42", ("/search",), 4),)), at=LATER)
    assert "adjustment 1 of window search/c42 (/search) 2026-08-01 12:00-13:00 was kept as +3 and is now +4" in str(
        refusal.value
    )
    assert book.totals("search", AUGUST, "c42") == (Usage("c42", ("/search",), 121),)


def test_adjustments_follow_each_other(book: Book) -> None:
    book.close(closing(), meter_digest="m", at=LATER)
    with pytest.raises(Overtaken, match="has 0 adjustments, so revision 2 does not follow"):
        book.adjust(adjustment(revision=2), at=LATER)
    for revision, quantity in ((1, 3), (2, -5), (3, 1)):
        assert book.adjust(adjustment(0, revision, (Usage("c42", ("/search",), quantity),)), at=LATER)
    assert [entry.adjustment.revision for entry in book.adjustments(AUGUST)] == [1, 2, 3]
    assert book.totals("search", AUGUST, "c42") == (Usage("c42", ("/search",), 117),)


def test_only_what_is_closed_can_be_adjusted(book: Book) -> None:
    book.close(closing(), meter_digest="m", at=LATER)
    for other in (adjustment(1), adjustment(meter="ingest")):
        with pytest.raises(BookError, match="is not closed, so there is nothing to adjust"):
            book.adjust(other, at=LATER)
    too_long = replace(adjustment(), window=replace(window(0), end=NOON + 2 * HOUR))
    with pytest.raises(BookError, match="is not closed"):
        book.adjust(too_long, at=LATER)
    with pytest.raises(BookError, match="is beyond 9223372036854775807"):
        book.adjust(adjustment(rows=(Usage("c42", (), -GREATEST - 1),)), at=LATER)
    assert (book.adjustments(AUGUST), book.adjusted()) == ((), frozenset())


def test_usage_can_be_read_as_it_was(book: Book) -> None:
    book.close(closing(), meter_digest="m", at=LATER)
    book.adjust(adjustment(), at=LATER + HOUR)
    book.adjust(adjustment(0, 2, (Usage("c77", ("/search",), -5),)), at=LATER + 2 * HOUR)
    before, between, now = (quantities(book, as_of=LATER + hours * HOUR) for hours in (0, 1, 2))
    assert before == [("c42", ("/search",), 118), ("c77", ("/search",), 5)]
    assert between == [("c42", ("/search",), 121), ("c77", ("/search",), 5)]
    # What is cancelled to zero is no row, as in a closing.
    assert now == quantities(book) == [("c42", ("/search",), 121)]
    assert book.totals("search", AUGUST, as_of=LATER)[1] == Usage("c77", ("/search",), 5)
    assert book.totals("search", AUGUST) == (Usage("c42", ("/search",), 121),)


def test_an_adjustment_is_recorded_after_every_invoice_that_did_not_know_it(book: Book) -> None:
    """Two clocks, or one that stands still: usage as of an invoice's issue never changes any more."""
    book.close(closing(), meter_digest="m", at=LATER)
    [invoice] = book.issue([draft()], at=LATER)
    book.adjust(adjustment(), at=LATER - HOUR)
    [entry] = book.adjustments(AUGUST)
    assert entry.at == invoice.issued_at + ONE
    assert quantities(book, as_of=invoice.issued_at)[0] == ("c42", ("/search",), 118)


def test_adjustments_are_found_by_where_their_windows_start(book: Book) -> None:
    for meter in ("search", "ingest"):
        for hour in (2, 0, 1):
            book.close(closing(hour, meter=meter), meter_digest="m", at=LATER)
            book.adjust(adjustment(hour, meter=meter), at=LATER)
    found = [(entry.adjustment.meter, entry.adjustment.window) for entry in book.adjustments(AUGUST)]
    assert found == sorted(found)
    assert len(found) == 6
    middle = replace(AUGUST, start=NOON + HOUR, end=NOON + 2 * HOUR)
    assert [entry.adjustment.window for entry in book.adjustments(middle, "search")] == [window(1)]
    book.adjust(adjustment(2, 2, (Usage("c77", (), 1),)), at=LATER)
    assert (book.adjusted(middle), book.adjusted(AUGUST)) == ({"c42"}, {"c42", "c77"})


deltas = st.integers(-9, 9).filter(bool)
names = st.tuples(st.sampled_from(["a", "b", "c"]), st.tuples(st.sampled_from(["x", "y"])))
rows = st.dictionaries(names, deltas, min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    closed=st.lists(st.dictionaries(names, st.integers(1, 9), max_size=4), min_size=1, max_size=3),
    late=st.lists(st.tuples(st.integers(0, 2), rows), max_size=6),
)
def test_a_database_and_plain_dicts_adjust_the_same(closed, late) -> None:
    memory = MemoryBook()
    with open_book("sqlite://") as store:
        for hour, usage in enumerate(closed):
            entry = closing(hour, tuple(Usage(*key, usage[key]) for key in sorted(usage)))
            for book in (memory, store):
                book.close(entry, meter_digest="m", at=LATER)
        revisions = [0] * len(closed)
        for number, (hour, differences) in enumerate(late):
            hour %= len(closed)
            revisions[hour] += 1
            one = adjustment(hour, revisions[hour], tuple(Usage(*key, differences[key]) for key in sorted(differences)))
            for book in (memory, store):
                assert book.adjust(one, at=LATER + number * HOUR)
        assert store.adjustments(AUGUST) == memory.adjustments(AUGUST)
        assert store.adjusted() == memory.adjusted()
        for as_of in (None, *(LATER + number * HOUR for number in range(len(late)))):
            assert list(store.usage(AUGUST, as_of=as_of)) == list(memory.usage(AUGUST, as_of=as_of))
            assert list(store.usage(AUGUST, consumer="a", as_of=as_of)) == list(
                memory.usage(AUGUST, consumer="a", as_of=as_of)
            )
            assert store.totals("search", AUGUST, as_of=as_of) == memory.totals("search", AUGUST, as_of=as_of)
