"""A rate card: how one meter is priced inside a plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from rating.core.meters import Meter
from rating.core.prices.price import Price


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices `meter` by `price` after `included` units of allowance per billing period.

    Allowance before price: customers are promised free units, not cheaper ones.
    """

    key: str
    """Names this card inside its plan; it stands on line items and in the book, so it must not change."""
    title: str
    meter: Meter
    price: Price
    included: Fraction = Fraction(0)
    """In whole units of the meter."""

    def with_included(self, included: Fraction) -> RateCard:
        """The same card with another allowance, as a part of a period has."""
        return replace(self, included=included)
