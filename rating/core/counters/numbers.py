"""From the number text of an answer to whole units of a meter's resolution, exactly.

Readings are quantised while they are still cumulative, before any subtraction: so the differences telescope over any
split of a period and no fraction is lost or invented. Rounding is half away from zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rating.core.money import round_ratio

EXACT = 2**53
"""Beyond this many units neighbouring float64 values are more than one unit apart: single units vanish."""

_HALF_MARGIN = 1e-6


def units(text: str, digits: int) -> int:
    """One reading in multiples of `10**-digits`.

    Whole numbers are taken as written; anything else as the binary fraction that its float64 stands for, because that
    and not the decimal text is what the counter held.

    Raises:
        ValueError: not a finite number.
    """
    scale: int = 10**digits
    if text.isdecimal():
        return int(text) * scale
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a finite reading of a counter")
    exact = Fraction(number) * scale
    return round_ratio(exact.numerator, exact.denominator)


def column(texts: Sequence[str], digits: int) -> list[int]:
    """Many readings at once: the same as `units` of each, by float64 arithmetic wherever that is exact.

    Raises:
        ValueError: one is not a finite number.
    """
    try:
        numbers = np.array(list(map(float, texts)), dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"a reading is not a number: {error}") from error
    scaled = numbers * float(10**digits)
    # Below 2^52 a product is off by less than a half in the last place, and floor and the fraction are exact: only a
    # reading on the very edge between two units can go wrong, and those few are done again on fractions. NaN and
    # infinities compare false and arrive there too, to be refused.
    with np.errstate(invalid="ignore"):
        whole = np.floor(scaled)
        rest = scaled - whole
        exact = (rest == 0) & (digits == 0)
        safe = (np.abs(scaled) < EXACT / 2) & (exact | (np.abs(rest - 0.5) > _edge(scaled)))
    result: list[int] = np.where(safe, whole + (rest > 0.5), 0).astype(np.int64).tolist()
    for index in np.flatnonzero(~safe).tolist():
        result[index] = units(texts[index], digits)
    return result


def _edge(scaled: NDArray[Any]) -> NDArray[Any]:
    """How near to a half a scaled reading must be to be looked at again: far more than its rounding error."""
    edge: NDArray[Any] = np.maximum(_HALF_MARGIN, np.abs(scaled) * 2.0**-50)
    return edge
