"""Offsets: amounts below zero taken off others, for papers on which no line may be below zero.

Decides which line a discount or a credit lowers. The sum is what it was; who prints the lines says that they are net.
"""

from __future__ import annotations

from collections.abc import Sequence


def offset(amounts: Sequence[int]) -> list[int]:
    """The same sum in amounts of zero or more: each one below zero is taken off those before it, nearest first.

    What is left of it is taken off those after it, nearest first.

    Raises:
        ValueError: they sum to less than zero.
    """
    if sum(amounts) < 0:
        raise ValueError(f"{list(amounts)} sums to {sum(amounts)}; nothing is left to take it off")
    left = list(amounts)
    for place, amount in enumerate(amounts):
        if amount >= 0:
            continue
        owed, left[place] = -amount, 0
        for other in (*range(place - 1, -1, -1), *range(place + 1, len(left))):
            taken = min(max(left[other], 0), owed)
            left[other] -= taken
            owed -= taken
        left[place] = -owed
    return left
