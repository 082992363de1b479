"""Percentage: a share of the money that passes through, event by event.

Each event may carry a fixed part, a least and a most it may cost; the first events, or the first amount, may be free.
With both allowances an event is free only while both last. The event that crosses the free amount pays its share only
on what exceeds it, but its fixed part in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rating.core.column import Column
from rating.core.money import decimal_text
from rating.core.prices.price import Portion

Offsets = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Percentage:
    rate_percent: Fraction
    fixed_per_event: Fraction = Fraction(0)
    free_events: int = 0
    """0 sets no limit by count."""
    free_amount: Fraction = Fraction(0)
    """In the money that passes through; 0 sets no limit by amount."""
    per_event_min: Fraction | None = None
    per_event_max: Fraction | None = None

    def __post_init__(self) -> None:
        if self.free_events < 0 or self.free_amount < 0:
            raise ValueError(f"free events {self.free_events} and free amount {self.free_amount} must be zero or more")

    def amounts(self, quantities: Column) -> Column:
        """Each quantity is one event; a quantity of zero is none."""
        each = self.each(quantities, np.arange(len(quantities) + 1))
        return each.where(quantities.above(0) | ~quantities.from_(0), Column.full(len(quantities), 0))

    def of_events(self, events: Column, offsets: Offsets) -> Column:
        """One amount per group of events, in their order of time (offsets as in `Column.running`)."""
        return self.each(events, offsets).sums(offsets)

    def each(self, events: Column, offsets: Offsets) -> Column:
        """What each event costs. An event of amount zero is an event all the same."""
        nothing = Column.full(len(events), 0)
        counted_out = np.zeros(len(events), np.bool_)
        if self.free_events:
            number = np.arange(len(events)) - np.repeat(offsets[:-1], np.diff(offsets))
            counted_out = number >= self.free_events
        paid, free = events, np.zeros(len(events), np.bool_)
        if self.free_amount:
            running = events.running(offsets)
            excess = running.minus(Column.full(len(events), self.free_amount)).at_least(0)
            before = running.minus(events).minus(Column.full(len(events), self.free_amount)).at_least(0)
            paid = events.where(counted_out, excess.minus(before))
            free = ~excess.above(0) & ~counted_out
        elif self.free_events:
            free = ~counted_out
        cost = paid.times(self.rate_percent / 100).plus(Column.full(len(events), self.fixed_per_event))
        if self.per_event_min is not None:
            cost = cost.at_least(self.per_event_min)
        if self.per_event_max is not None:
            cost = cost.at_most(self.per_event_max)
        return nothing.where(free, cost)

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        return self.portions_of([quantity]) if quantity else ()

    def portions_of(self, events: Sequence[Fraction]) -> tuple[Portion, ...]:
        column = Column.of(events)
        costs = self.each(column, np.array([0, len(events)])).fractions()
        what = f"event {{}} ({decimal_text(self.rate_percent)} %)"
        return tuple(
            Portion(what.format(number), event, None, cost)
            for number, (event, cost) in enumerate(zip(events, costs, strict=True), 1)
        )
