"""Where in a block of samples, one series after the other, an instant lies in each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rating.adapters.prometheus.remote.choice import compiled
from rating.core.counters import Integers, first_at

Places = Callable[[Any, Integers, Integers, int], Integers]


@cache
def places() -> Places:
    """`first_at`, as machine code where that can be made."""
    if not compiled():
        return first_at
    import numba  # a moment to import, and only for those who need it

    def each(times: Any, low: Any, high: Any, instant: int) -> Any:
        found = np.empty_like(low)
        for number in range(len(low)):
            first, beyond = low[number], high[number]
            while first < beyond:
                middle = (first + beyond) >> 1
                if times[middle] < instant:
                    first = middle + 1
                else:
                    beyond = middle
            found[number] = first
        return found

    made: Places = numba.njit(cache=True, nogil=True)(each)
    return made
