"""Stairstep: a flat price for the band a quantity reaches; additive, the flat prices of all bands it reached.

The word means both in the field. The band's own price is our default and most of the field's; Solvimon and Zuora add.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from rating.core.column import Column
from rating.core.prices.graduated import Graduated
from rating.core.prices.price import Portion
from rating.core.prices.volume import Volume
from rating.core.tiers import Tiers


@dataclass(frozen=True, slots=True)
class Stairstep:
    tiers: Tiers
    """Only their `flat` parts count."""
    additive: bool = False
    charge_at_zero: bool = False
    """Is the first band due without usage?"""

    def __post_init__(self) -> None:
        for number, step in enumerate(self.tiers.steps, 1):
            if step.unit_price or step.package is not None:
                raise ValueError(
                    f"band {number} of a stairstep price has a unit price; a stairstep charges flat prices only: "
                    "use volume or graduated"
                )

    def amounts(self, quantities: Column) -> Column:
        return self._walk.amounts(quantities)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return tuple(replace(portion, unit_price=None) for portion in self._walk.portions(quantity))

    @property
    def _walk(self) -> Graduated | Volume:
        walk = Graduated if self.additive else Volume
        return walk(self.tiers, self.charge_at_zero)
