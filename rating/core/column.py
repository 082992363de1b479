"""A column of exact numbers: integers over one denominator, int64 while a checked bound allows it.

int64 wraps silently in numpy, pandas and Arrow. So every operation here first computes a bound on its result from the
bounds of its operands; beyond int64 the same operation runs on Python integers in an object array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

INT64_BOUND = 2**63 - 1

Integers = NDArray[Any]
"""int64, or Python integers in an object array."""


@dataclass(frozen=True, slots=True)
class Column:
    """`units[i] / denominator`, with `abs(units[i]) <= bound` for every i."""

    units: Integers
    denominator: int
    bound: int

    @classmethod
    def of_units(cls, units: Sequence[int] | Integers, denominator: int = 1) -> Column:
        """Integers already in a known scale; measures the bound."""
        if not isinstance(units, np.ndarray):
            units = np.array(units, dtype=object)
        if len(units) == 0:
            return cls(units.astype(np.int64), denominator, 0)
        bound = max(abs(int(units.max())), abs(int(units.min())))
        return cls(units.astype(np.int64 if bound <= INT64_BOUND else object), denominator, bound)

    @classmethod
    def of(cls, numbers: Sequence[Fraction | int]) -> Column:
        """Exact numbers of any denominators, brought over their least common one."""
        fractions = [Fraction(number) for number in numbers]
        denominator = math.lcm(1, *(number.denominator for number in fractions))
        return cls.of_units(
            [number.numerator * (denominator // number.denominator) for number in fractions], denominator
        )

    def __len__(self) -> int:
        return len(self.units)

    def fractions(self) -> list[Fraction]:
        return [Fraction(unit, self.denominator) for unit in self.units.tolist()]

    def over(self, denominator: int) -> Column:
        """The same numbers over a multiple of this denominator."""
        factor, rest = divmod(denominator, self.denominator)
        if rest:
            raise ValueError(f"{denominator} is not a multiple of the denominator {self.denominator}")
        return (
            self if factor == 1 else Column(self._safe(self.bound * factor) * factor, denominator, self.bound * factor)
        )

    def times(self, factor: Fraction | int) -> Column:
        factor = Fraction(factor)
        bound = self.bound * abs(factor.numerator)
        return Column(self._safe(bound) * factor.numerator, self.denominator * factor.denominator, bound)

    def plus(self, other: Column) -> Column:
        return self._with(other, lambda a, b: a + b)

    def minus(self, other: Column) -> Column:
        return self._with(other, lambda a, b: a - b)

    def minimum(self, other: Column) -> Column:
        return self._with(other, np.minimum)

    def maximum(self, other: Column) -> Column:
        return self._with(other, np.maximum)

    def total(self) -> Fraction:
        return Fraction(sum(self.units.tolist()), self.denominator)

    def _with(self, other: Column, operation: Callable[[Integers, Integers], Integers]) -> Column:
        denominator = math.lcm(self.denominator, other.denominator)
        left, right = self.over(denominator), other.over(denominator)
        bound = left.bound + right.bound
        return Column(operation(left._safe(bound), right._safe(bound)), denominator, bound)

    def _safe(self, bound: int) -> Integers:
        """The units in a type that can hold results up to `bound`."""
        return self.units if bound <= INT64_BOUND else self.units.astype(object)
