"""Allowances: units a customer has already been promised, taken off before the price begins.

Decides how many units are left to price. What those cost is `prices`; promises in money are `adjustments`.
"""

from __future__ import annotations

from fractions import Fraction

from rating.core.column import Column


def beyond(quantities: Column, included: Fraction) -> Column:
    """What exceeds an allowance of `included` units.

    Nothing is taken off below zero: a correction is not paid twice, once by the price and once by the allowance.
    """
    if included < 0:
        raise ValueError(f"an allowance of {included} units promises nothing; it must be zero or more")
    if included == 0:
        return quantities
    used = quantities.at_least(0).at_most(included)
    return quantities.minus(used)
