"""Late: which issued invoices late data may reach, and under which terms they were billed.

Reads the book only. What the difference comes to is `core.late`; who puts it on a paper is `writing`.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace

from rating.core.catalogue import Catalogue
from rating.core.invoices import Draft, LineKind
from rating.core.periods import Period
from rating.core.subscriptions import Subscription
from rating.ports import Book


class LateUsage:
    """Whose usage of which periods was adjusted, asked once each: nearly always it is nobody's."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._adjusted: dict[Period | None, AbstractSet[str]] = {}

    def touches(self, consumers: AbstractSet[str], period: Period | None = None) -> bool:
        if period not in self._adjusted:
            self._adjusted[period] = self._book.adjusted(period)
        return not consumers.isdisjoint(self._adjusted[period])


def as_billed(subscription: Subscription, catalogue: Catalogue, paper: Draft) -> Subscription:
    """The subscription as an invoice was drafted for it: its terms of that catalogue, its end as the lines show it.

    An end that was agreed later does not shorten what was billed; the catalogue's own prices for it may have changed.
    """
    known = {one.key: one for one in catalogue.subscriptions}
    found = replace(known.get(subscription.key, subscription), pauses=subscription.pauses)
    through = max((line.period.end for line in paper.lines if line.kind is LineKind.USAGE), default=paper.period.end)
    if through < paper.period.end:
        return replace(found, end=through)
    return replace(found, end=None) if found.end is not None and found.end < paper.period.end else found
