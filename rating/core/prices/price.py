"""What every price kind is: exact quantities in, exact amounts out, over arrays."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from rating.core.column import Column


@dataclass(frozen=True, slots=True)
class Portion:
    """One step of a price walk, for people: so many units at that price make so much."""

    what: str
    """`tier 2 (up to 1000)`, `package of 100`, `flat fee` ..."""
    quantity: Fraction
    unit_price: Fraction | None
    """None where the amount is flat."""
    amount: Fraction


class Price(Protocol):
    """How a quantity becomes an amount.

    `amounts` is the only arithmetic; `portions` explains one quantity and sums to the same amount. Zero usage costs
    zero unless the price says `charge_at_zero`.
    """

    def amounts(self, quantities: Column) -> Column:
        """Exact amounts in major units, one per quantity.

        Raises:
            NoTierCovers: a quantity lies beyond the last finite tier.
        """

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]: ...


def amount_of(price: Price, quantity: Fraction) -> Fraction:
    """One quantity's amount: an array of one."""
    return price.amounts(Column.of([quantity])).fractions()[0]
