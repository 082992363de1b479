"""Closing windows: once each, oldest first, and with a reason for every one that is not closed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.memory_source import MemorySource
from rating.core.counters import Counts, Readings
from rating.core.meters import Meter
from rating.core.periods import Period, milliseconds
from rating.core.windows import Usage
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable, SamplesMissing, WindowStillOpen
from rating.jobs.collect import collect, due, lag
from rating.jobs.reading import MOST_AHEAD, READ_AHEAD, READINGS_AHEAD
from rating.jobs.verify import verify
from rating.ports import CounterSource

DAY = datetime(2026, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = DAY + 4 * HOUR + timedelta(minutes=10)
METER = Meter(
    "calls", "api_requests_total", "consumer_id", ("endpoint",), scrape_interval=timedelta(minutes=1), window=HOUR
)
OTHER = Meter("tokens", "tokens_total", "consumer_id", scrape_interval=timedelta(minutes=1), window=HOUR)


def source(extra: int = 0) -> MemorySource:
    """One request a minute for a day; `extra` more at 02:30."""
    start = milliseconds(DAY)
    minutes = range(-10, 24 * 60)
    target = {"job": "api", "instance": "one"}
    labels = {"__name__": METER.metric, "consumer_id": "c42", "endpoint": "/search", **target}
    return MemorySource(
        [
            (labels, [(start + m * 60_000, 100 + m + (extra if m >= 150 else 0)) for m in minutes]),
            ({"__name__": "up", **target}, [(start + m * 60_000, 1) for m in minutes]),
        ]
    )


class Broken:
    """A source that raises for one meter, or for one of its windows."""

    def __init__(self, error: Exception, meter: str = "calls", start: datetime | None = None) -> None:
        self._error, self._meter, self._start = error, meter, start
        self._well = source()

    def read(self, meter: Meter, window: Period) -> Readings:
        if meter.name == self._meter and self._start in (None, window.start):
            raise self._error
        return self._well.read(meter, window)


def test_what_is_due_is_closed_once_oldest_first() -> None:
    book = MemoryBook()
    told: list[datetime] = []
    collected = collect(
        book, source(), (METER,), since=DAY, now=NOW, closed=lambda closing: told.append(closing.window.start)
    )
    assert [head.window.start for head in collected.closed] == [DAY + index * HOUR for index in range(4)] == told
    assert book.totals("calls", Period(DAY, DAY + 4 * HOUR)) == (Usage("c42", ("/search",), 240),)
    assert collect(book, source(), (METER,), since=DAY, now=NOW).closed == ()


def test_a_dry_run_keeps_nothing() -> None:
    book = MemoryBook()
    assert len(collect(book, source(), (METER,), since=DAY, now=NOW, dry_run=True).closed) == 4
    assert book.closings("calls", Period(DAY, NOW)) == ()


class Told:
    """Knows what it was told to foresee, and which windows were read by then."""

    def __init__(self, read: CounterSource) -> None:
        self._read = read
        self.told: list[tuple[int, int]] = []
        self.windows: list[datetime] = []

    def foresee(self, windows: Mapping[Meter, Sequence[Period]]) -> None:
        self.told.append((len(self.windows), sum(map(len, windows.values()))))

    def read(self, meter: Meter, window: Period) -> Readings:
        self.windows.append(window.start)
        return self._read.read(meter, window)


def test_looking_ahead_closes_the_same_windows_in_the_same_order() -> None:
    plain, looking, told = MemoryBook(), MemoryBook(), Told(source())
    one = collect(plain, source(), (METER, OTHER), since=DAY, now=NOW)
    other = collect(looking, told, (METER, OTHER), since=DAY, now=NOW, look_ahead=True)
    assert one == other
    assert list(plain.usage(Period(DAY, NOW))) == list(looking.usage(Period(DAY, NOW)))
    assert told.told == [(0, 8), (8, 0)]


def test_looking_ahead_a_meter_that_stops_is_not_read_again_and_stops_no_other() -> None:
    book, told = MemoryBook(), Told(Broken(EdgeUnavailable("down"), start=DAY + HOUR))
    collected = collect(book, told, (METER, OTHER), since=DAY, now=NOW, look_ahead=True)
    assert [head.window.start for head in book.closings("calls", Period(DAY, NOW))] == [DAY]
    assert len(book.closings("tokens", Period(DAY, NOW))) == 4
    assert [(stop.due.window.start, stop.reason) for stop in collected.stopped] == [(DAY + HOUR, "down")]
    assert collected.waiting == 3
    assert len(told.windows) == 6


class Weighed(MemorySource):
    """Says how many counters it read, and how far it came while the first window is entered."""

    def __init__(self, counts: Counts) -> None:
        super().__init__(source()._series)
        self._counts = counts
        self.read_so_far = 0

    def read(self, meter: Meter, window: Period) -> Readings:
        self.read_so_far += 1
        return replace(super().read(meter, window), counts=self._counts)


@pytest.mark.parametrize(
    ("counts", "most"),
    [
        (Counts(10, 10, 0), MOST_AHEAD),
        (Counts(READINGS_AHEAD, READINGS_AHEAD, 0), READ_AHEAD),
        (Counts(50_000, 50_000, 0), 4),
        (Counts(500, 0, 500), 4),
    ],
    ids=["small", "large", "four fit", "of those with samples few fit"],
)
def test_what_is_read_ahead_is_bounded_by_what_it_weighs(counts: Counts, most: int) -> None:
    read = Weighed(counts)
    held: list[int] = []

    def closed(closing: object) -> None:
        # The reader goes on until it may not: it is waited for, and then given the time to do too much.
        deadline = time.monotonic() + 20
        wanted = min(len(held) + 1 + most, 24)
        while read.read_so_far < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)
        held.append(read.read_so_far - len(held) - 1)

    collect(
        MemoryBook(),
        read,
        (METER,),
        since=DAY,
        now=DAY + timedelta(hours=24, minutes=10),
        closed=closed,
        look_ahead=True,
    )
    assert len(held) == 24
    assert max(held) == most


def test_looking_ahead_it_ends_when_asked_and_what_was_only_read_is_still_due() -> None:
    book, told = MemoryBook(), Told(source())
    collected = collect(
        book,
        told,
        (METER,),
        since=DAY,
        now=NOW,
        look_ahead=True,
        stopping=lambda: bool(book.closings("calls", Period(DAY, NOW))),
    )
    assert ([head.window.start for head in collected.closed], collected.waiting) == ([DAY], 3)
    assert told.told[-1] == (len(told.windows), 0)
    assert next(entry.window.start for entry in due(book, (METER,), since=DAY, now=NOW)) == DAY + HOUR


def test_looking_ahead_a_crash_of_the_source_keeps_what_was_closed_before_it() -> None:
    book = MemoryBook()
    with pytest.raises(ZeroDivisionError):
        collect(book, Broken(ZeroDivisionError(), start=DAY + 2 * HOUR), (METER,), since=DAY, now=NOW, look_ahead=True)
    assert [head.window.start for head in book.closings("calls", Period(DAY, NOW))] == [DAY, DAY + HOUR]


def test_a_span_may_be_asked_for() -> None:
    collected = collect(MemoryBook(), source(), (METER,), since=DAY + HOUR, until=DAY + 3 * HOUR, now=NOW)
    assert [head.window.start for head in collected.closed] == [DAY + HOUR, DAY + 2 * HOUR]


def test_an_unavailable_source_stops_its_meter_and_no_other() -> None:
    book = MemoryBook()
    broken = Broken(EdgeUnavailable("down"), start=DAY + 2 * HOUR)
    collected = collect(book, broken, (METER, OTHER), since=DAY, now=NOW)
    assert [head.window.start for head in book.closings("calls", Period(DAY, NOW))] == [DAY, DAY + HOUR]
    assert len(book.closings("tokens", Period(DAY, NOW))) == 4
    (stopped,) = collected.stopped
    assert (stopped.due.window.start, stopped.reason, stopped.refused) == (DAY + 2 * HOUR, "down", False)
    assert collected.waiting == 2
    assert [entry.window.start for entry in due(book, (METER,), since=DAY, now=NOW)] == [DAY + 2 * HOUR, DAY + 3 * HOUR]
    assert lag(book, METER, since=DAY, now=NOW) == HOUR + timedelta(minutes=5)


def test_a_refusal_stops_it_too_and_says_that_waiting_does_not_help() -> None:
    (stopped,) = collect(MemoryBook(), Broken(EdgeRefused("no")), (METER,), since=DAY, now=NOW).stopped
    assert stopped.refused


def test_a_window_whose_samples_are_gone_is_held_and_the_later_ones_go_on() -> None:
    book = MemoryBook()
    collected = collect(book, Broken(SamplesMissing("gone"), start=DAY), (METER,), since=DAY, now=NOW)
    assert [(held.window.start, held.reason) for held in collected.held] == [(DAY, "gone")]
    assert [entry.held.window.start for entry in book.held()] == [DAY]
    assert len(collected.closed) == 3
    again = collect(book, source(), (METER,), since=DAY, now=NOW, resting={("calls", DAY)})
    assert again.closed == ()
    healed = collect(book, source(), (METER,), since=DAY, now=NOW)
    assert [head.window.start for head in healed.closed] == [DAY]
    assert book.held() == ()


def test_a_held_window_may_be_released() -> None:
    strict = Meter("calls", "absent_total", "consumer_id", window=HOUR, coverage=Fraction(1))
    book = MemoryBook()
    assert len(collect(book, MemorySource([]), (strict,), since=DAY, now=NOW).held) == 4
    released = collect(book, MemorySource([]), (strict,), since=DAY, until=DAY + HOUR, now=NOW, released=True)
    assert [head.completeness.value for head in released.closed] == ["degraded"]
    assert len(book.held()) == 3


def test_an_impossible_value_holds_its_window_and_no_other() -> None:
    book = MemoryBook()
    collected = collect(book, Broken(EdgeDisagrees("NaN"), start=DAY + HOUR), (METER, OTHER), since=DAY, now=NOW)
    assert [(held.window.start, held.reason) for held in collected.held] == [(DAY + HOUR, "NaN")]
    assert (len(collected.closed), collected.stopped) == (7, ())


def test_a_source_whose_clock_is_behind_ours_is_waited_for() -> None:
    """Nothing is held and nothing closed: the window is not over where its samples are made."""
    book = MemoryBook()
    behind = Broken(WindowStillOpen("its clock says 01:30"), start=DAY + HOUR)
    collected = collect(book, behind, (METER, OTHER), since=DAY, now=NOW)
    assert [stop.reason for stop in collected.stopped] == [
        "its clock says 01:30, and this machine's says 2026-10-01 04:10:00; set both clocks by NTP"
    ]
    assert (collected.held, book.held(), collected.waiting) == ((), (), 3)
    assert len(book.closings("calls", Period(DAY, NOW))) == 1
    assert len(collect(book, source(), (METER, OTHER), since=DAY, now=NOW).closed) == 3


def test_a_meter_that_was_redefined_is_said_once() -> None:
    book = MemoryBook()
    collect(book, source(), (METER,), since=DAY, until=DAY + 2 * HOUR, now=NOW)
    patient = replace(METER, settling=timedelta(minutes=1))
    coarse = replace(METER, dimensions=())
    collected = collect(book, source(), (patient,), since=DAY, until=DAY + 3 * HOUR, now=NOW)
    assert collected.redefined == (), "when it is closed is no part of what is measured"
    collected = collect(book, source(), (coarse,), since=DAY, now=NOW)
    assert [(item.meter, item.through) for item in collected.redefined] == [("calls", DAY + 3 * HOUR)]
    assert collect(book, source(), (coarse,), since=DAY, now=NOW).redefined == ()


def test_asked_to_stop_it_leaves_between_two_windows() -> None:
    book, asked = MemoryBook(), iter([False, False, True])
    collected = collect(book, source(), (METER,), since=DAY, now=NOW, stopping=lambda: next(asked))
    assert (len(collected.closed), collected.waiting) == (2, 2)


class TestVerify:
    def test_the_same_samples_measure_the_same(self) -> None:
        book = MemoryBook()
        collect(book, source(), (METER,), since=DAY, now=NOW)
        verified = verify(book, source(), (METER,), Period(DAY, NOW))
        assert (verified.equal, verified.differences, verified.unreadable) == (4, (), ())

    def test_a_difference_names_the_row_and_both_numbers(self) -> None:
        book = MemoryBook()
        collect(book, source(), (METER,), since=DAY, now=NOW)
        verified = verify(book, source(extra=3), (METER,), Period(DAY, NOW))
        (difference,) = verified.differences
        assert (difference.window.start, difference.consumer) == (DAY + 2 * HOUR, "c42")
        assert (difference.booked, difference.measured, verified.equal) == (60, 63, 3)

    def test_what_cannot_be_measured_again_is_said(self) -> None:
        book = MemoryBook()
        collect(book, source(), (METER,), since=DAY, now=NOW)
        verified = verify(book, Broken(SamplesMissing("gone"), start=DAY), (METER,), Period(DAY, NOW))
        assert [(window.start, why) for _, window, why in verified.unreadable] == [(DAY, "gone")]
        assert verified.equal == 3
