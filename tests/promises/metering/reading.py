"""Collects a scenario through a source, window by window, as the engine does; and asks increase() for the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import requests

from rating.core.counters import decide
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.windows import Closing, Held
from rating.ports import CounterSource
from rating_demo.scenarios import WINDOW, Scenario
from rating_demo.truth import Cell, Who


@dataclass(frozen=True, slots=True)
class Ground:
    """A server that holds the scenarios."""

    server: str
    """What it is and its version, as it says itself."""
    url: str
    dialect: str = "prometheus"
    restart: Callable[[], None] = lambda: None


def collected(source: CounterSource, meter: Meter, period: Period, window: timedelta = WINDOW) -> list[Closing | Held]:
    """Every window of the period, closed or held."""
    return [decide(meter, part, source.read(meter, part)) for part in period.windows(window)]


def cells(closings: Iterable[Closing | Held]) -> dict[Cell, int]:
    return {
        Cell(usage.consumer, usage.dimensions[0], closing.window.start): usage.quantity
        for closing in closings
        if isinstance(closing, Closing)
        for usage in closing.usage
    }


def totals(found: dict[Cell, int]) -> dict[Who, int]:
    sums: dict[Who, int] = defaultdict(int)
    for cell, amount in found.items():
        sums[Who(cell.consumer, cell.endpoint)] += amount
    return dict(sums)


def increase(url: str, scenario: Scenario) -> dict[Who, float]:
    """What the obvious query bills for the same windows: one increase() an hour, summed."""
    meter = scenario.meter
    where = ",".join(f'{matcher.label}=~"{matcher.pattern}"' for matcher in meter.where)
    by = ",".join((meter.consumer, *meter.dimensions))
    sums: dict[Who, float] = defaultdict(float)
    for window in scenario.period.windows(WINDOW):
        query = f"sum by ({by}) (increase({meter.metric}{{{where}}}[{WINDOW // timedelta(seconds=1)}s]))"
        answer = requests.get(
            f"{url}/api/v1/query", params={"query": query, "time": str(window.end.timestamp())}, timeout=60
        ).json()
        for row in answer["data"]["result"]:
            who = Who(row["metric"][meter.consumer], row["metric"]["endpoint"])
            sums[who] += float(row["value"][1]) * 10**meter.digits
    return dict(sums)
