"""Volume: the tier a quantity falls into prices all of it. Known as bulk or bracket elsewhere.

The total may fall when a bound is crossed; that is the model, and nobody corrects for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from rating.core.column import Column
from rating.core.prices.price import Portion
from rating.core.tiers import Tiers


@dataclass(frozen=True, slots=True)
class Volume:
    tiers: Tiers
    charge_at_zero: bool = False
    """Is the first tier's flat part due without usage?"""

    def amounts(self, quantities: Column) -> Column:
        priced = self.tiers.covered(quantities)
        first = self.tiers.steps[0]
        # Nothing is reached at or below zero: no flat part, but corrections keep the first tier's unit price.
        unreached = first if self.charge_at_zero else replace(first, flat=Fraction(0))
        steps = (unreached, *self.tiers.steps)
        thresholds = [0, *self.tiers.thresholds(priced.denominator)]
        if self.tiers.straight:
            return priced.piecewise(thresholds, [step.flat for step in steps], [step.unit_price for step in steps])
        amount = Column.full(len(priced), 0)
        tier_of = self._tier_of(priced)
        for index, step in enumerate(steps):
            amount = step.amounts(priced).where(tier_of == index, amount)
        return amount

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        priced = self.tiers.covered(Column.of([quantity]))
        index = int(self._tier_of(priced)[0]) - 1
        if quantity == 0 and not self.charge_at_zero:
            return ()
        tier = self.tiers.steps[max(index, 0)]
        portion = Portion(
            self.tiers.name(max(index, 0)),
            priced.fractions()[0],
            tier.unit_price if tier.package is None else None,
            self.amounts(priced).fractions()[0],
        )
        beyond = quantity - portion.quantity
        free = (Portion("beyond the last tier (not billed)", beyond, None, Fraction(0)),) if beyond > 0 else ()
        return (portion, *free)

    def _tier_of(self, quantities: Column) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """1 for the first tier and so on; 0 at or below zero."""
        tier_of = np.zeros(len(quantities), np.intp)
        for reached in self.tiers.reached(quantities):
            tier_of += reached
        return tier_of
