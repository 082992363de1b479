"""Allowances: units a customer has already been promised, taken off before the price begins.

Decides how many units are left to price. What those cost is `prices`; promises in money are `adjustments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

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


def carried_over(periods: Sequence[tuple[Fraction, Fraction]], kept: int) -> Fraction:
    """What earlier billing periods left over for the next one.

    `periods` are (allowance granted, quantity used), oldest first. An allowance serves its own period and `kept`
    further ones; what would expire first is used first.
    """
    buckets: list[Fraction] = []
    """What is left of each of the last grants, oldest first; at most `kept` of them reach the next period."""
    for granted, used in periods:
        buckets = [*buckets, granted]
        for index, left in enumerate(buckets):
            taken = min(left, max(used, Fraction(0)))
            buckets[index] -= taken
            used -= taken
        buckets = buckets[-kept:] if kept else []
    return sum(buckets, Fraction(0))


def in_turn(quantities: Column, included: Fraction) -> Column:
    """What is left of each row when one allowance is used up by the rows in their order.

    For parts of one consumer's usage: events of a period, dimensions of one meter, meters that share a pool.
    """
    if len(quantities) == 0:
        return quantities
    one_group = np.array([0, len(quantities)])
    running = quantities.running(one_group)
    before = running.minus(quantities)
    return beyond(running, included).minus(beyond(before, included))
