"""Dynamic: the amount travels with the usage; the price only multiplies it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rating.core.column import Column
from rating.core.prices.price import Portion


@dataclass(frozen=True, slots=True)
class Dynamic:
    multiplier: Fraction = Fraction(1)

    def amounts(self, quantities: Column) -> Column:
        return quantities.times(self.multiplier)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return (Portion("amount as metered", quantity, self.multiplier, quantity * self.multiplier),)
