"""Capacity: one flat price for the smallest size that holds every dimension (seats, storage, projects)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rating.core.column import Column
from rating.core.money import decimal_text
from rating.core.tiers import Beyond
from rating.errors import NoTierCovers


@dataclass(frozen=True, slots=True)
class Size:
    """Holds up to `limits` of each dimension, bounds included; a dimension it does not name is unlimited."""

    limits: Mapping[str, Fraction]
    amount: Fraction


@dataclass(frozen=True, slots=True)
class Capacity:
    sizes: tuple[Size, ...]
    """From the smallest to the largest."""
    beyond: Beyond = Beyond.REFUSE
    charge_at_zero: bool = False

    def amounts(self, usage: Mapping[str, Column]) -> Column:
        """One amount per row; each dimension is a column of the same length.

        Raises:
            NoTierCovers: a row fits no size and `beyond` says refuse. UNBILLED and LAST_TIER_PRICE both mean the
                largest size here: a flat price has no excess to leave out.
        """
        rows = len(next(iter(usage.values()), Column.full(1, 0)))
        needed, used = np.zeros(rows, np.intp), np.zeros(rows, np.bool_)
        for dimension, quantity in usage.items():
            fits = np.full(rows, len(self.sizes), np.intp)
            for index in reversed(range(len(self.sizes))):
                limit = self.sizes[index].limits.get(dimension)
                fits[...] = index if limit is None else np.where(quantity.above(limit), fits, index)
            needed, used = np.maximum(needed, fits), used | quantity.above(0)
        outside = needed == len(self.sizes)
        if outside.any():
            if self.beyond is Beyond.REFUSE:
                raise self._refusal(int(np.flatnonzero(outside)[0]), usage)
            needed = np.minimum(needed, len(self.sizes) - 1)
        amounts = Column.full(rows, 0)
        for index, size in enumerate(self.sizes):
            due = needed == index if self.charge_at_zero else (needed == index) & used
            amounts = Column.full(rows, size.amount).where(due, amounts)
        return amounts

    def _refusal(self, row: int, usage: Mapping[str, Column]) -> NoTierCovers:
        wants = ", ".join(f"{name} {decimal_text(column.fractions()[row])}" for name, column in usage.items())
        holds = ", ".join(f"{name} {decimal_text(limit)}" for name, limit in self.sizes[-1].limits.items())
        return NoTierCovers(f"usage of {wants} fits no size; the largest holds {holds}: add one without limits")


def one(capacity: Capacity, usage: Mapping[str, Fraction]) -> Fraction:
    """A single row's amount."""
    return capacity.amounts({name: Column.of([quantity]) for name, quantity in usage.items()}).fractions()[0]
