"""Converted: the price is per another unit than the meter counts ("per 1,000 tokens", "per gigabyte")."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rating.core.column import Column
from rating.core.money import Rounding, decimal_text
from rating.core.prices.price import Portion, Price


@dataclass(frozen=True, slots=True)
class Conversion:
    """Times `factor`, then rounded to `decimals` if `rounding` says so; exact otherwise."""

    factor: Fraction
    rounding: Rounding | None = None
    decimals: int = 0

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise ValueError(f"a conversion by {self.factor} leaves nothing to price; the factor must be positive")

    def converted(self, quantities: Column) -> Column:
        exact = quantities.times(self.factor)
        if self.rounding is None:
            return exact
        step = Fraction(1, 10**self.decimals)
        return exact.whole(step, self.rounding).times(step)


@dataclass(frozen=True, slots=True)
class Converted:
    conversion: Conversion
    price: Price

    def amounts(self, quantities: Column) -> Column:
        return self.price.amounts(self.conversion.converted(quantities))

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        (converted,) = self.conversion.converted(Column.of([quantity])).fractions()
        step = Portion(f"{decimal_text(quantity)} converted", converted, None, Fraction(0))
        return (step, *self.price.portions(converted))
