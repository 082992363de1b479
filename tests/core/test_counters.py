"""One story per rule of exact metering, with the numbers a person can check by hand.

A window of ten minutes, one scrape a minute. Samples are written minute by minute from the window's start; a minute
before it is negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from rating.adapters.memory_source import MemorySource
from rating.core.counters import Counts, Readings, Series, decide
from rating.core.meters import BirthPolicy, Lifetime, Meter
from rating.core.periods import Period, milliseconds
from rating.core.windows import Closing, Completeness, Held, Usage

START = datetime(2026, 10, 1, 10, tzinfo=UTC)
WINDOW = Period(START, START + timedelta(minutes=10))
ZERO = milliseconds(START)
MINUTE = 60_000
METER = Meter(
    name="calls",
    metric="api_requests_total",
    consumer="consumer_id",
    dimensions=("endpoint",),
    window=timedelta(minutes=10),
    scrape_interval=timedelta(minutes=1),
    coverage=Fraction(0),
)
TARGET = {"job": "api", "instance": "one"}
COUNTER = {"__name__": METER.metric, "consumer_id": "c42", "endpoint": "/search", **TARGET}

Points = Mapping[float, float | str]


def at(minute: float) -> int:
    return ZERO + round(minute * MINUTE)


def series(labels: Mapping[str, str], points: Points) -> tuple[Mapping[str, str], list[tuple[int, float | str]]]:
    return labels, [(at(minute), value) for minute, value in points.items()]


def every_minute(first: int, values: list[float]) -> Points:
    return {first + index: value for index, value in enumerate(values)}


def up(first: int = -5, last: int = 15, **labels: str) -> tuple[Mapping[str, str], list[tuple[int, float | str]]]:
    return series({"__name__": "up", **TARGET, **labels}, dict.fromkeys(range(first, last), 1))


def began(points: Points, **labels: str) -> tuple[Mapping[str, str], list[tuple[int, float | str]]]:
    """process_start_time_seconds: at each minute, the minute at which the process seen there began."""
    seconds = {minute: at(float(start)) / 1000 for minute, start in points.items()}
    return series({"__name__": "process_start_time_seconds", **TARGET, **labels}, seconds)


def closed(*stored: tuple[Mapping[str, str], list[tuple[int, float | str]]], meter: Meter = METER) -> Closing:
    outcome = outcome_of(*stored, meter=meter)
    assert isinstance(outcome, Closing), outcome
    return outcome


def outcome_of(
    *stored: tuple[Mapping[str, str], list[tuple[int, float | str]]], meter: Meter = METER
) -> Closing | Held:
    return decide(meter, WINDOW, MemorySource(stored).read(meter, WINDOW))


def billed(closing: Closing) -> int:
    return sum(row.quantity for row in closing.usage)


@dataclass(frozen=True)
class Story:
    samples: Points
    quantity: int
    starts: Points = field(default_factory=dict)
    completeness: Completeness = Completeness.COMPLETE
    resets: int = 0
    births: int = 0
    baselines: int = 0
    lifetime: Lifetime = Lifetime.PROCESS


ALIVE_SINCE_LONG = dict.fromkeys(range(-5, 15), -600)
RESTART_AT_4 = {minute: -600 if minute < 4 else 3.5 for minute in range(-5, 15)}
DEGRADED = Completeness.DEGRADED

STORIES = {
    "the pair across the window's start belongs to the later sample: 100 -> 130": Story({-1: 100, 5: 120, 9: 130}, 30),
    "a sample at the end belongs to the next window": Story({-1: 100, 9: 130, 10: 500}, 30),
    "a sample at the start belongs to this one": Story({-1: 100, 0: 107}, 7),
    "an idle counter counts nothing": Story({-1: 100, 5: 100, 9: 100}, 0),
    "a fall is a reset: 20 up to 120, then 7 from zero": Story(
        {-1: 100, 2: 120, 6: 7}, 27, resets=1, completeness=DEGRADED
    ),
    "two falls are two resets: 10 + 5 + 3": Story({-1: 0, 2: 10, 4: 5, 8: 3}, 18, resets=2, completeness=DEGRADED),
    "a restart that passes the old value is seen by its process: 20 + 150": Story(
        {-1: 100, 2: 120, 6: 150}, 170, starts=RESTART_AT_4, resets=1, completeness=DEGRADED
    ),
    "without a process start that restart is invisible: 50": Story({-1: 100, 2: 120, 6: 150}, 50),
    "a durable counter ignores process starts: 50": Story(
        {-1: 100, 2: 120, 6: 150}, 50, starts=RESTART_AT_4, lifetime=Lifetime.DURABLE
    ),
    "start times that jitter by a second are one process": Story(
        {-1: 100, 2: 120, 6: 150}, 50, starts={minute: -600 + 0.015 * (minute % 2) for minute in range(-5, 15)}
    ),
    "a base two hours back is still the base": Story({-120: 100, 3: 108}, 8),
    "born in a process that began in our sight: its first value counts": Story(
        {4: 5, 9: 12}, 12, starts=dict.fromkeys(range(4, 15), 3.5), births=1
    ),
    "born on a target scraped before without it: its first value counts": Story({4: 5, 9: 12}, 12, births=1),
    "born at zero: nothing to prove": Story({-0.0: 0, 9: 12}, 12, births=1),
    "a fall inside one process is a reset of that counter: 20 + 7": Story(
        {-1: 100, 2: 120, 6: 7}, 27, starts=ALIVE_SINCE_LONG, resets=1, completeness=DEGRADED
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_what_one_counter_counted(story: Story) -> None:
    stored = [series(COUNTER, story.samples), up()]
    if story.starts:
        stored.append(began(story.starts))

    closing = closed(*stored, meter=replace(METER, lifetime=story.lifetime))

    found = closing.evidence
    assert billed(closing) == story.quantity
    assert (found.resets, found.births, found.baselines) == (story.resets, story.births, story.baselines)
    assert closing.completeness is story.completeness


class TestBirthWithoutProof:
    """A target first seen together with its counter at 5,000, by a process older than anything we can see."""

    STORED = (series(COUNTER, {4: 5000, 9: 5012}), up(4), up(-600, 15, instance="other"))

    def test_takes_its_first_value_as_a_baseline_and_says_so(self) -> None:
        closing = closed(*self.STORED)
        assert billed(closing) == 12
        assert closing.evidence.baselines == 1
        assert closing.completeness is Completeness.DEGRADED

    def test_bills_it_in_full_where_the_meter_says_so(self) -> None:
        assert billed(closed(*self.STORED, meter=replace(METER, births=BirthPolicy.ZERO))) == 5012

    def test_is_held_where_the_meter_says_so(self) -> None:
        held = outcome_of(*self.STORED, meter=replace(METER, births=BirthPolicy.HOLD))
        assert isinstance(held, Held)
        assert "1 counters of api_requests_total appeared with no sign of where they began" in held.reason

    def test_an_old_process_is_no_proof(self) -> None:
        assert billed(closed(*self.STORED, began(dict.fromkeys(range(4, 15), -50000)))) == 12

    def test_a_process_younger_than_our_memory_is(self) -> None:
        assert billed(closed(*self.STORED, began(dict.fromkeys(range(4, 15), -500)))) == 5012


class TestRelabelled:
    """A label that nobody called volatile changes while the process lives on, at 5,000."""

    OLD = series({**COUNTER, "env": "test"}, {-1: 4990, 3: 5000})

    def test_the_new_name_does_not_bill_the_old_total_again(self) -> None:
        closing = closed(self.OLD, series(COUNTER, {4: 5001, 9: 5012}), up(), began(ALIVE_SINCE_LONG))
        assert billed(closing) == 10 + 11
        assert (closing.evidence.baselines, closing.completeness) == (1, Completeness.DEGRADED)

    def test_also_when_it_changed_just_before_the_window(self) -> None:
        old = series({**COUNTER, "env": "test"}, {-3: 4990, -1: 5000})
        assert billed(closed(old, series(COUNTER, {0: 5001, 9: 5012}), up(), began(ALIVE_SINCE_LONG))) == 11

    def test_a_sibling_that_lives_on_is_no_former_self(self) -> None:
        ok, created = {**COUNTER, "status": "200"}, {**COUNTER, "status": "201"}
        stored = (series(ok, {-1: 5, 3: 6, 9: 7}), series(created, {4: 8, 9: 9}), up(), began(ALIVE_SINCE_LONG))
        closing = closed(*stored)
        assert billed(closing) == 2 + 9
        assert (closing.evidence.births, closing.evidence.baselines) == (1, 0)

    def test_nor_is_one_of_another_process(self) -> None:
        stored = (series({**COUNTER, "status": "200"}, {-1: 5, 3: 6}), series(COUNTER, {6: 8, 9: 9}), up())
        assert billed(closed(*stored, began(RESTART_AT_4))) == 1 + 9


class TestReplicas:
    A, B = {**COUNTER, "replica": "a"}, {**COUNTER, "replica": "b"}

    def test_two_that_see_one_counter_bill_it_once(self) -> None:
        a = series(self.A, every_minute(-1, [100, 101, 102, 103, 104]))
        b = series(self.B, every_minute(-1, [100, 101, 102, 103, 104]))
        assert billed(closed(a, b, up(replica="a"), up(replica="b"))) == 4

    def test_one_that_was_blind_at_a_reset_does_not_make_it_happen_twice(self) -> None:
        a = series(self.A, {-1: 100, 1: 110, 2: 3, 5: 20, 9: 40})
        b = series(self.B, {-0.5: 100, 0.5: 105, 7: 30, 9.5: 41})
        assert billed(closed(a, b, up(replica="a"), up(replica="b"))) == 10 + 41

    def test_clocks_apart_make_no_falls(self) -> None:
        """Merged by time the readings go 100, 105, 103, 108, 106, 111: no replica saw a fall."""
        a = series(self.A, {-1: 100, 1: 103, 2: 106})
        b = series(self.B, {0.9: 105, 1.9: 108, 2.9: 111})
        assert billed(closed(a, b, up(replica="a"), up(replica="b"))) == 11

    def test_resets_the_clocks_cannot_tell_apart_are_laid_so_that_the_least_is_billed(self) -> None:
        """Two resets in two minutes, b's clock 42 s ahead. By its stamp b's 121 came after the first of them: then 20,
        121 and 8 would be due. Its clock may be ahead as well: then it is 21, 12 and 8."""
        a = series(self.A, {-1: 100, 2: 120, 3: 10, 4: 12, 5: 3, 9: 8})
        b = series(self.B, {-0.3: 100, 3.7: 121, 5.7: 3, 9.7: 8})
        for pair in ((a, b), (b, a)):
            closing = closed(*pair, up(replica="a"), up(replica="b"))
            assert billed(closing) == 21 + 12 + 8
            assert (closing.evidence.resets, closing.completeness) == (2, DEGRADED)

    def test_beyond_a_minute_clocks_are_believed(self) -> None:
        a = series(self.A, {-1: 100, 2: 120, 3: 10, 4: 12, 5: 3, 9: 8})
        b = series(self.B, {-0.3: 100, 4.1: 121, 5.7: 3, 9.7: 8})
        assert billed(closed(a, b, up(replica="a"), up(replica="b"))) == 20 + 121 + 8

    def test_each_of_them_sees_a_reset_the_other_was_blind_for(self) -> None:
        a = series(self.A, {-1: 100, 1: 110, 2: 3, 3: 6, 9: 30})
        b = series(self.B, {-0.5: 100, 4.5: 9, 6.5: 2, 9.5: 31})
        assert billed(closed(a, b, up(replica="a"), up(replica="b"))) == 10 + 9 + 31

    def test_a_later_process_stamped_earlier_leaves_the_one_before_it_its_beginning(self) -> None:
        """b's clock is 18 s behind: its first scrape of the process of 5.1 is stamped before a's of that of 4.0."""
        a = series(self.A, {4.95: 6, 5.95: 2})
        b = series(self.B, {4.9: 1, 5.9: 2})
        starts = (began({4.95: 4.0, 5.95: 5.1}, replica="a"), began({4.9: 5.1, 5.9: 5.1}, replica="b"))
        closing = closed(a, b, up(4, replica="a"), up(4, replica="b"), *starts)
        assert billed(closing) == 6 + 2
        assert closing.evidence.baselines == 0

    def test_the_other_one_fills_the_gap(self) -> None:
        a = series(self.A, {-1: 100, 1: 101})
        b = series(self.B, {-0.5: 100, 8: 118, 9: 119})
        closing = closed(a, b, up(-5, 2, replica="a"), up(0, 15, replica="b"))
        assert billed(closing) == 19
        assert closing.evidence.coverage == 1


class TestIdentity:
    def test_a_volatile_label_changes_and_the_counter_goes_on(self) -> None:
        old, new = {**COUNTER, "version": "1"}, {**COUNTER, "version": "2"}
        stored = (series(old, {-1: 100, 3: 110}), series(new, {4: 111, 9: 120}), up())
        assert billed(closed(*stored, meter=replace(METER, volatile_labels=("version",)))) == 20
        assert billed(closed(*stored)) == 10 + 9, "not declared volatile, the second begins at a baseline"

    def test_instances_are_counters_of_their_own_and_usage_is_summed(self) -> None:
        other = {**COUNTER, "instance": "two"}
        stored = (series(COUNTER, {-1: 5, 9: 8}), series(other, {-1: 50, 9: 54}), up(), up(instance="two"))
        assert closed(*stored).usage == (Usage("c42", ("/search",), 7),)

    def test_rows_are_sorted_and_zeros_left_out(self) -> None:
        stored = [
            series({**COUNTER, "consumer_id": consumer, "endpoint": endpoint}, {-1: 1, 9: 1 + rise})
            for consumer, endpoint, rise in (("b", "/z", 2), ("b", "/a", 1), ("a", "/a", 3), ("c", "/a", 0))
        ]
        rows = closed(*stored, up()).usage
        assert rows == (Usage("a", ("/a",), 3), Usage("b", ("/a",), 1), Usage("b", ("/z",), 2))

    def test_a_counter_without_a_consumer_is_kept_for_nobody(self) -> None:
        nameless = {label: value for label, value in COUNTER.items() if label != "consumer_id"}
        assert closed(series(nameless, {-1: 5, 9: 8}), up()).usage == (Usage("", ("/search",), 3),)


class TestNumbers:
    def test_float_seconds_are_quantised_as_readings_so_no_fraction_is_lost(self) -> None:
        """0.0006 s a minute at millisecond resolution: 6 ms in ten minutes, although no single step makes one."""
        meter = replace(METER, digits=3, unit="second")
        readings = {minute: 0.0006 * (minute + 1) for minute in range(-1, 10)}
        assert billed(closed(series(COUNTER, readings), up(), meter=meter)) == 6

    def test_bytes_just_under_the_limit_are_counted_one_by_one(self) -> None:
        near = 2**53 - 100
        assert billed(closed(series(COUNTER, {-1: str(near), 9: str(near + 99)}), up())) == 99

    def test_beyond_it_single_units_vanish_and_the_window_is_held(self) -> None:
        held = outcome_of(series(COUNTER, {-1: str(2**53 - 1), 9: str(2**53)}), up())
        assert isinstance(held, Held)
        assert "9007199254740992" in held.reason


class TestCompleteness:
    STEADY = series(COUNTER, every_minute(-1, [float(10 * minute) for minute in range(12)]))

    def test_every_scrape_found(self) -> None:
        closing = closed(self.STEADY, up())
        assert (closing.evidence.scrapes_seen, closing.evidence.scrapes_expected) == (10, 10)
        assert closing.completeness is Completeness.COMPLETE

    def test_a_gap_degrades_or_holds_by_the_meters_coverage(self) -> None:
        holed = (self.STEADY, up(-5, 3), up(6, 15))
        closing = closed(*holed)
        assert (closing.evidence.scrapes_seen, closing.evidence.scrapes_expected) == (7, 10)
        assert closing.completeness is Completeness.DEGRADED
        held = outcome_of(*holed, meter=replace(METER, coverage=Fraction(98, 100)))
        assert isinstance(held, Held)
        assert "7 of 10 expected scrapes were found (70.0 %), the meter asks for 98.0 %" in held.reason

    def test_a_target_taken_away_is_not_missed_but_a_silent_source_is(self) -> None:
        others = up(instance="other")
        gone = closed(self.STEADY, up(-5, 4), others)
        assert (gone.evidence.scrapes_seen, gone.evidence.scrapes_expected) == (3, 3)
        silent = closed(self.STEADY, up(-5, 4))
        assert (silent.evidence.scrapes_seen, silent.evidence.scrapes_expected) == (4, 10)

    def test_a_pod_that_went_away_may_have_counted_on_until_it_did(self) -> None:
        """40 in the three minutes it was there: up to 14 more in the minute in which it was not scraped again."""
        samples = {minute: 10 * (minute + 1) for minute in range(-1, 4)}
        closing = closed(series(COUNTER, samples), up(-5, 4), up(instance="other"))
        assert (billed(closing), closing.evidence.unseen) == (40, 14)
        assert closing.completeness is Completeness.DEGRADED

    def test_also_where_it_went_with_the_windows_end_and_only_the_next_one_misses_it(self) -> None:
        samples = {minute: 10 * (minute + 1) for minute in range(-1, 10)}
        closing = closed(series(COUNTER, samples), up(-5, 10), up(instance="other"))
        assert (billed(closing), closing.evidence.unseen) == (100, 12)
        assert closing.completeness is Completeness.DEGRADED

    def test_one_that_seemed_idle_may_have_counted_too(self) -> None:
        closing = closed(series(COUNTER, {-1: 7, 3: 7}), up(-5, 4), up(instance="other"))
        assert (billed(closing), closing.evidence.unseen) == (0, 1)
        assert closing.completeness is Completeness.DEGRADED

    def test_a_process_whose_successor_does_not_know_the_counter_may_have_counted_on(self) -> None:
        """10 a minute until minute 3; the process seen at minute 4 no longer has it."""
        samples = {minute: 10 * (minute + 1) for minute in range(-1, 4)}
        closing = closed(series(COUNTER, samples), up(), began(RESTART_AT_4))
        assert (billed(closing), closing.evidence.unseen) == (40, 10)
        assert closing.completeness is Completeness.DEGRADED

    def test_a_reset_of_a_counter_without_a_pace_still_degrades(self) -> None:
        closing = closed(series(COUNTER, {-1: 5, 2: 5, 6: 1}), up())
        assert (closing.evidence.unseen, closing.completeness) == (0, Completeness.DEGRADED)

    def test_a_target_that_fails_its_scrapes_is_missed(self) -> None:
        down = series({"__name__": "up", **TARGET}, {minute: int(minute < 4) for minute in range(-5, 15)})
        closing = closed(self.STEADY, down)
        assert (closing.evidence.scrapes_seen, closing.evidence.scrapes_expected) == (4, 10)

    def test_an_empty_source_is_no_proof_of_silence(self) -> None:
        held = outcome_of(meter=replace(METER, coverage=Fraction(98, 100)))
        assert isinstance(held, Held)
        assert held.evidence.scrapes_seen == 0

    def test_the_sources_own_warnings_hold_the_window_until_a_person_releases_it(self) -> None:
        readings = Readings(clean=[Usage("c1", ("/a",), 5)], clean_identities=1, alive=[ZERO], warnings=("one shard",))
        held = decide(METER, WINDOW, readings)
        assert isinstance(held, Held)
        assert "one shard" in held.reason
        released = decide(METER, WINDOW, readings, released=True)
        assert isinstance(released, Closing)
        assert (billed(released), released.completeness) == (5, Completeness.DEGRADED)
        assert "released although the source doubts its own answer" in released.evidence.notes[-1]

    def test_a_partition_that_does_not_add_up_is_held(self) -> None:
        held = decide(METER, WINDOW, Readings(alive=[ZERO], counts=Counts(all=10, clean=7, rebuilt=2)))
        assert isinstance(held, Held)
        assert "7 clean and 2 rebuilt series do not make up all 10" in held.reason

    def test_a_crash_says_how_much_may_have_gone_unseen(self) -> None:
        """60 a minute, last seen 45 s before the process was gone: about 45."""
        samples = {-1: 0, 0: 60, 1: 120, 2: 180, 3: 5}
        starts = {minute: -600 if minute < 3 else 2.75 for minute in range(-5, 15)}
        closing = closed(series(COUNTER, samples), up(), began(starts))
        assert billed(closing) == 180 + 5
        assert closing.evidence.unseen == 45


def test_a_source_that_closes_its_ranges_adds_nothing_to_the_window() -> None:
    """The sample at the very end is the next window's, also when it was handed over."""
    times = [at(minute) for minute in (-1, 9, 10)]
    start = Series({**TARGET}, times, [at(-600), at(-600), at(9.5)])
    for last in (500, 3):
        readings = Readings(series=[Series(COUNTER, times, [100, 130, last])], starts=[start], alive=times)
        closing = decide(METER, WINDOW, readings)
        assert isinstance(closing, Closing)
        assert (billed(closing), closing.evidence.samples, closing.evidence.resets) == (30, 2, 0)


def test_the_same_samples_give_the_same_digest_in_any_order_and_others_another() -> None:
    one, two = series(COUNTER, {-1: 5, 9: 8}), series({**COUNTER, "consumer_id": "c7"}, {-1: 5, 9: 8})
    digest = closed(one, two, up()).evidence.digest
    assert closed(two, one, up()).evidence.digest == digest
    assert closed(one, series({**COUNTER, "consumer_id": "c7"}, {-1: 5, 9: 9}), up()).evidence.digest != digest
