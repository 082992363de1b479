"""A scenario as files for anybody's own trials: samples as OpenMetrics, the truth as CSV, the meter as a catalogue.

Decides the layout of the files. What a billing program makes of the samples can be held against `truth.csv`, whichever
program that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from rating.core.cells import write_csv
from rating.core.meters import Lifetime, Meter
from rating.core.money import decimal_text
from rating.core.periods import Period
from rating.specs.fields import duration_text
from rating_demo import openmetrics
from rating_demo.scenarios import WINDOW, Scenario

SAMPLES, LATE, TRUTH, CATALOGUE = "samples.om", "late.om", "truth.csv", "catalogue.yaml"
COLUMNS = ("consumer", "endpoint", "start", "end", "counted", "provable")
"""Of truth.csv: `counted` by the processes in that window, `provable` from the samples in it."""


@dataclass(frozen=True, slots=True)
class Exported:
    samples: int
    late: int
    """Samples that arrive when all others are there."""
    rows: int


def export(scenario: Scenario, folder: Path) -> Exported:
    """Write the files into `folder`, which is made when missing; files of these names are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    prompt, late = scenario.world.arrivals()
    samples = openmetrics.write(folder / SAMPLES, prompt)
    (folder / LATE).unlink(missing_ok=True)
    delayed = openmetrics.write(folder / LATE, late) if late else 0
    rows = list(truth(scenario))
    with (folder / TRUTH).open("w", encoding="utf-8", newline="") as file:
        write_csv(file, COLUMNS, rows)
    (folder / CATALOGUE).write_text(catalogue(scenario))
    return Exported(samples, delayed, len(rows))


def truth(scenario: Scenario) -> Iterator[tuple[str, str, str, str, str, str]]:
    """The rows of truth.csv, by consumer, endpoint and hour, in the meter's unit; hours without either left out."""
    world, meter = scenario.world, scenario.meter
    counted = world.true_cells(Period(world.start, world.end), WINDOW)
    provable = world.cells(scenario.period, WINDOW)
    for cell in sorted(counted.keys() | provable.keys()):
        said = (decimal_text(meter.quantity(found.get(cell, 0))) for found in (counted, provable))
        ends = (f"{moment:%Y-%m-%dT%H:%MZ}" for moment in (cell.start, cell.start + WINDOW))
        yield (cell.consumer, cell.endpoint, *ends, *said)  # type: ignore[misc]


def catalogue(scenario: Scenario) -> str:
    """The meter that a careful author would write for these counters, under a plan that costs a cent a unit."""
    meter, world = scenario.meter, scenario.world
    written = {
        "version": 1,
        "currency": "USD",
        "meters": {meter.name: _meter(meter)},
        "plans": {
            "trial": {
                "name": "Trial",
                "period": "day",
                "charges": [{"meter": meter.name, "included": 0, "graduated": [{"unit_price": "0.01"}]}],
            }
        },
        "subscriptions": [
            {"consumer": consumer, "plan": "trial", "start": world.start.date()} for consumer in world.consumers
        ],
    }
    head = f"# {scenario.sentence}; seed {world.seed}, {world.start:%Y-%m-%d %H:%M} to {world.end:%Y-%m-%d %H:%M} UTC\n"
    return head + yaml.safe_dump(written, sort_keys=False)


def _meter(meter: Meter) -> dict[str, object]:
    said: dict[str, object] = {
        "metric": meter.metric,
        "consumer": meter.consumer,
        "dimensions": list(meter.dimensions),
        "where": {matcher.label: matcher.pattern for matcher in meter.where},
        "unit": meter.unit,
        "scrape_interval": duration_text(meter.scrape_interval),
        # Everything the samples prove is to be compared, whatever was missed besides.
        "coverage": "0%",
    }
    if meter.digits:
        said["resolution"] = decimal_text(meter.quantity(1))
    if meter.volatile_labels:
        said["volatile_labels"] = list(meter.volatile_labels)
    if meter.target_labels != ("job", "instance"):
        said["target_labels"] = list(meter.target_labels)
    if meter.lifetime is Lifetime.DURABLE:
        said["counter"] = "durable"
    return said
