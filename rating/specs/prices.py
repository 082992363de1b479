"""The price of one charge as an author writes it, and the Price it becomes.

Decides the words (`unit_price`, `graduated`, `package` ...) and refuses what cannot be a price, each mistake at its
place in the mapping. What a price means is `core.prices`; the charge around it is `schema` and `plans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from rating.core.money import decimal_text
from rating.core.prices.bands import Band, Banded, Bands
from rating.core.prices.dynamic import Dynamic
from rating.core.prices.flat import Flat
from rating.core.prices.graduated import Graduated
from rating.core.prices.graduated_percentage import GraduatedPercentage
from rating.core.prices.matrix import Cell, Matrix
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.percentage import Percentage
from rating.core.prices.price import Price
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.tiers import Beyond, Block, Tier, Tiers, Upper
from rating.specs.clocks import WEEKDAYS, Clock, Day, Weekday
from rating.specs.fields import Amount, Label, Quantity, Share, Spec, Text, Zone
from rating.specs.words import words


def _positive(size: Fraction) -> Fraction:
    if size <= 0:
        raise ValueError(f"a package of {decimal_text(size)} units cannot be sold; write how many units it holds")
    return size


class BlockSpec(Spec):
    """Packages counted inside a tier; a started one costs all of it."""

    size: Annotated[Quantity, AfterValidator(_positive)] = Field(description="Units in one package.")
    price: Amount = Field(description="Price of one package.")


class TierSpec(Spec):
    """One step of a graduated or volume price."""

    up_to: Quantity | None = Field(default=None, description="The last unit of this tier; open when absent.")
    unit_price: Amount = Field(default=Fraction(0), description='Price of each unit in this tier: "0.0005".')
    flat_fee: Amount = Field(default=Fraction(0), description="Due once as soon as the tier is reached.")
    package: BlockSpec | None = Field(default=None, description="Units of this tier sold by the package.")
    cap: Amount | None = Field(default=None, description="The most this tier costs, its flat fee included.")


class ShareTierSpec(Spec):
    """One step of a graduated percentage."""

    up_to: Quantity | None = Field(default=None, description="The last unit of money in this tier; open when absent.")
    rate: Share = Field(description="The share of the money in this tier: 2.9%.")
    flat_fee: Amount = Field(default=Fraction(0), description="Due once as soon as the tier is reached.")


class BandSpec(Spec):
    """One band of a stairstep price."""

    up_to: Quantity | None = Field(default=None, description="The last unit of this band; open when absent.")
    price: Amount = Field(description="The flat price of this band.")


class PackageSpec(Spec):
    """Units sold by the package."""

    size: Annotated[Quantity, AfterValidator(_positive)] = Field(description="Units in one package.")
    price: Amount = Field(description="Price of one package.")
    round: Annotated[Packaging, *words(Packaging)] = Field(
        default=Packaging.UP,
        description="What a started package costs: up all of it, down nothing until it is full, exact its share.",
    )
    minimum: int = Field(default=0, ge=0, description="Packages billed at least, without usage as well.")


def _rising(steps: Sequence[TierSpec | BandSpec | ShareTierSpec]) -> Any:
    """Refuses a list whose bounds do not rise, each fault at its own tier."""
    faults: list[InitErrorDetails] = []
    lower = Fraction(0)
    for number, step in enumerate(steps, 1):
        if step.up_to is None:
            if number < len(steps):
                says = f"tier {number} has no up_to, so what comes after it is never reached; give it one"
                faults.append(_fault(says, (number - 1,), step))
        elif step.up_to <= lower:
            before = f"tier {number - 1} already ends at {decimal_text(lower)}" if lower else "tiers begin at 0"
            says = f"tier {number} ends at {decimal_text(step.up_to)} but {before}; list tiers by rising up_to"
            faults.append(_fault(says, (number - 1, "up_to"), step.up_to))
        else:
            lower = step.up_to
    if faults:
        raise ValidationError.from_exception_data("tiers", faults)
    return steps


def _fault(says: str, where: tuple[int | str, ...], value: object) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("tiers", "{says}", {"says": says}), loc=where, input=value)


class QuantityPriceSpec(Spec):
    """Exactly one way to price a quantity, and the switches that go with it."""

    kinds: ClassVar[tuple[str, ...]] = (
        "unit_price",
        "graduated",
        "volume",
        "package",
        "stairstep",
        "flat",
        "percentage",
        "graduated_percentage",
        "dynamic",
    )

    unit_price: Amount | None = Field(default=None, description='The same price for every unit: "0.002".')
    graduated: Annotated[list[TierSpec], AfterValidator(_rising)] | None = Field(
        default=None, min_length=1, description="Units fill the tiers one after the other."
    )
    volume: Annotated[list[TierSpec], AfterValidator(_rising)] | None = Field(
        default=None, min_length=1, description="The tier the quantity falls into prices all of it."
    )
    package: PackageSpec | None = Field(default=None, description="Units sold by the package.")
    stairstep: Annotated[list[BandSpec], AfterValidator(_rising)] | None = Field(
        default=None, min_length=1, description="A flat price for the band the quantity reaches."
    )
    flat: Amount | None = Field(default=None, description='One amount, however much was used: "20.00".')
    percentage: Share | None = Field(default=None, description="For meters that count money: a share of it, 2.9%.")
    graduated_percentage: Annotated[list[ShareTierSpec], AfterValidator(_rising)] | None = Field(
        default=None, min_length=1, description="For meters that count money: it fills tiers, each with its share."
    )
    dynamic: Amount | None = Field(
        default=None, description='For meters that count what is owed: times this factor, "1" as it is.'
    )
    additive: bool = Field(default=False, description="Stairstep: add up the flat prices of all bands reached.")
    beyond: Annotated[Beyond, *words(Beyond)] = Field(
        default=Beyond.REFUSE, description="What a quantity beyond a finite last tier costs."
    )
    upper_bound: Annotated[Upper, *words(Upper)] = Field(
        default=Upper.INCLUSIVE, description="Does a tier hold the quantity that lies exactly on its up_to?"
    )
    charge_at_zero: bool = Field(default=False, description="Is the first tier's flat fee due without usage?")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        written = [kind for kind in self.kinds if getattr(self, kind) is not None]
        if not written:
            raise ValueError(f"no price is written; add one of {', '.join(self.kinds)}")
        if len(written) > 1:
            raise ValueError(f"{' and '.join(written)} are both written; a charge has one price, keep one of them")
        return self


class CellSpec(QuantityPriceSpec):
    """One cell of a matrix: dimension values, and the price of usage that has them all."""

    match: dict[Label, Text] = Field(description="Dimension values: {model: large, direction: out}.")


class MatrixSpec(Spec):
    """Prices by the values of dimensions. The first cell that matches wins."""

    by: list[Label] = Field(min_length=1, description="Dimensions of the meter, such as [model, direction].")
    cells: list[CellSpec] = Field(min_length=1, description="Narrow ones first.")
    default: QuantityPriceSpec | None = Field(
        default=None, description="The price of usage no cell matches; without it such usage stops the bill."
    )

    @model_validator(mode="after")
    def _known_dimensions(self) -> Self:
        for number, cell in enumerate(self.cells, 1):
            for dimension in cell.match:
                if dimension not in self.by:
                    known = ", ".join(self.by)
                    raise ValueError(f'cell {number} matches on "{dimension}"; add it to "by", which has {known}')
        return self


class TimeBandSpec(QuantityPriceSpec):
    """Hours of the day, on some days, with a price of their own."""

    name: Text = Field(description="What it is called on invoices: night, weekend.")
    start: Clock = Field(default=time(0), description='The first minute, "22:00".')
    end: Clock = Field(default=time(0), description='The minute after the last, "06:00"; "00:00" is midnight.')
    weekdays: list[Weekday] = Field(default_factory=lambda: list(WEEKDAYS), description="The days it begins on.")
    first_day: Day | None = Field(default=None, description="Not before this day.")
    last_day: Day | None = Field(default=None, description="Not after this day.")


class TimesSpec(Spec):
    """Prices by the time of use. The first band that holds wins."""

    timezone: Zone | None = Field(default=None, description="Whose clock; the catalogue's time zone when absent.")
    bands: list[TimeBandSpec] = Field(min_length=1, description="Hours and days with prices of their own.")
    otherwise: QuantityPriceSpec = Field(description="The price of all other times.")


class PriceSpec(QuantityPriceSpec):
    """The price of a charge: of its quantity, or of its quantity by what it was or when it was."""

    kinds: ClassVar[tuple[str, ...]] = (*QuantityPriceSpec.kinds, "matrix", "times")

    matrix: MatrixSpec | None = Field(default=None, description="Prices by the meter's dimensions.")
    times: TimesSpec | None = Field(default=None, description="Prices by the time of use.")


_UTC = ZoneInfo("UTC")


def price_of(spec: QuantityPriceSpec, zone: ZoneInfo = _UTC) -> Price:
    """The price this spec describes. A spec that validated always compiles. `zone` is the catalogue's."""
    if isinstance(spec, PriceSpec) and spec.matrix is not None:
        cells = tuple(Cell(dict(cell.match), price_of(cell)) for cell in spec.matrix.cells)
        default = None if spec.matrix.default is None else price_of(spec.matrix.default)
        return Matrix(tuple(spec.matrix.by), cells, default)
    if isinstance(spec, PriceSpec) and spec.times is not None:
        return _banded(spec.times, zone)
    if spec.unit_price is not None:
        return PerUnit(spec.unit_price)
    if spec.graduated is not None:
        return Graduated(_tiers(spec, [_tier(step) for step in spec.graduated]), spec.charge_at_zero)
    if spec.volume is not None:
        return Volume(_tiers(spec, [_tier(step) for step in spec.volume]), spec.charge_at_zero)
    if spec.package is not None:
        return Package(spec.package.size, spec.package.price, spec.package.round, spec.package.minimum)
    if spec.stairstep is not None:
        bands = _tiers(spec, [Tier(band.up_to, flat=band.price) for band in spec.stairstep])
        return Stairstep(bands, spec.additive, spec.charge_at_zero)
    if spec.flat is not None:
        return Flat(spec.flat, spec.charge_at_zero)
    if spec.percentage is not None:
        return Percentage(spec.percentage * 100)
    if spec.graduated_percentage is not None:
        shares = [Tier(step.up_to, step.rate * 100, step.flat_fee) for step in spec.graduated_percentage]
        return GraduatedPercentage(_tiers(spec, shares), spec.charge_at_zero)
    assert spec.dynamic is not None
    return Dynamic(spec.dynamic)


def _tier(step: TierSpec) -> Tier:
    block = None if step.package is None else Block(step.package.size, step.package.price)
    return Tier(step.up_to, step.unit_price, step.flat_fee, block, step.cap)


def _tiers(spec: QuantityPriceSpec, steps: Sequence[Tier]) -> Tiers:
    return Tiers(tuple(steps), spec.beyond, spec.upper_bound)


def _banded(spec: TimesSpec, zone: ZoneInfo) -> Banded:
    bands = tuple(
        Band(
            band.name,
            band.start,
            band.end,
            frozenset(WEEKDAYS.index(day) for day in band.weekdays),
            band.first_day,
            band.last_day,
        )
        for band in spec.bands
    )
    prices = {band.name: price_of(band) for band in spec.bands}
    return Banded(Bands(bands, spec.timezone or zone), {**prices, Bands.OTHERWISE: price_of(spec.otherwise)})
