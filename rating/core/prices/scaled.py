"""Scaled: another price's amounts times a factor. A partner's share, a currency of credits, an overage factor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from rating.core.column import Column
from rating.core.prices.price import Portion, Price


@dataclass(frozen=True, slots=True)
class Scaled:
    price: Price
    factor: Fraction
    what: str = ""
    """Why, for people: `revenue share`, `credits`."""

    def amounts(self, quantities: Column) -> Column:
        return self.price.amounts(quantities).times(self.factor)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return tuple(
            replace(
                portion,
                what=f"{portion.what}, {self.what}" if self.what else portion.what,
                unit_price=None if portion.unit_price is None else portion.unit_price * self.factor,
                amount=portion.amount * self.factor,
            )
            for portion in self.price.portions(quantity)
        )


def revenue_share(price: Price, percent: Fraction) -> Scaled:
    """What is owed to a partner out of what customers pay. It stands on the partner's statement, not on an invoice."""
    if not 0 <= percent <= 100:
        raise ValueError(f"a revenue share of {percent} % is not between 0 and 100")
    return Scaled(price, percent / 100, "revenue share")


def in_credits(price: Price, money_per_credit: Fraction) -> Scaled:
    """A price whose amounts are credits ("1 credit = 1,000 tokens"), valued in money."""
    return Scaled(price, money_per_credit, "credits")
