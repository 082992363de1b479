"""Several metrics are their sum; keys and remainders move usage to other names and never change a total."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as some
from hypothesis import given, settings

from rating.adapters.memory_source import MemorySource
from rating.adapters.prometheus import PrometheusSource
from rating.core.counters import OTHER, Accounts, decide, unknown
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Closing
from rating.ports import CounterSource, Verdict
from rating_demo import blocks
from rating_demo.faults import Outage, Replica, Restarts, Traffic
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY, GAPS, HOUR, MINUTE
from rating_demo.truth import World

DAY = timedelta(days=1)
KEYS = {"sk-acme-000000000011": "acme", "sk-acme-000000000012": "acme", "sk-globex-0000000021": "globex"}
STRAY = "sk-nobody-00000099f3"
ENDPOINTS = {"/search": 0.5, "/chat": 0.3, "/images": 0.2}
PLAIN = Meter("calls", "in_total", "api_key", ("endpoint",), scrape_interval=MINUTE)
LOOKUP = tuple(sorted((hashlib.sha256(key.encode()).hexdigest(), name) for key, name in KEYS.items()))
BOTH = replace(PLAIN, added_metrics=("out_total",))
SHAPED = replace(BOTH, consumers=LOOKUP, dimension_values=(("/search",),))


def world(metric: str, seed: int, *, restless: bool = False) -> World:
    """The same targets at the same times: only what they count differs."""
    return World(
        seed=seed,
        start=FIRST_DAY,
        end=FIRST_DAY + 6 * HOUR,
        consumers={key: Traffic(30 + 9 * n, begins=n * 40 * MINUTE) for n, key in enumerate((*KEYS, STRAY))},
        endpoints=ENDPOINTS,
        metric=metric,
        consumer_label="api_key",
        interval=MINUTE,
        replicas=(Replica("a"), Replica("b")) if restless else (Replica(),),
        faults=(GAPS[0], Outage(3 * HOUR, 20 * MINUTE, "a")) if restless else (),
        restarts=Restarts(20 * MINUTE, 2 * HOUR) if restless else None,
    )


def in_memory(*worlds: World) -> MemorySource:
    """`up` and process starts stand in each of the worlds: the first one's are told."""
    told = {}
    for one in (series for world in worlds for series in world.series()):
        samples = list(zip(one.times.tolist(), one.values.tolist(), strict=True))
        told.setdefault((one.metric, tuple(sorted(one.labels.items()))), samples)
    return MemorySource([({"__name__": metric, **dict(labels)}, samples) for (metric, labels), samples in told.items()])


def counted(source: CounterSource, meter: Meter, period: Period) -> dict[tuple[str, tuple[str, ...]], int]:
    meter = replace(meter, coverage=meter.coverage * 0)
    sums: dict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
    for window in period.windows(timedelta(hours=1)):
        closing = decide(meter, window, source.read(meter, window))
        assert isinstance(closing, Closing), closing
        for usage in closing.usage:
            sums[usage.consumer, usage.dimensions] += usage.quantity
    return dict(sums)


def truth(*worlds: World) -> dict[tuple[str, tuple[str, ...]], int]:
    """What the samples prove, under the names that a person would give it."""
    sums: dict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
    for world in worlds:
        for who, quantity in world.usage().items():
            endpoint = who.endpoint if who.endpoint == "/search" else "<other>"
            sums[KEYS.get(who.consumer, "<unknown:...99f3>"), (endpoint,)] += quantity
    return dict(sums)


@settings(max_examples=5, deadline=None)
@given(some.integers(0, 10_000), some.integers(0, 10_000), some.booleans())
def test_two_metrics_are_the_sum_of_each_under_any_names(first: int, second: int, restless: bool) -> None:
    one, two = world("in_total", first, restless=restless), world("out_total", second, restless=restless)
    # Both count in the same processes; with restarts of their own they could not share an address.
    if restless:
        two = replace(one, metric="out_total")
    source, period = in_memory(one, two), Period(one.start, one.end + HOUR)
    apart = [counted(source, each, period) for each in BOTH.of_each_metric]
    summed: dict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
    for part in apart:
        for account, quantity in part.items():
            summed[account] += quantity
    assert counted(source, BOTH, period) == summed
    assert counted(source, SHAPED, period) == truth(one, two)
    assert sum(counted(source, SHAPED, period).values()) == sum(summed.values())


@given(
    some.dictionaries(some.text(min_size=1, max_size=30), some.sampled_from(["acme", "globex"]), max_size=5),
    some.lists(some.tuples(some.text(max_size=30), some.text(max_size=9), some.integers(0, 99)), max_size=20),
    some.none() | some.lists(some.text(max_size=9), max_size=3).map(tuple),
)
def test_accounts_lose_nothing_and_show_no_key(
    lookup: dict[str, str], usage: list[tuple[str, str, int]], kept: tuple[str, ...] | None
) -> None:
    digests = tuple(sorted((hashlib.sha256(key.encode()).hexdigest(), name) for key, name in lookup.items()))
    accounts = Accounts(replace(PLAIN, consumers=digests, dimension_values=() if kept is None else (kept,)))
    sums: dict[object, int] = defaultdict(int)
    for key, value, quantity in usage:
        consumer, (dimension,) = accounts.of(key, (value,))
        sums[consumer, dimension] += quantity
        assert dimension == (value if kept is None or value in kept else OTHER)
        assert consumer == (lookup.get(key, unknown(key)) if lookup and key else key)
    assert sum(sums.values()) == sum(quantity for _, _, quantity in usage)


def test_an_unknown_key_shows_its_end_and_never_more_than_a_third() -> None:
    assert unknown("sk_live_51H8zzzzzzzzqW3t") == "<unknown:...qW3t>"
    assert unknown("secret") == "<unknown:...et>"
    assert unknown("ab") == "<unknown:...>"


def test_a_real_prometheus_counts_two_metrics_by_key(tmp_path: Path, prometheus_binary: Path, promtool: Path) -> None:
    one = world("in_total", 5, restless=True)
    two = replace(one, metric="out_total")
    series = {(each.metric, tuple(sorted(each.labels.items()))): each for w in (one, two) for each in w.series()}
    blocks.create(series.values(), tmp_path / "blocks", promtool)
    with Prometheus(tmp_path, blocks=tmp_path / "blocks", retention="4000d") as server:
        source, period = PrometheusSource([server.url]), Period(one.start, one.end + HOUR)
        assert counted(source, SHAPED, period) == truth(one, two)
        asked = [query.text for window in period.windows(HOUR) for query in source.read(SHAPED, window).queries]
        found = list(source.examine([PLAIN, SHAPED], longest_period=DAY, now=one.end))
    strays = [(diagnosis.verdict, diagnosis.about, diagnosis.what) for diagnosis in found if "stand" in diagnosis.what]
    said = "values of api_key that stand for no consumer: 1; their usage is kept for <unknown:...99f3>"
    assert strays == [(Verdict.WARN, f"calls ({metric})", said) for metric in ("in_total", "out_total")]
    assert any('api_key=~"..."' in text for text in asked), "counters were asked for by name"
    assert not any(key in text for key in (*KEYS, STRAY) for text in asked)
