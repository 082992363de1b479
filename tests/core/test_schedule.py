"""When things are due: windows that have settled, and held ones again, ever more rarely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rating.core.schedule import retry_at

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


def test_a_held_window_is_read_again_after_ten_minutes_then_ever_more_rarely_and_at_least_daily() -> None:
    tries, at = [], NOON
    while len(tries) < 11:
        at = retry_at(NOON, at)
        tries.append((at - NOON) // timedelta(minutes=1))
    assert tries == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 4000, 5440]
