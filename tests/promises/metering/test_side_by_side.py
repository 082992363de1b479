"""The measurement of `make bench` in small: every bill is right to half a cent, most of hourly increase() are not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.bench.side_by_side import FEE, measure, plainly

SMALL = 150


def test_the_price_list_read_aloud() -> None:
    assert plainly(Fraction(200)) == FEE
    assert plainly(Fraction(201)) == FEE + Fraction("0.012")
    assert plainly(Fraction(1_300)) == FEE + 12 + 100 * Fraction("0.0085")
    assert plainly(Fraction(5_000)) == FEE + 12 + 1_500 * Fraction("0.0085") + 2_300 * Fraction("0.0049")


@pytest.mark.slow
def test_every_bill_of_a_day_is_right_to_half_a_cent(prometheus_binary: Path, promtool: Path) -> None:
    found = measure(SMALL)
    assert found.consumers == found.ours == SMALL
    assert found.over == 0
    assert found.increase < SMALL / 2, "or the day was too calm to tell"
