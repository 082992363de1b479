"""What a quantity costs at a price, as Stripe's documentation on pricing models says. Exact until the one rounding.

Written from their pages, by nobody who looked at this engine's own prices: the two are to agree, not to be the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from tests.stripe_peer.currencies import granule
from tests.stripe_peer.shelves import Thing


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line: so many units at one price, or a flat amount."""

    name: str
    quantity: int
    unit: Fraction
    exact: Fraction
    """In minor units."""


def parts(price: Thing, quantity: int) -> list[Part]:
    """Everything that a quantity costs, which is 0 or more."""
    if price["billing_scheme"] == "per_unit":
        transform = price["transform_quantity"]
        if transform is not None:
            whole, rest = divmod(quantity, transform["divide_by"])
            quantity = whole + (1 if rest and transform["round"] == "up" else 0)
        unit = Fraction(Decimal(price["unit_amount_decimal"]))
        return [Part("", quantity, unit, quantity * unit)]
    tiers = price["tiers"]
    if price["tiers_mode"] == "volume":
        # The tier in which the whole quantity ends prices all of it.
        tier = next(tier for tier in tiers if tier["up_to"] is None or quantity <= tier["up_to"])
        return _of(tier, tiers.index(tier), quantity)
    found: list[Part] = []
    below = 0
    for number, tier in enumerate(tiers):
        top = quantity if tier["up_to"] is None else min(quantity, tier["up_to"])
        # The first tier's flat amount is due even without usage; any other only once it is reached.
        if top > below or number == 0:
            found += _of(tier, number, top - below)
        below = max(below, top)
    return found


def _of(tier: Thing, number: int, quantity: int) -> list[Part]:
    found = []
    if tier["unit_amount_decimal"] is not None:
        unit = Fraction(Decimal(tier["unit_amount_decimal"]))
        found.append(Part(f"Tier {number + 1}", quantity, unit, quantity * unit))
    if tier["flat_amount_decimal"] is not None:
        flat = Fraction(Decimal(tier["flat_amount_decimal"]))
        found.append(Part(f"Tier {number + 1} flat fee", 0, flat, flat))
    return found


def rounded(exact: Fraction, of: str) -> int:
    """To an amount that can be collected in that currency, half up."""
    step = granule(of)
    return int((exact / step + Fraction(1, 2)) // 1) * step


def cost(price: Thing, quantity: int) -> int:
    """The amount of one line: all parts added, then rounded once."""
    return rounded(sum((part.exact for part in parts(price, quantity)), Fraction(0)), price["currency"])
