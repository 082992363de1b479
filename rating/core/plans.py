"""A plan: rate cards under one cadence and one currency, a fee beside them, and where to go when they are outgrown."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rating.core.money import Currency, Rounding
from rating.core.periods import Cadence
from rating.core.ratecards import RateCard


@dataclass(frozen=True, slots=True)
class Upsell:
    """The plan to offer, and the shares of an allowance at which to offer it."""

    plan: str
    thresholds: tuple[Fraction, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    key: str
    title: str
    currency: Currency
    cadence: Cadence
    fee: Fraction = Fraction(0)
    """Flat fee per billing period in major units, in arrears."""
    cards: tuple[RateCard, ...] = ()
    upsell: Upsell | None = None
    rounding: Rounding = Rounding.HALF_UP
