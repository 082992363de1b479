"""Terms: everything agreed between one metered quantity and the exact amount owed for it, in one order.

    conversion -> included units -> usage discount -> price -> proration -> commitment -> adjustments

Units first, money second: customers are promised free units, not cheaper ones, and packages are counted on what is
left. Decides the order only; each step is its own module. Rounding, credits and taxes come after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from rating.core.adjustments import Adjustments, Commitment, Committed, under_amount, under_quantity
from rating.core.allowances import beyond
from rating.core.column import Column
from rating.core.money import Rounding, round_to
from rating.core.prices.converted import Conversion
from rating.core.prices.percentage import Percentage
from rating.core.prices.price import Portion, Price
from rating.core.prices.scaled import Scaled


@dataclass(frozen=True, slots=True)
class Terms:
    price: Price
    conversion: Conversion | None = None
    included: Fraction = Fraction(0)
    """In converted units, like the usage discount."""
    usage_discount: Fraction = Fraction(0)
    share: Fraction = Fraction(1)
    """Of the period's price, see `proration`."""
    commitment: Commitment | None = None
    adjustments: Adjustments = field(default_factory=Adjustments)
    clamp_negative: bool = False
    """Usage below zero counts as none, instead of being credited."""

    def converted(self, quantities: Column) -> Column:
        if self.clamp_negative:
            quantities = quantities.at_least(0)
        return quantities if self.conversion is None else self.conversion.converted(quantities)

    def billable(self, converted: Column) -> Column:
        """What the price sees of these converted quantities."""
        return beyond(beyond(converted, self.included), self.usage_discount)

    def listed(self, billable: Column) -> Column:
        """By the list price, for this share of the period."""
        return self._price.amounts(billable)

    def committed(self, billable: Column) -> Committed:
        """The list amount as promised part, overage and true-up; all of it promised without a commitment."""
        if self.commitment is None:
            zero = Column.full(len(billable), 0)
            return Committed(self.listed(billable), zero, zero)
        if self.commitment.quantity is not None:
            return under_quantity(self._price, billable, self.commitment)
        return under_amount(self.listed(billable), self.commitment)

    def owed(self, converted: Column, final: bool = True) -> Column:
        """Exact amounts for converted quantities. `final` is the period's last settlement (true-up, minimum)."""
        return self.adjusted(self.committed(self.billable(converted)), final)

    def owed_for_events(self, events: Column, offsets: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Column:
        """One amount per group of events. Only a percentage tells events apart; other prices see their sum."""
        if not isinstance(self.price, Percentage):
            return self.owed(self.converted(events.sums(offsets)))
        amounts = self.price.of_events(self.converted(events), offsets).times(self.share)
        return self.adjusted(self._of_amounts(amounts), True)

    def adjusted(self, parts: Committed, final: bool) -> Column:
        amounts = parts.amount if final else parts.committed.plus(parts.overage)
        return self.adjustments.apply(amounts, final)

    def _of_amounts(self, amounts: Column) -> Committed:
        if self.commitment is not None and self.commitment.amount is not None:
            return under_amount(amounts, self.commitment)
        zero = Column.full(len(amounts), 0)
        return Committed(amounts, zero, zero)

    @property
    def _price(self) -> Price:
        return self.price if self.share == 1 else Scaled(self.price, self.share, "prorated")

    def priced(self, quantity: Fraction) -> tuple[Portion, ...]:
        """The price's own walk over what is billable of a metered quantity."""
        return self._price.portions(self.billable(self.converted(Column.of([quantity]))).total())

    def portions(self, quantity: Fraction) -> tuple[Portion, ...]:
        """The walk for people: from the metered quantity to the amount owed; its amounts add up to it."""
        converted = self.converted(Column.of([quantity]))
        portions: list[Portion] = []
        if free := converted.minus(self.billable(converted)).total():
            portions.append(Portion("included", free, Fraction(0), Fraction(0)))
        portions += self.priced(quantity)
        rest = self.owed(converted).total() - sum((portion.amount for portion in portions), Fraction(0))
        if rest:
            portions.append(Portion("commitment, discounts, cap and minimum", Fraction(0), None, rest))
        return tuple(portions)


def slice_owed(
    terms: Terms,
    previous: Fraction,
    quantity: Fraction,
    final: bool = True,
    billed: Fraction | None = None,
    converted_alone: bool = False,
) -> Fraction:
    """What this slice of a progressively billed period owes: the running total, rated anew, less what came before.

    Late or corrected usage so settles to the same total as if it had come in time; a slice may be negative. `billed` is
    what was billed before if that is known to differ from what `previous` is rated at. `converted_alone` converts (and
    rounds) each slice by itself instead of the running total.
    """
    before = terms.converted(Column.of([previous]))
    if converted_alone:
        running = before.plus(terms.converted(Column.of([quantity])))
    else:
        running = terms.converted(Column.of([previous + quantity]))
    due = terms.owed(running, final).total()
    return due - (terms.owed(before, False).total() if billed is None else billed)


def snapshots_owed(
    terms: Terms, snapshots: Sequence[Fraction], decimals: int | None, rounding: Rounding = Rounding.HALF_UP
) -> list[Fraction]:
    """What each snapshot of a running total bills: all of it rated and rounded anew, less the snapshot before.

    Rounding each total, not each difference: 0.333 and 0.666 bill 0.33 and 0.34. The minimum is owed by the last one.
    """
    if not snapshots:
        return []
    converted = terms.converted(Column.of(snapshots))
    totals = terms.owed(converted, final=False).fractions()
    totals[-1] = terms.owed(converted, final=True).fractions()[-1]
    if decimals is not None:
        totals = [round_to(total, decimals, rounding) for total in totals]
    return [total - before for total, before in zip(totals, [Fraction(0), *totals[:-1]], strict=True)]
