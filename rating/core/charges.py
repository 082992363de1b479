"""Charges: usage of one rate card, rated exactly, before any rounding."""

from __future__ import annotations

from dataclasses import dataclass

from rating.core.allowances import beyond
from rating.core.column import Column
from rating.core.ratecards import RateCard


@dataclass(frozen=True, slots=True)
class Rated:
    """Columns of equal length, one row per subscription on the card."""

    quantity: Column
    overage: Column
    """What exceeds the allowance, in whole units."""
    amount: Column
    """Exact, in major units."""


def rate(card: RateCard, quantity: Column) -> Rated:
    """What these quantities (whole units of the card's meter, one per subscription and period) cost on this card."""
    # Allowance before price: customers are promised free units, not cheaper ones.
    overage = beyond(quantity, card.included)
    return Rated(quantity, overage, card.price.amounts(overage))
