"""A rate card: how one meter is priced inside a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from rating.core.adjustments import Adjustments, Commitment, Ramp
from rating.core.meters import Meter
from rating.core.prices.bands import Banded
from rating.core.prices.converted import Conversion
from rating.core.prices.matrix import Matrix
from rating.core.prices.price import Price
from rating.core.taxes import Tax
from rating.core.terms import Terms


@dataclass(frozen=True, slots=True)
class RevenueShare:
    """Part of what a card's charges come to is owed to a partner. Customers pay neither more nor less for it."""

    partner: str
    percent: Fraction


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices `meter` by `price` after `included` units of allowance per billing period.

    Allowance before price: customers are promised free units, not cheaper ones.
    """

    key: str
    """Names this card inside its plan; it stands on line items and in the book, so it must not change."""
    title: str
    meter: Meter
    price: Price
    included: Fraction = Fraction(0)
    """In whole units of the meter, or in converted units where there is a conversion."""
    conversion: Conversion | None = None
    """From the meter's unit to the one the price is in: "per 1,000 tokens"."""
    usage_discount: Fraction = Fraction(0)
    """Units given away besides the allowance, after conversion."""
    commitment: Commitment | Ramp | None = None
    """A ramp changes from period to period; `parts` picks the step."""
    adjustments: Adjustments = field(default_factory=Adjustments)
    """Discounts, cap and minimum of this card alone."""
    taxes: tuple[Tax, ...] | None = None
    """This charge's own rates in place of the plan's."""
    rollover: int = 0
    """For how many further billing periods unused allowance is kept."""
    revenue_share: RevenueShare | None = None
    """See `partners`."""
    limit: Fraction | None = None
    """The most a consumer may use in a billing period, in whole units of the meter; prices nothing and stops nothing
    here: reaching it is told, and gateways suspend."""
    since: datetime | None = None
    """From when this version of the card holds, until the next of the same key; None from the beginning."""

    @property
    def terms(self) -> Terms:
        """Everything between a metered quantity and the amount owed for it, in one order."""
        return Terms(
            price=self.price,
            conversion=self.conversion,
            included=self.included,
            usage_discount=self.usage_discount,
            commitment=self.committed,
            adjustments=self.adjustments,
        )

    @property
    def committed(self) -> Commitment | None:
        """The commitment, once a step of its ramp has been picked.

        Raises:
            ValueError: it is a ramp, and nobody said for which period.
        """
        if isinstance(self.commitment, Ramp):
            raise ValueError(f"card {self.key}: its commitment depends on the period; ask `parts` for the card")
        return self.commitment

    @property
    def mixed(self) -> bool:
        """Does the price depend on what the usage was (a matrix) or when it was (bands), not on how much alone?"""
        return isinstance(self.price, Matrix | Banded)

    def kind(self, dimensions: Sequence[str], start: datetime) -> tuple[str, ...]:
        """Which kind of usage a window's row is for a mixed price: its matrix values, or the band it falls into.

        `dimensions` are in the meter's order.
        """
        if isinstance(self.price, Matrix):
            values = dict(zip(self.meter.dimensions, dimensions, strict=True))
            return tuple(values[dimension] for dimension in self.price.dimensions)
        if isinstance(self.price, Banded):
            return (self.price.bands.at(start),)
        return ()

    def with_included(self, included: Fraction) -> RateCard:
        """The same card with another allowance, as a part of a period has."""
        return replace(self, included=included)
