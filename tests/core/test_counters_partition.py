"""The short way gives what the long way gives: clean counters by subtraction, columns by float64, and schedules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.counters import WHOLE, Name, Naming, Reading, Scale, column, partition, units
from rating.core.keys import meter_digest
from rating.core.meters import Meter
from rating.core.money import Rounding, round_ratio
from rating.core.periods import Period
from rating.core.schedule import due_windows, windows
from rating.core.windows import Usage

METER = Meter("calls", "api_requests_total", "consumer_id", ("endpoint",), window=timedelta(hours=1))


def name(consumer: str, replica: str = "", instance: str = "one") -> Name:
    labels = {"consumer_id": consumer, "endpoint": "/a", "job": "api", "instance": instance, "replica": replica}
    return Naming(METER).name(labels)


A, B = name("c1", "a"), name("c1", "b")


class TestPartition:
    def test_a_clean_counter_is_one_subtraction_and_the_highest_replica_speaks(self) -> None:
        ends = {1: Reading(A, 130), 2: Reading(B, 128)}
        bases = {1: Reading(A, 100), 2: Reading(B, 103)}
        found = partition(ends, bases, (), ())
        assert found.clean == [Usage("c1", ("/a",), 27)]
        assert (found.clean_identities, found.clean_series, found.largest) == (1, 2, 130)

    @pytest.mark.parametrize(
        ("fallen", "restarted"), [((2,), ()), ((), (("api", "one"),))], ids=["a fall", "a new process"]
    )
    def test_any_doubt_about_one_replica_makes_the_counter_dirty(
        self, fallen: tuple[int, ...], restarted: tuple[tuple[str, ...], ...]
    ) -> None:
        ends = {1: Reading(A, 130), 2: Reading(B, 128)}
        found = partition(ends, ends, fallen, restarted)
        assert (set(found.dirty), set(found.born), found.clean_series) == ({A.identity}, set(), 0)

    def test_without_any_base_it_is_born(self) -> None:
        found = partition({1: Reading(A, 130), 2: Reading(B, 128)}, {}, (), ())
        assert (set(found.dirty), set(found.born)) == (set(), {A.identity})

    def test_a_replica_that_begins_or_ends_seeing_it_makes_it_dirty(self) -> None:
        for ends, bases in (
            ({1: Reading(A, 130), 2: Reading(B, 128)}, {1: Reading(A, 100)}),
            ({1: Reading(A, 130)}, {1: Reading(A, 100), 2: Reading(B, 103)}),
            ({1: Reading(A, 130)}, {2: Reading(B, 103)}),
        ):
            assert set(partition(ends, bases, (), ()).dirty) == {A.identity}

    def test_a_counter_that_is_gone_counts_nothing(self) -> None:
        found = partition({}, {1: Reading(A, 100)}, (), ())
        assert (found.clean, set(found.dirty), set(found.born)) == ([], set(), set())


floats = st.floats(min_value=0, max_value=2.0**60, allow_nan=False)
halves = st.builds(lambda whole, digits: (whole + 0.5) / 10**digits, st.integers(0, 2**40), st.integers(0, 6))


@given(st.lists(st.one_of(floats, halves, st.integers(0, 2**60).map(float)), max_size=20), st.integers(0, 6))
def test_a_column_is_quantised_as_each_of_its_numbers_in_fractions(numbers: list[float], digits: int) -> None:
    texts = [repr(number) for number in numbers]
    exact = [Fraction(number) * 10**digits for number in numbers]
    assert column(texts, Scale(Fraction(10**digits))) == [
        round_ratio(number.numerator, number.denominator) for number in exact
    ]
    assert column(texts, Scale(Fraction(10**digits))) == [units(text, Scale(Fraction(10**digits))) for text in texts]


@given(
    st.lists(st.one_of(floats, halves, st.integers(0, 2**50).map(float)), max_size=20),
    st.fractions(min_value=Fraction(1, 2**31), max_value=1000, max_denominator=2**31),
    st.sampled_from(Rounding),
)
def test_a_converted_column_is_rounded_as_each_of_its_numbers_in_fractions(
    numbers: list[float], factor: Fraction, rounding: Rounding
) -> None:
    exact = [Fraction(number) * factor for number in numbers]
    assert column([repr(number) for number in numbers], Scale(factor, rounding)) == [
        round_ratio(number.numerator, number.denominator, rounding) for number in exact
    ]


@given(st.lists(st.integers(0, 2**40), min_size=3, max_size=12), st.integers(2, 2**31), st.sampled_from(Rounding))
def test_converted_windows_add_up_whatever_way_the_period_is_cut(
    raised: list[int], per: int, rounding: Rounding
) -> None:
    """And differ from the exact conversion of the whole by less than one step."""
    scale = Scale(Fraction(1, per), rounding)
    readings = [sum(raised[:count]) for count in range(1, len(raised) + 1)]
    units_at = column([str(reading) for reading in readings], scale)
    windows = [after - before for before, after in pairwise(units_at)]
    assert sum(windows) == units_at[-1] - units_at[0]
    assert abs(sum(windows) - Fraction(readings[-1] - readings[0], per)) <= 1


@pytest.mark.parametrize("text", ["NaN", "+Inf", "-Inf"])
def test_what_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a finite"):
        column(["1", text], WHOLE)


DAY = datetime(2026, 10, 1, tzinfo=UTC)


class TestSchedule:
    def test_a_window_is_due_once_settled_and_absent_oldest_first(self) -> None:
        now = DAY + timedelta(hours=4, minutes=4)
        due = due_windows([METER], {"calls": {DAY + timedelta(hours=1)}}, DAY, now)
        assert [(entry.window.start - DAY) / timedelta(hours=1) for entry in due] == [0, 2]
        later = due_windows([METER], {"calls": {DAY + timedelta(hours=1)}}, DAY, now + timedelta(minutes=1))
        assert [(entry.window.start - DAY) / timedelta(hours=1) for entry in later] == [0, 2, 3]

    def test_windows_cut_by_the_beginning_are_nobodys(self) -> None:
        begun = windows(METER, Period(DAY + timedelta(minutes=20), DAY + timedelta(hours=3)))
        assert [window.start for window in begun] == [DAY + timedelta(hours=1), DAY + timedelta(hours=2)]

    def test_nothing_is_due_before_the_beginning(self) -> None:
        assert due_windows([METER], {}, DAY, DAY - timedelta(hours=3)) == []

    def test_downtime_is_made_up_for_in_order(self) -> None:
        due = due_windows([METER], {}, DAY, DAY + timedelta(days=40, minutes=5))
        assert len(due) == 40 * 24
        assert [entry.window.start for entry in due] == sorted(entry.window.start for entry in due)


def test_the_meters_digest_tells_what_it_measures_not_when() -> None:
    assert meter_digest(replace(METER, settling=timedelta(minutes=9))) == meter_digest(METER)
    assert meter_digest(replace(METER, digits=3)) != meter_digest(METER)
    assert meter_digest(replace(METER, coverage=Fraction(1, 2))) != meter_digest(METER)
