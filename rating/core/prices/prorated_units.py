"""Prorated units: a quantity counted for part of the period, priced in the tiers its full count reaches.

Fifty seats held for half a month are 25 seat-months; they are priced where fifty seats stand, and a tier's flat part is
due whole. Units are taken to be prorated evenly over the tiers.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from rating.core.prices.graduated import Graduated
from rating.core.prices.graduated_percentage import GraduatedPercentage
from rating.core.prices.price import Price, amount_of
from rating.core.prices.volume import Volume


def prorated_units(price: Price, full: Fraction, prorated: Fraction) -> Fraction:
    """The amount of `prorated` units in the tiers that `full` units reach."""
    if full == 0:
        return amount_of(price, prorated)
    whole, units = amount_of(price, full), amount_of(_without_flats(price), full)
    return units * prorated / full + whole - units


def _without_flats(price: Price) -> Price:
    if isinstance(price, Graduated | Volume | GraduatedPercentage):
        steps = tuple(replace(step, flat=Fraction(0)) for step in price.tiers.steps)
        return replace(price, tiers=replace(price.tiers, steps=steps))
    return price
