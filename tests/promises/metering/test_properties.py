"""The promises of exact metering as properties of the pure code, over random small worlds.

Each fails when the code is broken on purpose: see `mutants`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as some
from hypothesis.strategies import SearchStrategy

from rating.adapters.memory_book import MemoryBook
from rating.adapters.memory_source import MemorySource
from rating.core.counters import Counts, Readings, decide
from rating.core.meters import Lifetime, Matcher, Meter
from rating.core.periods import EPOCH, Period
from rating.core.vocabulary import PROCESS_START
from rating.core.windows import Closing, Completeness, Held
from rating.errors import EdgeRefused, EdgeUnavailable, SamplesMissing
from rating.jobs.collect import collect
from rating.ports import CounterSource
from rating_demo.faults import Outage, Replica, Restarts, Shape, Traffic, Unreachable
from rating_demo.openmetrics import Series
from rating_demo.truth import Who, World

START = datetime(2026, 10, 1, tzinfo=UTC)
MINUTE, SECOND, MILLISECOND = timedelta(minutes=1), timedelta(seconds=1), timedelta(milliseconds=1)
SPAN = 3 * 60 * MINUTE
WHOLE = Period(START, START + SPAN + 20 * MINUTE)
METER = Meter(
    name="calls",
    metric="api_requests_total",
    consumer="consumer_id",
    dimensions=("endpoint",),
    where=(Matcher("status", "2.."),),
    window=20 * MINUTE,
    scrape_interval=60 * SECOND,
    coverage=Fraction(0),
)

minutes = some.integers(0, 179).map(lambda number: number * MINUTE)
seconds = some.integers(5, 3600).map(lambda number: number * SECOND)
REPLICAS = [(Replica(),), (Replica("a"), Replica("b")), (Replica("a", 17 * SECOND), Replica("b", -4.3 * SECOND))]
THREE = (*REPLICAS[2], Replica("c", -23 * SECOND))
outages = some.builds(Outage, minutes, seconds, some.sampled_from([None, "a", "b"]))
unreachable = some.builds(Unreachable, minutes, seconds, some.sampled_from([0, 1]))


def restarts(
    hidden: SearchStrategy[bool], renamed: SearchStrategy[bool], shortest: int = 90
) -> SearchStrategy[Restarts]:
    return some.builds(
        lambda shortest, more, hidden, renamed: Restarts(shortest, shortest + more, 2.5 * SECOND, renamed, hidden),
        some.integers(shortest, 2400).map(lambda number: number * SECOND),
        seconds,
        hidden,
        renamed,
    )


def small_world(seed: int, rate: float, late: timedelta, **rest: Any) -> World:
    return World(
        seed=seed,
        start=START,
        end=START + SPAN,
        consumers={"acme": Traffic(rate), "birch": Traffic(rate / 7, Shape.BURSTY, begins=late)},
        endpoints={"/search": 1.0},
        statuses={"200": 0.9, "500": 0.1},
        interval=60 * SECOND,
        **rest,
    )


def made_of(
    restarts: SearchStrategy[Restarts | None], replicas: Sequence[tuple[Replica, ...]] = REPLICAS
) -> SearchStrategy[World]:
    return some.builds(
        small_world,
        seed=some.integers(0, 10_000),
        rate=some.sampled_from([700, 40, 3]),
        late=minutes,
        replicas=some.sampled_from(replicas),
        faults=some.lists(outages | unreachable, max_size=3).map(tuple),
        restarts=restarts,
        zero_initialised=some.booleans(),
        carried=some.sampled_from([0, 0, 12_345]),
    )


worlds = made_of(some.none() | restarts(some.booleans(), some.booleans()))
restless = made_of(restarts(some.just(False), some.just(False)), [*REPLICAS, THREE])
"""Processes restart behind one address, and every reset is a fall in value unless nobody saw enough of it. The clocks
are up to 40 s apart, and no start time tells resets that are closer than two scrapes from one another."""
pods = made_of(restarts(some.booleans(), some.just(True), shortest=5))
"""Every process is a target of its own; many go away before their third scrape."""


BILLED_SHORT = small_world(
    0, 40, timedelta(0), replicas=REPLICAS[2], restarts=Restarts(90 * SECOND, 95 * SECOND, 2.5 * SECOND)
)
"""A later process is stamped earlier than the one before it, which then seemed to have been there all along."""
BEHIND = small_world(0, 700, timedelta(0), replicas=REPLICAS[2], restarts=None)
"""At some windows' ends the sample stamped last is lower than one before it, by the clock that is behind."""
BILLED_TWICE = small_world(
    349,
    700,
    2 * MINUTE,
    replicas=REPLICAS[2],
    restarts=Restarts(90 * SECOND, 439 * SECOND, 2.5 * SECOND),
    zero_initialised=True,
    carried=12_345,
)
"""Without process starts the two replicas' falls can be laid on each other in several ways, and most count more."""


def source(series: Iterable[Series]) -> MemorySource:
    return MemorySource(
        [
            ({"__name__": one.metric, **one.labels}, list(zip(one.times.tolist(), one.values.tolist(), strict=True)))
            for one in series
        ]
    )


class Closed:
    """A source that closes its ranges: it hands over the sample at the very end as well."""

    def __init__(self, source: CounterSource) -> None:
        self.source = source

    def read(self, meter: Meter, window: Period) -> Readings:
        return self.source.read(meter, Period(window.start, window.end + MILLISECOND))


def billed(source: CounterSource, meter: Meter, windows: Iterable[Period]) -> dict[Who, int]:
    sums: dict[Who, int] = defaultdict(int)
    for window in windows:
        closing = decide(meter, window, source.read(meter, window))
        assert isinstance(closing, Closing), closing
        for usage in closing.usage:
            sums[Who(usage.consumer, usage.dimensions[0])] += usage.quantity
    return dict(sums)


@settings(max_examples=40, deadline=None)
@given(worlds, some.sets(some.integers(1, 199), max_size=4), some.sets(some.integers(0, 10_000), max_size=3))
@example(BEHIND, set(range(20, 200, 20)), set())
def test_any_split_of_a_period_gives_the_same_total(world: World, cuts: set[int], at_samples: set[int]) -> None:
    series = list(world.series())
    stamps = sorted({stamp for one in series if one.metric == METER.metric for stamp in one.times.tolist()})
    # Also cuts at the very millisecond of a sample, where an end that is meant to be open shows.
    edges = {START + cut * MINUTE for cut in cuts}
    edges |= {EPOCH + stamps[number % len(stamps)] * MILLISECOND for number in at_samples if stamps}
    split = [Period(start, end) for start, end in pairwise(sorted({WHOLE.start, *edges, WHOLE.end}))]
    whole = billed(source(series), METER, [WHOLE])
    assert billed(source(series), METER, split) == whole
    assert billed(Closed(source(series)), METER, split) == whole


@settings(max_examples=60, deadline=None)
@given(worlds)
@example(BILLED_SHORT)
@example(BEHIND)
def test_billed_is_what_the_samples_prove_and_never_more_than_is_true(world: World) -> None:
    ours = billed(source(world.series()), METER, WHOLE.windows(METER.window))
    assert ours == world.usage()
    assert all(amount <= world.increments()[who] for who, amount in ours.items())


@settings(max_examples=40, deadline=None)
@given(worlds, some.randoms(use_true_random=False))
def test_the_order_in_which_series_arrive_means_nothing(world: World, rng: random.Random) -> None:
    series = list(world.series())
    ours = billed(source(series), METER, [WHOLE])
    rng.shuffle(series)
    assert billed(source(series), METER, [WHOLE]) == ours


@settings(max_examples=60, deadline=None)
@given(
    world=made_of(restarts(some.just(False), some.just(False)), [(Replica("a"),)]),
    known_starts=some.booleans(),
    shift=some.integers(-2000, 2000),
    gaps=some.lists(some.tuples(some.integers(0, 200), some.integers(1, 60)), max_size=4),
)
def test_a_replica_with_any_gaps_never_raises_the_total(
    world: World, known_starts: bool, shift: int, gaps: Sequence[tuple[int, int]]
) -> None:
    """A second Prometheus that saw a part of what the first one saw, by another clock, adds nothing and hides nothing;
    also where no process start tells the epochs apart and only falls in value do."""
    series = [one for one in world.series() if known_starts or one.metric != PROCESS_START]
    alone = billed(source(series), METER, [WHOLE])
    pair = billed(source([*series, *_echo(series, shift, gaps)]), METER, [WHOLE])
    assert pair == alone


@settings(max_examples=80, deadline=None)
@given(restless)
@example(BILLED_TWICE)
def test_without_process_starts_less_is_proven_and_nothing_is_billed_twice(world: World) -> None:
    samples = source(one for one in world.series() if one.metric != PROCESS_START)
    for period in (WHOLE, *WHOLE.windows(METER.window)):
        ours, proven = billed(samples, METER, [period]), world.usage(period)
        assert all(amount <= proven.get(who, 0) for who, amount in ours.items()), period


def _echo(series: Iterable[Series], shift: int, gaps: Sequence[tuple[int, int]]) -> list[Series]:
    first = int(START.timestamp()) * 1000
    heard = []
    for one in series:
        minute = (one.times - first) // 60_000
        kept = ~sum(((minute >= start) & (minute < start + length) for start, length in gaps), start=minute < -99)
        if kept.any():
            labels = {**one.labels, "replica": "b"}
            heard.append(Series(one.metric, labels, one.times[kept] + shift, one.values[kept]))
    return heard


@settings(max_examples=40, deadline=None)
@given(pods)
def test_a_window_of_which_something_was_missed_is_not_complete(world: World) -> None:
    """A target that goes away takes along what it counted after its last scrape."""
    samples = source(world.series())
    complete = {
        window.start
        for window in WHOLE.windows(METER.window)
        if decide(METER, window, samples.read(METER, window)).completeness is Completeness.COMPLETE
    }
    highest: dict[tuple[str, ...], int] = defaultdict(int)
    last: dict[tuple[str, ...], datetime] = {}
    for one in world.series():
        if one.metric == METER.metric:
            counter = tuple(one.labels[label] for label in ("consumer_id", "endpoint", "status", "instance"))
            highest[counter] = max(highest[counter], int(one.values[-1]))
            stamp = EPOCH + int(one.times[-1]) * MILLISECOND
            last[counter] = max(last.get(counter, stamp), stamp)
    for one in world.counters:
        counter = (*one.who, one.status, one.lives[0].instance)
        if counter in last and highest[counter] < one.base + sum(one.amounts):
            windows = WHOLE.windows(METER.window)
            # None where a clock that is ahead saw it after the last window: every window has all of it.
            ended = next((window for window in windows if window.start <= last[counter] < window.end), None)
            if ended is not None:
                assert not {ended.start, ended.end} <= complete, "noticed then, or while the source was silent after it"


@settings(max_examples=30, deadline=None)
@given(worlds)
def test_a_durable_counter_bills_its_rises_whatever_its_processes_do(world: World) -> None:
    world = replace(
        world, durable=True, restarts=world.restarts and replace(world.restarts, renamed=False, hidden=False)
    )
    meter = replace(METER, lifetime=Lifetime.DURABLE)
    assert billed(source(world.series()), meter, WHOLE.windows(METER.window)) == world.usage()


class Flaky:
    """A source that fails, doubts itself or lost its samples as a random stream says."""

    def __init__(self, source: CounterSource, rng: random.Random, trouble: float) -> None:
        self.source, self.rng, self.trouble = source, rng, trouble
        self.doubted: set[Period] = set()
        """Windows it answered for with samples gone, a warning, or counts that do not add up."""

    def read(self, meter: Meter, window: Period) -> Readings:
        readings = self.source.read(meter, window)
        if self.rng.random() >= self.trouble:
            return readings
        trouble = self.rng.randrange(5)
        if trouble == 0:
            raise EdgeUnavailable("no answer")
        if trouble == 1:
            raise EdgeRefused("a web page")
        self.doubted.add(window)
        if trouble == 2:
            raise SamplesMissing("gone")
        if trouble == 3:
            return replace(readings, warnings=("one store did not answer",))
        return replace(readings, counts=Counts(all=3, clean=1, rebuilt=1))


@settings(max_examples=25, deadline=None)
@given(worlds, some.randoms(use_true_random=False), some.sampled_from([0.2, 0.6]))
def test_running_a_window_again_whatever_went_wrong_is_running_it_once(
    world: World, rng: random.Random, trouble: float
) -> None:
    samples = source(world.series())
    now = WHOLE.end + METER.settling
    undisturbed, disturbed = MemoryBook(), MemoryBook()
    collect(undisturbed, samples, [METER], since=START, now=now)
    flaky = Flaky(samples, rng, trouble)
    for _ in range(rng.randrange(1, 6)):
        collect(disturbed, flaky, [METER], since=START, now=now)
    for _ in range(3):
        collect(disturbed, samples, [METER], since=START, now=now)
    assert list(disturbed.usage(WHOLE)) == list(undisturbed.usage(WHOLE))
    assert disturbed.held() == ()


@settings(max_examples=30, deadline=None)
@given(worlds, some.randoms(use_true_random=False), some.sampled_from([Fraction(0), Fraction(9, 10), Fraction(1)]))
def test_every_window_is_complete_degraded_held_or_still_due(
    world: World, rng: random.Random, coverage: Fraction
) -> None:
    meter = replace(METER, coverage=coverage)
    book, now = MemoryBook(), WHOLE.end + meter.settling
    flaky = Flaky(source(world.series()), rng, 0.3)
    run = collect(book, flaky, [meter], since=START, now=now)
    closed = [head.window for head in book.closings(meter.name, WHOLE)]
    held = [entry.held.window for entry in book.held()]
    seen = closed + held
    every = list(WHOLE.windows(meter.window))
    assert sorted(seen) == every[: len(seen)], "oldest first, none skipped, none twice"
    assert len(every) - len(seen) == run.waiting
    assert flaky.doubted <= set(held)
    assert bool(run.stopped) == (run.waiting > 0)
    for head in book.closings(meter.name, WHOLE):
        whole = head.evidence.scrapes_seen == head.evidence.scrapes_expected
        assert head.completeness in (Completeness.COMPLETE, Completeness.DEGRADED)
        assert whole or head.completeness is Completeness.DEGRADED
        assert head.evidence.coverage >= coverage
    assert all(isinstance(entry.held, Held) and entry.held.reason for entry in book.held())
