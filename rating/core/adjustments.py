"""Adjustments: what is agreed about a rated amount, in the one order that is documented here.

    price -> commitment -> discounts, as listed -> maximum -> minimum -> currency

Discounts before the cap: a customer's cap is what they pay, not what was listed. The minimum after the cap, so that a
card with both never falls below what was promised. Credits and taxes come later (`balances`, `taxes`): they pay or add
to an amount, they do not change what is owed. Everything is exact; nothing here rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction

from rating.core.column import Column
from rating.core.prices.price import Price, amount_of


class DiscountKind(StrEnum):
    PERCENTAGE = "percentage"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Discount:
    """So many percent, or so much money, off what is left after the discounts before it."""

    kind: DiscountKind
    value: Fraction
    starts: date | None = None
    ends: date | None = None
    """The first day it no longer holds."""
    code: str = ""
    redemptions: int | None = None
    """How often it may be used; None without limit."""

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError(f"a discount of {self.value} raises the price; write it as a charge")

    def holds(self, day: date, redeemed: int = 0) -> bool:
        """May it be used on that day, after so many redemptions?"""
        if self.starts is not None and day < self.starts:
            return False
        if self.ends is not None and day >= self.ends:
            return False
        return self.redemptions is None or redeemed < self.redemptions

    def taken_off(self, amounts: Column) -> Column:
        """How much it takes: never more than the amount, and nothing off a credit's fixed side.

        A percentage follows the sign of the amount, so that a charge and its reversal cancel.
        """
        if self.kind is DiscountKind.PERCENTAGE:
            return amounts.times(min(self.value, Fraction(100)) / 100)
        return amounts.at_least(0).at_most(self.value)


def discounted(amounts: Column, discounts: Iterable[Discount]) -> Column:
    """After all discounts, each on what the one before left. Compounds: 15 % and 20 % are 32 %, not 35 %."""
    for discount in discounts:
        amounts = amounts.minus(discount.taken_off(amounts))
    return amounts


@dataclass(frozen=True, slots=True)
class Commitment:
    """Money (or units) promised; what exceeds it costs `overage_factor` times the list price."""

    amount: Fraction | None = None
    quantity: Fraction | None = None
    overage_factor: Fraction = Fraction(1)
    true_up: bool = False
    """Is the unused rest of the promise due as well?"""

    def __post_init__(self) -> None:
        if (self.amount is None) == (self.quantity is None):
            raise ValueError("a commitment is an amount of money or a quantity of units: write exactly one of them")


@dataclass(frozen=True, slots=True)
class Committed:
    """The three parts of an amount under a commitment; each column one row per amount."""

    committed: Column
    overage: Column
    true_up: Column

    @property
    def amount(self) -> Column:
        return self.committed.plus(self.overage).plus(self.true_up)


def under_amount(amounts: Column, commitment: Commitment) -> Committed:
    """Progress counts list prices, before the factor: what was invoiced doubled still counts once."""
    assert commitment.amount is not None
    return _split(amounts, amounts.at_most(commitment.amount), commitment, commitment.amount)


def under_quantity(price: Price, quantities: Column, commitment: Commitment) -> Committed:
    """The committed units by the list price, the others by what they add to it, times the factor."""
    assert commitment.quantity is not None
    promised = commitment.quantity
    inside = price.amounts(quantities.at_most(promised))
    return _split(price.amounts(quantities), inside, commitment, amount_of(price, promised))


def _split(listed: Column, inside: Column, commitment: Commitment, promised: Fraction) -> Committed:
    zero = Column.full(len(listed), 0)
    overage = listed.minus(inside).times(commitment.overage_factor)
    true_up = Column.full(len(listed), promised).minus(inside).at_least(0) if commitment.true_up else zero
    return Committed(inside, overage, true_up)


@dataclass(frozen=True, slots=True)
class Ramp:
    """Promises that change from period to period: step k holds for the k-th period, the last one from then on."""

    steps: tuple[Commitment, ...]

    def commitment(self, period: int) -> Commitment:
        """`period` counts from 0 at the subscription's start."""
        if not self.steps or period < 0:
            raise ValueError(f"period {period} is not on a ramp of {len(self.steps)} steps")
        return self.steps[min(period, len(self.steps) - 1)]


@dataclass(frozen=True, slots=True)
class Adjustments:
    """Everything agreed about one card's amount, applied in the module's order."""

    discounts: Sequence[Discount] = ()
    maximum: Fraction | None = None
    minimum: Fraction | None = None
    exchange: Fraction = Fraction(1)
    """Currency conversion, the rate fixed on the invoice."""

    def apply(self, amounts: Column, final: bool = True) -> Column:
        """`final` is the period's last settlement: the minimum is owed for a whole period, not for each slice of it."""
        amounts = discounted(amounts, self.discounts)
        if self.maximum is not None:
            amounts = amounts.at_most(self.maximum)
        if self.minimum is not None and final:
            amounts = amounts.at_least(self.minimum)
        return amounts.times(self.exchange)

    def on(self, day: date) -> Adjustments:
        """Only the discounts that hold on that day."""
        return replace(self, discounts=tuple(discount for discount in self.discounts if discount.holds(day)))


def true_up(usage: Column, minimum: Fraction) -> Column:
    """What is missing to the minimum; nothing once it is reached."""
    return Column.full(len(usage), minimum).minus(usage).at_least(0)


def room_under_cap(amounts: Column, maximum: Fraction, billed: Fraction) -> Column:
    """What may still be billed of these amounts after `billed` under a cap of `maximum`."""
    return amounts.at_most(max(maximum - billed, Fraction(0)))
