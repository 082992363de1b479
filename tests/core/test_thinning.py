"""What a counter counted is told by few of its samples: with the others left out, the same window comes out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from rating.core.counters import Naming, Readings, Series, changes, decide, deciding, deciding_all, falls
from rating.core.meters import Lifetime, Meter
from rating.core.periods import Period, milliseconds
from rating.core.vocabulary import PROCESS_START
from rating_demo.faults import Replica
from rating_demo.truth import World
from tests.promises.metering.test_properties import METER, WHOLE, made_of, restarts, source

lonely = made_of(some.none() | restarts(some.booleans(), some.booleans(), shortest=30), [(Replica(),)])
"""One Prometheus saw it all: nobody else's samples have to be laid beside."""


def thinned(meter: Meter, window: Period, readings: Readings) -> Readings:
    naming, kept = Naming(meter), []
    for one in readings.series:
        target = naming.target(one.labels)
        mine = (start for start in readings.starts if naming.target(start.labels) == target)
        instants = {milliseconds(window.start), *changes(mine)}
        places = deciding(np.array(one.times), np.array(one.units), instants).tolist()
        kept.append(Series(one.labels, [one.times[i] for i in places], [one.units[i] for i in places]))
    return replace(readings, series=kept)


@settings(max_examples=40, deadline=None)
@given(lonely, some.booleans(), some.sampled_from(Lifetime), some.sampled_from([20, 60, 180]))
def test_the_same_window_comes_out_of_the_samples_that_decide(
    world: World, known_starts: bool, lifetime: Lifetime, minutes: int
) -> None:
    meter = replace(METER, lifetime=lifetime, window=timedelta(minutes=minutes))
    samples = source(one for one in world.series() if known_starts or one.metric != PROCESS_START)
    for window in Period(WHOLE.start, world.end).windows(meter.window):
        readings = samples.read(meter, window)
        fewer = thinned(meter, window, readings)
        whole, short = (decide(meter, window, one) for one in (readings, fewer))
        assert short.evidence.samples <= whole.evidence.samples
        evidence = replace(short.evidence, samples=whole.evidence.samples, digest=whole.evidence.digest)
        assert replace(short, evidence=evidence) == whole


def test_of_a_calm_hour_four_samples_are_left() -> None:
    times = np.arange(0, 7200, 15)
    assert deciding(times, times * 3, {3600}).tolist() == [0, 239, 240, 479]


@given(
    some.lists(some.lists(some.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=6),
    some.lists(some.integers(-1, 130), max_size=4),
    some.booleans(),
)
def test_of_many_counters_the_same_samples_are_left_as_of_each(
    counters: list[list[int]], instants: list[int], apart: bool
) -> None:
    sizes = [len(values) for values in counters]
    # Something that is nobody's between them.
    gap = [0] if apart else []
    values = np.array([value for one in counters for value in (*one, *gap)])
    times = np.concatenate([[*(10 * np.arange(size)), *gap] for size in sizes]).astype(np.int64)
    low = np.cumsum([0, *(size + apart for size in sizes)])[:-1]
    owners, wanted = (
        np.repeat(np.arange(len(counters)), len(instants)),
        np.tile(np.array(instants, dtype=np.int64), len(counters)),
    )
    found = deciding_all(times, falls(values), low, low + sizes, owners, wanted)
    each = [
        deciding(10 * np.arange(len(one)), np.array(one), instants) + first
        for one, first in zip(counters, low, strict=True)
    ]
    assert found.tolist() == np.concatenate(each).tolist()
