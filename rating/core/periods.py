"""Half-open spans of time: billing periods by cadence, anchor and zone, and the windows that tile them.

Every instant is an aware datetime in UTC. A period contains its start and not its end, so neighbours share an instant
and nothing is counted twice. Knows no clock: *now* is always an argument.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """start <= t < end, both aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant.tzinfo is None or instant.utcoffset() != timedelta(0):
                raise ValueError(f"period {name} {instant.isoformat()} must be in UTC")
        if self.end < self.start:
            raise ValueError(f"period ends {self.end.isoformat()} before it starts {self.start.isoformat()}")

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def contains(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def overlap(self, other: Period) -> Period | None:
        """The part both share, or None when that part is empty."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Period(start, end) if start < end else None

    def share_of(self, whole: Period) -> Fraction:
        """How much of `whole` this period covers, by elapsed time. A zero-length whole counts in full."""
        if whole.start == whole.end:
            return Fraction(1)
        part = self.overlap(whole)
        return Fraction(part.length // _MICROSECOND, whole.length // _MICROSECOND) if part else Fraction(0)

    def windows(self, length: timedelta) -> Iterator[Period]:
        """Windows of `length` aligned to the epoch that start inside this period, the last cut at its end."""
        for start in instants(align(self.start, length), self.end, length):
            window = self.overlap(Period(start, start + length))
            if window is not None:
                yield window

    def __str__(self) -> str:
        return f"{stamp(self.start)} to {stamp(self.end)}"


class Cadence(StrEnum):
    """How often a subscription is billed."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


PER_MONTH = {
    Cadence.DAY: Fraction(365, 12),
    Cadence.WEEK: Fraction(52, 12),
    Cadence.MONTH: Fraction(1),
    Cadence.QUARTER: Fraction(1, 3),
    Cadence.YEAR: Fraction(1, 12),
}
"""How many billing periods fall into a month, on average."""


def billing_period(cadence: Cadence, anchor: date, zone: ZoneInfo, instant: datetime) -> Period:
    """The billing period that contains `instant`.

    Periods begin at local midnight of `zone` on the anchor's day: the same weekday each week, the same day of month
    each month, quarter or year. In a month too short for that day they begin on its last day, and return to the
    anchor's day in the next month that has it (31 January, 28 February, 31 March).
    """
    index = period_index(cadence, anchor, zone, instant)
    start, end = (_midnight(_boundary(cadence, anchor, i), zone) for i in (index, index + 1))
    return Period(start, end)


def period_index(cadence: Cadence, anchor: date, zone: ZoneInfo, instant: datetime) -> int:
    """Which billing period contains `instant`, counted from the one that begins on the anchor."""
    local = instant.astimezone(zone).date()
    index = _periods_between(cadence, anchor, local)
    # Short months shift a boundary by up to three days, never by a whole period: one step back at most.
    return index if _boundary(cadence, anchor, index) <= local else index - 1


def next_period(cadence: Cadence, anchor: date, zone: ZoneInfo, period: Period) -> Period:
    """The billing period that begins where `period` ends."""
    return billing_period(cadence, anchor, zone, period.end)


_MONTHS = {Cadence.MONTH: 1, Cadence.QUARTER: 3, Cadence.YEAR: 12}
_DAYS = {Cadence.DAY: 1, Cadence.WEEK: 7}


def _periods_between(cadence: Cadence, anchor: date, day: date) -> int:
    if cadence in _DAYS:
        return (day - anchor).days // _DAYS[cadence]
    return ((day.year - anchor.year) * 12 + day.month - anchor.month) // _MONTHS[cadence]


def _boundary(cadence: Cadence, anchor: date, index: int) -> date:
    if cadence in _DAYS:
        return anchor + timedelta(days=_DAYS[cadence] * index)
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + _MONTHS[cadence] * index, 12)
    return date(year, month + 1, min(anchor.day, calendar.monthrange(year, month + 1)[1]))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def align(instant: datetime, length: timedelta) -> datetime:
    """The last multiple of `length` since the epoch at or before `instant`."""
    return instant - (instant - EPOCH) % length


def instants(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    while start < end:
        yield start
        start += step


@lru_cache(4096)
def milliseconds(instant: datetime) -> int:
    """Whole milliseconds since the epoch, Prometheus's own unit of time."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(value: int) -> datetime:
    return EPOCH + timedelta(milliseconds=value)


@lru_cache(65_536)
def seconds(instant: datetime) -> int:
    """Whole seconds since the epoch, the book's unit of time. Raises ValueError for a fraction of a second."""
    whole, rest = divmod(instant - EPOCH, timedelta(seconds=1))
    if rest:
        raise ValueError(f"{instant.isoformat()} is not on a whole second")
    return whole


def from_seconds(value: int) -> datetime:
    return EPOCH + timedelta(seconds=value)


def stamp(instant: datetime) -> str:
    """`2026-10-01 00:00` for whole minutes, with as much of the seconds as there is otherwise; always UTC."""
    seconds = ":%S.%f" if instant.microsecond else ":%S" if instant.second else ""
    return instant.strftime(f"%Y-%m-%d %H:%M{seconds}")
