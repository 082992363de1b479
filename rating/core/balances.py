"""Balances: prepaid credit, and which of it pays first.

Decides the order of burn-down and how much each credit pays. Credits pay after every discount, cap and minimum, and
before tax: what they paid is no longer taxed, it was when they were sold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Credit:
    amount: Fraction
    """What is left of it, in major units."""
    key: str = ""
    priority: int = 0
    """Lower pays first."""
    expires: datetime | None = None
    """The first instant at which it is worth nothing."""
    granted: datetime | None = None

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise ValueError(f"credit {self.key!r} of {self.amount} is a debt; a credit is zero or more")


@dataclass(frozen=True, slots=True)
class Burned:
    """Per credit, in the order the credits were given."""

    drawn: tuple[Fraction, ...]
    left: tuple[Fraction, ...]

    @property
    def total(self) -> Fraction:
        return sum(self.drawn, Fraction(0))


def burn_down(owed: Fraction, credits: Sequence[Credit], at: datetime | None = None) -> Burned:
    """Pay `owed` from the credits: by priority, then the earliest to expire, then the earliest granted, then as listed.

    Nothing is drawn for a negative amount. Credits expired `at` that instant pay nothing and stay as they are.
    """
    drawn = [Fraction(0)] * len(credits)
    rest = max(owed, Fraction(0))
    for index in sorted(range(len(credits)), key=lambda i: paying_order(credits[i])):
        credit = credits[index]
        if at is not None and credit.expires is not None and credit.expires <= at:
            continue
        drawn[index] = min(credit.amount, rest)
        rest -= drawn[index]
    left = tuple(credit.amount - taken for credit, taken in zip(credits, drawn, strict=True))
    return Burned(tuple(drawn), left)


def paying_order(credit: Credit) -> tuple[int, datetime, datetime]:
    """What sorts first pays first."""
    return credit.priority, credit.expires or _NEVER, credit.granted or _NEVER


def credit_within(asked: Fraction, paid: Fraction, credited: Fraction) -> Fraction:
    """A credit for something already paid: never more than was paid less what was credited before, never negative."""
    return max(Fraction(0), min(asked, paid - credited))
