"""Bands: prices that depend on the hour, the weekday or the date, in the rate card's zone.

Decides which band an instant belongs to and cuts windows where the band changes; on days with a clock change the wall
clock decides, so a band from 02:00 to 06:00 lasts three hours on one night of the year and five on another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import ClassVar
from zoneinfo import ZoneInfo

import numpy as np

from rating.core.column import Column
from rating.core.periods import Period
from rating.core.prices.price import Portion, Price
from rating.errors import PricingError

_MIDNIGHT = time(0)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Band:
    """Wall-clock hours of some weekdays and dates. `end` is no longer part; 00:00 as an end means midnight."""

    name: str
    start: time = _MIDNIGHT
    end: time = _MIDNIGHT
    """Earlier than `start` for a band across midnight, which then belongs to the day it begins on."""
    weekdays: frozenset[int] = frozenset(range(7))
    """Monday is 0."""
    first_day: date | None = None
    last_day: date | None = None
    """Included."""

    def holds(self, wall: datetime) -> bool:
        clock, day = wall.time().replace(tzinfo=None, fold=0), wall.date()
        if self.start < self.end or self.end == _MIDNIGHT:
            return clock >= self.start and (self.end == _MIDNIGHT or clock < self.end) and self._on(day)
        if clock >= self.start:
            return self._on(day)
        return clock < self.end and self._on(day - timedelta(days=1))

    def _on(self, day: date) -> bool:
        if self.first_day is not None and day < self.first_day:
            return False
        if self.last_day is not None and day > self.last_day:
            return False
        return day.weekday() in self.weekdays


@dataclass(frozen=True, slots=True)
class Bands:
    """The first band that holds names the instant; `otherwise` is everything else."""

    OTHERWISE: ClassVar[str] = "otherwise"

    bands: tuple[Band, ...]
    zone: ZoneInfo
    otherwise: str = OTHERWISE

    def at(self, instant: datetime) -> str:
        wall = instant.astimezone(self.zone)
        return next((band.name for band in self.bands if band.holds(wall)), self.otherwise)

    def of(self, starts: Sequence[datetime]) -> list[str]:
        """The band of each window start. Windows of one meter share their starts, so each is looked up once."""
        known = {start: self.at(start) for start in set(starts)}
        return [known[start] for start in starts]

    def split(self, window: Period) -> tuple[tuple[Period, str], ...]:
        """The window cut wherever the band changes."""
        cuts = [window.start, *self._changes(window), window.end]
        parts: list[tuple[Period, str]] = []
        for start, end in pairwise(cuts):
            band = self.at(start)
            if parts and parts[-1][1] == band:
                parts[-1] = (Period(parts[-1][0].start, end), band)
            elif start < end:
                parts.append((Period(start, end), band))
        return tuple(parts)

    def _changes(self, window: Period) -> list[datetime]:
        """Every instant inside at which the wall clock reads a band's bound, midnight, or jumps."""
        clocks = {_MIDNIGHT} | {clock for band in self.bands for clock in (band.start, band.end)}
        day = window.start.astimezone(self.zone).date() - timedelta(days=1)
        last = window.end.astimezone(self.zone).date()
        found = set(self._jumps(window))
        while day <= last:
            for clock in clocks:
                for fold in (0, 1):
                    found.add(datetime.combine(day, clock, self.zone).replace(fold=fold).astimezone(UTC))
            day += timedelta(days=1)
        return sorted(instant for instant in found if window.start < instant < window.end)

    def _jumps(self, window: Period) -> list[datetime]:
        """Clock changes, found to the second between hours whose offsets differ."""
        jumps = []
        low = window.start
        while low < window.end:
            high = min(low + timedelta(hours=1), window.end)
            before, after = self._offset(low), self._offset(high)
            if before != after:
                first, second = low, high
                while second - first > _SECOND:
                    middle = first + (second - first) // (2 * _SECOND) * _SECOND
                    first, second = (middle, second) if self._offset(middle) == before else (first, middle)
                jumps.append(second)
            low = high
        return jumps

    def _offset(self, instant: datetime) -> timedelta | None:
        return instant.astimezone(self.zone).utcoffset()


@dataclass(frozen=True, slots=True)
class Banded:
    """A price per band. Each band's usage of the period is rated on its own."""

    bands: Bands
    prices: Mapping[str, Price]

    def __post_init__(self) -> None:
        names = {band.name for band in self.bands.bands} | {self.bands.otherwise}
        missing = sorted(names - set(self.prices))
        if missing:
            raise ValueError(f"band {', '.join(missing)} has no price; each band needs one")

    def amounts_of(self, names: Sequence[str], quantities: Column) -> Column:
        """One amount per row; `names[i]` is the band row i was used in."""
        amounts = Column.full(len(quantities), 0)
        for name in set(names):
            inside = np.array([each == name for each in names], np.bool_)
            amounts = self.prices[name].amounts(quantities.rows(inside)).spread(inside).where(inside, amounts)
        return amounts

    def amounts(self, quantities: Column) -> Column:
        """Refuses: a quantity does not say when it was used."""
        raise PricingError(_WHEN)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        raise PricingError(_WHEN)


_WHEN = "this price depends on the time of use and the quantity does not say it; rate each band's usage with amounts_of"
