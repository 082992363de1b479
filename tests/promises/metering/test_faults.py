"""Whatever goes wrong between us and Prometheus, nothing is billed that was not counted and no window is skipped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.prometheus import PrometheusSource
from rating.core.counters import decide
from rating.core.periods import Period
from rating.core.windows import Closing, Held
from rating.errors import EdgeRefused, EdgeUnavailable
from rating.jobs.collect import collect
from rating_demo.scenarios import WINDOW, scenarios
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


def _outcome(url: str, window: Period, patience: float = 30) -> Closing | Held | EdgeUnavailable | EdgeRefused:
    try:
        return decide(METER, window, PrometheusSource([url], timeout=patience).read(METER, window))
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
    Spoil.TOO_MANY: EdgeRefused,
    Spoil.HTML: EdgeRefused,
    Spoil.WARNINGS: Held,
    # Where the lost half does not add up the window is read again at once, and the second answer is whole.
    Spoil.PARTIAL: (Held, Closing),
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_faults_delay_the_book_and_never_change_it(seed: int, proxy: Proxy) -> None:
    """The job itself, run again and again while a quarter of all answers is spoiled, ends in the book it should."""
    rng = random.Random(seed)
    harmful = [spoil for spoil in Spoil if spoil not in (Spoil.RESTART, *IMPATIENT)]
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
def test_a_server_that_lost_its_data_holds_the_windows(ground: Ground) -> None:
    """An empty answer is no proof that nothing happened: no scrape was seen either."""
    nobody = replace(METER, metric="nothing_of_this_name_total", coverage=Fraction(98, 100))
    before = Period(SCENARIO.world.start - timedelta(hours=3), SCENARIO.world.start - timedelta(hours=2))
    outcome = decide(nobody, before, PrometheusSource([ground.url]).read(nobody, before))
    assert isinstance(outcome, Held)
