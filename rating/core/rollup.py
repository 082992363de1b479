"""Roll-up: closed windows of one meter as days: each series' total, and a digest that leads back to every window.

Decides what a day keeps of its windows: how many there were, and the SHA-256 over their own digests in order of time.
The windows' heads prove the day; the day proves the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from zoneinfo import ZoneInfo

from rating.core.canonical import digest
from rating.core.checks import ClosingRecord
from rating.core.entries import merged
from rating.core.periods import seconds
from rating.core.windows import Usage


@dataclass(frozen=True, slots=True)
class Day:
    """One meter's windows that start on one day of the calendar."""

    meter: str
    day: date
    windows: int
    digest: str
    """SHA-256 over one line `start-seconds|usage digest` per window, in order of time."""
    usage: tuple[Usage, ...]
    """As closed, summed by consumer and dimensions. Adjustments are entries of their own and stay in the book."""


def rolled(closings: Iterable[ClosingRecord], zone: ZoneInfo) -> Iterator[Day]:
    """Days of closings that come by meter and start."""
    for (meter, day), some in groupby(closings, lambda one: (one.meter, one.window.start.astimezone(zone).date())):
        windows = list(some)
        lines = "".join(f"{seconds(one.window.start)}|{one.usage_digest}\n" for one in windows)
        usage = merged(row for one in windows for row in one.usage)
        yield Day(meter, day, len(windows), digest(lines), tuple(row for row in usage if row.quantity))
