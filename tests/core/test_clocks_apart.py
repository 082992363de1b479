"""How far apart the clocks of two replicas may be where no process start tells one restart from another.

Up to a minute, and the interval in which nobody looked, a restart seen by both is one. Beyond that their stamps are
believed: two falls so far apart are two restarts, and what was counted between them is counted again.
"""

from __future__ import annotations

import pytest

from rating.adapters.memory_source import MemorySource
from rating.core.counters import decide
from rating.core.counters.lives import CLOCKS_APART
from rating.core.windows import Closing
from tests.core.test_counters import COUNTER, METER, MINUTE, WINDOW, Points, began, series, up

SEEN = {-2: 80, -1: 90, 0: 100, 1: 110, 2: 120, 3: 130, 4: 140, 5: 7, 6: 17, 7: 27, 8: 37, 9: 47}
"""Each minute by the right clock; the process restarts after the fourth."""
RIGHT = 50 + 47
"""From 90 to 140, and from zero to 47."""


def counted(seconds_apart: float, *, with_starts: bool = False) -> tuple[int, int]:
    """Usage and restarts, when the second replica's clock runs ahead by that much."""
    ahead = seconds_apart / 60
    shifted: Points = {minute + ahead: value for minute, value in SEEN.items() if minute + ahead < 10}
    samples = [series({**COUNTER, "replica": "a"}, SEEN), series({**COUNTER, "replica": "b"}, shifted), up()]
    if with_starts:
        process = {minute: -5 if value >= 80 else 4.5 for minute, value in SEEN.items()}
        samples.append(began(process, replica="a"))
        samples.append(began({minute + ahead: start for minute, start in process.items()}, replica="b"))
    closing = decide(METER, WINDOW, MemorySource(samples).read(METER, WINDOW))
    assert isinstance(closing, Closing)
    return closing.usage[0].quantity, closing.evidence.resets


BORDER = (CLOCKS_APART + MINUTE) / 1000


@pytest.mark.parametrize("apart", [0, 1, 30, 59, 59.999, 60, 61, 90, BORDER - 0.001])
def test_clocks_a_minute_apart_make_one_restart_of_one(apart: float) -> None:
    assert counted(apart) == (RIGHT, 1)
    # A clock that is behind dates some of it before the window, where the other replica's samples cannot take it back.
    assert RIGHT - 20 <= counted(-apart)[0] <= RIGHT


def test_beyond_that_the_stamps_are_believed() -> None:
    """140 stands again after the fall that the other replica saw: this is why clocks are to be set."""
    assert counted(BORDER) == (RIGHT + 140, 2)


@pytest.mark.parametrize("apart", [0, 59.999, BORDER, 180])
def test_with_process_starts_any_clocks_will_do(apart: float) -> None:
    assert counted(apart, with_starts=True) == (RIGHT, 1)
