"""The short way gives what the long way gives: clean counters by subtraction, columns by float64, and schedules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.core.counters import (
    EXACT,
    WHOLE,
    Clean,
    Column,
    Name,
    Naming,
    Partition,
    Readings,
    Roster,
    Scale,
    column,
    decide,
    partition,
    quantised,
    units,
)
from rating.core.counters.roster import Ledger
from rating.core.keys import meter_digest
from rating.core.meters import Meter
from rating.core.money import Rounding, round_ratio
from rating.core.periods import Period
from rating.core.schedule import due_windows, windows
from rating.core.windows import Closing, Usage

METER = Meter("calls", "api_requests_total", "consumer_id", ("endpoint",), volatile_labels=("pod",))
DAY = datetime(2026, 10, 1, tzinfo=UTC)


def labels(consumer: str, replica: str = "", instance: str = "one", pod: str = "") -> dict[str, str]:
    found = {"consumer_id": consumer, "endpoint": "/a", "job": "api", "instance": instance}
    return {**found, "replica": replica, "pod": pod}


def column_of(readings: Mapping[int, int]) -> Column:
    return Column(*(np.array(part, dtype=np.int64) for part in (list(readings), list(readings.values()))))


def sorted_out(
    ends: Mapping[int, int],
    bases: Mapping[int, int],
    fallen: Sequence[int] = (),
    restarted: Sequence[tuple[str, ...]] = (),
    series: Sequence[Mapping[str, str]] = (labels("c1", "a"), labels("c1", "b")),
) -> Partition:
    roster = Roster(Naming(METER))
    for number, one in enumerate(series):
        assert roster.number(one) == number
    return partition(roster, column_of(ends), column_of(bases), np.array(fallen, dtype=np.int64), restarted)


class TestPartition:
    def test_a_clean_counter_is_one_subtraction_and_the_highest_replica_speaks(self) -> None:
        found = sorted_out({0: 130, 1: 128}, {0: 100, 1: 103})
        assert list(found.clean) == [Usage("c1", ("/a",), 27)]
        assert (found.clean_identities, found.clean_series, found.largest) == (1, 2, 130)
        assert found.by_target == {("api", "one"): 27}

    @pytest.mark.parametrize(
        ("fallen", "restarted"), [((1,), ()), ((), (("api", "one"),))], ids=["a fall", "a new process"]
    )
    def test_any_doubt_about_one_replica_makes_the_counter_dirty(
        self, fallen: tuple[int, ...], restarted: tuple[tuple[str, ...], ...]
    ) -> None:
        found = sorted_out({0: 130, 1: 128}, {0: 130, 1: 128}, fallen, restarted)
        assert (set(found.dirty), set(found.born), found.clean_series) == ({0, 1}, set(), 0)

    def test_without_any_base_it_is_born(self) -> None:
        found = sorted_out({0: 130, 1: 128}, {})
        assert (set(found.dirty), set(found.born)) == (set(), {0, 1})

    def test_a_replica_that_begins_or_ends_seeing_it_makes_it_dirty(self) -> None:
        for ends, bases in (({0: 130, 1: 128}, {0: 100}), ({0: 130}, {0: 100, 1: 103}), ({0: 130}, {1: 103})):
            assert set(sorted_out(ends, bases).dirty) == set(ends)

    def test_a_counter_that_is_gone_counts_nothing(self) -> None:
        found = sorted_out({}, {0: 100})
        assert (list(found.clean), set(found.dirty), set(found.born)) == ([], set(), set())

    def test_what_float64_cannot_count_is_never_clean(self) -> None:
        assert set(sorted_out({0: EXACT}, {0: EXACT - 1}).dirty) == {0}


def obviously(
    names: Sequence[Name],
    ends: Mapping[int, int],
    bases: Mapping[int, int],
    fallen: Collection[int],
    restarted: Collection[tuple[str, ...]],
) -> tuple[list[Usage], set[int], set[int], set[int]]:
    """Clean usage, and the series that are dirty, born and departed: identity by identity."""
    members: dict[object, list[int]] = {}
    for number in ends.keys() | bases.keys():
        members.setdefault(names[number].identity, []).append(number)
    place = {number: (name.target, name.consumer, name.dimensions) for number, name in enumerate(names)}
    clean, dirty, born, departed = [], set(), set(), set()
    for mine in members.values():
        here = [number for number in mine if number in ends]
        doubt = any(number in fallen or names[number].target in restarted for number in here)
        if not here:
            departed.update(mine)
        elif not any(number in bases for number in mine):
            born.update(here)
        elif doubt or any((number in ends) != (number in bases) for number in mine):
            dirty.update(here)
    near = {place[number] for number in born}
    departed = {number for number in departed if place[number] in near}
    for mine in members.values():
        here = [number for number in mine if number in ends]
        if not here or born & set(here) or dirty & set(here):
            continue
        if any(place[number] in near for number in here):
            dirty.update(here)
            continue
        counted = max(ends[number] for number in here) - max(bases[number] for number in mine)
        if counted > 0:
            clean.append(Usage(names[here[0]].consumer, names[here[0]].dimensions, counted))
    return sorted(clean), dirty, born, departed


@st.composite
def looks(draw: st.DrawFn) -> tuple[list[dict[str, str]], dict[int, int], dict[int, int], set[int], set[object]]:
    labelled = st.builds(
        labels, st.sampled_from("xy"), st.sampled_from(["", "a", "b"]), st.sampled_from("12"), st.sampled_from("pq")
    )
    series = draw(st.lists(labelled, unique_by=lambda one: tuple(one.items()), min_size=1, max_size=12))
    numbers = st.sampled_from(range(len(series)))
    bases = draw(st.dictionaries(numbers, st.integers(0, 9)))
    ends = {number: bases.get(number, 0) + draw(st.integers(0, 9)) for number in draw(st.sets(numbers))}
    return series, ends, bases, draw(st.sets(numbers, max_size=2)), draw(st.sets(st.just(("api", "1"))))


@given(looks())
def test_columns_are_sorted_as_one_counter_after_the_other(look: Any) -> None:
    series, ends, bases, fallen, restarted = look
    names = [Naming(METER).name(one) for one in series]
    found = sorted_out(ends, bases, [*fallen], [*restarted], series)
    clean, dirty, born, departed = obviously(names, ends, bases, fallen, restarted)
    assert sorted(found.clean) == clean
    assert (set(found.dirty), set(found.born), set(found.departed)) == (dirty, born, departed)
    assert found.clean_series + len(dirty) + len(born) == len(ends)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, EXACT)), max_size=20))
def test_columns_of_usage_are_summed_and_hashed_as_rows_are(counted: list[tuple[str, int]]) -> None:
    ledger = Ledger()
    rows = [Usage(consumer, (), quantity) for consumer, quantity in counted if quantity]
    numbers = [ledger.number((row.consumer, ())) for row in rows]
    clean = Clean(ledger, *(np.array(part, dtype=np.int64) for part in (numbers, [row.quantity for row in rows])))
    window = Period(DAY, DAY + timedelta(hours=1))
    by_rows, by_columns = (
        decide(METER, window, Readings(clean=part, alive=[0]), released=True) for part in (rows, clean)
    )
    assert isinstance(by_rows, Closing)
    assert by_columns == by_rows


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
    doubles = quantised(np.array(numbers), Scale(Fraction(10**digits))).tolist()
    assert doubles == [min(EXACT, round_ratio(number.numerator, number.denominator)) for number in exact]


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
