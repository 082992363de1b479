"""Gauges over time: the step rule in numbers a person can check, and held to the slow, obvious integral."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.adapters.memory_source import MemorySource
from rating.core.counters import decide
from rating.core.meters import Degraded, Kind, Meter
from rating.core.periods import Period, milliseconds
from rating.core.windows import Closing, Completeness, Held

START = datetime(2026, 10, 1, 10, tzinfo=UTC)
ZERO = milliseconds(START)
WINDOW = Period(START, START + timedelta(minutes=10))
METER = Meter(
    "connected",
    "connections",
    "consumer_id",
    kind=Kind.GAUGE,
    digits=3,
    unit="connected second",
    window=timedelta(minutes=10),
    scrape_interval=timedelta(minutes=1),
    hold=timedelta(minutes=5),
    coverage=Fraction(0),
)
TARGET = {"job": "api", "instance": "one"}
GAUGE = {"__name__": METER.metric, "consumer_id": "c42", **TARGET}
STORED = tuple[Mapping[str, str], list[tuple[int, float]]]


def at(minute: float) -> int:
    return ZERO + round(minute * 60_000)


def gauge(points: Mapping[float, float], **labels: str) -> STORED:
    return {**GAUGE, **labels}, [(at(minute), value) for minute, value in points.items()]


def up(first: int = -12, last: int = 15, *, down: Sequence[int] = (), **labels: str) -> STORED:
    points = [(at(minute), float(minute not in down)) for minute in range(first, last)]
    return {"__name__": "up", **TARGET, **labels}, points


def outcome(*stored: STORED, meter: Meter = METER, window: Period = WINDOW) -> Closing | Held:
    return decide(meter, window, MemorySource(stored).read(meter, window))


def closed(*stored: STORED, meter: Meter = METER, window: Period = WINDOW) -> Closing:
    found = outcome(*stored, meter=meter, window=window)
    assert isinstance(found, Closing), found
    return found


def minutes(closing: Closing) -> Fraction:
    """What the window came to, in connected minutes."""
    return METER.quantity(sum(row.quantity for row in closing.usage)) / 60


def steady(first: int, last: int, value: float) -> dict[float, float]:
    return dict.fromkeys(range(first, last), value)


STORIES: Mapping[str, tuple[tuple[STORED, ...], float, float]] = {
    "four connections for ten minutes are forty minutes": ((gauge(steady(-3, 15, 4)), up()), 40, 0),
    "a value counts from its own sample on: 3 until the fourth minute, then 5": (
        (gauge({**steady(-3, 4, 3), **steady(4, 12, 5)}), up()),
        3 * 4 + 5 * 6,
        0,
    ),
    "the state at the start is the last sample before it, half a minute old": (
        (gauge({-0.5: 2, 0.5: 6, **{n + 0.5: 6 for n in range(1, 12)}}), up()),
        2 * 0.5 + 6 * 9.5,
        0,
    ),
    "born in the third minute: nothing is counted before": ((gauge(steady(3, 12, 2)), up()), 14, 0),
    "gone by the scrape of the sixth minute, which succeeded without it": ((gauge(steady(-3, 6, 2)), up()), 12, 0),
    "missed for three minutes: it holds until it is seen again": (
        (gauge({**steady(-3, 3, 2), **steady(6, 12, 7)}), up(down=(3, 4, 5))),
        2 * 6 + 7 * 4,
        0,
    ),
    "missed for longer than it holds: five minutes from its last sample, and a gap of two": (
        (gauge({**steady(-3, 2, 2), **steady(8, 12, 7)}), up(down=range(2, 8))),
        2 * 6 + 7 * 2,
        2,
    ),
    "its target taken away while another is scraped: it holds for five minutes, and that is no gap": (
        (gauge(steady(-3, 3, 2)), up(-12, 3), up(-12, 15, instance="two")),
        2 * 7,
        0,
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_what_one_gauge_came_to(story: tuple[tuple[STORED, ...], float, float]) -> None:
    stored, expected, gap = story
    closing = closed(*stored)
    assert minutes(closing) == Fraction(expected)
    assert closing.evidence.uncovered == gap * 60_000
    assert (closing.completeness is Completeness.COMPLETE) == (
        gap == 0 and closing.evidence.scrapes_seen == closing.evidence.scrapes_expected
    )


def test_a_gap_is_estimated_at_the_value_before_it_and_never_billed() -> None:
    closing = closed(gauge({**steady(-3, 2, 2), **steady(8, 12, 7)}), up(down=range(2, 8)))
    assert METER.quantity(closing.evidence.unseen) == 2 * 120


def test_two_replicas_are_one_gauge_and_the_latest_reading_is_believed() -> None:
    a = gauge(steady(-3, 12, 4), replica="a")
    b = gauge({minute + 0.5: 6.0 for minute in range(-3, 12)}, replica="b")
    both = closed(a, b, up(replica="a"), up(replica="b"))
    assert minutes(both) == 10 * (Fraction(4) + 6) / 2
    assert closed(b, a, up(replica="b"), up(replica="a")).usage == both.usage


def test_what_one_replica_saw_gone_is_gone_although_the_other_is_down() -> None:
    a = gauge(steady(-3, 4, 4), replica="a")
    b = gauge(steady(-3, 3, 4), replica="b")
    assert minutes(closed(a, b, up(replica="a"), up(-12, 3, replica="b"))) == 16


def test_what_was_seen_gone_before_the_window_stays_gone_in_it() -> None:
    """b's last sample would hold half a minute into the window, but a looked after it, and missed what it saw at -9."""
    a = gauge(steady(-12, -8, 4), replica="a")
    b = gauge({-4.5: 4.0}, replica="b")
    scrapes = up(-12, -8, replica="a")[1] + [(at(-4.2), 1.0)]
    assert minutes(closed(a, b, ({"__name__": "up", **TARGET, "replica": "a"}, scrapes), up(5, 15, replica="c"))) == 0


def test_a_sample_with_a_time_of_its_own_is_not_called_gone_by_the_next_scrape() -> None:
    """Its exporter stamps it 20 seconds before each scrape."""
    stamped = gauge({minute - 1 / 3: 3.0 for minute in range(-3, 13)})
    assert minutes(closed(stamped, up())) == 30


def test_a_gauge_of_no_target_holds_as_a_recorded_rule_does() -> None:
    recorded = {"__name__": METER.metric, "consumer_id": "c42"}, [(at(minute), 2.0) for minute in range(-3, 8)]
    assert minutes(closed(recorded, up(instance="two"))) == 2 * 10


def test_readings_are_converted_and_rounded_before_time_is_multiplied() -> None:
    """1,500,000,000 bytes are 1.396983862 GiB; at three decimals 1.397, for ten minutes 838.2 GiB-seconds."""
    meter = replace(METER, digits=6, conversion=Fraction(1, 2**30))
    closing = closed(gauge(steady(-3, 12, 1_500_000_000)), up(), meter=meter)
    assert meter.quantity(closing.usage[0].quantity) == Fraction("1.397") * 600


def test_less_than_nothing_is_held() -> None:
    held = outcome(gauge({**steady(-3, 4, 2), **steady(4, 12, -1)}), up())
    assert isinstance(held, Held)
    assert "a gauge of connections stood at -1 times 1 connected second" in held.reason


def test_a_meter_may_hold_what_is_degraded_or_lacks_too_much() -> None:
    holed = (gauge({**steady(-3, 2, 2), **steady(8, 12, 7)}), up(down=range(2, 8)))
    held = outcome(*holed, meter=replace(METER, degraded=Degraded.HOLD))
    assert isinstance(held, Held)
    assert "6 scrapes missed, 120 seconds without a sample" in held.reason
    held = outcome(*holed, meter=replace(METER, tolerated_share=Fraction(1, 10)))
    assert isinstance(held, Held)
    assert "lacks an estimated 240 connected second beside 1560 counted, and the meter tolerates 10.0 %" in held.reason
    assert isinstance(outcome(*holed, meter=replace(METER, tolerated=Fraction(240))), Closing)
    assert isinstance(outcome(*holed, meter=replace(METER, tolerated=Fraction(239))), Held)


# properties -----------------------------------------------------------------------------------------------------------


class World:
    """One gauge behind one or two replicas, in seconds from START; scraped every 10 s but for what is lost."""

    STEP = 10

    def __init__(self, values: Sequence[int | None], lost: Sequence[set[int]], phases: Sequence[int]) -> None:
        self.values, self.lost, self.phases = values, lost, phases

    def value(self, second: int) -> int | None:
        """What the target exposes."""
        place = (second + 600) // 30
        return self.values[place] if 0 <= place < len(self.values) else None

    def scrapes(self, replica: int) -> list[int]:
        times = range(-600 + self.phases[replica], 1200, self.STEP)
        return [time for index, time in enumerate(times) if index not in self.lost[replica]]

    def stored(self) -> list[STORED]:
        series: list[STORED] = []
        for replica in range(len(self.phases)):
            labels = {"replica": str(replica)}
            seen = [(ZERO + 1000 * time, self.value(time)) for time in self.scrapes(replica)]
            series.append(({**GAUGE, **labels}, [(time, float(value)) for time, value in seen if value is not None]))
            series.append(({"__name__": "up", **TARGET, **labels}, [(time, 1.0) for time, _ in seen]))
        return [one for one in series if one[1]]

    def slow(self, first: int, last: int, hold: int) -> int:
        """Second by second: which sample speaks now?"""
        samples: list[tuple[int, int]] = []
        gone: list[int] = []
        for replica in range(len(self.phases)):
            before: int | None = None
            for time in self.scrapes(replica):
                value = self.value(time)
                if value is not None:
                    samples.append((time, value))
                elif before is not None and self.value(before) is not None and time - before <= hold:
                    gone.append(time)
                before = time
        total = 0
        for now in range(first, last):
            speaking = [
                (time, value)
                for time, value in samples
                if time <= now < time + hold and not any(time < end <= now for end in gone)
            ]
            # A later sample of the same replica ends the one before it also where it is gone by now: it is never older.
            newest = max(speaking, default=None)
            total += newest[1] if newest else 0
        return total


worlds = st.builds(
    World,
    st.lists(st.none() | st.integers(0, 5), min_size=60, max_size=60),
    st.lists(st.sets(st.integers(0, 179), max_size=90), min_size=2, max_size=2),
    st.lists(st.integers(0, 9), min_size=1, max_size=2),
)
SHORT = replace(METER, hold=timedelta(seconds=60), scrape_interval=timedelta(seconds=10))


def total(world: World, cuts: Sequence[int], meter: Meter = SHORT) -> int:
    source, summed = MemorySource(world.stored()), 0
    for first, last in itertools.pairwise(cuts):
        window = Period(START + timedelta(seconds=first), START + timedelta(seconds=last))
        found = decide(meter, window, source.read(meter, window), released=True)
        assert isinstance(found, Closing)
        summed += sum(row.quantity for row in found.usage)
    return summed


@settings(max_examples=60, deadline=None)
@given(worlds, st.sets(st.integers(1, 599), max_size=6))
def test_any_split_equals_the_whole_and_the_slow_integral(world: World, cuts: set[int]) -> None:
    whole = total(world, [0, 600])
    assert whole == total(world, [0, *sorted(cuts), 600])
    assert whole == 1000 * world.slow(0, 600, 60)


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_a_replica_that_sees_the_same_changes_nothing(world: World) -> None:
    alone = World(world.values, [set(), set()], world.phases[:1])
    twice = World(world.values, [set(), set()], [world.phases[0], world.phases[0]])
    assert total(alone, [0, 600]) == total(twice, [0, 600])
    assert total(world, [0, 600]) <= 1000 * 600 * max((value or 0 for value in world.values), default=0)
