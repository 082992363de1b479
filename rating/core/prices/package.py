"""Package: units are sold by the block, a started one in full unless the price says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from rating.core.column import Column
from rating.core.money import Rounding, decimal_text
from rating.core.prices.price import Portion, amount_of


class Packaging(StrEnum):
    """What a started package costs."""

    UP = "up"
    """All of it; the default, and the field's."""
    DOWN = "down"
    """Nothing until it is full."""
    EXACT = "exact"
    """Its share: 150 units of a package of 100 cost one and a half."""


_ROUNDING = {Packaging.UP: Rounding.CEILING, Packaging.DOWN: Rounding.FLOOR}


@dataclass(frozen=True, slots=True)
class Package:
    size: Fraction
    """Whole units in one package."""
    price: Fraction
    """Major units of money per package."""
    rounding: Packaging = Packaging.UP
    minimum_packages: int = 0
    """Billed at least, without usage as well."""

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise ValueError(f"a package of {self.size} units cannot be sold; its size must be positive")
        if self.minimum_packages < 0:
            raise ValueError(f"at least {self.minimum_packages} packages is no minimum; write 0 for none")

    def packages(self, quantities: Column) -> Column:
        """How many packages are billed."""
        rounding = _ROUNDING.get(Packaging(self.rounding))
        counted = quantities.times(1 / self.size) if rounding is None else quantities.whole(self.size, rounding)
        return counted.at_least(self.minimum_packages) if self.minimum_packages else counted

    def amounts(self, quantities: Column) -> Column:
        return self.packages(quantities).times(self.price)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        count = self.packages(Column.of([quantity])).fractions()[0]
        if count == 0:
            return ()
        return (Portion(f"package of {decimal_text(self.size)}", count, self.price, amount_of(self, quantity)),)
