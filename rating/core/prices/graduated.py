"""Graduated: units fill the tiers one after the other, each tier's units at that tier's price.

A tier's flat part is due once the tier is reached. Quantities below zero (corrections) are taken at the first tier's
unit price, so that a reading and its reversal cancel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from rating.core.column import Column, Mask
from rating.core.prices.price import Portion
from rating.core.tiers import Tiers


@dataclass(frozen=True, slots=True)
class Graduated:
    tiers: Tiers
    charge_at_zero: bool = False
    """Is the first tier's flat part due without usage?"""

    def amounts(self, quantities: Column) -> Column:
        priced = self.tiers.covered(quantities)
        if self.tiers.straight:
            return self._straight(priced)
        amount = Column.full(len(priced), 0)
        for _, cost, _ in self._walk(priced):
            amount = amount.plus(cost)
        return amount

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        priced = self.tiers.covered(Column.of([quantity]))
        portions = []
        for index, (inside, cost, touched) in enumerate(self._walk(priced)):
            if touched[0]:
                tier = self.tiers.steps[index]
                price = tier.unit_price if tier.package is None else None
                portions.append(Portion(self.tiers.name(index), inside.fractions()[0], price, cost.fractions()[0]))
        beyond = quantity - priced.fractions()[0]
        if beyond > 0:
            portions.append(Portion("beyond the last tier (not billed)", beyond, None, Fraction(0)))
        return tuple(portions)

    def _walk(self, quantities: Column) -> Iterator[tuple[Column, Column, Mask]]:
        """Per tier: the units inside it, what they cost, and which rows touch it. The slow road, for any tier."""
        zero = Column.full(len(quantities), 0)
        for (lower, upper, tier), reached in zip(self.tiers.spans(), self.tiers.reached(quantities), strict=True):
            inside = (quantities if upper is None else quantities.at_most(upper)).minus(Column.full(len(zero), lower))
            if lower:
                yield inside, tier.amounts(inside).where(reached, zero), reached
            elif self.charge_at_zero:
                yield inside, tier.amounts(inside), np.ones(len(zero), np.bool_)
            else:
                unreached = replace(tier, flat=Fraction(0)).amounts(inside)
                yield inside, tier.amounts(inside).where(reached, unreached), reached | ~quantities.from_(0)

    def _straight(self, quantities: Column) -> Column:
        """All tiers at once: a tier's line meets the one before it at their bound, and steps up by its flat part."""
        intercepts, slopes = [], []
        base = Fraction(0)
        for lower, upper, tier in self.tiers.spans():
            base += tier.flat
            intercepts.append(base - tier.unit_price * lower)
            slopes.append(tier.unit_price)
            if upper is not None:
                base += tier.unit_price * (upper - lower)
        first = self.tiers.steps[0]
        at_zero = first.flat if self.charge_at_zero else Fraction(0)
        return quantities.piecewise(
            [0, *self.tiers.thresholds(quantities.denominator)], [at_zero, *intercepts], [first.unit_price, *slopes]
        )
