"""Overridden: the list price, and what single consumers agreed instead of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rating.core.column import Column
from rating.core.prices.price import Portion, Price


@dataclass(frozen=True, slots=True)
class Overridden:
    price: Price
    by_consumer: Mapping[str, Price]

    def of(self, consumer: str) -> Price:
        return self.by_consumer.get(consumer, self.price)

    def amounts_of(self, consumers: Sequence[str], quantities: Column) -> Column:
        """One amount per row; `consumers[i]` is whose quantity row i is."""
        listed = np.array([consumer not in self.by_consumer for consumer in consumers], np.bool_)
        amounts = self.price.amounts(quantities.rows(listed)).spread(listed)
        for consumer in {consumer for consumer in consumers if consumer in self.by_consumer}:
            own = np.array([each == consumer for each in consumers], np.bool_)
            amounts = self.by_consumer[consumer].amounts(quantities.rows(own)).spread(own).where(own, amounts)
        return amounts

    def amounts(self, quantities: Column) -> Column:
        """Without a consumer: the list price."""
        return self.price.amounts(quantities)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return self.price.portions(quantity)
