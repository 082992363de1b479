"""Taxes: rates on lines or on the total, on top of an amount or inside it.

Decides each rate's share, rounded once. Which rates apply to whom is `taxation`, or a tax service's knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rating.core.money import Rounding, round_to


@dataclass(frozen=True, slots=True)
class Tax:
    """One declared rate. Rates add up; none is taxed by another."""

    title: str
    percent: Fraction


@dataclass(frozen=True, slots=True)
class Taxed:
    net: Fraction
    """Exact."""
    by_rate: tuple[Fraction, ...]
    """Exact tax per rate."""
    decimals: int
    rounding: Rounding = Rounding.HALF_UP

    @property
    def exact(self) -> Fraction:
        return sum(self.by_rate, Fraction(0))

    @property
    def rounded(self) -> Fraction:
        """The tax rounded once, over all rates."""
        return round_to(self.exact, self.decimals, self.rounding)

    @property
    def rounded_by_rate(self) -> tuple[Fraction, ...]:
        """Each rate rounded on its own: what invoices show where each rate is declared apart."""
        return tuple(round_to(tax, self.decimals, self.rounding) for tax in self.by_rate)


def taxed(
    amount: Fraction,
    percents: Sequence[Fraction],
    decimals: int,
    inclusive: bool = False,
    rounding: Rounding = Rounding.HALF_UP,
) -> Taxed:
    """Tax on an exact amount. Rates add up, none is taxed by another; `inclusive` amounts already contain them all."""
    net = amount / (1 + sum(percents, Fraction(0)) / 100) if inclusive else amount
    return Taxed(net, tuple(net * percent / 100 for percent in percents), decimals, rounding)
