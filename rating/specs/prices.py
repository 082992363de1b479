"""The price of one charge as an author writes it, and the Price it becomes.

Decides the words (`unit_price`, `graduated`, `package` ...) and refuses what cannot be a price, each mistake at its
place in the mapping. What a price means is `core.prices`; the charge around it is `schema` and `plans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from rating.core.money import decimal_text
from rating.core.prices.graduated import Graduated
from rating.core.prices.package import Package, Packaging
from rating.core.prices.per_unit import PerUnit
from rating.core.prices.price import Price
from rating.core.prices.stairstep import Stairstep
from rating.core.prices.volume import Volume
from rating.core.tiers import Beyond, Tier, Tiers, Upper
from rating.specs.fields import Amount, Quantity, Spec
from rating.specs.words import words


def _positive(size: Fraction) -> Fraction:
    if size <= 0:
        raise ValueError(f"a package of {decimal_text(size)} units cannot be sold; write how many units it holds")
    return size


class TierSpec(Spec):
    """One step of a graduated or volume price."""

    up_to: Quantity | None = Field(default=None, description="The last unit of this tier; open when absent.")
    unit_price: Amount = Field(default=Fraction(0), description='Price of each unit in this tier: "0.0005".')
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


def _rising(steps: Sequence[TierSpec | BandSpec]) -> Any:
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


_KINDS = ("unit_price", "graduated", "volume", "package", "stairstep")


class PriceSpec(Spec):
    """Exactly one way to price a quantity, and the switches that go with it."""

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
        written = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if not written:
            raise ValueError(f"no price is written; add one of {', '.join(_KINDS)}")
        if len(written) > 1:
            raise ValueError(f"{' and '.join(written)} are both written; a charge has one price, keep one of them")
        return self


def price_of(spec: PriceSpec) -> Price:
    """The price this spec describes. A PriceSpec that validated always compiles."""
    if spec.unit_price is not None:
        return PerUnit(spec.unit_price)
    if spec.graduated is not None:
        return Graduated(_tiers(spec, spec.graduated), spec.charge_at_zero)
    if spec.volume is not None:
        return Volume(_tiers(spec, spec.volume), spec.charge_at_zero)
    if spec.package is not None:
        return Package(spec.package.size, spec.package.price, spec.package.round, spec.package.minimum)
    assert spec.stairstep is not None
    bands = Tiers(tuple(Tier(band.up_to, flat=band.price) for band in spec.stairstep), spec.beyond, spec.upper_bound)
    return Stairstep(bands, spec.additive, spec.charge_at_zero)


def _tiers(spec: PriceSpec, steps: Sequence[TierSpec]) -> Tiers:
    return Tiers(
        tuple(Tier(step.up_to, step.unit_price, step.flat_fee) for step in steps), spec.beyond, spec.upper_bound
    )
