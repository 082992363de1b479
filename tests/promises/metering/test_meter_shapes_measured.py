"""Gauges, sums of histograms and converted counters on real servers: to the integer as in memory, and as by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rating.adapters.memory_source import MemorySource
from rating.adapters.prometheus import PrometheusSource
from rating.core.counters import decide
from rating.core.meters import Kind, Lifetime, Matcher, Meter
from rating.core.periods import Period, milliseconds
from rating.core.windows import Closing, Held
from rating.ports import CounterSource, Verdict
from rating_demo import blocks
from rating_demo.openmetrics import Series
from rating_demo.parts import Prometheus, VictoriaMetrics
from rating_demo.scenarios import FIRST_DAY, HOUR, MINUTE
from tests.conftest import newer, part

STEP = 15_000
BEGIN = milliseconds(FIRST_DAY)
PERIOD = Period(FIRST_DAY + HOUR, FIRST_DAY + 3 * HOUR)
TIMES = np.arange(BEGIN + 4_000, BEGIN + 3 * 3_600_000 + 600_000, STEP)

STORED = Meter(
    "stored",
    "bucket_bytes",
    "tenant",
    ("bucket",),
    where=(Matcher("bucket", "tmp-.*", negated=True),),
    unit="GiB second",
    digits=6,
    kind=Kind.GAUGE,
    conversion=Fraction(1, 2**30),
    coverage=Fraction(8, 10),
)
CONNECTED = Meter(
    "connected", "connections", "tenant", kind=Kind.GAUGE, digits=3, unit="second", coverage=Fraction(8, 10)
)
SECONDS = Meter("seconds", "request_seconds_sum", "tenant", digits=3, unit="second")
REQUESTS = Meter("requests", "request_seconds_count", "tenant")
THOUSANDS = Meter("thousands", "tokens_total", "tenant", unit="1k tokens", digits=2, conversion=Fraction(1, 1000))
METERS = (STORED, CONNECTED, SECONDS, REQUESTS, THOUSANDS)


def samples() -> list[Series]:
    """Two targets, scraped by one server; the second is out of reach for 20 minutes of the second hour."""
    rng = np.random.default_rng(7)
    found: list[Series] = []
    for number, instance in enumerate(("one:80", "two:80")):
        target = {"job": "api", "instance": instance}
        down = (TIMES >= BEGIN + 80 * 60_000) & (TIMES < BEGIN + 100 * 60_000) & (number == 1)
        seen = TIMES[~down]
        found.append(Series("up", target, TIMES, (~down).astype(np.int64)))
        began = np.full(len(seen), BEGIN / 1000 - 86_400 * 3)
        found.append(Series("process_start_time_seconds", target, seen, began))
        for tenant in ("acme", "globex"):
            labels = {"tenant": tenant, **target}
            connections = rng.integers(0, 9, len(seen))
            # A connection pool that is closed for good: its gauge is missing from later scrapes.
            kept = seen < BEGIN + (150 * 60_000 if tenant == "globex" else 10**12)
            found.append(Series("connections", labels, seen[kept], connections[kept]))
            for bucket in ("logs", "tmp-1"):
                bytes_ = rng.integers(0, 2**41) + np.cumsum(rng.integers(0, 2**28, len(seen)))
                found.append(Series("bucket_bytes", {**labels, "bucket": bucket}, seen, bytes_))
            count = np.cumsum(rng.integers(0, 5, len(seen)))
            found.append(Series("request_seconds_count", labels, seen, count))
            found.append(Series("request_seconds_sum", labels, seen, np.cumsum(rng.random(len(seen)) / 7)))
            found.append(Series("tokens_total", labels, seen, np.cumsum(rng.integers(0, 999, len(seen)))))
    return [*found, *leader()]


def leader() -> list[Series]:
    """Counters that a leader keeps elsewhere: its process restarts at 1:30 and they go on, one of them idle."""
    target = {"job": "jobs", "instance": "three:80"}
    began = np.where(TIMES < BEGIN + 90 * 60_000, BEGIN / 1000 - 86_400, BEGIN / 1000 + 90 * 60)
    return [
        Series("up", target, TIMES, np.ones(len(TIMES), dtype=np.int64)),
        Series("process_start_time_seconds", target, TIMES, began),
        Series("jobs_total", {"tenant": "acme", **target}, TIMES, 1000 + np.arange(len(TIMES))),
        Series("jobs_total", {"tenant": "globex", **target}, TIMES, np.full(len(TIMES), 500)),
    ]


SAMPLES = samples()
MEMORY = MemorySource(
    [
        ({"__name__": one.metric, **one.labels}, list(zip(one.times.tolist(), one.values.tolist(), strict=True)))
        for one in SAMPLES
    ]
)


@pytest.fixture(scope="module", params=["prometheus", "prometheus-newer", "victoria-metrics"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, promtool: Path
) -> Iterator[PrometheusSource]:
    folder = tmp_path_factory.mktemp("shapes")
    with ExitStack() as stack:
        if request.param == "victoria-metrics":
            victoria = stack.enter_context(VictoriaMetrics(folder, program=part("victoria_metrics")))
            victoria.store(SAMPLES)
            yield PrometheusSource([victoria.url], dialect="victoriametrics")
            return
        program = part("prometheus") if request.param == "prometheus" else newer("prometheus")
        blocks.create(SAMPLES, folder / "blocks", promtool)
        prometheus = Prometheus(folder, blocks=folder / "blocks", retention="100y", program=program)
        yield PrometheusSource([stack.enter_context(prometheus).url])


def counted(source: CounterSource, meter: Meter, length: timedelta) -> Mapping[tuple[str, tuple[str, ...]], int]:
    meter, sums = (
        replace(meter, window=length, coverage=Fraction(0)),
        defaultdict[tuple[str, tuple[str, ...]], int](int),
    )
    for window in PERIOD.windows(length):
        closing = decide(meter, window, source.read(meter, window))
        assert isinstance(closing, Closing), closing
        for usage in closing.usage:
            sums[usage.consumer, usage.dimensions] += usage.quantity
    return dict(sums)


@pytest.mark.parametrize("meter", METERS, ids=[meter.name for meter in METERS])
def test_a_server_and_memory_come_to_the_same_however_the_period_is_cut(server: PrometheusSource, meter: Meter) -> None:
    whole = counted(MEMORY, meter, HOUR)
    assert whole
    assert counted(server, meter, HOUR) == whole
    assert counted(server, meter, 20 * MINUTE) == whole


def obvious(tenant: str, hold: int = 300_000) -> int:
    """Connected milliseconds of a tenant, gauge by gauge and sample by sample."""
    first, last, total = milliseconds(PERIOD.start), milliseconds(PERIOD.end), 0
    for one in SAMPLES:
        if one.metric != "connections" or one.labels["tenant"] != tenant:
            continue
        up = next(
            other for other in SAMPLES if other.metric == "up" and other.labels["instance"] == one.labels["instance"]
        )
        well = [time for time, value in zip(up.times.tolist(), up.values.tolist(), strict=True) if value]
        times, values = one.times.tolist(), one.values.tolist()
        for index, (time, value) in enumerate(zip(times, values, strict=True)):
            until = time + hold
            if index + 1 < len(times):
                until = min(until, times[index + 1])
            else:
                until = min([until, *(scrape for scrape in well if scrape > time)])
            total += value * max(0, min(until, last) - max(time, first))
    return total


def test_connected_seconds_are_what_a_person_works_out(server: PrometheusSource) -> None:
    found = counted(server, CONNECTED, HOUR)
    assert found == {(tenant, ()): obvious(tenant) for tenant in ("acme", "globex")}


def test_stored_gibibytes_are_rounded_sample_by_sample_and_temporary_buckets_left_out(server: PrometheusSource) -> None:
    found = counted(server, STORED, HOUR)
    assert {dimensions for _, dimensions in found} == {("logs",)}
    window = Period(PERIOD.start, PERIOD.start + HOUR)
    closing = decide(STORED, window, server.read(STORED, window))
    assert isinstance(closing, Closing)
    # Fifteen of the twenty minutes are beyond what the last sample speaks for, of both tenants' buckets.
    assert closing.evidence.uncovered == 2 * (15 * 60_000 + STEP)
    assert closing.evidence.lacking_is == "estimate"


def test_counters_that_outlive_their_process_hold_their_window_until_that_is_declared(server: PrometheusSource) -> None:
    jobs = Meter("jobs", "jobs_total", "tenant")
    for number, window in enumerate(PERIOD.windows(HOUR)):
        found = decide(jobs, window, server.read(jobs, window))
        if number == 0:
            assert isinstance(found, Held)
            assert "(jobs three:80)" in found.reason
            assert "write `counter: durable` in the meter" in found.reason
        else:
            assert isinstance(found, Closing)
    durable = replace(jobs, lifetime=Lifetime.DURABLE)
    assert counted(server, durable, HOUR) == {("acme", ()): 480}


def test_the_doctor_does_not_ask_gauges_for_process_starts(server: PrometheusSource) -> None:
    now = PERIOD.end + timedelta(minutes=9)
    found = list(server.examine((CONNECTED,), longest_period=timedelta(days=1), now=now))
    own = [one for one in found if one.about == "connected"]
    assert [one.what for one in own if one.verdict is not Verdict.OK] == []
    assert any("gauges of 2 consumers" in one.what or "gauges of 1 consumers" in one.what for one in own)
