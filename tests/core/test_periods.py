"""Periods tile time: no gap, no overlap, whatever the cadence, the anchor or the change of the clocks."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rating.core.periods import Cadence, Period, align, billing_period, next_period

ZONES = [
    ZoneInfo(key)
    for key in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",  # half an hour off
        "Australia/Lord_Howe",  # a clock change of half an hour
        "America/Sao_Paulo",  # changed its clocks at midnight: days that begin at 01:00
        "Asia/Beirut",  # the same, in another season
        "Pacific/Apia",  # had no 30 December 2011
        "Pacific/Kiritimati",
    )
]
zones = st.sampled_from(ZONES)
cadences = st.sampled_from(list(Cadence))
anchors = st.dates(date(1999, 1, 1), date(2030, 12, 31)) | st.sampled_from(
    [date(2000, 1, 29), date(2000, 1, 30), date(2000, 1, 31), date(2024, 2, 29), date(2000, 12, 31)]
)
instants = st.integers(0, 14_000 * 86_400).map(
    lambda seconds: datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@settings(max_examples=100, deadline=None)
@given(cadences, anchors, zones, instants)
@example(Cadence.MONTH, date(2000, 1, 31), ZoneInfo("America/Sao_Paulo"), utc(2018, 11, 4, 3))
@example(Cadence.DAY, date(2000, 1, 1), ZoneInfo("Pacific/Apia"), utc(2011, 12, 30, 10))
def test_the_period_around_an_instant_contains_it(
    cadence: Cadence, anchor: date, zone: ZoneInfo, instant: datetime
) -> None:
    assert billing_period(cadence, anchor, zone, instant).contains(instant)


@settings(max_examples=100, deadline=None)
@given(cadences, anchors, zones, instants)
def test_periods_follow_each_other_without_gap_or_overlap(
    cadence: Cadence, anchor: date, zone: ZoneInfo, instant: datetime
) -> None:
    period = billing_period(cadence, anchor, zone, instant)
    for _ in range(14):
        following = next_period(cadence, anchor, zone, period)
        assert period.start < period.end == following.start
        # Any instant of a period names that same period: the first, the last, the middle.
        for inside in (period.start, period.end - timedelta(microseconds=1), period.start + period.length / 2):
            assert billing_period(cadence, anchor, zone, inside) == period
        period = following


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([Cadence.MONTH, Cadence.QUARTER, Cadence.YEAR]), anchors, zones, instants)
def test_a_period_begins_on_the_anchors_day_or_on_the_last_day_of_a_month_too_short_for_it(
    cadence: Cadence, anchor: date, zone: ZoneInfo, instant: datetime
) -> None:
    start = billing_period(cadence, anchor, zone, instant).start.astimezone(zone).date()
    tomorrow = start + timedelta(days=1)
    assert start.day == anchor.day or (start.day < anchor.day and tomorrow.day == 1)


@settings(max_examples=100, deadline=None)
@given(
    cadences,
    anchors,
    zones,
    instants,
    st.sampled_from([timedelta(hours=2), timedelta(hours=1), timedelta(hours=6), timedelta(days=1)]),
)
def test_windows_tile_a_period(
    cadence: Cadence, anchor: date, zone: ZoneInfo, instant: datetime, length: timedelta
) -> None:
    period = billing_period(cadence, anchor, zone, instant)
    windows = list(period.windows(length))
    assert windows[0].start == period.start
    assert windows[-1].end == period.end
    assert all(before.end == after.start for before, after in pairwise(windows))
    assert all(window.length <= length for window in windows)
    assert all(align(window.start, length) == window.start for window in windows[1:])


@settings(max_examples=100, deadline=None)
@given(cadences, anchors, zones, instants, st.lists(st.fractions(0, 1), max_size=5))
def test_the_shares_of_the_parts_of_a_period_sum_to_one(
    cadence: Cadence, anchor: date, zone: ZoneInfo, instant: datetime, cuts: list[Fraction]
) -> None:
    period = billing_period(cadence, anchor, zone, instant)
    microseconds = period.length // timedelta(microseconds=1)
    marks = [period.start + timedelta(microseconds=int(cut * microseconds)) for cut in sorted(cuts)]
    edges = [period.start, *marks, period.end]
    parts = [Period(start, end) for start, end in pairwise(edges)]
    assert sum(part.share_of(period) for part in parts) == 1


DAY, WEEK, MONTH, QUARTER, YEAR = Cadence

# (cadence, anchor, zone, an instant inside) -> the period's start and end, in UTC
CALENDAR = {
    "a month in UTC": (MONTH, date(2000, 1, 1), "UTC", utc(2026, 10, 31, 23, 59), utc(2026, 10, 1), utc(2026, 11, 1)),
    "into February": (MONTH, date(2000, 1, 31), "UTC", utc(2026, 2, 1), utc(2026, 1, 31), utc(2026, 2, 28)),
    "and back to the 31st": (MONTH, date(2000, 1, 31), "UTC", utc(2026, 3, 1), utc(2026, 2, 28), utc(2026, 3, 31)),
    "the 30th in a leap year": (MONTH, date(2000, 1, 30), "UTC", utc(2028, 2, 29), utc(2028, 2, 29), utc(2028, 3, 30)),
    "a leap day's anniversary": (YEAR, date(2024, 2, 29), "UTC", utc(2027, 1, 1), utc(2026, 2, 28), utc(2027, 2, 28)),
    "Berlin, the clocks going back": (
        MONTH, date(2000, 1, 1), "Europe/Berlin", utc(2026, 10, 25), utc(2026, 9, 30, 22), utc(2026, 10, 31, 23),
    ),
    "a day of 23 hours": (
        DAY, date(2000, 1, 1), "Europe/Berlin", utc(2026, 3, 29, 12), utc(2026, 3, 28, 23), utc(2026, 3, 29, 22),
    ),
    "a day that begins at one o'clock": (
        DAY, date(2000, 1, 1), "America/Sao_Paulo", utc(2018, 11, 4, 12), utc(2018, 11, 4, 3), utc(2018, 11, 5, 2),
    ),
    "a week from Monday": (WEEK, date(2000, 1, 3), "UTC", utc(2026, 11, 1, 12), utc(2026, 10, 26), utc(2026, 11, 2)),
    "from 15 January": (QUARTER, date(2026, 1, 15), "UTC", utc(2026, 11, 2), utc(2026, 10, 15), utc(2027, 1, 15)),
    "before the anchor": (MONTH, date(2030, 1, 31), "UTC", utc(2026, 2, 28), utc(2026, 2, 28), utc(2026, 3, 31)),
}  # fmt: skip


@pytest.mark.parametrize("story", CALENDAR)
def test_periods_of_the_calendar(story: str) -> None:
    cadence, anchor, zone, instant, start, end = CALENDAR[story]
    assert billing_period(cadence, anchor, ZoneInfo(zone), instant) == Period(start, end)


def test_a_period_in_another_zone_or_backwards_is_refused() -> None:
    with pytest.raises(ValueError, match="must be in UTC"):
        Period(datetime(2026, 10, 1, tzinfo=ZoneInfo("Europe/Berlin")), utc(2026, 11, 1))
    with pytest.raises(ValueError, match="before it starts"):
        Period(utc(2026, 11, 1), utc(2026, 10, 1))
