"""A plan: rate cards under one cadence and one currency, a fee beside them, and where to go when they are outgrown."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from rating.core.money import Currency, Rounding
from rating.core.periods import Cadence
from rating.core.ratecards import RateCard
from rating.core.settlements import Settlement


class Prorate(StrEnum):
    """The unit in which parts of a period are measured."""

    SECOND = "second"
    DAY = "day"


class Versions(StrEnum):
    """Whom a new version of a rate card reaches."""

    ALL = "all"
    """Everybody, from its date on: a period that spans two versions is split."""
    NEW = "new"
    """Subscriptions that begin on its date or later; earlier ones keep theirs until they are moved."""


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
    settlement: Settlement = field(default_factory=Settlement)
    """What is agreed about the charges as a whole."""
    prorate: Prorate = Prorate.SECOND
    versions: Versions = Versions.ALL
