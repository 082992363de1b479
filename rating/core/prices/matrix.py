"""Matrix: the values of some dimensions choose the price (model and direction, endpoint, region).

Cells are tried in the order written and the first that matches wins, so the narrow ones come first. A usage no cell
matches takes the declared default, or is refused: it is never free by accident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from rating.core.column import Column
from rating.core.prices.price import Portion, Price
from rating.errors import PricingError


@dataclass(frozen=True, slots=True)
class Cell:
    """`price` for usage that has all these dimension values; an empty match fits everything."""

    match: Mapping[str, str]
    price: Price

    def matches(self, values: Mapping[str, str]) -> bool:
        return all(values.get(dimension) == value for dimension, value in self.match.items())


@dataclass(frozen=True, slots=True)
class Matrix:
    dimensions: tuple[str, ...]
    """The order in which usage carries its values."""
    cells: tuple[Cell, ...]
    default: Price | None = None
    _found: dict[tuple[str, ...], Price] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for number, cell in enumerate(self.cells, 1):
            unknown = set(cell.match) - set(self.dimensions)
            if unknown:
                raise ValueError(
                    f"cell {number} matches on {', '.join(sorted(unknown))}, but the matrix has the dimensions "
                    f"{', '.join(self.dimensions)}"
                )

    def price(self, values: Sequence[str]) -> Price:
        """The price for these dimension values.

        Raises:
            PricingError: no cell matches and there is no default.
        """
        found = self._found.get(key := tuple(values))
        if found is None:
            found = self._found[key] = self.price_of(dict(zip(self.dimensions, key, strict=True)))
        return found

    def price_of(self, values: Mapping[str, str]) -> Price:
        """The price for these named dimension values; a dimension they leave out matches no cell that asks for it."""
        found = self.position(values)
        if found is not None:
            return self.cells[found].price
        assert self.default is not None
        return self.default

    def position(self, values: Mapping[str, str]) -> int | None:
        """Which cell these values fall into, None for the default.

        Raises:
            PricingError: no cell matches and there is no default.
        """
        found = next((i for i, cell in enumerate(self.cells) if cell.matches(values)), None)
        if found is None and self.default is None:
            shown = ", ".join(f"{dimension}={value}" for dimension, value in values.items())
            raise PricingError(f"no cell of the price matrix matches {shown}; add one, or declare a default")
        return found

    def amounts_of(self, values: Sequence[Sequence[str]], quantities: Column) -> Column:
        """One amount per row; `values[i]` are row i's dimension values."""
        prices = [self.price(row) for row in values]
        rows_of: dict[int, list[int]] = {}
        for row, price in enumerate(prices):
            rows_of.setdefault(id(price), []).append(row)
        amounts = Column.full(len(quantities), 0)
        for rows in rows_of.values():
            at = np.array(rows, np.intp)
            mask = np.zeros(len(quantities), np.bool_)
            mask[at] = True
            priced = prices[rows[0]].amounts(quantities.rows(at))
            amounts = priced.spread(mask).where(mask, amounts)
        return amounts

    def amounts(self, quantities: Column) -> Column:
        """Refuses: a quantity does not say what it was. The default is for values no cell names, not for none."""
        raise self._blind()

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        raise self._blind()

    def _blind(self) -> PricingError:
        return PricingError(
            f"this price looks at {', '.join(self.dimensions)} and the quantity does not say them; "
            "rate it by dimension with amounts_of"
        )
