"""Days in the place of windows: every sum over whole days is as before, and nothing else of the windows is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from rating.core.checks import ClosingRecord
from rating.core.entries import usage_digest
from rating.core.periods import Period
from rating.core.rollup import Day, KeptRollUp, RollUp, day_of
from rating.core.windows import Adjustment, Completeness, Usage
from rating.errors import BookError, Contradiction
from rating.ports import Book

from .books import AUGUST, HOUR, LATER, NOON, closing, window

HOURS = range(6)
ROWS = [
    tuple(Usage(name, ("/search",), 10 * hour + place) for place, name in enumerate(("c42", "c77"), 1))
    for hour in HOURS
]
SPAN = Period(NOON, NOON + len(HOURS) * HOUR)


def fill(book: Book) -> None:
    for hour in HOURS:
        book.close(closing(hour, ROWS[hour]), meter_digest="m", at=LATER)
    book.close(closing(6), meter_digest="m", at=LATER)
    book.close(closing(0, meter="other"), meter_digest="m", at=LATER)
    book.adjust(Adjustment("search", window(2), 1, (Usage("c42", ("/search",), -4),), "late", "me"), at=LATER)


def day(hours: range = HOURS) -> Day:
    records = [ClosingRecord("search", window(hour), 2, 2, usage_digest(ROWS[hour]), ROWS[hour]) for hour in hours]
    return day_of(records, ZoneInfo("UTC"))


def rollup(*days: Day) -> RollUp:
    total = sum(row.quantity for one in days for row in one.usage)
    return RollUp("search", tuple(one.head for one in days), total, "search.jsonl.gz", "a" * 64, "ann")


def sums(book: Book, period: Period = AUGUST) -> tuple[object, ...]:
    return (
        book.totals("search", period),
        book.totals("search", period, "c42"),
        book.totals("search", period, as_of=LATER - HOUR),
        dict(book.sums("search", period)),
        dict(book.sums("search", period, "c77")),
        [
            sum(row.usage.quantity for row in book.usage(period, meter, consumer))
            for meter in (None, "search", "other")
            for consumer in (None, "c42", "nobody")
        ],
        book.adjustments(period),
        book.adjusted(period),
        [replace(head, rolled=False) for head in book.closings("search", period)],
        book.closed("search", period),
        book.closed_through("search"),
    )


def test_every_sum_over_whole_days_is_as_before(book: Book) -> None:
    fill(book)
    spans = (AUGUST, SPAN, Period(SPAN.end, SPAN.end + HOUR), Period(NOON - HOUR, NOON))
    before = [sums(book, span) for span in spans]
    assert book.roll_up(rollup(day()), [day()], at=LATER)
    assert [sums(book, span) for span in spans] == before
    assert [head.rolled for head in book.closings("search", AUGUST)] == [True] * 6 + [False]
    rows = list(book.usage(AUGUST, "search", "c42"))
    # 1 + 11 + 21 + 31 + 41 + 51, less the 4 of the adjustment; and the window after them.
    assert [(row.window, row.usage.quantity) for row in rows] == [(SPAN, 156 - 4), (window(6), 118)]


def test_it_says_what_was_rolled_up(book: Book) -> None:
    fill(book)
    assert book.rollups() == ()
    book.roll_up(rollup(day()), [day()], at=LATER)
    (kept,) = book.rollups()
    assert isinstance(kept, KeptRollUp)
    assert kept.rollup == rollup(day())
    assert (kept.rollup.windows, kept.rollup.rows, kept.rollup.span, kept.rollup.total) == (6, 12, SPAN, 156 + 162)
    assert book.rollups("other") == book.rollups("search", Period(SPAN.end, SPAN.end + HOUR)) == ()
    assert book.rollups("search", Period(NOON, NOON + HOUR)) == (kept,)


def test_again_is_nothing_and_other_windows_are_a_contradiction(book: Book) -> None:
    fill(book)
    assert book.roll_up(rollup(day()), [day()], at=LATER)
    assert not book.roll_up(replace(rollup(day()), author="bob"), [day()], at=LATER + HOUR)
    with pytest.raises(Contradiction, match=r"are rolled up already, .* into search.jsonl.gz with digest aaaa"):
        book.roll_up(replace(rollup(day()), archive_digest="b" * 64), [day()], at=LATER)
    part = day(range(3, 6))
    with pytest.raises(Contradiction, match="are rolled up already"):
        book.roll_up(rollup(part), [part], at=LATER)
    assert len(book.rollups()) == 1


def test_two_days_are_one_entry_and_the_next_one_follows_it(book: Book) -> None:
    fill(book)
    before = sums(book)
    two = [day(range(2)), day(range(2, 4))]
    assert book.roll_up(rollup(*two), two, at=LATER)
    rest = day(range(4, 6))
    assert book.roll_up(rollup(rest), [rest], at=LATER + HOUR)
    assert sums(book) == before
    first, second = book.rollups()
    assert second.previous_hash != first.previous_hash == "series rollups"


@pytest.mark.parametrize(
    ("period", "asked"),
    [
        (Period(NOON, NOON + HOUR), "half of it"),
        (Period(NOON + HOUR, SPAN.end), "without its first window"),
        (Period(NOON - HOUR, NOON + timedelta(minutes=30)), "from before it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cuts_a_day_is_refused(book: Book, period: Period, asked: str) -> None:
    fill(book)
    book.roll_up(rollup(day()), [day()], at=LATER)
    for ask in (
        lambda: book.totals("search", period),
        lambda: book.sums("search", period),
        lambda: list(book.usage(period, "search")),
        lambda: list(book.usage(period)),
    ):
        with pytest.raises(BookError, match=r"are rolled up to one sum; ask for whole days, or give --archive"):
            ask()
    assert book.totals("other", period) == book.totals("other", AUGUST) or period.start > NOON


def test_a_rolled_up_window_is_not_adjusted_any_more(book: Book) -> None:
    fill(book)
    book.roll_up(rollup(day()), [day()], at=LATER)
    late = Adjustment("search", window(2), 2, (Usage("c42", ("/search",), 9),), "late", "me")
    with pytest.raises(BookError, match=r"is rolled up to its day \(its own rows are in search.jsonl.gz\)"):
        book.adjust(late, at=LATER)
    # What was kept before is still the same entry, and the windows after the day are adjusted as ever.
    kept = Adjustment("search", window(2), 1, (Usage("c42", ("/search",), -4),), "late", "me")
    assert not book.adjust(kept, at=LATER)
    assert book.adjust(replace(kept, window=window(6)), at=LATER)


def test_closing_a_rolled_up_window_again(book: Book) -> None:
    fill(book)
    book.roll_up(rollup(day()), [day()], at=LATER)
    assert not book.close(closing(2, ROWS[2]), meter_digest="m", at=LATER)
    with pytest.raises(Contradiction, match=r"was closed with other usage; its rows are rolled up .* search.jsonl.gz"):
        book.close(closing(2, ROWS[3]), meter_digest="m", at=LATER)
    with pytest.raises(Contradiction, match="was closed as complete and is now degraded"):
        book.close(closing(2, ROWS[2], completeness=Completeness.DEGRADED), meter_digest="m", at=LATER)


def changed(one: Day, **head: object) -> Day:
    return replace(one, head=replace(one.head, **head))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (changed(day(), windows=5), "the book has 6 windows with 12 rows"),
        (changed(day(), digest="0" * 64), "nothing was removed"),
        (changed(day(), rows=11), "11 and|with 11"),
        (changed(day(range(1, 6)), first=NOON), "the book has 6 windows"),
        (replace(day(), usage=day().usage[:1]), "another digest than it says"),
        (
            replace(
                changed(day(), usage_digest=usage_digest([Usage("c42", ("/search",), 155), day().usage[1]])),
                usage=(Usage("c42", ("/search",), 155), day().usage[1]),
            ),
            "do not sum to it",
        ),
        (
            replace(
                changed(day(), usage_digest=usage_digest([Usage("c41", ("/search",), 156), day().usage[1]])),
                usage=(Usage("c41", ("/search",), 156), day().usage[1]),
            ),
            "do not sum to it",
        ),
    ],
    ids=["a window too few", "other windows", "a row too few", "one left out", "a row less", "one less", "another's"],
)
def test_days_that_are_not_the_windows_are_refused(book: Book, made: Day, sentence: str) -> None:
    fill(book)
    before = sums(book)
    with pytest.raises(BookError, match=sentence):
        book.roll_up(rollup(made), [made], at=LATER)
    assert sums(book) == before
    assert book.rollups() == ()
    assert [row.window for row in book.usage(SPAN, "search", "c42")] == [window(hour) for hour in HOURS]


def test_a_day_beyond_64_bits_is_refused(book: Book) -> None:
    many = [(Usage("c42", ("/search",), 2**62),) for _ in range(2)]
    for hour, rows in enumerate(many):
        book.close(closing(hour, rows), meter_digest="m", at=LATER)
    records = [ClosingRecord("search", window(hour), 1, 1, usage_digest(rows), rows) for hour, rows in enumerate(many)]
    made = day_of(records, ZoneInfo("UTC"))
    with pytest.raises(BookError, match=f"quantity {2**63} is beyond"):
        book.roll_up(rollup(made), [made], at=LATER)
    assert book.sums("search", AUGUST) == {"c42": 2**63}


def test_what_cancels_within_a_day_is_no_row(book: Book) -> None:
    for hour, quantity in enumerate((5, -5)):
        book.close(closing(hour, (Usage("c42", ("/search",), quantity),)), meter_digest="m", at=LATER)
    records = [
        ClosingRecord("search", window(hour), 1, 1, usage_digest(rows), rows)
        for hour, rows in enumerate(((Usage("c42", ("/search",), 5),), (Usage("c42", ("/search",), -5),)))
    ]
    made = day_of(records, ZoneInfo("UTC"))
    assert book.roll_up(rollup(made), [made], at=LATER)
    assert (book.totals("search", AUGUST), list(book.usage(AUGUST))) == ((), [])
