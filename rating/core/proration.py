"""Proration: which share of a period's price is due for a part of it.

Decides the fraction, exactly. Seconds and half-open spans are our default; the others are how other systems count days,
kept so that their invoices can be recomputed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from rating.core.adjustments import Discount, discounted
from rating.core.column import Column
from rating.core.money import round_to

_MICROSECOND = timedelta(microseconds=1)


class Basis(StrEnum):
    SECOND_HALF_OPEN = "second_half_open"
    """Elapsed time; the end is no longer part. Never more than the whole."""
    DAY_HALF_OPEN = "day_half_open"
    """Calendar days; the end day is no longer part. May exceed one for a part longer than its period."""
    DAY_INCLUSIVE = "day_inclusive"
    """Calendar days; the end day is part of both spans."""
    FIXED_DAYS = "fixed_days"
    """Every month counts the same number of days (30/360), and so does the period."""


Instant = date | datetime


@dataclass(frozen=True, slots=True)
class Proration:
    """A part, its period, and how the two are measured."""

    period_start: Instant
    period_end: Instant
    active_from: Instant
    active_to: Instant
    basis: Basis = Basis.SECOND_HALF_OPEN
    fixed_days_in_month: int = 30
    zero_length_is_full: bool = False
    """A part without length is billed in full (a one-off inside the period) instead of not at all."""

    @property
    def fraction(self) -> Fraction:
        if self.zero_length_is_full and self.active_from == self.active_to:
            return Fraction(1)
        part, whole = self._lengths()
        if whole <= 0:
            # A period without length has no parts: what falls into it is due in full.
            return Fraction(1)
        share = max(Fraction(part, whole), Fraction(0))
        return min(share, Fraction(1)) if self.basis is Basis.SECOND_HALF_OPEN else share

    def _lengths(self) -> tuple[int, int]:
        match self.basis:
            case Basis.SECOND_HALF_OPEN:
                return (
                    (_instant(self.active_to) - _instant(self.active_from)) // _MICROSECOND,
                    (_instant(self.period_end) - _instant(self.period_start)) // _MICROSECOND,
                )
            case Basis.FIXED_DAYS:
                return self._fixed_days(), self.fixed_days_in_month
            case Basis.DAY_HALF_OPEN | Basis.DAY_INCLUSIVE:
                both_ends = self.basis is Basis.DAY_INCLUSIVE
                return (
                    (_day(self.active_to) - _day(self.active_from)).days + both_ends,
                    (_day(self.period_end) - _day(self.period_start)).days + both_ends,
                )

    def _fixed_days(self) -> int:
        """From the first day to the month's fixed end, whole months, and the days of the last month."""
        start, end = _day(self.active_from), _day(self.active_to)
        months = (end.year - start.year) * 12 + end.month - start.month
        length = self.fixed_days_in_month
        return months * length + min(end.day, length) - min(start.day, length)


def rounded_fraction(fraction: Fraction, decimals: int | None) -> Fraction:
    """Some systems round the fraction before it multiplies the price; ours stays exact (None)."""
    return fraction if decimals is None else round_to(fraction, decimals)


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One line of a plan change: what the old plan gives back, or what the new one costs."""

    amount: Fraction
    """For a whole period, before discounts."""
    credit: bool
    discounts: tuple[Discount, ...] = ()
    prorated: bool = True
    """A new cycle that begins with the change is charged in full."""
    cap: Fraction | None = None
    """The most that is given back, usually what was paid."""

    def due(self, share: Fraction) -> Fraction:
        """Negative for a credit. Discounts before proration: a fixed one is prorated together with its price."""
        amount = discounted(Column.of([self.amount]), self.discounts).total()
        if self.prorated:
            amount *= share
        if not self.credit:
            return amount
        return -(amount if self.cap is None else min(amount, self.cap))


def _day(instant: Instant) -> date:
    return instant.date() if isinstance(instant, datetime) else instant


def _instant(instant: Instant) -> datetime:
    if isinstance(instant, datetime):
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return datetime(instant.year, instant.month, instant.day, tzinfo=UTC)
