"""Charges: usage of one rate card, rated exactly, before any rounding.

Decides nothing of its own: the order is `terms`, the arithmetic is the price's. One road for usage whose price depends
on how much it is, over arrays; one for usage whose price also depends on what it was or when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from rating.core.adjustments import Committed, under_amount
from rating.core.allowances import in_turn
from rating.core.column import Column
from rating.core.prices.bands import Banded
from rating.core.prices.matrix import Matrix
from rating.core.prices.price import Portion, Price
from rating.core.ratecards import RateCard

Kind = tuple[str, ...]
"""The matrix values of some usage, or its band."""


@dataclass(frozen=True, slots=True)
class Rated:
    """Columns of equal length, one row per subscription on the card."""

    quantity: Column
    overage: Column
    """What exceeds the allowance, in the price's units."""
    amount: Column
    """Exact, in major units."""


def rate(card: RateCard, quantity: Column) -> Rated:
    """What these quantities (whole units of the card's meter, one per subscription and period) cost on this card.

    A minimum or a commitment's true-up is owed by a whole period; ask with the whole period's usage.
    """
    terms = card.terms
    converted = terms.converted(quantity)
    return Rated(quantity, terms.billable(converted), terms.owed(converted))


def explain(card: RateCard, quantity: Fraction) -> tuple[Portion, ...]:
    """The walk from one quantity to its amount; the portions add up to it."""
    return card.terms.portions(quantity)


def rate_mixed(card: RateCard, usage: Mapping[Kind, Fraction]) -> tuple[Rated, tuple[Portion, ...]]:
    """What one subscription's usage costs by kind, and the walk to it.

    Each kind is converted and priced on its own; the allowance is used up by the kinds in the order of their names, so
    that it does not depend on chance; commitment, discounts, cap and minimum hold for their sum.
    """
    kinds = sorted(usage)
    terms = card.terms
    converted = terms.converted(Column.of([usage[kind] for kind in kinds]))
    billable = in_turn(converted, card.included + card.usage_discount)
    prices = [_price_of(card, kind) for kind in kinds]
    left = billable.fractions()
    amounts = [price.amounts(Column.of([one])).total() for price, one in zip(prices, left, strict=True)]
    listed = Column.of([sum(amounts, Fraction(0))])
    owed = terms.adjusted(_committed(card, listed), True)
    portions: list[Portion] = []
    if free := converted.total() - billable.total():
        portions.append(Portion("included", free, Fraction(0), Fraction(0)))
    for kind, price, one in zip(kinds, prices, left, strict=True):
        named = ", ".join(kind)
        portions += (
            Portion(f"{named}: {step.what}", step.quantity, step.unit_price, step.amount)
            for step in price.portions(one)
            if one or step.amount
        )
    if rest := owed.total() - listed.total():
        portions.append(Portion("commitment, discounts, cap and minimum", Fraction(0), None, rest))
    quantity = Column.of([sum(usage.values(), Fraction(0))])
    return Rated(quantity, Column.of([billable.total()]), owed), tuple(portions)


def _price_of(card: RateCard, kind: Kind) -> Price:
    match card.price:
        case Matrix():
            return card.price.price(kind)
        case Banded():
            return card.price.prices[kind[0]]
    raise TypeError(f"card {card.key} has one price for all its usage")


def _committed(card: RateCard, listed: Column) -> Committed:
    commitment = card.committed
    if commitment is None:
        zero = Column.full(len(listed), 0)
        return Committed(listed, zero, zero)
    if commitment.amount is None:
        raise ValueError(f"card {card.key}: units cannot be committed where their price depends on their kind")
    return under_amount(listed, commitment)
