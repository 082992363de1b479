"""Per unit: every unit costs the same."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rating.core.column import Column
from rating.core.prices.price import Portion


@dataclass(frozen=True, slots=True)
class PerUnit:
    unit_price: Fraction
    """Major units of money per whole unit, to any number of decimals."""

    def amounts(self, quantities: Column) -> Column:
        return quantities.times(self.unit_price)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return (Portion("per unit", quantity, self.unit_price, quantity * self.unit_price),)
