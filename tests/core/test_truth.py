"""The generator of truth is itself checked: its samples are walked one by one, in plain Python, from evidence alone."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from rating.core.periods import Period
from rating_demo import openmetrics
from rating_demo.faults import Disordered, Late, Outage, Relabel, Replica, Restarts, Shape, Traffic, Unreachable
from rating_demo.openmetrics import Series
from rating_demo.truth import Cell, Who, World

START = datetime(2026, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TWO = (Replica("a"), Replica("b", timedelta(milliseconds=700)))

CALM = World(
    seed=1,
    start=START,
    end=START + 12 * HOUR,
    consumers={"acme": Traffic(600), "birch": Traffic(30, Shape.BURSTY), "cedar": Traffic(40, begins=5 * HOUR)},
    interval=timedelta(seconds=30),
)

WORLDS = {
    "nothing happens": CALM,
    "processes restart every half hour": replace(CALM, restarts=Restarts(20 * MINUTE, 40 * MINUTE)),
    "restarts that show no fall": replace(CALM, restarts=Restarts(20 * MINUTE, 40 * MINUTE, hidden=True)),
    "pods replaced by pods of another name": replace(CALM, restarts=Restarts(MINUTE, 20 * MINUTE, renamed=True)),
    "two replicas, one blind for an hour, one clock ahead": replace(
        CALM, replicas=TWO, faults=(Outage(3 * HOUR, HOUR, "a"),), restarts=Restarts(HOUR, 2 * HOUR)
    ),
    "Prometheus down for two hours": replace(CALM, faults=(Outage(3 * HOUR, 2 * HOUR),)),
    "one target unreachable for an hour": replace(CALM, faults=(Unreachable(3 * HOUR, HOUR, 1),)),
    "processes older than anybody's memory": replace(CALM, carried=5_000_000),
    "everything": replace(
        CALM,
        replicas=TWO,
        faults=(Outage(2 * HOUR, HOUR, "b"), Outage(7 * HOUR, 12 * MINUTE), Unreachable(5 * HOUR, HOUR)),
        restarts=Restarts(5 * MINUTE, 2 * HOUR, hidden=True),
        carried=1000,
        created_samples=True,
    ),
}


def walk(world: World) -> dict[Cell, int]:
    """The observable truth from the samples alone, one sample at a time."""
    starts: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    scraped: dict[str, list[int]] = defaultdict(list)
    counters = []
    for series in world.series():
        samples = zip(series.times.tolist(), series.values.tolist(), strict=True)
        if series.metric == "process_start_time_seconds":
            starts[series.labels["instance"], series.labels["replica"]] = dict(samples)
            scraped[series.labels["instance"]] += series.times.tolist()
        elif series.metric == world.metric:
            counters.append((series.labels, list(samples)))
    merged = defaultdict(list)
    for labels, samples in counters:
        start_at = starts[labels["instance"], labels["replica"]]
        who = Who(labels["consumer_id"], labels["endpoint"])
        for time, value in samples:
            if time in start_at:  # a created sample is at no scrape, and is no usage
                merged[who, labels["instance"], start_at[time]].append((time, value))
    cells: dict[Cell, int] = defaultdict(int)
    for (who, instance, start), samples in merged.items():
        samples.sort()
        first = samples[0][0]
        highest = 0 if start >= START.timestamp() or min(scraped[instance]) < first else samples[0][1]
        for time, value in samples:
            if value > highest:
                hour = datetime.fromtimestamp(time // 3_600_000 * 3600, UTC)
                cells[Cell(*who, hour)] += value - highest
                highest = value
    return {cell: amount for cell, amount in cells.items() if amount}


@pytest.mark.parametrize("name", WORLDS)
def test_observable_truth_is_what_a_walk_over_the_samples_proves(name: str) -> None:
    world = WORLDS[name]
    assert world.cells(Period(START, START + 13 * HOUR), HOUR) == walk(world)


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_is_proven_that_did_not_happen(name: str) -> None:
    world = WORLDS[name]
    true, observable = world.increments(), world.usage()
    assert set(observable) <= set(true)
    assert all(observable[who] <= true[who] for who in observable)
    assert sum(observable.values()) > 0


def test_a_calm_world_loses_only_what_follows_the_last_scrape() -> None:
    before_the_end = Period(START, CALM.end - CALM.interval)
    lost = {who: CALM.increments()[who] - seen for who, seen in CALM.usage().items()}
    after = {who: CALM.increments()[who] - true for who, true in CALM.increments(before_the_end).items()}
    assert all(0 <= lost[who] <= after.get(who, 0) for who in lost)


def test_true_increments_add_up_to_the_totals() -> None:
    world, totals = WORLDS["everything"], defaultdict(int)
    for moment, who, amount in world.true_increments():
        assert world.start <= moment < world.end
        totals[who] += amount
    assert totals == world.increments()


def test_the_same_seed_is_the_same_world_and_another_is_not() -> None:
    again, other = replace(CALM), replace(CALM, seed=2)
    for ours, theirs in zip(CALM.series(), again.series(), strict=True):
        assert ours.labels == theirs.labels
        assert np.array_equal(ours.times, theirs.times)
        assert np.array_equal(ours.values, theirs.values)
    assert other.increments() != CALM.increments()


def test_a_gap_changes_what_is_seen_and_not_what_happened() -> None:
    blind = WORLDS["Prometheus down for two hours"]
    assert blind.increments() == CALM.increments()
    assert {cell.start.hour for cell in blind.cells(Period(START, blind.end), HOUR)} == {0, 1, 2, *range(5, 12)}
    assert blind.usage() == CALM.usage()  # the counters survived; only the hours moved


def test_a_hidden_restart_shows_no_fall() -> None:
    world = WORLDS["restarts that show no fall"]
    counters = [series for series in world.series() if series.metric == world.metric]
    assert len(world.lives) > 20
    assert all((np.diff(series.values) >= 0).all() for series in counters)


def test_a_moved_target_changes_its_labels_and_keeps_its_count() -> None:
    moved = replace(CALM, relabels=(Relabel("instance", 4 * HOUR),))
    instances = {series.labels["instance"] for series in moved.series() if series.metric == moved.metric}
    assert instances == {f"api-{slot}:8000-{term}" for slot in (1, 2) for term in (0, 1, 2)}
    assert moved.usage() == CALM.usage()


def test_durable_counters_go_on_across_processes() -> None:
    world = replace(CALM, durable=True, carried=100, restarts=Restarts(HOUR, 2 * HOUR))
    for series in world.series():
        if series.metric == world.metric:
            assert (np.diff(series.values) >= 0).all()
    assert len(world.lives) > 10


HELD_UP = replace(CALM, faults=(Late(2 * HOUR, HOUR), Disordered(0.1), Late(6 * HOUR, HOUR, "b")), replicas=TWO)


def test_samples_that_arrive_late_are_the_same_samples() -> None:
    """Nothing is lost or made up by the order of arrival, and all of a scrape arrives together."""
    prompt, late = HELD_UP.arrivals()
    together: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for series in (*prompt, *late):
        key = series.metric, str(sorted(series.labels.items()))
        assert not set(series.times.tolist()) & set(together[key])
        together[key] |= dict(zip(series.times.tolist(), series.values.tolist(), strict=True))
    for series in HELD_UP.series():
        key = series.metric, str(sorted(series.labels.items()))
        assert together.pop(key) == dict(zip(series.times.tolist(), series.values.tolist(), strict=True))
    assert not together
    assert HELD_UP.usage() == replace(HELD_UP, faults=()).usage()
    ups = [series for series in late if series.metric == "up" and series.labels["job"] == "api"]
    share = sum(len(series.times) for series in ups) / (4 * 12 * 120)
    assert 0.2 < share < 0.3, "an hour and a half of twelve, and a tenth of the rest"
    stamps = {stamp for series in ups for stamp in series.times.tolist()}
    assert {stamp for series in late for stamp in series.times.tolist() if series.labels["job"] == "api"} == stamps


def test_before_its_samples_arrive_a_world_looks_as_if_nobody_had_scraped() -> None:
    early = HELD_UP.as_of_arrival()
    stored = {(one.metric, str(one.labels)): one for one in early.series()}
    prompt = HELD_UP.arrivals()[0]
    assert len(prompt) == len(stored)
    for series in prompt:
        assert np.array_equal(series.times, stored[series.metric, str(series.labels)].times)
    assert early.increments() == HELD_UP.increments()
    assert sum(early.usage().values()) <= sum(HELD_UP.usage().values())
    period = Period(START, START + 13 * HOUR)
    assert early.cells(period, HOUR) == walk(early) != HELD_UP.cells(period, HOUR)


def test_a_marker_says_that_a_scrape_no_longer_found_a_series() -> None:
    world = replace(
        CALM,
        restarts=Restarts(HOUR, 2 * HOUR, renamed=True),
        faults=(Unreachable(3 * HOUR, 10 * MINUTE, 0), Outage(6 * HOUR, HOUR)),
    )
    ended = {one.labels["instance"]: one for one in world.series() if one.metric == "up"}
    for life in world.lives:
        if life.died < int(world.end.timestamp() * 1000) - 60_000 and life.instance in ended:
            series = ended[life.instance]
            gone = not 6 * 3_600_000 - 60_000 <= life.died - int(START.timestamp() * 1000) < 7 * 3_600_000
            marked = series.stale.tolist()
            assert len(marked) == gone, "a Prometheus that is down marks nothing"
            assert all(0 < stamp - series.times[-1] <= 30_000 and stamp >= life.died for stamp in marked)
    assert all(not set(one.stale.tolist()) & set(one.times.tolist()) for one in world.series())
    assert sum(len(one.stale) for one in world.series()) > 20


def test_openmetrics_text_is_exact_to_the_millisecond_and_the_last_bit(tmp_path: Path) -> None:
    times = np.array([1_790_000_000_000, 1_790_000_015_007])
    rows = [
        Series("api_requests_total", {"consumer_id": 'a"b\\c', "replica": ""}, times, np.array([7, 2**53 - 1])),
        Series("up", {"job": "api"}, times, np.array([0.1 + 0.2, 1.0])),
    ]
    assert openmetrics.write(tmp_path / "text", rows) == 4
    assert (tmp_path / "text").read_text() == "\n".join(
        [
            "# TYPE api_requests counter",
            'api_requests_total{consumer_id="a\\"b\\\\c"} 7 1790000000.000',
            'api_requests_total{consumer_id="a\\"b\\\\c"} 9007199254740991 1790000015.007',
            "# TYPE up gauge",
            'up{job="api"} 0.30000000000000004 1790000000.000',
            'up{job="api"} 1.0 1790000015.007',
            "# EOF\n",
        ]
    )


def test_every_stored_series_rises_in_time() -> None:
    for series in itertools.chain.from_iterable(world.series() for world in WORLDS.values()):
        assert (np.diff(series.times) > 0).all(), series.labels
