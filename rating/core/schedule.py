"""Which windows are due: a pure function of the meters, the book and the time, never of a stored "last processed".

Decides what to do next, not how or by whom. After any downtime the same question gives everything that was missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import NamedTuple

from rating.core.meters import Meter
from rating.core.periods import Period, align

SOONEST, LATEST = timedelta(minutes=10), timedelta(days=1)
"""The least and the longest pause before a held window is read again."""


SECOND_LOOK = timedelta(hours=1)
"""How long after it has settled a closed window is read once more: replicas that lag and remote writes that were stuck
have mostly arrived by then."""
LOOKED_AT = 2
"""How many windows of a meter, the most recent ones, are ever read again by themselves: the bound on the load, also
after a backfill of months. `rating correct` reads any others."""


class Due(NamedTuple):
    """One window of one meter that has settled and is absent from the book."""

    meter: Meter
    window: Period


def settled(meter: Meter, window: Period, now: datetime) -> bool:
    """Whether the window has ended and waited for its late samples."""
    return window.end + meter.settling <= now


def windows(meter: Meter, period: Period) -> Iterable[Period]:
    """The meter's whole windows inside `period`. A window cut by either end is left out: half of it would be closed
    under the name of the whole."""
    for window in period.windows(meter.window):
        if window.length == meter.window:
            yield window


def due_windows(
    meters: Iterable[Meter],
    closed: Mapping[str, AbstractSet[datetime]],
    since: datetime,
    now: datetime,
) -> list[Due]:
    """Windows to close now, oldest first.

    Args:
        closed: the starts of the windows in the book, by the meter's name.
        since: nothing before it is due, whatever the book lacks.
    """
    due = []
    for meter in meters:
        done = closed.get(meter.name, frozenset())
        last = align(max(since, now - meter.settling), meter.window)
        for window in windows(meter, Period(since, max(since, last))):
            if window.start not in done and settled(meter, window, now):
                due.append(Due(meter, window))
    return sorted(due, key=lambda entry: (entry.window.start, entry.meter.name))


def retry_at(held_at: datetime, tried_at: datetime) -> datetime:
    """When a window held since `held_at` and last read at `tried_at` is read again.

    The pause is as long as it has been held already, from ten minutes to a day: what heals soon closes soon, and a
    month of windows that wait for a person is no load on the source.
    """
    return tried_at + min(max(tried_at - held_at, SOONEST), LATEST)


def second_looks(
    meter: Meter, closed: Iterable[datetime], looked: AbstractSet[datetime], now: datetime
) -> list[Period]:
    """Closed windows to be read once more, oldest first.

    Args:
        closed: the starts of windows in the book; those of the last `second_look_span` are enough.
        looked: the starts of those that have been read again.
    """
    ripe = sorted(start for start in closed if start + meter.window + meter.settling + SECOND_LOOK <= now)
    return [Period(start, start + meter.window) for start in ripe[-LOOKED_AT:] if start not in looked]


def second_look_span(meter: Meter, now: datetime) -> Period:
    """Where windows start that may be read once more at `now`."""
    ripe = now - meter.settling - SECOND_LOOK
    return Period(ripe - (LOOKED_AT + 1) * meter.window, ripe)
