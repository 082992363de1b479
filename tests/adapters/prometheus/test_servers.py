"""A real Prometheus, asked the short way, says what all samples say the long way; also when there are two of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from rating.adapters.memory_source import MemorySource
from rating.adapters.prometheus import PrometheusSource
from rating.core.counters import decide
from rating.core.meters import Lifetime, Matcher, Meter
from rating.core.periods import Period
from rating.core.windows import Closing
from rating.ports import Verdict
from rating_demo import blocks
from rating_demo.faults import Outage, Replica, Restarts, Traffic
from rating_demo.openmetrics import Series
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY
from rating_demo.truth import World

HOUR = timedelta(hours=1)
PAIR = (Replica("a"), Replica("b", timedelta(milliseconds=700)))
WORLD = World(
    seed=7,
    start=FIRST_DAY,
    end=FIRST_DAY + 6 * HOUR,
    consumers={
        "early": Traffic(200),
        "late": Traffic(60, begins=2.4 * HOUR),
        "rare": Traffic(1),
        'o"dd|.*\\name': Traffic(50, begins=1.2 * HOUR),
    },
    replicas=PAIR,
    restarts=Restarts(HOUR, 4 * HOUR),
    faults=(Outage(3.2 * HOUR, HOUR, "a"), Outage(4.6 * HOUR, 0.7 * HOUR)),
)
METER = Meter(
    "calls",
    WORLD.metric,
    WORLD.consumer_label,
    ("endpoint",),
    where=(Matcher("status", "2.."),),
    coverage=Fraction(0),
)
PERIOD = Period(WORLD.start, WORLD.end + HOUR)


def memory(world: World) -> MemorySource:
    return MemorySource(
        ({"__name__": one.metric, **one.labels}, list(zip(one.times.tolist(), one.values.tolist(), strict=True)))
        for one in world.series()
    )


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, promtool: Path) -> Iterator[dict[str, str]]:
    """`whole`: both replicas in one server; `a`, `b`: one each, without the label that tells them apart."""
    folder = tmp_path_factory.mktemp("servers")
    stored: dict[str, list[Series]] = {"whole": list(WORLD.series())}
    for name in "ab":
        own = [one for one in stored["whole"] if one.labels["replica"] == name]
        stored[name] = [replace(one, labels={k: v for k, v in one.labels.items() if k != "replica"}) for one in own]
    with ExitStack() as running:
        found = {}
        for name, series in stored.items():
            blocks.create(series, folder / name / "blocks", promtool)
            server = Prometheus(folder / name, blocks=folder / name / "blocks", retention="4000d")
            found[name] = running.enter_context(server).url
        yield found


def closings(source: MemorySource | PrometheusSource, meter: Meter = METER) -> list[Closing]:
    outcomes = [decide(meter, window, source.read(meter, window)) for window in PERIOD.windows(HOUR)]
    assert all(isinstance(outcome, Closing) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Closing)]


METERS = {
    "as it is": METER,
    "restarts by falls alone": replace(METER, lifetime=Lifetime.DURABLE),
    "a volatile label": replace(METER, volatile_labels=("method",)),
    "only half of the counters": replace(METER, where=(Matcher("endpoint", "/s.*"), Matcher("status", "2.."))),
    "ten minutes of lookback": replace(METER, lookback=timedelta(minutes=10)),
}


@pytest.mark.parametrize("meter", METERS.values(), ids=METERS.keys())
def test_the_short_way_is_the_long_way(urls: dict[str, str], meter: Meter) -> None:
    short = [closing.usage for closing in closings(PrometheusSource((urls["whole"],)), meter)]
    assert sum(len(usage) for usage in short) > 10
    assert short == [closing.usage for closing in closings(memory(WORLD), meter)]


def test_most_counters_need_no_samples(urls: dict[str, str]) -> None:
    """Only the targets that restarted, and the newborns, are read sample by sample."""
    samples = sum(closing.evidence.samples for closing in closings(PrometheusSource((urls["whole"],))))
    stored = sum(len(one.times) for one in WORLD.series() if one.metric == METER.metric)
    assert 0 < samples < stored * 2 / 3


def test_two_servers_without_a_common_front_are_two_replicas(urls: dict[str, str]) -> None:
    both = PrometheusSource((urls["a"], urls["b"]))
    assert [closing.usage for closing in closings(both)] == [closing.usage for closing in closings(memory(WORLD))]
    (first, *_) = closings(both)
    assert first.evidence.coverage == 1


def test_the_same_window_read_twice_gives_equal_readings(urls: dict[str, str]) -> None:
    window = Period(WORLD.start + 2 * HOUR, WORLD.start + 3 * HOUR)
    assert PrometheusSource((urls["whole"],)).read(METER, window) == PrometheusSource((urls["whole"],)).read(
        METER, window
    )


class TestExamination:
    AT = WORLD.start + 3 * HOUR

    def _said(self, url: str, meter: Meter) -> dict[str, Verdict]:
        source = PrometheusSource((url,))
        return {
            found.what: found.verdict for found in source.examine((meter,), longest_period=31 * 24 * HOUR, now=self.AT)
        }

    def test_a_meter_that_can_be_billed(self, urls: dict[str, str]) -> None:
        said = self._said(urls["whole"], METER)
        assert said["process_start_time_seconds is there for every target"] is Verdict.OK
        assert said["up is there for every target"] is Verdict.OK
        assert said["scraped every 15 s as declared"] is Verdict.OK
        assert said["keeps samples for 4000 days"] is Verdict.OK
        assert Verdict.FAIL not in said.values()

    @pytest.mark.parametrize(
        ("change", "sentence", "verdict"),
        [
            ({"metric": "missing_total"}, "no series of missing_total in the last hour", Verdict.FAIL),
            (
                {"where": (Matcher("status", "2"),)},
                "api_requests_total is there, but no series of it matches where status: 2",
                Verdict.FAIL,
            ),
            ({"consumer": "tenant"}, "26 series have no consumer label tenant", Verdict.FAIL),
            ({"dimensions": ("region",)}, "26 series have no dimension label region", Verdict.WARN),
            ({"scrape_interval": timedelta(minutes=1)}, "scraped every 15 s, the meter says 60 s", Verdict.WARN),
        ],
    )
    def test_a_meter_that_cannot(
        self, urls: dict[str, str], change: dict[str, object], sentence: str, verdict: Verdict
    ) -> None:
        said = self._said(urls["whole"], replace(METER, **change))  # type: ignore[arg-type]
        assert said.get(sentence) is verdict, said

    def test_counters_that_outlive_their_process_are_noticed(
        self, urls: dict[str, str], tmp_path: Path, promtool: Path, prometheus_binary: Path
    ) -> None:
        durable = replace(WORLD, durable=True, faults=(), carried=70_000)
        blocks.create(durable.series(), tmp_path / "blocks", promtool)
        with Prometheus(tmp_path, blocks=tmp_path / "blocks", retention="4000d") as server:
            noticed = [what for what in self._said(server.url, METER) if "instead of falling" in what]
            declared = self._said(server.url, replace(METER, lifetime=Lifetime.DURABLE))
        assert len(noticed) == 1
        assert noticed[0].startswith("restarted within a day while its counters went on instead of falling: api ")
        assert not any("instead of falling" in what for what in declared)
        assert not any("instead of falling" in what for what in self._said(urls["whole"], METER))
