"""What a window may lack at most, where a rate limit is declared: the truth is within what is billed and the bound."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.adapters.memory_source import MemorySource
from rating.core.counters import decide
from rating.core.meters import Lifetime, Meter, Rate
from rating.core.periods import Period, milliseconds
from rating.core.windows import Closing, Completeness, Held
from rating_demo.faults import Outage, Replica, Restarts, Shape, Traffic, Unreachable
from rating_demo.truth import World

START = datetime(2026, 10, 1, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
METER = Meter("calls", "api_requests_total", "consumer_id", scrape_interval=timedelta(seconds=30), coverage=Fraction(0))
CALM = World(
    seed=1,
    start=START,
    end=START + 4 * HOUR,
    consumers={"acme": Traffic(400), "birch": Traffic(60, Shape.BURSTY), "cedar": Traffic(6, begins=HOUR)},
    interval=timedelta(seconds=30),
)
WORLDS = {
    "nothing happens": CALM,
    "restarts": replace(CALM, restarts=Restarts(5 * MINUTE, 40 * MINUTE)),
    "restarts that show no fall": replace(CALM, restarts=Restarts(10 * MINUTE, 40 * MINUTE, hidden=True)),
    "pods replaced by pods of another name": replace(CALM, restarts=Restarts(MINUTE, 20 * MINUTE, renamed=True)),
    "an outage of 70 minutes, and restarts": replace(
        CALM, faults=(Outage(HOUR, 70 * MINUTE),), restarts=Restarts(20 * MINUTE, HOUR)
    ),
    "a target unreachable while it restarts": replace(
        CALM, faults=(Unreachable(HOUR, 50 * MINUTE, 1),), restarts=Restarts(20 * MINUTE, HOUR)
    ),
    "two replicas with gaps of their own": replace(
        CALM,
        replicas=(Replica("a"), Replica("b")),
        faults=(Outage(HOUR, 30 * MINUTE, "a"), Outage(2 * HOUR, 12 * MINUTE, "b")),
        restarts=Restarts(10 * MINUTE, HOUR),
    ),
    "counters that outlive their processes": replace(CALM, durable=True, restarts=Restarts(10 * MINUTE, HOUR)),
    "processes older than anybody's memory": replace(CALM, carried=5000, restarts=Restarts(30 * MINUTE, 2 * HOUR)),
}


def increments(world: World) -> dict[str, list[tuple[int, int]]]:
    """By consumer: each moment and amount, in milliseconds, by rising time."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for moment, who, amount in world.true_increments():
        found[who.consumer].append((milliseconds(moment), int(amount)))
    return {consumer: sorted(rises) for consumer, rises in found.items()}


def limit(world: World) -> Rate:
    """The most that any consumer did in any second of this world."""
    most = 0
    for rises in increments(world).values():
        times = [time for time, _ in rises]
        sums = [0]
        for _, amount in rises:
            sums.append(sums[-1] + amount)
        for index, time in enumerate(times):
            most = max(most, sums[bisect_left(times, time + 1000)] - sums[index])
    return Rate(Fraction(most), SECOND)


def source_of(world: World) -> MemorySource:
    series = (({"__name__": one.metric, **one.labels}, one) for one in world.series())
    return MemorySource(
        [(labels, list(zip(one.times.tolist(), one.values.tolist(), strict=True))) for labels, one in series]
    )


def closings(world: World, meter: Meter, length: timedelta) -> list[Closing]:
    source = source_of(world)
    found = [
        decide(replace(meter, window=length), window, source.read(replace(meter, window=length), window), released=True)
        for window in Period(world.start, world.end).windows(length)
    ]
    return [one for one in found if isinstance(one, Closing)]


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(WORLDS)), st.integers(1, 10_000), st.sampled_from((10 * MINUTE, HOUR)))
def test_the_truth_lies_within_what_is_billed_and_the_bound(name: str, seed: int, length: timedelta) -> None:
    world = replace(WORLDS[name], seed=seed)
    lifetime = Lifetime.DURABLE if world.durable else Lifetime.PROCESS
    windows = closings(world, replace(METER, max_rate=limit(world), lifetime=lifetime), length)
    for consumer, rises in increments(world).items():
        billed = lost = tail = true = 0
        for closing in windows:
            start, end = milliseconds(closing.window.start), milliseconds(closing.window.end)
            own = sum(row.quantity for row in closing.usage if row.consumer == consumer)
            happened = sum(amount for time, amount in rises if start <= time < end)
            assert closing.evidence.bound is not None
            assert happened <= own + closing.evidence.bound + closing.evidence.tail, closing.window
            billed, lost, tail = billed + own, lost + closing.evidence.bound, closing.evidence.tail
            true += happened
        # Over a period the tails within it are counted by the windows after them.
        assert true <= billed + lost + tail


def test_a_steady_hour_lacks_nothing_and_a_restart_costs_the_time_between_two_scrapes() -> None:
    meter = replace(METER, max_rate=Rate(Fraction(10), SECOND))
    steady = closings(CALM, meter, HOUR)
    # The first window saw its targets come, so others may have come and gone.
    assert [one.evidence.bound for one in steady[1:]] == [0, 0, 0]
    assert all(0 < one.evidence.tail <= 10 * 31 for one in steady[1:])
    restarting = closings(replace(CALM, restarts=Restarts(50 * MINUTE, 70 * MINUTE)), meter, HOUR)
    for one in restarting[1:]:
        bound = one.evidence.bound
        assert bound is not None
        assert (bound > 0) == (one.evidence.resets > 0)
        assert bound <= 2 * 2 * 10 * (60 + 1), "two restarts of each of two targets, a minute each"


def test_a_source_that_was_silent_may_have_missed_as_much_as_the_limit_allows() -> None:
    """Whoever lived and died in those minutes left no sample at all."""
    world = replace(CALM, faults=(Outage(HOUR + 20 * MINUTE, 10 * MINUTE),))
    meter = replace(METER, max_rate=Rate(Fraction(10), SECOND))
    bounds = [one.evidence.bound or 0 for one in closings(world, meter, HOUR)[1:]]
    assert 10 * 600 <= bounds[0] <= 10 * 690
    assert bounds[1:] == [0, 0]


def test_at_the_limit_all_the_time_the_bound_holds_and_is_no_larger_than_it_must_be() -> None:
    """Ten a second. The process dies unseen at 4:30 and comes back at 4:33: 300 of 5,970 are lost."""
    zero, target = milliseconds(START), {"job": "api", "instance": "one"}
    minutes = range(-5, 15)
    counted = [(zero + m * 60_000, 6000 + 600 * m if m < 5 else 270 + 600 * (m - 5)) for m in minutes]
    began = [(zero + m * 60_000, (zero - 600_000 if m < 5 else zero + 273_000) / 1000) for m in minutes]
    source = MemorySource(
        [
            ({"__name__": METER.metric, "consumer_id": "acme", **target}, counted),
            ({"__name__": "process_start_time_seconds", **target}, began),
            ({"__name__": "up", **target}, [(time, 1) for time, _ in counted]),
        ]
    )
    meter = replace(METER, window=10 * MINUTE, scrape_interval=MINUTE, max_rate=Rate(Fraction(10), SECOND))
    window = Period(START, START + 10 * MINUTE)
    closing = decide(meter, window, source.read(meter, window))
    assert isinstance(closing, Closing)
    [row] = closing.usage
    assert row.quantity == 6000 - 30 - 300, "the minute before the window is in it, its last one is not"
    assert (closing.evidence.bound, closing.evidence.tail) == (10 * 61, 10 * 61)


def test_where_pods_come_and_go_the_bound_is_all_that_the_limit_allows() -> None:
    world = replace(CALM, restarts=Restarts(MINUTE, 20 * MINUTE, renamed=True))
    for one in closings(world, replace(METER, max_rate=Rate(Fraction(10), SECOND)), HOUR):
        assert one.evidence.bound == 10 * 3601


def test_without_a_limit_there_is_an_estimate_and_it_is_called_one() -> None:
    world = replace(CALM, restarts=Restarts(50 * MINUTE, 70 * MINUTE))
    evidence = closings(world, METER, HOUR)[1].evidence
    assert (evidence.bound, evidence.lacking, evidence.lacking_is) == (None, evidence.unseen, "estimate")
    bounded = closings(world, replace(METER, max_rate=Rate(Fraction(10), SECOND)), HOUR)[1].evidence
    assert (bounded.lacking, bounded.lacking_is) == (bounded.bound, "at most, each consumer")


def test_a_bound_beyond_what_the_meter_tolerates_holds_the_window() -> None:
    world = replace(CALM, restarts=Restarts(50 * MINUTE, 70 * MINUTE))
    meter = replace(METER, max_rate=Rate(Fraction(10), SECOND), tolerated_share=Fraction(1, 100), window=HOUR)
    source = source_of(world)
    window = Period(START + HOUR, START + 2 * HOUR)
    held = decide(meter, window, source.read(meter, window))
    assert isinstance(held, Held)
    assert "it lacks at most" in held.reason
    assert held.reason.endswith("and the meter tolerates 1.0 % of what was counted; release it, or tolerate more")


@pytest.mark.parametrize(("milliseconds_", "most"), [(0, 0), (1, 50), (999, 50), (1000, 100), (2500, 150)])
def test_a_span_is_covered_by_one_second_more_than_fit_into_it(milliseconds_: int, most: int) -> None:
    assert Rate(Fraction(50), SECOND).most(milliseconds_) == most


class TestCountersThatOutliveTheirProcess:
    """Under a meter that says they do not, each restart would bill the whole total again."""

    DURABLE = replace(CALM, durable=True, carried=1000, restarts=Restarts(50 * MINUTE, 70 * MINUTE))

    def outcomes(self, world: World, meter: Meter = METER) -> list[Closing | Held]:
        source = source_of(world)
        windows = Period(world.start + HOUR, world.end).windows(HOUR)
        return [decide(meter, window, source.read(meter, window)) for window in windows]

    def test_the_window_is_held_and_the_sentence_says_what_to_declare(self) -> None:
        held = [one for one in self.outcomes(self.DURABLE) if isinstance(one, Held)]
        assert held
        for one in held:
            assert one.reason.startswith("counters of api_requests_total went on exactly where they stood")
            assert "write `counter: durable` in the meter" in one.reason

    def test_declared_they_are_billed_once(self) -> None:
        found = self.outcomes(self.DURABLE, replace(METER, lifetime=Lifetime.DURABLE))
        assert all(isinstance(one, Closing) for one in found)

    @pytest.mark.parametrize("seed", range(2))
    def test_counters_that_begin_again_hold_nothing(self, seed: int) -> None:
        for restarts in (Restarts(5 * MINUTE, 30 * MINUTE), Restarts(5 * MINUTE, 30 * MINUTE, hidden=True)):
            for world in (CALM, replace(CALM, carried=1000)):
                found = self.outcomes(replace(world, seed=seed, restarts=restarts))
                assert all(isinstance(one, Closing) for one in found)
                assert all(one.completeness is Completeness.DEGRADED for one in found if isinstance(one, Closing))
