"""A column of exact numbers: integers over one denominator, int64 while a checked bound allows it.

int64 wraps silently in numpy, pandas and Arrow. So every operation here first computes a bound on its result from the
bounds of its operands; beyond int64 the same operation runs on Python integers in an object array. Knows nothing of
prices: `piecewise` is the one shape they need, straight lines between thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rating.core.money import Rounding

INT64_BOUND = 2**63 - 1
_BLOCK = 1 << 15  # rows walked at once by `piecewise`: its four temporary arrays stay in the second-level cache

Integers = NDArray[Any]
"""int64, or Python integers in an object array."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Column:
    """`units[i] / denominator`, with `abs(units[i]) <= bound` for every i."""

    units: Integers
    denominator: int
    bound: int

    @classmethod
    def of_units(cls, units: Sequence[int] | Integers, denominator: int = 1) -> Column:
        """Integers already in a known scale; measures the bound.

        Raises:
            TypeError: the units are not integers. Floats are refused even where they look whole.
        """
        if not isinstance(units, np.ndarray):
            units = np.array(units, dtype=object)
        if len(units) == 0:
            return cls(units.astype(np.int64), denominator, 0)
        if units.dtype.kind not in "iuO" or (units.dtype.kind == "O" and not all(_is_integer(unit) for unit in units)):
            raise TypeError(f"units of type {units.dtype} are not all integers; scale exact numbers with Column.of")
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

    @classmethod
    def full(cls, length: int, number: Fraction | int) -> Column:
        """The same number in every row."""
        number = Fraction(number)
        bound = abs(number.numerator)
        return cls(np.full(length, number.numerator, _dtype(bound)), number.denominator, bound)

    def __len__(self) -> int:
        return len(self.units)

    def fractions(self) -> list[Fraction]:
        return [Fraction(int(unit), self.denominator) for unit in self.units.tolist()]

    def rows(self, chosen: Mask | NDArray[np.intp] | slice) -> Column:
        """Some of the rows, by mask, position or slice."""
        return Column(self.units[chosen], self.denominator, self.bound)

    def spread(self, mask: Mask) -> Column:
        """These rows put where the mask holds, in order; zero elsewhere."""
        units = np.zeros(len(mask), self.units.dtype)
        units[mask] = self.units
        return Column(units, self.denominator, self.bound)

    def over(self, denominator: int) -> Column:
        """The same numbers over a multiple of this denominator."""
        factor, rest = divmod(denominator, self.denominator)
        if rest:
            raise ValueError(f"{denominator} is not a multiple of the denominator {self.denominator}")
        if factor == 1:
            return self
        bound = self.bound * factor
        return Column(self._safe(max(bound, factor)) * factor, denominator, bound)

    def times(self, factor: Fraction | int) -> Column:
        factor = Fraction(factor)
        if factor == 1:
            return self
        bound = self.bound * abs(factor.numerator)
        # The factor itself must fit as well: zeros times 10**30 are still a multiplication by 10**30.
        units = self._safe(max(bound, abs(factor.numerator))) * factor.numerator
        return Column(units, self.denominator * factor.denominator, bound)

    def plus(self, other: Column) -> Column:
        return self._with(other, lambda a, b: a + b, sum)

    def minus(self, other: Column) -> Column:
        return self._with(other, lambda a, b: a - b, sum)

    def minimum(self, other: Column) -> Column:
        return self._with(other, np.minimum, max)

    def maximum(self, other: Column) -> Column:
        return self._with(other, np.maximum, max)

    def at_least(self, floor: Fraction | int) -> Column:
        return self.maximum(Column.full(len(self), floor))

    def at_most(self, ceiling: Fraction | int) -> Column:
        return self.minimum(Column.full(len(self), ceiling))

    def whole(self, size: Fraction | int = 1, rounding: Rounding = Rounding.CEILING) -> Column:
        """How many packages of `size` each number makes, as whole numbers rounded the given way."""
        size = Fraction(size)
        if size <= 0:
            raise ValueError(f"a package of {size} units cannot be counted; its size must be positive")
        counted = self.times(1 / size)
        divisor, bound = counted.denominator, counted.bound + 2 * counted.denominator
        units = counted._safe(2 * bound)
        # Every rounding is a floor of something: the sign is put aside where "away from zero" needs it.
        match rounding:
            case Rounding.FLOOR:
                result = units // divisor
            case Rounding.CEILING:
                result = -(-units // divisor)
            case Rounding.DOWN:
                result = _sign(units) * (abs(units) // divisor)
            case Rounding.UP:
                result = _sign(units) * -(-abs(units) // divisor)
            case Rounding.HALF_UP:
                result = _sign(units) * ((2 * abs(units) + divisor) // (2 * divisor))
            case Rounding.HALF_DOWN:
                result = _sign(units) * -((divisor - 2 * abs(units)) // (2 * divisor))
            case Rounding.HALF_EVEN:
                up = (2 * abs(units) + divisor) // (2 * divisor)
                tie = (2 * abs(units) + divisor) % (2 * divisor) == 0
                result = _sign(units) * (up - (tie & (up % 2 == 1)))
        return Column(result, 1, counted.bound // divisor + 1)

    def above(self, number: Fraction | int) -> Mask:
        """Which rows are strictly greater than `number`."""
        return self._compared(math.floor(Fraction(number) * self.denominator), lambda units, at: units > at)

    def from_(self, number: Fraction | int) -> Mask:
        """Which rows are `number` or greater."""
        return self._compared(math.ceil(Fraction(number) * self.denominator), lambda units, at: units >= at)

    def where(self, mask: Mask, otherwise: Column) -> Column:
        """This column where the mask holds, `otherwise` elsewhere."""
        return self._with(otherwise, lambda a, b: np.where(mask, a, b), max)

    def piecewise(
        self, thresholds: Sequence[int], intercepts: Sequence[Fraction], slopes: Sequence[Fraction]
    ) -> Column:
        """Straight lines between thresholds: `intercepts[k] + slopes[k] * x`, k the number of thresholds below x.

        `thresholds` are in this column's units and never fall; there is one line more than thresholds. Ties belong to
        the line below.
        """
        scale = self.denominator * math.lcm(1, *(number.denominator for number in (*intercepts, *slopes)))
        lines = [int(slope * (scale // self.denominator)) for slope in slopes]
        starts = [int(intercept * scale) for intercept in intercepts]
        bound = max(abs(line) * self.bound + abs(start) for line, start in zip(lines, starts, strict=True))
        units = self._safe(max(bound, *(abs(number) for number in (*lines, *starts, *thresholds, 0))))
        line_of, start_of = np.array(lines, units.dtype), np.array(starts, units.dtype)
        steps = np.array(thresholds, units.dtype)
        result = np.empty_like(units)
        for first in range(0, len(units), _BLOCK):
            block = units[first : first + _BLOCK]
            line = _lines(steps, block)
            out = result[first : first + _BLOCK]
            np.multiply(line_of[line], block, out=out)
            out += start_of[line]
        return Column(result, scale, bound)

    def running(self, offsets: NDArray[np.intp]) -> Column:
        """Running totals inside groups: group k holds the rows `offsets[k]` up to before `offsets[k + 1]`."""
        totals, bound = self._accumulated()
        before = np.repeat(totals[offsets[:-1]], np.diff(offsets))
        return Column(totals[1:] - before, self.denominator, bound)

    def sums(self, offsets: NDArray[np.intp]) -> Column:
        """One total per group; 0 for an empty one."""
        totals, bound = self._accumulated()
        return Column(totals[offsets[1:]] - totals[offsets[:-1]], self.denominator, bound)

    def _accumulated(self) -> tuple[Integers, int]:
        bound = self.bound * len(self)
        units = self._safe(2 * bound)
        return np.concatenate((np.zeros(1, units.dtype), np.cumsum(units))), bound

    def total(self) -> Fraction:
        return Fraction(sum(self.units.tolist()), self.denominator)

    def _with(
        self,
        other: Column,
        operation: Callable[[Integers, Integers], Integers],
        bound_of: Callable[[Sequence[int]], int],
    ) -> Column:
        denominator = math.lcm(self.denominator, other.denominator)
        left, right = self.over(denominator), other.over(denominator)
        bound = bound_of((left.bound, right.bound))
        widest = max(bound, left.bound, right.bound)
        return Column(operation(left._safe(widest), right._safe(widest)), denominator, bound)

    def _compared(self, at: int, holds: Callable[[Integers, int], Any]) -> Mask:
        return np.asarray(holds(self._safe(max(self.bound, abs(at))), at), dtype=np.bool_)

    def _safe(self, bound: int) -> Integers:
        """The units in a type that can hold results up to `bound`."""
        return self.units if bound <= INT64_BOUND else self.units.astype(object)


def _lines(steps: Integers, block: Integers) -> NDArray[np.intp]:
    """How many thresholds lie below each number. Comparing beats searching while the steps are few."""
    if len(steps) > 8 or block.dtype == object:
        return np.searchsorted(steps, block, side="left")
    line = np.zeros(len(block), np.intp)
    for step in steps:
        line += block > step
    return line


def _dtype(bound: int) -> Any:
    return np.int64 if bound <= INT64_BOUND else object


def _is_integer(unit: object) -> bool:
    return isinstance(unit, int | np.integer) and not isinstance(unit, bool)


def _sign(units: Integers) -> Integers:
    return np.where(units < 0, -1, 1).astype(units.dtype)
