"""What the field does to counters, against a real Prometheus: every visible increment is billed once, in its hour."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

import pytest

from rating.adapters.prometheus import PrometheusSource
from rating.core.periods import EPOCH
from rating.core.windows import Closing, Completeness, Held
from rating_demo.scenarios import WINDOW, Scenario, scenarios
from tests.promises.metering.reading import Ground, cells, collected, increase, totals
from tests.promises.metering.scoreboard import Row, as_kept, figures

SCENARIOS = {scenario.sentence: scenario for scenario in scenarios()}


@pytest.mark.slow
@pytest.mark.parametrize("sentence", SCENARIOS)
def test_billed_equals_what_the_samples_prove(sentence: str, any_ground: Ground, scoreboard: list[Row]) -> None:
    source = PrometheusSource([any_ground.url], dialect=any_ground.dialect)
    scoreboard.append(_proven(any_ground, source, SCENARIOS[sentence]))


@pytest.mark.slow
@pytest.mark.parametrize("sentence", SCENARIOS)
def test_remote_read_bills_the_same(sentence: str, streaming_ground: Ground, scoreboard: list[Row]) -> None:
    source = PrometheusSource([streaming_ground.url], read="remote")
    row = _proven(streaming_ground, source, SCENARIOS[sentence])
    scoreboard.append(row._replace(server=f"{row.server}, remote read"))


def _proven(ground: Ground, source: PrometheusSource, scenario: Scenario) -> Row:
    closings = collected(source, scenario.meter, scenario.period)
    assert [closing for closing in closings if isinstance(closing, Held)] == []
    ours, proven = cells(closings), scenario.world.cells(scenario.period, WINDOW)
    wrong = {cell: (ours.get(cell, 0), proven.get(cell, 0)) for cell in ours.keys() | proven.keys()}
    wrong = {cell: (billed, right) for cell, (billed, right) in wrong.items() if billed != right}
    true, observable = scenario.world.increments(), scenario.world.usage()
    assert wrong == {}, "cell: (billed, proven)"
    assert totals(ours) == observable
    assert all(billed <= true[who] for who, billed in totals(ours).items())
    estimate = increase(ground.url, scenario)
    row = Row(ground.server, scenario.sentence, true, observable, totals(ours), estimate, len(wrong), len(proven))
    assert os.environ.get("UPDATE_GOLDEN") or as_kept(row), f"other figures than were kept: {figures(row)}"
    return row


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sentence", "held"),
    [
        ("steady traffic", 0),
        # 2 min of 60 are more than 2 %, so are 12 min over two hours; two hours out from 9:24 touch three windows.
        ("Prometheus down 2 min, 12 min, 2 h", 6),
        ("two HA replicas, blind in turn", 0),
    ],
)
def test_windows_below_the_coverage_asked_for_are_held_and_never_absent(
    sentence: str, held: int, ground: Ground
) -> None:
    scenario = SCENARIOS[sentence]
    meter = replace(scenario.meter, coverage=Fraction(98, 100))
    # The hour after the world's end has no scrapes at all; here only the hours it lived in count.
    period = replace(scenario.period, end=scenario.world.end)
    closings = collected(PrometheusSource([ground.url]), meter, period)
    assert [closing.window for closing in closings] == list(period.windows(WINDOW))
    assert sum(isinstance(closing, Held) for closing in closings) == held


@pytest.mark.slow
def test_degraded_windows_say_what_they_could_not_see(ground: Ground) -> None:
    scenario = SCENARIOS["processes restart"]
    closings = collected(PrometheusSource([ground.url]), scenario.meter, scenario.period)
    lost = sum(scenario.world.increments().values()) - sum(scenario.world.usage().values())
    resets = sum(closing.evidence.resets for closing in closings)
    unseen = sum(closing.evidence.unseen for closing in closings)
    assert lost > 0
    assert resets > 100
    assert unseen >= lost
    assert all(
        closing.completeness is Completeness.DEGRADED
        for closing in closings
        if isinstance(closing, Closing) and closing.evidence.unseen
    )


@pytest.mark.slow
@pytest.mark.parametrize("sentence", ["pods replaced by pods of another name", "pods that live 5 to 240 s"])
def test_a_window_in_which_a_pod_went_away_is_not_complete(sentence: str, ground: Ground) -> None:
    """Also where every counter of it is clean: what it counted after its last scrape went with it."""
    world, meter, period = SCENARIOS[sentence].world, SCENARIOS[sentence].meter, SCENARIOS[sentence].period
    closings = collected(PrometheusSource([ground.url]), meter, period)
    complete = {closing.window.start for closing in closings if closing.completeness is Completeness.COMPLETE}
    deaths = [EPOCH + life.died * timedelta(milliseconds=1) for life in world.lives]
    # The last scrape, in whose window the death is noticed, lies at most an interval before it.
    noticed = [{_window(died), _window(died - world.interval)} for died in deaths if died < world.end]
    assert len(noticed) > 10
    assert [windows for windows in noticed if windows <= complete] == []
    lost = sum(world.increments().values()) - sum(world.usage().values())
    assert sum(closing.evidence.unseen for closing in closings) >= lost


def _window(instant: datetime) -> datetime:
    return instant - (instant - EPOCH) % WINDOW


@pytest.mark.slow
def test_reading_a_window_again_gives_the_same_digest(ground: Ground) -> None:
    scenario = SCENARIOS["everything together"]
    first, again = (
        collected(PrometheusSource([ground.url]), scenario.meter, replace(scenario.period, end=scenario.world.end))
        for _ in range(2)
    )
    assert first == again
    assert all(len(closing.evidence.digest) == 64 for closing in first)
