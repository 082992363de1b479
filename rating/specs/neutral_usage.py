"""Usage of the neutral form meets its terms: a quantity, events, buckets, periods, slices, snapshots.

Decides which question is put to the core; reads usage, computes nothing itself. Models that are more than a price per
quantity are `neutral_models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from rating.core.adjustments import Adjustments
from rating.core.column import Column
from rating.core.money import Rounding
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.percentage import Percentage
from rating.core.prices.price import Portion, Price
from rating.core.prices.prorated_units import prorated_units
from rating.core.terms import Terms, slice_owed, snapshots_owed
from rating.specs import neutral_cards as cards
from rating.specs.neutral import Fields
from rating.specs.neutral_switches import Switches

AS_IS = PerUnit(Fraction(1))
"""For models whose usage already is money, or stays a quantity."""


@dataclass(frozen=True, slots=True)
class Question:
    model: str
    card: Fields
    usage: Fields
    how: Switches
    decimals: int | None
    rounding: Rounding

    @property
    def places(self) -> int:
        """Decimals of the amount; whole units where the answer is no money."""
        return self.decimals or 0


@dataclass(frozen=True, slots=True)
class Rated:
    """An exact amount before credits and tax, and how it came about."""

    amount: Fraction
    breakdown: tuple[Fraction, ...] | None = None
    portions: tuple[Portion, ...] = ()
    parts: Mapping[str, Fraction] = field(default_factory=dict)
    rounds_each_line: bool = False
    """Does this model round each line unless the question says otherwise?"""
    in_minor_units: bool = False
    settled: bool = False
    """Credits and tax are already part of it; then also the figures below are set."""
    rounded: Fraction | None = None
    tax: Fraction | None = None
    remaining: tuple[Fraction, ...] = ()
    line_taxes: tuple[Fraction, ...] | None = None


def terms_of(question: Question, price: Price = AS_IS) -> Terms:
    return cards.terms(question.card, question.how, price)


def by_usage(question: Question, terms: Terms) -> Rated:
    """Any price, by the form its usage comes in."""
    usage = question.usage
    if usage.has("cumulative_snapshots"):
        snapshots = usage.numbers("cumulative_snapshots")
        return lines("slice", snapshots_owed(terms, snapshots, question.decimals, question.rounding))
    if usage.has("periods"):
        # A period is settled on its own: its own cap, its own minimum.
        return lines("period", [by_usage(_part(question, each), terms).amount for each in _entries(usage, "periods")])
    for name in ("buckets", "windows"):
        if usage.has(name):
            alone = replace(terms, adjustments=Adjustments())
            amounts = [by_usage(_part(question, each), alone).amount for each in _entries(usage, name)]
            return adjusted(lines(name[:-1], amounts), terms)
    if usage.has("events"):
        return _by_events(terms, usage.numbers("events"))
    if usage.has("previous_quantity") or usage.has("previous_billed"):
        return _slice(question, terms)
    quantity = quantity_of(question)
    if usage.has("quantity_for_tier_selection") and question.how.select_by_full_units is not False:
        return _by_full_units(question, terms, quantity)
    billable = terms.converted(Column.of([quantity]))
    amount = terms.owed(billable, usage.flag("final", True)).total()
    steps = terms.priced(quantity)
    return Rated(amount, tuple(step.amount for step in steps), terms.portions(quantity))


def quantity_of(question: Question) -> Fraction:
    usage = question.usage
    if usage.has("quantities"):
        return sum(usage.numbers("quantities"), Fraction(0))
    none = Fraction(0) if question.model == "flat_fee" else None
    return usage.number("amount", none) if usage.has("amount") else usage.number("quantity", none)


def _entries(usage: Fields, key: str) -> list[Fields]:
    """Buckets and periods: a bare quantity, a list of events, or usage of its own."""
    found = []
    for i, entry in enumerate(usage.entries(key)):
        if not isinstance(entry, Mapping):
            entry = {"events" if isinstance(entry, list) else "quantity": entry}
        found.append(Fields(entry, f"{usage.at(key)}[{i}]"))
    return found


def _part(question: Question, usage: Fields) -> Question:
    return replace(question, usage=usage)


def lines(what: str, amounts: list[Fraction]) -> Rated:
    portions = [Portion(f"{what} {i}", Fraction(0), None, amount) for i, amount in enumerate(amounts, 1)]
    return Rated(sum(amounts, Fraction(0)), tuple(amounts), tuple(portions))


def adjusted(found: Rated, terms: Terms) -> Rated:
    """What is agreed about the sum of lines that were priced one by one."""
    amount = terms.adjustments.apply(Column.of([found.amount])).total()
    rest = amount - found.amount
    steps = (Portion("discounts, cap and minimum", Fraction(0), None, rest),) if rest else ()
    return replace(found, amount=amount, portions=(*found.portions, *steps))


def _by_events(terms: Terms, events: list[Fraction]) -> Rated:
    column, one_group = Column.of(events), np.array([0, len(events)])
    amount = terms.owed_for_events(column, one_group).total()
    if not isinstance(terms.price, Percentage):
        return Rated(amount, None, terms.portions(sum(events, Fraction(0))))
    portions = terms.price.portions_of(terms.converted(column).fractions())
    return Rated(amount, tuple(portion.amount * terms.share for portion in portions), portions)


def _slice(question: Question, terms: Terms) -> Rated:
    usage = question.usage
    previous, quantity = usage.number("previous_quantity", Fraction(0)), quantity_of(question)
    amount = slice_owed(
        terms,
        previous,
        quantity,
        usage.flag("final", True),
        usage.maybe("previous_billed"),
        question.how.convert_slices_alone,
    )
    steps = None
    if not usage.has("previous_billed") and not question.how.convert_slices_alone:
        # Only then: what was billed as it was said need not be priced, and may lie where no tier covers it.
        steps = _slice_steps(terms.priced(previous), terms.priced(previous + quantity))
    if steps is None:
        return Rated(amount, (amount,), (Portion("this slice of the running total", quantity, None, amount),))
    listed = sum((step.amount for step in steps), Fraction(0))
    rest = (Portion("commitment, discounts, cap and minimum", Fraction(0), None, amount - listed),)
    return Rated(amount, tuple(step.amount for step in steps), (*steps, *(rest if amount != listed else ())))


def _slice_steps(before: tuple[Portion, ...], after: tuple[Portion, ...]) -> tuple[Portion, ...] | None:
    """What a slice adds, step by step; None where it changes the price of what was there before (volume)."""
    names = [step.what for step in after]
    if [step.what for step in before] != names[: len(before)]:
        return None
    none = [Portion(name, Fraction(0), None, Fraction(0)) for name in names[len(before) :]]
    pairs = zip(after, (*before, *none), strict=True)
    added = (replace(now, quantity=now.quantity - was.quantity, amount=now.amount - was.amount) for now, was in pairs)
    return tuple(step for step in added if step.quantity or step.amount)


def _by_full_units(question: Question, terms: Terms, quantity: Fraction) -> Rated:
    full, prorated = (
        terms.billable(terms.converted(Column.of([each]))).total()
        for each in (question.usage.number("quantity_for_tier_selection"), quantity)
    )
    listed = prorated_units(terms.price, full, prorated) * terms.share
    portion = Portion("prorated units in the tiers of the full count", prorated, None, listed)
    return adjusted(Rated(listed, (listed,), (portion,)), terms)
