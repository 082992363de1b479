"""Remote prices: a rate card in the terms of a gateway that rates by itself, where both come to the same on every bill.

Decides what can be said there and how: whole numbers of a metered unit, prices in minor units of the currency with at
most twelve decimals, tiers that include their upper bound and whose last one is open. What such a gateway rounds, it
rounds by line, half up, and a tier may be a line of its own; whether a first tier's flat part is due without usage, it
does not document. A card is expressed only where none of this can make a difference, else it is refused with the
reason. Plans and subscriptions are `offers`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from rating.core.adjustments import Adjustments
from rating.core.money import Rounding, decimal_text
from rating.core.prices.converted import Conversion
from rating.core.prices.flat import Flat
from rating.core.prices.graduated import Graduated
from rating.core.prices.matrix import Matrix
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.price import Price
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.ratecards import RateCard
from rating.core.tiers import Beyond, Tier, Tiers, Upper

DECIMALS = 12
"""The most of a unit price in minor units."""


class Unsayable(ValueError):
    """Why a gateway cannot be told this, so that it rates as we do."""


class Mode(StrEnum):
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"


@dataclass(frozen=True, slots=True)
class RemoteTier:
    up_to: int | None
    """The last metered unit that belongs to it; None for the rest."""
    unit: Fraction
    """Minor units of money for each metered unit."""
    flat: int = 0
    """Minor units, once the tier is reached."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a whole number of metered units becomes money, in minor units."""

    mode: Mode
    unit: Fraction = Fraction(0)
    """Of one metered unit, or of one package."""
    tiers: tuple[RemoteTier, ...] = ()
    divide_by: int = 1
    """Metered units in a package."""
    round_up: bool = True
    """A started package counts in full, else not at all."""

    @property
    def whole(self) -> bool:
        """Is every amount a whole number of minor units, so that nothing is ever rounded?"""
        return all(price.denominator == 1 for price in (self.unit, *(tier.unit for tier in self.tiers)))


Match = tuple[tuple[str, str], ...]
"""The dimension values of the usage that a meter of its own counts; empty for all of it."""


def schedules(card: RateCard, decimals: int) -> tuple[tuple[Match, Schedule], ...]:
    """What a gateway has to be told of a card, one schedule for each of its meters there.

    `decimals` are those of the currency. The card must have no step of a ramp left to pick.

    Raises:
        Unsayable: it would rate something else than we do, or cannot be told.
    """
    _without_agreements(card)
    if isinstance(card.price, Matrix):
        return tuple(_cells(card, card.price, decimals))
    return (((), _Words(card, decimals).schedule(card.price)),)


def fee_schedule(amount: Fraction, decimals: int) -> Schedule:
    """A fee as the price of one unit.

    Raises:
        Unsayable: it has more decimals than can be written there.
    """
    return Schedule(Mode.PER_UNIT, _written(amount * 10**decimals, "the fee"))


def _without_agreements(card: RateCard) -> None:
    if card.commitment is not None:
        raise Unsayable("it has a commitment")
    if card.adjustments.minimum is not None:
        raise Unsayable("it has a minimum")
    if card.adjustments.maximum is not None:
        raise Unsayable("it has a cap")
    if card.adjustments.discounts:
        raise Unsayable("it has discounts")
    if card.adjustments != Adjustments():
        raise Unsayable("it is converted into another currency")
    if card.rollover:
        raise Unsayable("unused allowance is carried over")
    if card.taxes is not None:
        raise Unsayable("it has taxes of its own")


def _cells(card: RateCard, matrix: Matrix, decimals: int) -> Iterable[tuple[Match, Schedule]]:
    """A meter for each value of the one dimension that chooses the price."""
    if card.included or card.usage_discount:
        raise Unsayable("one allowance serves prices that differ by dimension")
    if matrix.default is not None or len(matrix.dimensions) != 1:
        raise Unsayable(
            "its price depends on dimensions; only one dimension whose every value is listed, without a default, "
            "can become a meter for each value"
        )
    seen: set[Match] = set()
    for cell in matrix.cells:
        match = tuple(sorted(cell.match.items()))
        if len(match) != 1 or match in seen:
            raise Unsayable("a cell of its matrix does not name exactly one value, or names it twice")
        seen.add(match)
        schedule = _Words(card, decimals).schedule(cell.price)
        if not schedule.whole:
            raise Unsayable(
                "its cells are one line here and a line each there, and with unit prices below the smallest coin "
                "both would be rounded apart"
            )
        yield match, schedule


@dataclass(frozen=True, slots=True)
class _Words:
    """The words for one card: quantities in metered units, money in minor units."""

    card: RateCard
    decimals: int

    @property
    def scale(self) -> Fraction:
        """Metered units for one unit of the price."""
        conversion = self.card.conversion
        return Fraction(10**self.card.meter.digits) / (1 if conversion is None else conversion.factor)

    def unit(self, price: Fraction) -> Fraction:
        if price < 0:
            raise Unsayable("a unit price is below zero")
        return _written(price * 10**self.decimals / self.scale, "the price of one metered unit")

    def flat(self, amount: Fraction) -> int:
        minor = amount * 10**self.decimals
        if minor.denominator != 1 or minor < 0:
            raise Unsayable(f"a flat part of {decimal_text(amount)} is no whole number of the currency's smallest unit")
        return int(minor)

    def units(self, quantity: Fraction, what: str) -> int:
        units = quantity * self.scale
        if units.denominator != 1:
            raise Unsayable(f"{what} of {decimal_text(quantity)} is no whole number of metered units")
        return int(units)

    @property
    def free(self) -> int:
        """Metered units that cost nothing."""
        return self.units(self.card.included + self.card.usage_discount, "an allowance")

    def schedule(self, price: Price) -> Schedule:
        conversion = self.card.conversion
        if conversion is not None and conversion.rounding is not None:
            return self.packages(_as_package(price, conversion))
        match price:
            case PerUnit():
                return self.per_unit(price.unit_price)
            case Flat():
                return self.flat_price(price)
            case Graduated():
                return self.graduated(price.tiers, price.charge_at_zero)
            case Volume():
                return self.volume(price.tiers, price.charge_at_zero)
            case Stairstep():
                return self.stairstep(price)
            case Package():
                return self.packages(price)
        raise Unsayable(f"its price is of the kind {_kind(price)}")

    def per_unit(self, unit_price: Fraction) -> Schedule:
        unit = self.unit(unit_price)
        if not self.free:
            return Schedule(Mode.PER_UNIT, unit)
        return _graduated((RemoteTier(self.free, Fraction(0)), RemoteTier(None, unit)))

    def flat_price(self, price: Flat) -> Schedule:
        if price.charge_at_zero:
            raise Unsayable("its flat price is due without usage as well; write it as a fee of the plan")
        return self.graduated(Tiers((Tier(None, flat=price.amount),)), False)

    def graduated(self, tiers: Tiers, charge_at_zero: bool) -> Schedule:
        free = self.free
        found = [RemoteTier(free, Fraction(0))] if free else []
        for place, (_, upper, step) in enumerate(tiers.spans()):
            _straight(step)
            unit, flat = self.unit(step.unit_price), self.flat(step.flat)
            end = None if upper is None else free + self.units(upper, "the end of a tier")
            if flat and place == 0:
                if charge_at_zero:
                    raise Unsayable("the flat part of its first tier is due without usage; write it as a fee")
                if not free:
                    # Whether a first tier's flat part is due at zero is not documented; on the first unit it is clear.
                    found.append(RemoteTier(1, unit + flat))
                    flat = 0
                    if end == 1:
                        continue
            if flat and place and tiers.upper is Upper.EXCLUSIVE:
                raise Unsayable("a flat part is due on the bound itself, which belongs to the lower tier there")
            found.append(RemoteTier(end, unit, flat))
        if found[-1].up_to is not None:
            found.append(self.rest(tiers, Fraction(0), 0))
        return _graduated(tuple(found))

    def volume(self, tiers: Tiers, charge_at_zero: bool) -> Schedule:
        if self.free:
            raise Unsayable("its tier prices all units there, the free ones as well")
        if charge_at_zero and tiers.steps[0].flat:
            # Also where the first tier ends below one metered unit, and would be left out.
            raise Unsayable("the flat part of its first tier is due without usage; write it as a fee")
        found: list[RemoteTier] = []
        for _, upper, step in tiers.spans():
            _straight(step)
            end = None if upper is None else self.last_inside(tiers, upper)
            # A bound between two metered units may leave a tier without any.
            if end is None or end > (found[-1].up_to or 0 if found else 0):
                found.append(RemoteTier(end, self.unit(step.unit_price), self.flat(step.flat)))
        if found[-1].up_to is not None:
            last = tiers.steps[-1]
            assert last.up_to is not None
            found.append(self.rest(tiers, Fraction(0), self.flat(last.unit_price * last.up_to + last.flat)))
        if found[0].flat:
            raise Unsayable("its first tier has a flat part, and whether that is due without usage is not documented")
        return Schedule(Mode.VOLUME, tiers=tuple(found))

    def stairstep(self, price: Stairstep) -> Schedule:
        steps = price.tiers.steps
        if price.additive:
            return self.graduated(price.tiers, price.charge_at_zero)
        rises = [
            step.flat - before for step, before in zip(steps, [Fraction(0), *(s.flat for s in steps)], strict=False)
        ]
        if min(rises) < 0:
            return self.volume(price.tiers, price.charge_at_zero)
        bands = tuple(replace(step, flat=rise) for step, rise in zip(steps, rises, strict=True))
        return self.graduated(replace(price.tiers, steps=bands), price.charge_at_zero)

    def packages(self, price: Package) -> Schedule:
        if price.minimum_packages:
            raise Unsayable(f"{price.minimum_packages} packages are due at least")
        if price.rounding is Packaging.EXACT:
            return self.per_unit(price.price / price.size)
        if self.free:
            raise Unsayable("free units and packages cannot be combined there")
        size = self.units(price.size, "a package")
        if price.price < 0:
            raise Unsayable("the price of a package is below zero")
        unit = _written(price.price * 10**self.decimals, "the price of a package")
        return Schedule(Mode.PACKAGE, unit, divide_by=size, round_up=price.rounding is Packaging.UP)

    def last_inside(self, tiers: Tiers, bound: Fraction) -> int:
        """The last metered unit on the lower side of a bound."""
        units = bound * self.scale
        return math.floor(units) if tiers.upper is Upper.INCLUSIVE else math.ceil(units) - 1

    def rest(self, tiers: Tiers, unit: Fraction, flat: int) -> RemoteTier:
        if tiers.beyond is not Beyond.UNBILLED:
            raise Unsayable("its last tier has an end; leave the last up_to open")
        return RemoteTier(None, unit, flat)


def _graduated(tiers: Sequence[RemoteTier]) -> Schedule:
    lower = 0
    for place, tier in enumerate(tiers, 1):
        if tier.up_to is not None:
            full = tier.unit * (tier.up_to - lower)
            if full.denominator != 1:
                raise Unsayable(
                    f"tier {place} in full (to {tier.up_to} metered units) comes to {decimal_text(full)} of the "
                    "currency's smallest unit; it is rounded on a line of its own there and with the others here: "
                    "choose bounds at which it is a whole number"
                )
            lower = tier.up_to
    return Schedule(Mode.GRADUATED, tiers=tuple(tiers))


def _straight(step: Tier) -> None:
    if step.package is not None:
        raise Unsayable("a tier is sold by the package")
    if step.cap is not None:
        raise Unsayable("a tier has a cap")


def _as_package(price: Price, conversion: Conversion) -> Package:
    """A conversion that rounds to whole units is a package of as many as make one."""
    ways = {Rounding.CEILING: Packaging.UP, Rounding.UP: Packaging.UP, Rounding.FLOOR: Packaging.DOWN}
    if not isinstance(price, PerUnit) or conversion.decimals or conversion.rounding not in ways:
        raise Unsayable("its quantity is converted and rounded before it is priced")
    return Package(Fraction(1), price.unit_price, ways[conversion.rounding])


def _written(minor: Fraction, what: str) -> Fraction:
    if (minor * 10**DECIMALS).denominator != 1:
        raise Unsayable(
            f"{what} comes to {decimal_text(minor, DECIMALS + 2)} of the smallest unit of the currency, and at most "
            f"{DECIMALS} decimals can be written there"
        )
    return minor


def _kind(price: Price) -> str:
    return type(price).__name__.lower()
