"""Counters that came as columns are rebuilt as columns, and the window is the same, to its digest, as one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from rating.core.counters import EXACT, Naming, Readings, Roster, Samples, Series, Traces, decide, digests
from rating.core.counters.digests import digest
from rating.core.counters.epochs import Processes
from rating.core.counters.rebuild import rebuild
from rating.core.counters.singles import Singles, singles
from rating.core.meters import BirthPolicy, Lifetime, Meter, Rate
from rating.core.periods import Period, milliseconds
from rating.core.vocabulary import PROCESS_START
from rating_demo.faults import Replica, Restarts
from rating_demo.truth import World
from tests.core.test_thinning import thinned
from tests.promises.metering.test_properties import METER, SECOND, WHOLE, made_of, pods, restarts, small_world, source

worlds = made_of(some.none() | restarts(some.booleans(), some.booleans(), shortest=30))
lonely = made_of(some.none() | restarts(some.booleans(), some.booleans(), shortest=30), [(Replica(),)])


def traces(meter: Meter, series: Sequence[Series]) -> Traces:
    roster = Roster(Naming(meter))
    numbers = [roster.number(one.labels) for one in series]
    known = {number: one.labels for number, one in zip(numbers, series, strict=True)}
    columns = (
        numbers,
        np.cumsum([0, *(len(one.times) for one in series)]),
        [time for one in series for time in one.times],
        [units for one in series for units in one.units],
    )
    return Traces(roster, Samples(*(np.array(column, dtype=np.int64) for column in columns)), known.__getitem__)


def scaled(series: Series, factor: int, most: int) -> Series:
    """Readings as of a meter with finer units, the greatest beyond what a float counts."""
    return series._replace(units=[min(units * factor, most) for units in series.units])


@settings(max_examples=25, deadline=None)
@given(
    lonely | pods | worlds,
    some.booleans(),
    some.sampled_from(Lifetime),
    some.sampled_from(BirthPolicy),
    some.booleans(),
    some.sampled_from([1, 997, EXACT // 40_000, EXACT // 9]),
    some.sampled_from([20, 60]),
    some.booleans(),
)
def test_as_columns_the_same_window_comes_out(
    world: World,
    known_starts: bool,
    lifetime: Lifetime,
    births: BirthPolicy,
    siblings: bool,
    factor: int,
    minutes: int,
    few: bool,
) -> None:
    rate = Rate(Fraction(10), timedelta(seconds=1)) if factor == 1 else None
    meter = replace(METER, lifetime=lifetime, births=births, window=timedelta(minutes=minutes), max_rate=rate)
    if siblings:
        # Counters of other statuses lie at the same place, and a newborn may be one of them under a new label.
        meter = replace(meter, where=())
    samples = source(one for one in world.series() if known_starts or one.metric != PROCESS_START)
    for window in Period(WHOLE.start, world.end).windows(meter.window):
        readings = samples.read(meter, window)
        readings = replace(readings, series=[scaled(one, factor, EXACT) for one in readings.series])
        if few and len(world.replicas) == 1:
            readings = thinned(meter, window, readings)
        columns = replace(readings, series=traces(meter, readings.series))
        assert decide(meter, window, columns, released=True) == decide(meter, window, readings, released=True)
        assert decide(meter, window, columns) == decide(meter, window, readings)


HOUR = Period(WHOLE.start, WHOLE.start + timedelta(hours=1))
START = milliseconds(HOUR.start)
grid = some.lists(some.integers(-10, 62), min_size=1, max_size=9, unique=True).map(sorted)
"""Minutes from the window's start, some of them beyond it."""
steep = some.sampled_from([0, 0, 1, 2, 100, 120, 130, 2**52])
began = some.sampled_from([-600, -600, -10, -5, 3, 20, 21])


@some.composite
def seen(draw: some.DrawFn, labels: dict[str, str], readings: some.SearchStrategy[int], unit: int) -> Series:
    """A series at any minutes, with any readings."""
    times = [START + minute * 60_000 + draw(some.sampled_from([0, 0, 17, 59_999])) for minute in draw(grid)]
    return Series(labels, times, [draw(readings) * unit for _ in times])


@some.composite
def anything(draw: some.DrawFn) -> Readings:
    """A few counters of two targets that do what no process does, and what replicas say of it."""
    labels = some.fixed_dictionaries(
        {
            "instance": some.sampled_from("ab"),
            "consumer_id": some.sampled_from("xy"),
            "endpoint": some.just("/"),
            "status": some.sampled_from(["200", "201", "202"]),
        },
        optional={"replica": some.sampled_from("rs")},
    )
    named = draw(some.lists(labels, min_size=1, max_size=5, unique_by=lambda one: tuple(sorted(one.items()))))
    starts = [
        draw(seen({"instance": target, **replica}, began.map(lambda minute: START + minute * 60_000), 1))
        for target in "ab"
        for replica in ({}, {"replica": "r"})
        if draw(some.booleans())
    ]
    ups = [draw(seen({"instance": target}, some.integers(0, 1), 1)) for target in "ab" if draw(some.booleans())]
    return Readings(
        series=[draw(seen(one, steep, 1)) for one in named],
        starts=starts,
        up=ups,
        alive=sorted({time for one in ups for time in one.times}),
        sighted={(target,): START - 1 for target in "ab" if draw(some.booleans())},
        seen_from=START + draw(some.sampled_from([-86_400_000, -7 * 60_000, 0])),
    )


@settings(max_examples=200, deadline=None)
@given(anything(), some.sampled_from(Lifetime), some.sampled_from(BirthPolicy), some.booleans())
def test_as_columns_the_same_window_comes_out_whatever_counters_do(
    readings: Readings, lifetime: Lifetime, births: BirthPolicy, capped: bool
) -> None:
    rate = Rate(Fraction(10), timedelta(seconds=1)) if capped else None
    meter = replace(
        METER,
        lifetime=lifetime,
        births=births,
        window=timedelta(hours=1),
        target_labels=("instance",),
        replica_labels=("replica",),
        max_rate=rate,
    )
    columns = replace(readings, series=traces(meter, readings.series))
    for released in (True, False):
        assert decide(meter, HOUR, columns, released=released) == decide(meter, HOUR, readings, released=released)

    naming = Naming(meter)
    processes = Processes(naming, readings.starts)
    span = {"start": START, "end": milliseconds(HOUR.end), "seen_from": readings.seen_from}
    found = singles(meter, traces(meter, readings.series), processes, readings.sighted, **span)
    named = [(naming.name(one.labels), one) for one in readings.series]
    for index in np.flatnonzero(found.settled).tolist():
        name = named[index][0]
        place = [one for one in named if one[0][2:] == name[2:] and one[0].identity != name.identity]
        siblings = [[one for one in place if one[0].identity == other] for other in {one[0].identity for one in place}]
        alone = rebuild(meter, [named[index]], processes, readings.sighted, siblings, **span)
        columns_of_it = {field: int(getattr(found, field)[index]) for field in Singles._fields if field != "settled"}
        assert columns_of_it == {field: getattr(alone, field) for field in columns_of_it}


def test_of_one_observer_all_are_settled_as_columns_unless_one_may_be_another() -> None:
    world = small_world(7, 40, timedelta(0), restarts=Restarts(600 * SECOND, 1200 * SECOND, 2.5 * SECOND))
    resets = 0
    for window in Period(WHOLE.start, world.end).windows(METER.window):
        readings = source(world.series()).read(METER, window)
        start, end = milliseconds(window.start), milliseconds(window.end)
        found = singles(
            METER,
            traces(METER, readings.series),
            Processes(Naming(METER), readings.starts),
            {},
            start=start,
            end=end,
            seen_from=readings.seen_from,
        )
        assert found.settled.all()
        resets += int(found.resets.sum())
    assert resets > 5


@pytest.mark.parametrize("text", ["plain", "two\x1fin one", "\x01", "with\nlines", "\u00e9", ""])
def test_the_digest_is_over_labels_in_order_whatever_they_hold(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_BLOCK", 2)
    labels = [{"a": "x", "b": "y"}, {"a": f"x{text}", "b": "y"}, {"a": "x", "b": f"{text}y"}, {"a": "x" + text + "z"}]
    series = [Series(one, [1, 2], [number, 5]) for number, one in enumerate(labels) if one not in labels[:number]]
    found = digest(Readings(series=series))
    assert digest(Readings(series=series[::-1])) == found
    assert digest(Readings(series=traces(METER, series))) == found
    in_order = sorted(series, key=lambda one: tuple(sorted(one.labels.items())))
    lines = [
        "\x1f".join(part for pair in sorted(one.labels.items()) for part in pair) + f"\x1e1={one.units[0]}\x1f2=5\x1e"
        for one in in_order
    ]
    assert found == hashlib.sha256(("\x1dseries\x1d" + "".join(lines) + "\x1dstarts\x1d").encode()).hexdigest()


def test_columns_are_read_as_the_series_they_hold() -> None:
    series = [Series({"a": str(number)}, [*range(number)], [*range(number)]) for number in range(1, 5)]
    columns = traces(METER, series)
    assert [*columns] == series
    assert [*columns[1:3]] == series[1:3]
    assert columns[-1] == series[-1]
    assert columns == series[::-1]
    assert columns != series[1:]


def test_of_a_series_that_comes_twice_the_later_samples_count() -> None:
    first, second = (
        Samples(*map(np.array, columns))
        for columns in (([3, 1], [0, 2, 3], [1, 2, 3], [7, 8, 9]), ([1], [0, 2], [5, 6], [4, 5]))
    )
    joined = Samples.joined([first, second])
    assert [column.tolist() for column in joined] == [[3, 1], [0, 2, 4], [1, 2, 5, 6], [7, 8, 4, 5]]
