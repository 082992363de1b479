"""The steps of a price schedule: which units belong to which tier, and what happens beyond the last.

Decides the boundaries and what the units of one tier cost. Whether tiers are filled one after the other or one of them
prices everything is `prices.graduated` and `prices.volume`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from rating.core.column import Column, Mask
from rating.core.money import Rounding, decimal_text
from rating.errors import NoTierCovers


class Beyond(StrEnum):
    """What a quantity beyond a finite last tier costs."""

    REFUSE = "refuse"
    """It is an error; the default, because every other answer is a surprise to somebody."""
    UNBILLED = "unbilled"
    """The excess is free."""
    LAST_TIER_PRICE = "last_tier_price"
    """The last tier goes on."""


class Upper(StrEnum):
    """Which tier owns the quantity that lies exactly on a bound."""

    INCLUSIVE = "inclusive"
    """The lower tier: `up_to: 100` holds 100. Our default and most of the field's."""
    EXCLUSIVE = "exclusive"
    """The upper tier: 100 is the first unit of the next."""


@dataclass(frozen=True, slots=True)
class Block:
    """Units sold by the package inside a tier."""

    size: Fraction
    price: Fraction
    rounding: Rounding = Rounding.CEILING

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise ValueError(f"a package of {self.size} units cannot be sold; its size must be positive")


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of a schedule. Money in major units."""

    up_to: Fraction | None
    """The bound in whole units, or None for a tier without end."""
    unit_price: Fraction = Fraction(0)
    flat: Fraction = Fraction(0)
    """Due once as soon as the tier is reached."""
    package: Block | None = None
    cap: Fraction | None = None
    """The most this tier may cost, its flat part included."""

    def amounts(self, inside: Column) -> Column:
        """What these quantities cost when they lie in this tier, its flat part included."""
        amount = inside.times(self.unit_price)
        if self.package is not None:
            packages = inside.whole(self.package.size, self.package.rounding)
            amount = amount.plus(packages.times(self.package.price))
        amount = amount.plus(Column.full(len(inside), self.flat))
        return amount if self.cap is None else amount.at_most(self.cap)

    @property
    def straight(self) -> bool:
        """Is its amount a straight line over its units?"""
        return self.package is None and self.cap is None


@dataclass(frozen=True, slots=True)
class Tiers:
    """Steps without holes: each begins where the one before ends, the first at zero."""

    steps: tuple[Tier, ...]
    beyond: Beyond = Beyond.REFUSE
    upper: Upper = Upper.INCLUSIVE

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a tiered price needs at least one tier; write one without up_to for a single price")
        lower = Fraction(0)
        for number, step in enumerate(self.steps, 1):
            if step.up_to is None:
                if number < len(self.steps):
                    raise ValueError(
                        f"tier {number} has no end, so the {len(self.steps) - number} tiers after it are never "
                        "reached; only the last tier may leave out up_to"
                    )
            elif step.up_to <= lower:
                before = f"tier {number - 1} already ends at {decimal_text(lower)}" if lower else "tiers begin at 0"
                raise ValueError(
                    f"tier {number} ends at {decimal_text(step.up_to)} but {before}; list tiers by rising up_to"
                )
            else:
                lower = step.up_to

    @property
    def end(self) -> Fraction | None:
        """Where the last tier ends, or None where it does not."""
        return self.steps[-1].up_to

    @property
    def straight(self) -> bool:
        return all(step.straight for step in self.steps)

    def spans(self) -> tuple[tuple[Fraction, Fraction | None, Tier], ...]:
        """Lower bound, upper bound and tier. A last tier that goes on is shown without end."""
        lowers = (Fraction(0), *(step.up_to for step in self.steps[:-1] if step.up_to is not None))
        uppers = [step.up_to for step in self.steps]
        if self.beyond is Beyond.LAST_TIER_PRICE:
            uppers[-1] = None
        return tuple(zip(lowers, uppers, self.steps, strict=True))

    def thresholds(self, denominator: int) -> list[int]:
        """The bounds between tiers in integers over `denominator`: the next tier holds what is strictly greater."""
        return [self._threshold(bound, denominator) for bound in self._bounds()]

    def reached(self, quantities: Column) -> list[Mask]:
        """Per tier, which quantities touch it; the first tier is touched by everything above zero."""
        inner = [quantities.above(0)]
        for bound in self._bounds():
            inner.append(quantities.above(bound) if self.upper is Upper.INCLUSIVE else quantities.from_(bound))
        return inner[: len(self.steps)]

    def covered(self, quantities: Column) -> Column:
        """The quantities these tiers price: all of them, or cut at the end of the last tier where the rest is free.

        Raises:
            NoTierCovers: a quantity lies beyond a finite last tier and `beyond` says refuse.
        """
        if self.end is None or self.beyond is Beyond.LAST_TIER_PRICE:
            return quantities
        if self.beyond is Beyond.UNBILLED:
            return quantities.at_most(self.end)
        outside = quantities.above(self.end) if self.upper is Upper.INCLUSIVE else quantities.from_(self.end)
        if outside.any():
            raise self.refusal(quantities.rows(outside).fractions()[0])
        return quantities

    def refusal(self, quantity: Fraction) -> NoTierCovers:
        end = "open" if self.end is None else decimal_text(self.end)
        ends = "below" if self.upper is Upper.EXCLUSIVE else "at"
        return NoTierCovers(
            f"quantity {decimal_text(quantity)} lies beyond the last tier, which ends {ends} {end}; leave the last"
            f" up_to open, or say what happens beyond it: {Beyond.UNBILLED} or {Beyond.LAST_TIER_PRICE}"
        )

    def name(self, index: int) -> str:
        """`tier 2 (up to 1000)`."""
        _, upper, _ = self.spans()[index]
        if upper is not None:
            return f"tier {index + 1} ({'up to' if self.upper is Upper.INCLUSIVE else 'below'} {decimal_text(upper)})"
        lower = self.spans()[index][0]
        return f"tier {index + 1} (above {decimal_text(lower)})" if lower else f"tier {index + 1}"

    def _bounds(self) -> list[Fraction]:
        return [step.up_to for step in self.steps[:-1] if step.up_to is not None]

    def _threshold(self, bound: Fraction, denominator: int) -> int:
        if self.upper is Upper.INCLUSIVE:
            return math.floor(bound * denominator)
        return math.ceil(bound * denominator) - 1
