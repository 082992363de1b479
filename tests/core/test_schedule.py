"""When things are due: windows that have settled, and held ones again, ever more rarely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.schedule import retry_at, second_look_span, second_looks

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


def test_a_held_window_is_read_again_after_ten_minutes_then_ever_more_rarely_and_at_least_daily() -> None:
    tries, at = [], NOON
    while len(tries) < 11:
        at = retry_at(NOON, at)
        tries.append((at - NOON) // timedelta(minutes=1))
    assert tries == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 4000, 5440]


HOUR = timedelta(hours=1)
METER = Meter(name="calls", metric="calls_total", consumer="c", settling=timedelta(minutes=5))


def test_a_window_is_looked_at_once_more_an_hour_after_it_settled() -> None:
    closed = {NOON - hours * HOUR for hours in range(1, 500)}
    looked = {NOON - 3 * HOUR, NOON - 4 * HOUR}
    almost, then = NOON + timedelta(minutes=64), NOON + timedelta(minutes=65)
    assert second_looks(METER, closed, looked | {NOON - 2 * HOUR}, almost) == []
    assert second_looks(METER, closed, looked | {NOON - 2 * HOUR}, then) == [Period(NOON - HOUR, NOON)]
    assert second_looks(METER, closed, looked | {NOON - 2 * HOUR, NOON - HOUR}, then) == []


def test_after_a_backfill_only_the_last_two_are_looked_at() -> None:
    closed = {NOON - hours * HOUR for hours in range(1, 500)}
    now = NOON + 2 * HOUR
    found = second_looks(METER, closed, set(), now)
    assert found == [Period(NOON - 2 * HOUR, NOON - HOUR), Period(NOON - HOUR, NOON)]
    span = second_look_span(METER, now)
    assert second_looks(METER, {start for start in closed if span.contains(start)}, set(), now) == found
