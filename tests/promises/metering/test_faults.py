"""Whatever goes wrong between us and Prometheus, nothing is billed that was not counted and no window is skipped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.prometheus import PrometheusSource
from rating.core.counters import decide
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Closing, Held
from rating.errors import EdgeRefused, EdgeUnavailable
from rating.jobs.collect import collect
from rating_demo import blocks
from rating_demo.parts import Prometheus, VictoriaMetrics
from rating_demo.scenarios import WINDOW, scenarios
from tests.conftest import part
from tests.promises.metering.proxy import Proxy, Spoil
from tests.promises.metering.reading import Ground, cells

IMPATIENT = {Spoil.SILENCE, Spoil.DRIP}
"""These are waited for 0.4 s, less than the proxy takes; all others long enough for the busiest machine."""

SCENARIO = next(scenario for scenario in scenarios() if scenario.sentence == "processes restart")
PERIOD = Period(SCENARIO.world.start, SCENARIO.world.start + 4 * WINDOW)
METER = SCENARIO.meter


@pytest.fixture(scope="module")
def proxy(ground: Ground) -> Iterator[Proxy]:
    with Proxy(ground.url, ground.restart) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def questions(proxy: Proxy) -> int:
    """How many queries one window takes when all is well."""
    proxy.spoil(lambda number: None)
    PrometheusSource([proxy.url]).read(METER, _third_window())
    return proxy.asked


def _third_window() -> Period:
    return list(PERIOD.windows(WINDOW))[2]


def _right(window: Period) -> dict[object, int]:
    return dict(SCENARIO.world.cells(window, WINDOW))


def _outcome(
    url: str, window: Period, patience: float = 30, read: str = "promql", meter: Meter = METER
) -> Closing | Held | EdgeUnavailable | EdgeRefused:
    try:
        return decide(meter, window, PrometheusSource([url], timeout=patience, read=read).read(meter, window))
    except (EdgeUnavailable, EdgeRefused) as error:
        return error


WHAT_FOLLOWS = {
    Spoil.SILENCE: EdgeUnavailable,
    Spoil.DRIP: EdgeUnavailable,
    Spoil.SLOW: Closing,
    Spoil.HANG_UP: EdgeUnavailable,
    Spoil.TRUNCATED: EdgeUnavailable,
    Spoil.CUT_SHORT: EdgeUnavailable,
    Spoil.UNAVAILABLE: EdgeUnavailable,
    Spoil.ERROR: EdgeUnavailable,
    # A question about counters that is too large is asked again in halves; the others are refused.
    Spoil.TOO_MANY: (EdgeRefused, Closing),
    Spoil.HTML: EdgeRefused,
    Spoil.WARNINGS: Held,
    # Where the lost half does not add up the window is read again at once, and the second answer is whole.
    Spoil.PARTIAL: (Held, Closing),
    Spoil.LIMITED: (Held, Closing),
    Spoil.TOO_WIDE: EdgeRefused,
}


@pytest.mark.slow
@pytest.mark.parametrize("spoil", WHAT_FOLLOWS, ids=lambda spoil: spoil.value)
def test_one_spoiled_answer_anywhere_in_a_window_never_changes_what_is_billed(
    spoil: Spoil, proxy: Proxy, questions: int
) -> None:
    window = _third_window()
    assert questions >= 6
    slow = spoil in (*IMPATIENT, Spoil.SLOW)
    for place in range(0, questions, 4 if slow else 1):
        proxy.spoil(lambda number, place=place: spoil if number == place else None)
        outcome = _outcome(proxy.url, window, 0.4 if spoil in IMPATIENT else 30)
        assert isinstance(outcome, WHAT_FOLLOWS[spoil]), f"query {place} of {questions}: {outcome}"
        if isinstance(outcome, Closing):
            assert cells([outcome]) == _right(window)
    proxy.spoil(lambda number: None)
    afterwards = _outcome(proxy.url, window)
    assert isinstance(afterwards, Closing)
    assert cells([afterwards]) == _right(window)


@pytest.mark.slow
def test_a_server_that_restarts_between_two_queries_of_a_window_changes_nothing(proxy: Proxy, questions: int) -> None:
    window = _third_window()
    closed = 0
    for place in (0, questions // 2, questions - 1):
        proxy.spoil(lambda number, place=place: Spoil.RESTART if number == place else None)
        outcome = _outcome(proxy.url, window)
        if isinstance(outcome, EdgeUnavailable):
            # Another question was with the server when it went down: this one waits for the next run.
            outcome = _outcome(proxy.url, window)
        else:
            closed += 1
        assert isinstance(outcome, Closing), outcome
        assert cells([outcome]) == _right(window)
    assert closed


STREAMED = {
    Spoil.DRIP: EdgeUnavailable,
    Spoil.SLOW: Closing,
    Spoil.HANG_UP: EdgeUnavailable,
    Spoil.TRUNCATED: EdgeUnavailable,
    Spoil.CUT_SHORT: EdgeUnavailable,
    Spoil.FLIPPED: EdgeUnavailable,
    Spoil.UNAVAILABLE: EdgeUnavailable,
    Spoil.ERROR: EdgeUnavailable,
    Spoil.TOO_MANY: EdgeRefused,
    Spoil.HTML: EdgeRefused,
    Spoil.WARNINGS: (Held, Closing),
    Spoil.PARTIAL: (Held, Closing),
}
"""Streams have no place for warnings: those spoil only what is asked beside them."""


@pytest.mark.slow
@pytest.mark.parametrize("spoil", STREAMED, ids=lambda spoil: spoil.value)
def test_one_spoiled_answer_among_streams_never_changes_what_is_billed(spoil: Spoil, proxy: Proxy) -> None:
    """By remote read, where frames are damaged or end half-way."""
    window = _third_window()
    seen = []
    for place in range(40):
        proxy.spoil(lambda number, place=place: spoil if number == place else None)
        outcome = _outcome(proxy.url, window, 0.4 if spoil in IMPATIENT else 30, "remote")
        if proxy.asked <= place:
            break
        seen.append(type(outcome))
        # One bit of JSON may say another number, and no server signs what it says; only streams carry a sum.
        if isinstance(outcome, Closing) and not (spoil is Spoil.FLIPPED and "json" in proxy.spoiled):
            assert cells([outcome]) == _right(window), f"answer {place}"
    assert len(seen) >= 4
    assert any(issubclass(kind, STREAMED[spoil]) for kind in seen), seen
    proxy.spoil(lambda number: None)
    afterwards = _outcome(proxy.url, window, read="remote")
    assert isinstance(afterwards, Closing)
    assert cells([afterwards]) == _right(window)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_faults_delay_the_book_and_never_change_it(seed: int, proxy: Proxy) -> None:
    """The job itself, run again and again while a quarter of all answers is spoiled, ends in the book it should."""
    rng = random.Random(seed)
    harmful = [spoil for spoil in Spoil if spoil not in (Spoil.RESTART, Spoil.FLIPPED, *IMPATIENT)]
    proxy.spoil(lambda number: rng.choice(harmful) if rng.random() < 0.06 else None)
    book, now = MemoryBook(), PERIOD.end + METER.settling + timedelta(minutes=1)
    for _ in range(60):
        source = PrometheusSource([proxy.url], timeout=30)
        collect(book, source, [METER], since=PERIOD.start, now=now)
        heads = book.closings(METER.name, PERIOD)
        starts = [head.window.start for head in heads]
        # At every moment: what is in the book is right, oldest first, and what is not is still due.
        assert starts == sorted(set(starts))
        for row in book.usage(PERIOD, METER.name):
            assert (
                row.usage.quantity
                == SCENARIO.world.cells(PERIOD, WINDOW)[row.usage.consumer, row.usage.dimensions[0], row.window.start]
            )
        if len(heads) == 4:
            break
    assert len(heads) == 4
    total = sum(row.usage.quantity for row in book.usage(PERIOD, METER.name))
    assert total == sum(SCENARIO.world.usage(PERIOD).values())
    assert book.held() == ()


@pytest.mark.slow
@pytest.mark.parametrize("read", ["promql", "remote"])
def test_whatever_happens_to_counters_no_fault_adds_to_it(read: str, proxy: Proxy) -> None:
    """Every scenario, a seventh of all answers spoiled: a window is right, held, or still due."""
    rng = random.Random(2026)
    harmful = [spoil for spoil in Spoil if spoil not in (Spoil.RESTART, Spoil.FLIPPED, Spoil.SLOW, *IMPATIENT)]
    came = Counter()
    for scenario in scenarios():
        for hour in (3, 5):
            start = scenario.world.start + hour * WINDOW
            window = Period(start, start + WINDOW)
            proxy.spoil(lambda number: rng.choice(harmful) if rng.random() < 1 / 7 else None)
            outcome = _outcome(proxy.url, window, read=read, meter=scenario.meter)
            came[type(outcome).__name__] += 1
            if isinstance(outcome, Closing):
                assert cells([outcome]) == scenario.world.cells(window, WINDOW), f"{scenario.sentence}, {window}"
    assert came["Closing"] > 5
    assert came.total() - came["Closing"] > 20, "faults that stop something were tried"


LIMITS = ["--query.max-samples=300"]


@pytest.mark.slow
def test_a_server_at_its_own_limits_refuses_and_nothing_is_billed_short(
    tmp_path: Path, prometheus_binary: Path, promtool: Path
) -> None:
    """Real limits, not spoiled answers: of samples in Prometheus, of series in VictoriaMetrics."""
    world = replace(SCENARIO.world, end=SCENARIO.world.start + 3 * WINDOW)
    window = _third_window()
    blocks.create(world.series(), tmp_path / "blocks", promtool)
    outcomes = []
    with Prometheus(tmp_path / "one", blocks=tmp_path / "blocks", retention="100y", flags=LIMITS) as server:
        outcomes.append((_outcome(server.url, window), "too many samples"))
    with VictoriaMetrics(
        tmp_path / "two", program=part("victoria_metrics"), flags=["-search.maxUniqueTimeseries=5"]
    ) as server:
        server.store(world.series())
        source = PrometheusSource([server.url], dialect="victoriametrics")
        with pytest.raises(EdgeRefused) as refused:
            decide(METER, window, source.read(METER, window))
        outcomes.append((refused.value, "exceeds 5"))
    for outcome, said in outcomes:
        assert isinstance(outcome, EdgeRefused), outcome
        assert said in str(outcome)


@pytest.mark.slow
def test_a_server_that_lost_its_data_holds_the_windows(ground: Ground) -> None:
    """An empty answer is no proof that nothing happened: no scrape was seen either."""
    nobody = replace(METER, metric="nothing_of_this_name_total", coverage=Fraction(98, 100))
    before = Period(SCENARIO.world.start - timedelta(hours=3), SCENARIO.world.start - timedelta(hours=2))
    outcome = decide(nobody, before, PrometheusSource([ground.url]).read(nobody, before))
    assert isinstance(outcome, Held)
