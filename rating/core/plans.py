"""A plan: rate cards under one cadence and one currency, a fee beside them, and where to go when they are outgrown."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from rating.core.money import Currency, Rounding
from rating.core.periods import Cadence
from rating.core.ratecards import RateCard
from rating.core.settlements import Settlement
from rating.core.taxes import Tax


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


class FeeDue(StrEnum):
    """When a fee is billed."""

    ARREARS = "arrears"
    """On the invoice of the period it is for."""
    ADVANCE = "advance"
    """Before its period begins: on the invoice of the period before, the first one when the subscription begins."""
    ONCE = "once"
    """When the subscription begins, in full."""


@dataclass(frozen=True, slots=True)
class Fee:
    """A flat price of the plan. Recurring ones are for a whole billing period."""

    key: str
    title: str
    amount: Fraction
    due: FeeDue = FeeDue.ARREARS
    taxes: tuple[Tax, ...] | None = None
    """This fee's own rates in place of the plan's."""


@dataclass(frozen=True, slots=True)
class Pool:
    """One allowance that several cards of the plan use up together, in the plan's order, after what is their own."""

    key: str
    title: str
    included: Fraction
    cards: tuple[str, ...]
    by_customer: bool = False
    """Shared by all consumers of one customer on this plan, in the order of their names; else each has its own."""


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
    fees: tuple[Fee, ...] = ()
    """Fees beside `fee`."""
    pools: tuple[Pool, ...] = ()

    @property
    def all_fees(self) -> tuple[Fee, ...]:
        """Every fee, the plan's own first."""
        return ((Fee("", f"{self.title} fee", self.fee),) if self.fee else ()) + self.fees

    @property
    def opens(self) -> bool:
        """Is something due when a subscription begins?"""
        return any(fee.due is not FeeDue.ARREARS for fee in self.fees)
