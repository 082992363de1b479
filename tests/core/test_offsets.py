"""Amounts below zero taken off others: the sum stays, and nothing is below zero."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rating.core.offsets import offset


@given(st.lists(st.integers(-(10**6), 10**9), max_size=12))
def test_the_sum_stays_and_no_line_grows_or_is_below_zero(amounts: list[int]) -> None:
    assume(sum(amounts) >= 0)
    found = offset(amounts)
    assert sum(found) == sum(amounts)
    assert len(found) == len(amounts)
    assert all(0 <= now <= max(before, 0) for now, before in zip(found, amounts, strict=True))


@pytest.mark.parametrize(
    ("amounts", "found"),
    [([500, 300, -200], [500, 100, 0]), ([-200, 150, 300], [0, 0, 250]), ([100, 50, -120, 10], [30, 0, 0, 10])],
)
def test_the_nearest_line_before_pays_first(amounts: list[int], found: list[int]) -> None:
    assert offset(amounts) == found


def test_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="sums to -1"):
        offset([1, -2])
