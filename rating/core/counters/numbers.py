"""From the number text of an answer to whole units of a meter's resolution, exactly.

Readings are converted and quantised while they are still cumulative (those of gauges: while they are still values),
before any subtraction or product: so usage telescopes over any split of a period and no fraction is lost or invented.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rating.core.meters import Meter
from rating.core.money import Rounding, round_ratio

EXACT = 2**53
"""Beyond this many units neighbouring float64 values are more than one unit apart: single units vanish."""

_HALF_MARGIN = 1e-6


@dataclass(frozen=True, slots=True)
class Scale:
    """How a reading becomes whole units: multiplied by `factor`, then rounded."""

    factor: Fraction
    rounding: Rounding = Rounding.HALF_UP

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise ValueError(f"a scale of {self.factor} is not above zero")

    @property
    def exact(self) -> int:
        """From so many units on a reading is beyond what float64 counts one by one, in units or in what it counts."""
        return min(EXACT, round_ratio(EXACT * self.factor.numerator, self.factor.denominator))


def scale_of(meter: Meter) -> Scale:
    """From what the metric counts to the meter's resolution."""
    return Scale(meter.conversion * 10**meter.reading_digits, meter.rounding)


def decimals(digits: int) -> Scale:
    """Multiples of `10**-digits`."""
    return Scale(Fraction(10**digits))


WHOLE, THOUSANDTHS = decimals(0), decimals(3)


def units(text: str, scale: Scale) -> int:
    """One reading in whole units.

    Whole numbers are taken as written; anything else as the binary fraction that its float64 stands for, because that
    and not the decimal text is what the counter held.

    Raises:
        ValueError: not a finite number.
    """
    if text.isdecimal():
        exact = int(text) * scale.factor
    else:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text!r} is not a finite reading of a counter")
        exact = Fraction(number) * scale.factor
    return round_ratio(exact.numerator, exact.denominator, scale.rounding)


def column(texts: Sequence[str], scale: Scale) -> list[int]:
    """Many readings at once: the same as `units` of each, by float64 arithmetic wherever that is exact.

    Raises:
        ValueError: one is not a finite number.
    """
    whole, safe = _whole(doubles(texts), scale)
    result: list[int] = whole.tolist()
    for index in np.flatnonzero(~safe).tolist():
        result[index] = units(texts[index], scale)
    return result


def doubles(texts: Sequence[str]) -> NDArray[Any]:
    """The float64 that each text stands for.

    Raises:
        ValueError: one is no number at all.
    """
    try:
        return np.array(list(map(float, texts)), dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"a reading is not a number: {error}") from error


def quantised(found: NDArray[Any], scale: Scale) -> NDArray[Any]:
    """Readings that came as float64 in whole units, as int64. One of EXACT units or more is given as EXACT, on either
    side of zero: what it truly is no longer matters.

    Raises:
        ValueError: one is not a finite number.
    """
    whole, safe = _whole(found, scale)
    for index in np.flatnonzero(~safe).tolist():
        whole[index] = max(-EXACT, min(EXACT, units(repr(float(found[index])), scale)))
    return whole


def _whole(found: NDArray[Any], scale: Scale) -> tuple[NDArray[Any], NDArray[Any]]:
    """Units of each reading, and where that is certain."""
    scaled = found * float(scale.factor)
    # Below 2^52 a product is off by less than a half in the last place, and floor and the fraction are exact: only a
    # reading on the very edge between two units can go wrong, and those few are done again on fractions. NaN and
    # infinities compare false and arrive there too, to be refused.
    with np.errstate(invalid="ignore"):
        whole = np.floor(scaled)
        rest = scaled - whole
        exact = (rest == 0) & (scale.factor == 1)
        safe = (np.abs(scaled) < EXACT / 2) & (exact | (_from_edge(rest, scale.rounding) > _edge(scaled)))
        if scale.rounding in _DIRECTED:
            # Directed roundings part at whole units and at zero: above it DOWN and FLOOR agree.
            safe &= exact | (scaled > 0)
            rounded = whole + (rest > 0) * (scale.rounding in (Rounding.UP, Rounding.CEILING))
        else:
            rounded = whole + (rest > 0.5)
    return np.where(safe, rounded, 0).astype(np.int64), safe


_DIRECTED = (Rounding.UP, Rounding.DOWN, Rounding.CEILING, Rounding.FLOOR)


def _from_edge(rest: NDArray[Any], rounding: Rounding) -> NDArray[Any]:
    """How far a fraction lies from where this rounding turns."""
    distance: NDArray[Any] = np.minimum(rest, 1 - rest) if rounding in _DIRECTED else np.abs(rest - 0.5)
    return distance


def _edge(scaled: NDArray[Any]) -> NDArray[Any]:
    """How near to an edge a scaled reading must be to be looked at again: far more than its rounding error."""
    edge: NDArray[Any] = np.maximum(_HALF_MARGIN, np.abs(scaled) * 2.0**-50)
    return edge
