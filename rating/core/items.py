"""One-off items: setup, consulting, whatever a person adds to the next invoice of a subscription, once.

Decides the line it becomes and which items wait. Neither discounted nor capped; credits pay it and taxes apply.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from rating.core.invoices import Draft, LineItem, LineKind
from rating.core.money import Currency, Rounding, decimal_text, round_amount
from rating.core.periods import Period
from rating.errors import Contradiction


@dataclass(frozen=True, slots=True)
class Item:
    subscription: str
    """Key of the subscription on whose next invoice it stands."""
    title: str
    amount: Fraction
    """In major units of the currency the subscription is invoiced in; negative for an allowance."""
    on: date
    """The day it was agreed or delivered."""
    reference: str = ""
    """Tells two items apart that are the same otherwise, such as an order's number."""
    author: str = ""

    @property
    def key(self) -> str:
        return "/".join((self.subscription, str(self.on), self.reference or self.title))


def line_of(item: Item, billed: Period, currency: Currency, rounding: Rounding) -> LineItem:
    amount = round_amount(item.amount, currency, rounding)
    return LineItem(LineKind.ITEM, item.key, item.title, billed, item.amount, amount)


def waiting(items: Iterable[Item], papers: Iterable[Draft]) -> tuple[Item, ...]:
    """Those on none of these papers, in the order in which they were kept. Papers taken back must be left out."""
    placed = {line.card for paper in papers for line in paper.lines if line.kind is LineKind.ITEM}
    return tuple(item for item in items if item.key not in placed)


def same_item(item: Item, kept: Item) -> None:
    """Raises:
    Contradiction: the key is kept with other content. The author may differ: the first stands.
    """
    if (item.title, item.amount) != (kept.title, kept.amount):
        raise Contradiction(
            f"item {kept.key} was kept as {kept.title!r} over {decimal_text(kept.amount)} "
            f"and is now {item.title!r} over {decimal_text(item.amount)}; give a further item a reference of its own"
        )
