"""What watching costs: a real Prometheus evaluates every generated rule and scrapes the engine's /metrics.

Counters of many consumers lie in blocks that end now (Prometheus takes no scrape that is older than its blocks); the
engine's own metrics are scraped live from its HTTP application. Times of evaluation and scrape are Prometheus's own,
the least of several.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import requests

from rating.core import vocabulary as names
from rating.core.catalogue import Catalogue
from rating.core.charges import rate
from rating.core.column import Column
from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.periods import Cadence, align, billing_period, milliseconds
from rating.core.plans import Plan, Upsell
from rating.core.prices.per_unit import PerUnit
from rating.core.ratecards import RateCard
from rating.core.subscriptions import CALENDAR, Subscription
from rating.jobs.accrue import Accrued, AccruedCard, AccruedPlan
from rating.web.app import application, serving
from rating.web.metrics import EngineMetrics
from rating_demo import blocks
from rating_demo.faults import Traffic
from rating_demo.openmetrics import Series
from rating_demo.parts import Prometheus
from rating_demo.truth import World
from rating_rules import Policy, generate
from rating_rules.files import groups

TITLE = "Rules and /metrics: 3 meters, 60 s samples, real Prometheus"

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
METERS = ("api_calls", "tokens", "jobs")
_ROUNDS = 3
_HURRY = timedelta(seconds=30)
"""How often what compares weeks, and what will be charged, is evaluated here: nobody waits five minutes for it."""


@dataclass(frozen=True, slots=True)
class _Timed:
    seconds: float
    rules: int


def rows(quick: bool) -> Iterator[tuple[str, str]]:
    yield from _everybody(1_000 if quick else 10_000)
    yield from _weeks(50 if quick else 500)


def _everybody(consumers: int) -> Iterator[tuple[str, str]]:
    """All groups, over an hour and a half of counters."""
    now = datetime.now(UTC).replace(microsecond=0)
    catalogue, metrics = _catalogue(), EngineMetrics()
    accrued = _accrued(catalogue, consumers, now)
    metrics.accruals.show(accrued)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = blocks.create((one for world in _worlds(consumers, now) for one in world.series()), folder / "blocks")
        with serving(application(metrics.registry, lambda: (True, {})), "127.0.0.1:0") as engine:
            page = requests.get(f"{engine}/metrics", timeout=120).text
            yield f"{consumers:,} consumers x {len(METERS)} meters", f"{samples:,} samples"
            yield "  the engine's page", f"{page.count(chr(10)):,} lines, {len(page) / 1e6:.1f} MB"
            with _prometheus(folder, catalogue, engine) as server:
                timed = _evaluated(server.url, len(_groups(catalogue)))
                scraped = _ask(server.url, "min_over_time(scrape_duration_seconds{job='rating'}[5m])")
                firing = _ask(server.url, "count(ALERTS) or vector(0)")
    yield "  Prometheus scrapes it", f"{scraped:.2f} s"
    intervals = {group.name: group.interval for group in _groups(catalogue)}
    for group, one in sorted(timed.items()):
        interval = intervals[group].total_seconds()
        share = f"{one.seconds / interval:.1%} of its {interval:.0f} s"
        yield f"  {group}, {one.rules} rules", f"{one.seconds:.2f} s, {share}"
    yield "  alerts that fired", f"{firing:,.0f}"


def _weeks(consumers: int) -> Iterator[tuple[str, str]]:
    """What compares weeks, with eight days of recorded windows and rates behind it."""
    now = datetime.now(UTC).replace(microsecond=0)
    catalogue, step = _catalogue(), timedelta(minutes=5)
    start = now - timedelta(days=8)
    times = np.arange(milliseconds(start), milliseconds(now), step // timedelta(milliseconds=1))
    recorded = [
        Series(metric, {"consumer": f"c{number:05d}", "meter": meter}, times, np.full(len(times), 100.0))
        for number in range(consumers)
        for meter in METERS
        for metric in (names.WINDOW_UNITS, names.RATE_UNITS)
    ]
    metrics = EngineMetrics()
    metrics.accruals.show(_accrued(catalogue, consumers, now))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks.create(recorded, folder / "blocks")
        with (
            serving(application(metrics.registry, lambda: (True, {})), "127.0.0.1:0") as engine,
            _prometheus(folder, catalogue, engine, only="behaviour.rules.yml") as server,
        ):
            timed = _evaluated(server.url, 1)
    [one] = timed.values()
    interval = Policy().unusual_interval.total_seconds()
    yield f"{consumers:,} consumers x {len(METERS)} meters, eight days", f"{len(recorded) * len(times):,} samples"
    yield "  what compares weeks", f"{one.seconds:.2f} s, {one.seconds / interval:.1%} of its {interval:.0f} s"


def _catalogue() -> Catalogue:
    meters = {name: Meter(name, f"{name}_total", "consumer_id", scrape_interval=MINUTE) for name in METERS}
    cards = tuple(
        RateCard(name, name, meter, PerUnit(Fraction("0.001")), Fraction(10_000)) for name, meter in meters.items()
    )
    upsell = Upsell("scale", (Fraction(8, 10), Fraction(1)))
    pro = Plan("pro", "Pro", Currency("USD"), Cadence.MONTH, Fraction(49), cards, upsell)
    scale = Plan("scale", "Scale", Currency("USD"), Cadence.MONTH, Fraction(199), cards)
    return Catalogue(Currency("USD"), meters, {"pro": pro, "scale": scale})


def _groups(catalogue: Catalogue) -> list[Any]:
    return [group for content in groups(catalogue).values() for group in content]


def _worlds(consumers: int, now: datetime) -> list[World]:
    """Counters of the last hour and a half."""
    return [
        World(
            seed=seed,
            start=now - HOUR - 30 * MINUTE,
            end=now,
            consumers={f"c{number:05d}": Traffic(20 + number % 80) for number in range(consumers)},
            endpoints={"/": 1.0},
            metric=f"{name}_total",
            job=name,
            instances=1,
            interval=MINUTE,
        )
        for seed, name in enumerate(METERS)
    ]


def _accrued(catalogue: Catalogue, consumers: int, now: datetime) -> Accrued:
    """Everybody on one plan, one in ten beyond 80 % of an allowance."""
    plan = catalogue.plans["pro"]
    period = billing_period(plan.cadence, CALENDAR, Subscription("x", "pro", now).zone, now)
    members = tuple(Subscription(f"c{number:05d}", "pro", period.start) for number in range(consumers))
    used = Column.of_units([number % 1_000 * 9 for number in range(consumers)])
    cards = tuple(AccruedCard(card, rate(card, used)) for card in plan.cards)
    group = AccruedPlan(plan, period, period, Fraction(1), members, cards, Column.full(consumers, Fraction(150)))
    through = align(now - HOUR, HOUR) + HOUR
    return Accrued(now, (group,), dict.fromkeys(catalogue.meters, through), {name: {} for name in catalogue.meters})


def _prometheus(folder: Path, catalogue: Catalogue, engine: str, only: str = "") -> Prometheus:
    for name, text in generate(catalogue, policy=Policy(unusual_interval=_HURRY, charges_interval=_HURRY)).items():
        if name.endswith(".rules.yml") and only in ("", name):
            (folder / name).write_text(text)
    config = f"""
global: {{scrape_interval: 15s, scrape_timeout: 14s, evaluation_interval: 15s}}
rule_files: ["{folder}/*.rules.yml"]
scrape_configs:
  - job_name: rating
    static_configs: [{{targets: ["{engine.removeprefix("http://")}"]}}]
"""
    return Prometheus(folder / "prometheus", config, blocks=folder / "blocks", retention="100y")


def _evaluated(url: str, count: int) -> dict[str, _Timed]:
    """The least time of a few evaluations of each group."""
    found: dict[str, dict[str, float]] = {}
    sizes: dict[str, int] = {}
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for group in requests.get(f"{url}/api/v1/rules", timeout=60).json()["data"]["groups"]:
            if group["evaluationTime"]:
                found.setdefault(group["name"], {})[group["lastEvaluation"]] = group["evaluationTime"]
                sizes[group["name"]] = len(group["rules"])
        # The first evaluation finds nothing scraped yet: it is not counted.
        if len(found) == count and all(len(times) > _ROUNDS for times in found.values()):
            break
        time.sleep(2)
    return {name: _Timed(min([*times.values()][1:] or [*times.values()]), sizes[name]) for name, times in found.items()}


def _ask(url: str, query: str) -> float:
    answer = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=120).json()
    return float(answer["data"]["result"][0]["value"][1])
