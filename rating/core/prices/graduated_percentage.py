"""Graduated percentage: the money that passes through fills tiers, each with its own share and flat part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from rating.core.column import Column
from rating.core.prices.graduated import Graduated
from rating.core.prices.price import Portion
from rating.core.tiers import Tiers


@dataclass(frozen=True, slots=True)
class GraduatedPercentage:
    tiers: Tiers
    """Bounds in money; each `unit_price` is a percentage."""
    charge_at_zero: bool = False

    def amounts(self, quantities: Column) -> Column:
        return self._walk.amounts(quantities)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return self._walk.portions(quantity)

    @property
    def _walk(self) -> Graduated:
        steps = tuple(replace(step, unit_price=step.unit_price / 100) for step in self.tiers.steps)
        return Graduated(replace(self.tiers, steps=steps), self.charge_at_zero)
