"""Where the amount of a rate card bends or jumps as usage grows, and where two plans cross.

Between two bends an amount is a straight line, so a handful of exact evaluations says everything about it. Decides
nothing about prices: it asks `charges` for every amount.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rating.core.adjustments import Adjustments
from rating.core.charges import rate
from rating.core.column import Column
from rating.core.meters import Meter
from rating.core.plans import FeeDue, Plan
from rating.core.prices.dynamic import Dynamic
from rating.core.prices.flat import Flat
from rating.core.prices.graduated import Graduated
from rating.core.prices.graduated_percentage import GraduatedPercentage
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.ratecards import RateCard
from rating.core.settlements import Settlement
from rating.core.tiers import Beyond, Tiers
from rating.errors import PricingError

MOST_PACKAGES = 20_000
"""Package bounds looked at one by one; beyond them nothing is said."""


@dataclass(frozen=True, slots=True)
class Bends:
    """Quantities in whole units of the meter, allowance included."""

    at: tuple[Fraction, ...]
    every: tuple[tuple[Fraction, Fraction], ...] = ()
    """(first, step): packages jump again and again."""
    end: Fraction | None = None
    """The last quantity the card has a price for; None without end."""


def bends_of(card: RateCard) -> Bends:
    """Where this card's amount may bend or jump.

    Raises:
        PricingError: the amount depends on more than one quantity, or on agreements that bend it elsewhere.
    """
    moving = card.commitment is not None or card.conversion is not None or card.usage_discount
    if moving or card.adjustments != Adjustments():
        raise PricingError(
            f'charge "{card.key}" has a conversion, commitment, discount, cap or minimum, which move its bends; '
            "quote it with its usage instead"
        )
    return price_bends(card)


def price_bends(card: RateCard) -> Bends:
    """Where its price alone may bend or jump.

    Raises:
        PricingError: the price depends on more than one quantity.
    """
    included, price = card.included, card.price
    at = (Fraction(0), included)
    match price:
        case PerUnit() | Flat() | Dynamic():
            return Bends(at)
        case Graduated() | Volume() | Stairstep() | GraduatedPercentage() if not _capped(price.tiers):
            tiers = price.tiers
            bounds = [included + step.up_to for step in tiers.steps if step.up_to is not None]
            packages = tuple(
                (included if isinstance(price, Volume) else included + lower, step.package.size)
                for lower, _, step in tiers.spans()
                if step.package is not None
            )
            end = included + tiers.end if tiers.end is not None and tiers.beyond is Beyond.REFUSE else None
            return Bends((*at, *bounds), packages, end)
        case Package():
            if price.rounding is Packaging.EXACT:
                return Bends((*at, included + price.size * price.minimum_packages))
            return Bends(at, ((included, price.size),))
        case _:
            raise PricingError(
                f'charge "{card.key}" is priced by what its usage was, when, or how often, not by how much alone; '
                "quote it with its usage instead"
            )


def _capped(tiers: Tiers) -> bool:
    return any(step.cap is not None for step in tiers.steps)


Amounts = Callable[[Column], Column]
"""Exact amounts in major units for quantities in whole units."""


def amounts_of(plan: Plan, meter: str, others: dict[str, Fraction]) -> Amounts:
    """A plan's whole amount for one period against the usage of one meter, the other meters' usage given."""
    fixed = sum((fee.amount for fee in plan.all_fees if fee.due is not FeeDue.ONCE), Fraction(0))
    own = [card for card in plan.cards if card.meter.name == meter]
    for card in plan.cards:
        if card.meter.name != meter:
            fixed += rate(card, Column.of([others.get(card.meter.name, Fraction(0))])).amount.total()

    def amounts(quantities: Column) -> Column:
        total = Column.full(len(quantities), fixed)
        for card in own:
            total = total.plus(rate(card, quantities).amount)
        return total

    return amounts


@dataclass(frozen=True, slots=True)
class Stretch:
    """A range of quantities, both ends included, over which one plan is cheaper, or both cost the same."""

    start: Fraction
    end: Fraction | None
    """None: for ever."""
    cheaper: int
    """-1 the first, 1 the second, 0 neither."""
    crossing: Fraction | None = None
    """The exact quantity at which both lines meet before `start`, where they meet rather than jump."""


@dataclass(frozen=True, slots=True)
class Comparison:
    stretches: tuple[Stretch, ...]
    through: Fraction | None
    """How far was looked, where packages go on for ever or a price ends; None: everything is said."""


def compare(first: Plan, second: Plan, meter: Meter, others: dict[str, Fraction]) -> Comparison:
    """Where which of two plans is cheaper, exact to the meter's resolution.

    Raises:
        PricingError: a price depends on more than one quantity, or the currencies differ.
    """
    if first.currency != second.currency:
        raise PricingError(
            f'plan "{first.key}" is in {first.currency} and plan "{second.key}" in {second.currency}; '
            "compare plans of one currency"
        )
    for plan in (first, second):
        if plan.pools:
            raise PricingError(f'plan "{plan.key}" has a pool, so what one meter costs depends on the others')
        if plan.settlement != Settlement():
            raise PricingError(
                f'plan "{plan.key}" has discounts, a cap, a minimum or taxes on the whole; quote it with its usage'
            )
    scale = 10**meter.digits
    cards = [card for plan in (first, second) for card in plan.cards if card.meter.name == meter.name]
    bends = [bends_of(card) for card in cards]
    one, other = amounts_of(first, meter.name, others), amounts_of(second, meter.name, others)

    def difference(units: Sequence[int]) -> list[Fraction]:
        quantities = Column.of_units(units, scale)
        return one(quantities).minus(other(quantities)).fractions()

    ends = [math.floor(bend.end * scale) for bend in bends if bend.end is not None]
    end = min(ends) if ends else None
    marks = {math.floor(quantity * scale) for bend in bends for quantity in bend.at}
    every = [pair for bend in bends for pair in bend.every]
    limit = _limit(marks, every, scale, end, difference) if every else None
    for start, step in every:
        assert limit is not None
        count = min(MOST_PACKAGES, math.floor((Fraction(limit, scale) - start) / step) + 1)
        marks |= {math.floor((start + step * n) * scale) for n in range(max(count, 1))}
        if count == MOST_PACKAGES:
            limit = min(limit, math.floor((start + step * count) * scale))
    last = end if limit is None else limit if end is None else min(limit, end)
    edges = _edges(marks, last)
    return Comparison(
        tuple(_stretches(edges, difference(edges), scale, difference, last is None)),
        None if last is None else Fraction(last, scale),
    )


def _edges(marks: Iterable[int], last: int | None) -> list[int]:
    # A bound belongs to the tier below it or above it: both neighbours are looked at, so either way is exact.
    around = {mark + near for mark in marks for near in (-1, 0, 1, 2)} | ({last} if last is not None else set())
    return sorted(mark for mark in around if mark >= 0 and (last is None or mark <= last))


def _limit(
    marks: set[int],
    every: Sequence[tuple[Fraction, Fraction]],
    scale: int,
    end: int | None,
    difference: Callable[[Sequence[int]], list[Fraction]],
) -> int:
    """How far packages are followed: twice as far as where their average lines would meet."""
    far = max([*marks, *(math.ceil(step * scale) * 20 for _, step in every)])
    if end is not None and 2 * far > end:
        return end
    near, beyond = difference([far, 2 * far])
    slope = beyond - near
    if slope and (beyond > 0) != (slope > 0):
        far = max(far, math.ceil(2 * far + abs(beyond / slope) * far))
    return 2 * far if end is None else min(2 * far, end)


def _stretches(
    edges: Sequence[int],
    differences: Sequence[Fraction],
    scale: int,
    difference: Callable[[Sequence[int]], list[Fraction]],
    open_ended: bool,
) -> Iterable[Stretch]:
    """Runs of one sign. Between neighbouring edges the difference is a straight line over the meter's steps."""
    changes: list[tuple[int, int, Fraction | None]] = [(edges[0], _sign(differences[0]), None)]

    def note(unit: int, sign: int, crossing: Fraction | None) -> None:
        if sign != changes[-1][1]:
            changes.append((unit, sign, crossing))

    def between(left: int, at_left: Fraction, slope: Fraction, right: int | None) -> None:
        """Changes strictly after `left`, up to `right`."""
        if not slope:
            return
        zero = left - at_left / slope
        if zero < left or (right is not None and zero > right):
            return
        exact = Fraction(zero) / scale
        if zero == left:
            note(left + 1, 1 if slope > 0 else -1, exact)
            return
        reached = math.ceil(zero)
        if zero == reached:
            note(reached, 0, exact)
            if right is None or reached < right:
                note(reached + 1, 1 if slope > 0 else -1, exact)
        else:
            note(reached, 1 if slope > 0 else -1, exact)

    for (left, at_left), (right, at_right) in zip(
        zip(edges, differences, strict=True), zip(edges[1:], differences[1:], strict=True), strict=False
    ):
        if right == left + 1:
            # Neighbours on the meter's grid: whatever happens between them is not visible, a jump or a line.
            note(right, _sign(at_right), None)
        else:
            between(left, at_left, (at_right - at_left) / (right - left), right)
    if open_ended:
        final = edges[-1]
        at_final, next_one = difference([final, final + 1])
        between(final, at_final, next_one - at_final, None)
    for (start, sign, crossing), after in zip(changes, [*changes[1:], None], strict=True):
        end = None if after is None and open_ended else Fraction(edges[-1] if after is None else after[0] - 1, scale)
        yield Stretch(Fraction(start, scale), end, -1 if sign < 0 else 1 if sign > 0 else 0, crossing)


def _sign(number: Fraction) -> int:
    return (number > 0) - (number < 0)
