"""Blocks that a real Prometheus gets after windows were closed: adjustments make the book what it would have been."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from rating.adapters.memory_book import MemoryBook
from rating.adapters.prometheus import PrometheusSource
from rating.core.periods import Period
from rating.jobs.collect import collect
from rating.jobs.correct import correct
from rating_demo import blocks
from rating_demo.faults import Late
from rating_demo.parts import Prometheus
from rating_demo.scenarios import FIRST_DAY, HOUR, MINUTE, WINDOW, scenario
from rating_demo.truth import Cell

SCENARIO = scenario(["restarts", "disordered"], 3, FIRST_DAY, 4 * HOUR)
# The last half hour of one window and the first quarter of the next.
WORLD = replace(SCENARIO.world, faults=(*SCENARIO.world.faults, Late(90 * MINUTE, 45 * MINUTE)))
METER = replace(SCENARIO.meter, coverage=Fraction(0))
PERIOD = Period(WORLD.start, WORLD.end)


def kept(book: MemoryBook) -> dict[Cell, int]:
    return {
        Cell(row.usage.consumer, row.usage.dimensions[0], row.window.start): row.usage.quantity
        for row in book.usage(PERIOD)
    }


@pytest.mark.slow
def test_late_blocks_become_adjustments_and_nothing_is_counted_twice(
    tmp_path: Path, prometheus_binary: Path, promtool: Path
) -> None:
    prompt, late = WORLD.arrivals()
    book, now = MemoryBook(), PERIOD.end + HOUR
    blocks.create(prompt, tmp_path / "blocks", promtool)
    with Prometheus(tmp_path / "server", blocks=tmp_path / "blocks", retention="100y") as server:
        assert len(collect(book, PrometheusSource([server.url]), [METER], since=PERIOD.start, now=now).closed) == 4
    assert kept(book) == WORLD.as_of_arrival().cells(PERIOD, WINDOW)

    blocks.create(late, tmp_path / "blocks", promtool)
    with Prometheus(tmp_path / "server", blocks=tmp_path / "blocks", retention="100y") as server:
        for _ in range(2):
            correct(book, PrometheusSource([server.url]), [METER], PERIOD, now=now)
    assert kept(book) == WORLD.cells(PERIOD, WINDOW) != WORLD.as_of_arrival().cells(PERIOD, WINDOW)
    assert {entry.adjustment.revision for entry in book.adjustments(PERIOD)} == {1}
