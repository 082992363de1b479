"""Chained: components added up in order; a factor multiplies what stands before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from rating.core.column import Column
from rating.core.prices.price import Portion, Price
from rating.core.prices.stairstep import Stairstep
from rating.core.tiers import Tier, Tiers, Upper


@dataclass(frozen=True, slots=True)
class Factor:
    value: Fraction


@dataclass(frozen=True, slots=True)
class Chained:
    components: tuple[Price | Factor, ...]

    def amounts(self, quantities: Column) -> Column:
        amount = Column.full(len(quantities), 0)
        for component in self.components:
            if isinstance(component, Factor):
                amount = amount.times(component.value)
            else:
                amount = amount.plus(component.amounts(quantities))
        return amount

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return tuple(self._steps(quantity))

    def _steps(self, quantity: Fraction) -> Iterator[Portion]:
        so_far = Fraction(0)
        for component in self.components:
            if isinstance(component, Factor):
                yield Portion("factor on the above", quantity, component.value, so_far * (component.value - 1))
                so_far *= component.value
            else:
                for portion in component.portions(quantity):
                    so_far += portion.amount
                    yield portion


def threshold_flat(levels: dict[Fraction, Fraction]) -> Stairstep:
    """The amount of the highest level reached, once; a level is reached by standing on it."""
    steps: list[Tier] = []
    amount = Fraction(0)
    for level in sorted(levels):
        if level > 0:
            steps.append(Tier(level, flat=amount))
        amount = levels[level]
    return Stairstep(Tiers((*steps, Tier(None, flat=amount)), upper=Upper.EXCLUSIVE))
