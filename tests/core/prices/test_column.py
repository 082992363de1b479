"""Columns: exact at and around the int64 bound, and never a silent wrap."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.column import INT64_BOUND, Column
from rating.core.money import Rounding, round_ratio

F = Fraction
NEAR = st.builds(
    lambda sign, place, offset: sign * (place + offset),
    st.sampled_from([1, -1]),
    st.sampled_from([0, 10**6, 2**31, 2**53, INT64_BOUND // 10**4, INT64_BOUND // 2, INT64_BOUND, 10**22]),
    st.integers(-3, 3),
)
NUMBERS = st.builds(F, NEAR, st.sampled_from([1, 3, 10, 1000]))
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6)


@settings(max_examples=80, deadline=None)
@given(pairs=PAIRS, factor=NUMBERS)
def test_every_operation_is_the_one_on_fractions(pairs: list[tuple[Fraction, Fraction]], factor: Fraction) -> None:
    left, right = ([pair[i] for pair in pairs] for i in (0, 1))
    a, b = Column.of(left), Column.of(right)
    assert a.fractions() == left
    for column, wanted in (
        (a.plus(b), [x + y for x, y in pairs]),
        (a.minus(b), [x - y for x, y in pairs]),
        (a.minimum(b), [min(pair) for pair in pairs]),
        (a.maximum(b), [max(pair) for pair in pairs]),
        (a.times(factor), [x * factor for x in left]),
        (a.at_least(factor), [max(x, factor) for x in left]),
        (a.at_most(factor), [min(x, factor) for x in left]),
        (a.where(a.above(factor), b), [x if x > factor else y for x, y in pairs]),
        (a.where(a.from_(factor), b), [x if x >= factor else y for x, y in pairs]),
    ):
        assert column.fractions() == wanted
        assert all(abs(int(unit)) <= column.bound for unit in column.units), "the bound is a promise"
    assert a.total() == sum(left, F(0))


@settings(max_examples=80, deadline=None)
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=5), size=st.sampled_from([F(1), F(3), F(5, 2), F(1, 100)]))
@pytest.mark.parametrize("rounding", Rounding)
def test_counting_packages_is_the_one_rounding(rounding: Rounding, numbers: list[Fraction], size: Fraction) -> None:
    counted = Column.of(numbers).whole(size, rounding)
    ratios = [number / size for number in numbers]
    assert counted.fractions() == [round_ratio(ratio.numerator, ratio.denominator, rounding) for ratio in ratios]
    assert all(abs(int(unit)) <= counted.bound for unit in counted.units)


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(st.lists(NUMBERS, max_size=4), min_size=1, max_size=4))
def test_running_totals_begin_anew_in_each_group(groups: list[list[Fraction]]) -> None:
    column, offsets = Column.of([x for group in groups for x in group]), np.cumsum([0, *map(len, groups)])
    running = [sum(group[: i + 1], F(0)) for group in groups for i in range(len(group))]
    assert column.running(offsets).fractions() == running
    assert column.sums(offsets).fractions() == [sum(group, F(0)) for group in groups]


@settings(max_examples=80, deadline=None)
@given(
    numbers=st.lists(NUMBERS, min_size=1, max_size=6),
    thresholds=st.lists(NEAR, max_size=12).map(sorted),
    data=st.data(),
)
def test_piecewise_lines_over_few_and_many_thresholds(
    numbers: list[Fraction], thresholds: list[int], data: st.DataObject
) -> None:
    column = Column.of(numbers)
    lines = st.lists(NUMBERS, min_size=len(thresholds) + 1, max_size=len(thresholds) + 1)
    intercepts, slopes = data.draw(lines), data.draw(lines)
    wanted = []
    for number in numbers:
        k = sum(number * column.denominator > threshold for threshold in thresholds)
        wanted.append(intercepts[k] + slopes[k] * number)
    assert column.piecewise(thresholds, intercepts, slopes).fractions() == wanted


def test_the_product_beyond_int64_is_computed_on_python_integers() -> None:
    largest = Column.of_units([INT64_BOUND])
    assert largest.units.dtype == np.int64
    assert largest.plus(Column.of_units([1])).fractions() == [INT64_BOUND + 1]
    assert largest.times(3).units.dtype == object
    assert Column.of_units([0]).times(10**30).fractions() == [0]
    assert Column.of_units(np.array([-(2**63)])).times(-1).fractions() == [2**63]


def test_floats_are_not_units_even_where_they_look_whole() -> None:
    with pytest.raises(TypeError, match="not all integers"):
        Column.of_units(np.array([1.0, 2.0]))
    with pytest.raises(TypeError, match="not all integers"):
        Column.of_units([1, 2.0])  # type: ignore[list-item]


def test_an_empty_column_stays_empty() -> None:
    empty = Column.of([])
    assert empty.plus(empty).fractions() == []
    assert empty.piecewise([0], [F(0), F(1)], [F(1), F(2)]).fractions() == []
    assert empty.whole(F(3)).total() == 0


def test_a_scale_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="15 is not a multiple of the denominator 10"):
        Column.of([F(1, 10)]).over(15)
