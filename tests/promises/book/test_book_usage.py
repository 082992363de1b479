"""Usage in the book: a window is closed once, with its evidence, and sums are exact."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.adapters.memory_book import MemoryBook
from rating.adapters.store import open_book
from rating.core.entries import merged
from rating.core.periods import Period
from rating.core.windows import Completeness, Evidence, Usage
from rating.errors import BookError, Contradiction
from rating.ports import Book, UsageRow

from .books import AUGUST, EVIDENCE, HOUR, LATER, NOON, closing, held, window

GREATEST = 2**63 - 1


def test_a_closed_window_comes_back_whole(book: Book) -> None:
    assert book.close(closing(), meter_digest="m1", at=LATER)
    [head] = book.closings("search", AUGUST)
    assert (head.meter, head.window, head.completeness) == ("search", window(0), Completeness.COMPLETE)
    assert (head.consumers, head.meter_digest, head.evidence) == (2, "m1", EVIDENCE)
    assert head.closed_at == LATER.replace(microsecond=123000)
    assert list(book.usage(AUGUST)) == [
        UsageRow("search", window(0), Usage("c42", ("/search",), 118), Completeness.COMPLETE),
        UsageRow("search", window(0), Usage("c77", ("/search",), 5), Completeness.COMPLETE),
    ]


def test_closing_the_same_window_twice_is_nothing(book: Book) -> None:
    assert book.close(closing(), meter_digest="m1", at=LATER)
    another_reading = replace(closing(), evidence=Evidence(identities=99))
    assert not book.close(another_reading, meter_digest="m1", at=LATER + HOUR)
    [head] = book.closings("search", AUGUST)
    assert head.evidence == EVIDENCE
    assert book.totals("search", AUGUST) == (Usage("c42", ("/search",), 118), Usage("c77", ("/search",), 5))


@pytest.mark.parametrize(
    ("again", "sentence"),
    [
        (
            closing(usage=(Usage("c42", ("/search",), 121), Usage("c77", ("/search",), 5))),
            "window search/c42 (/search) 2026-08-01 12:00-13:00 was closed as 118 and now measures 121; "
            'correct it with "rating correct"',
        ),
        (
            closing(usage=(Usage("c42", ("/search",), 118),)),
            "window search/c77 (/search) 2026-08-01 12:00-13:00 was closed as 5 and now measures 0",
        ),
        (
            closing(usage=(Usage("c42", ("/v2",), 118), Usage("c77", ("/search",), 5))),
            "was closed as 118 and now measures 0 (and 1 more rows differ)",
        ),
        (
            closing(completeness=Completeness.DEGRADED),
            "window search 2026-08-01 12:00-13:00 was closed as complete and is now degraded",
        ),
        (
            replace(closing(), window=Period(NOON, NOON + 2 * HOUR)),
            "window search 2026-08-01 12:00-14:00 was closed as 2026-08-01 12:00-13:00",
        ),
    ],
    ids=["other quantity", "row gone", "other dimensions", "other completeness", "other end"],
)
def test_the_same_window_with_other_content_is_a_contradiction(book: Book, again, sentence: str) -> None:
    book.close(closing(), meter_digest="m1", at=LATER)
    with pytest.raises(Contradiction) as refusal:
        book.close(again, meter_digest="m1", at=LATER)
    assert sentence in str(refusal.value)
    assert book.totals("search", AUGUST) == (Usage("c42", ("/search",), 118), Usage("c77", ("/search",), 5))


def test_a_window_without_usage_is_closed_all_the_same(book: Book) -> None:
    assert book.close(closing(usage=()), meter_digest="m", at=LATER)
    assert not book.close(closing(usage=()), meter_digest="m", at=LATER)
    assert [head.consumers for head in book.closings("search", AUGUST)] == [0]
    assert list(book.usage(AUGUST)) == []
    with pytest.raises(Contradiction, match="was closed as 0 and now measures 118"):
        book.close(closing(), meter_digest="m", at=LATER)


def test_windows_are_found_by_where_they_start(book: Book) -> None:
    for hour in (3, 0, 2, 1):
        book.close(closing(hour), meter_digest="m", at=LATER)
    book.close(closing(1, meter="ingest"), meter_digest="m", at=LATER)
    found = book.closings("search", Period(NOON + HOUR, NOON + 3 * HOUR))
    assert [head.window for head in found] == [window(1), window(2)]
    half = Period(NOON + timedelta(microseconds=1), NOON + 2 * HOUR + timedelta(microseconds=1))
    assert [head.window for head in book.closings("search", half)] == [window(1), window(2)]
    assert [row.window for row in book.usage(half, "search", "c42")] == [window(1), window(2)]
    assert book.totals("search", half, "c42") == (Usage("c42", ("/search",), 236),)


def test_a_glance_at_a_meter_agrees_with_its_closings(book: Book) -> None:
    assert book.closed("search", AUGUST) == {}
    assert book.closed_through("search") is None
    for hour, state in ((2, Completeness.DEGRADED), (0, Completeness.COMPLETE), (1, Completeness.COMPLETE)):
        book.close(closing(hour, completeness=state), meter_digest="m", at=LATER)
    book.close(closing(9, meter="ingest"), meter_digest="m", at=LATER)
    assert book.closed("search", AUGUST) == {
        head.window.start: head.completeness for head in book.closings("search", AUGUST)
    }
    assert book.closed("search", Period(NOON + HOUR, NOON + 2 * HOUR)) == {NOON + HOUR: Completeness.COMPLETE}
    assert book.closed_through("search") == NOON + 3 * HOUR


def test_usage_comes_by_meter_start_consumer_and_dimensions(book: Book) -> None:
    # Text sorts by code point, and tuples before their longer neighbours, whatever the database thinks of them.
    rows = (
        Usage("B", ("a", "b"), 1),
        Usage("a", ("a",), 2),
        Usage("a", ("a!",), 3),
        Usage("ä", ("\N{SNOWMAN}", 'quote " and \\'), 4),
        Usage("\N{GRINNING FACE}", ("{a,b}", "NULL"), 5),
    )
    for meter in ("search", "ingest", "Zebra"):
        for hour in (1, 0):
            book.close(closing(hour, rows, meter), meter_digest="m", at=LATER)
    found = [(row.meter, row.window.start, *row.usage) for row in book.usage(AUGUST)]
    assert found == sorted(found)
    assert len(found) == 30
    assert [row.usage for row in book.usage(AUGUST, "ingest", "a")] == [rows[1], rows[2]] * 2
    assert list(book.usage(AUGUST, "ingest", "nobody")) == []
    assert book.totals("ingest", AUGUST) == tuple(row._replace(quantity=2 * row.quantity) for row in rows)


def test_sums_beyond_64_bits_are_exact(book: Book) -> None:
    for hour in range(3):
        book.close(closing(hour, (Usage("c42", (), GREATEST - hour),)), meter_digest="m", at=LATER)
    assert book.totals("search", AUGUST) == (Usage("c42", (), 3 * GREATEST - 3),)


def test_a_quantity_beyond_64_bits_is_refused_whole(book: Book) -> None:
    too_much = closing(usage=(Usage("c1", (), 7), Usage("c42", (), GREATEST + 1)))
    with pytest.raises(BookError) as refusal:
        book.close(too_much, meter_digest="m", at=LATER)
    assert "search/c42 2026-08-01 12:00-13:00: quantity 9223372036854775808 is beyond 9223372036854775807" in str(
        refusal.value
    )
    assert book.closings("search", AUGUST) == ()
    assert book.totals("search", AUGUST) == ()


def test_a_window_between_two_seconds_is_refused(book: Book) -> None:
    odd = replace(closing(), window=Period(NOON, NOON + timedelta(milliseconds=500)))
    with pytest.raises(BookError, match="not on a whole second"):
        book.close(odd, meter_digest="m", at=LATER)


def test_held_windows_are_shown_until_they_are_closed(book: Book) -> None:
    book.hold(held(1), at=LATER)
    book.hold(held(0, "unreachable"), at=LATER + HOUR)
    book.hold(held(0, "unreachable"), at=LATER + 2 * HOUR)
    book.hold(held(0, "partition does not settle"), at=LATER + 3 * HOUR)
    book.hold(held(0, meter="ingest"), at=LATER)
    shown = [(entry.held.meter, entry.held.window, entry.held.reason) for entry in book.held()]
    assert shown == [
        ("ingest", window(0), "Prometheus answered with warnings"),
        ("search", window(0), "partition does not settle"),
        ("search", window(1), "Prometheus answered with warnings"),
    ]
    assert book.held()[1].at == (LATER + 3 * HOUR).replace(microsecond=123000)
    assert book.held()[1].held.evidence == EVIDENCE
    book.close(closing(0), meter_digest="m", at=LATER)
    assert [(entry.held.meter, entry.held.window) for entry in book.held()] == [
        ("ingest", window(0)),
        ("search", window(1)),
    ]


def test_ten_thousand_rows_are_one_entry(book: Book) -> None:
    rows = tuple(Usage(f"c{number:05d}", ("/search",), number + 1) for number in range(10_000))
    assert book.close(closing(0, rows), meter_digest="m", at=LATER)
    assert book.close(closing(1, rows[5_000:]), meter_digest="m", at=LATER)
    assert not book.close(closing(0, rows), meter_digest="m", at=LATER)
    totals = book.totals("search", AUGUST)
    assert len(totals) == 10_000
    assert totals[4_999].quantity == 5_000
    assert totals[5_000].quantity == 2 * 5_001
    assert [row.usage.quantity for row in book.usage(AUGUST, consumer="c09999")] == [10_000, 10_000]


quantities = st.integers(min_value=1, max_value=GREATEST)
labels = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4)
one_window = st.dictionaries(st.tuples(labels, st.tuples(labels, labels)), quantities, max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(windows=st.lists(one_window, max_size=5))
def test_a_database_and_plain_dicts_say_the_same(tmp_path_factory: pytest.TempPathFactory, windows) -> None:
    """Whatever is closed, in whatever names: the store answers as the obvious book does."""
    memory = MemoryBook()
    with open_book("sqlite://") as store:
        for hour, rows in enumerate(windows):
            entry = closing(hour, tuple(Usage(*key, rows[key]) for key in sorted(rows)))
            assert memory.close(entry, meter_digest="m", at=LATER) == store.close(entry, meter_digest="m", at=LATER)
        assert list(store.usage(AUGUST)) == list(memory.usage(AUGUST))
        assert store.totals("search", AUGUST) == memory.totals("search", AUGUST)
        assert store.totals("search", AUGUST) == merged(row.usage for row in memory.usage(AUGUST))
        assert store.closings("search", AUGUST) == memory.closings("search", AUGUST)
