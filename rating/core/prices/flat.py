"""Flat: one amount, however much was used."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rating.core.column import Column
from rating.core.prices.price import Portion, amount_of


@dataclass(frozen=True, slots=True)
class Flat:
    amount: Fraction
    charge_at_zero: bool = False
    """Due without usage as well: a standing fee."""

    def amounts(self, quantities: Column) -> Column:
        fee = Column.full(len(quantities), self.amount)
        if self.charge_at_zero:
            return fee
        return fee.where(quantities.above(0), Column.full(len(quantities), 0))

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return (Portion("flat fee", quantity, None, amount_of(self, quantity)),)
