"""Collecting and rating hours of many consumers, beside the script one would write first, on one server and one day.

The script asks `sum by (consumer_id) (increase(m[1h]))` each hour, multiplies each record by its price in Decimal and
commits once to SQLite. Ours closes exact windows with evidence into the book and rates what the book says. Plain fetch
asks our very questions again, reads the answers and does nothing with them.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import requests
from prometheus_api_client import PrometheusConnect

from rating.adapters.prometheus import PrometheusSource
from rating.adapters.store import open_book
from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.periods import EPOCH, Cadence, Period
from rating.core.plans import Plan
from rating.core.prices.graduated import Graduated
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription
from rating.core.tiers import Tier, Tiers
from rating.jobs.accrue import rate_all, usage_to_date
from rating.jobs.collect import collect
from rating.jobs.contracts import Contracts
from rating.ports import ClosingHead
from rating_demo import blocks
from rating_demo.faults import Restarts, Traffic
from rating_demo.parts import Prometheus
from rating_demo.truth import World

TITLE = "Collect and rate: 3 meters, 60 s samples, hourly windows, real Prometheus, SQLite"

START = datetime(2026, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
METERS = ("api_requests_total", "tokens_total", "jobs_total")
PRICE = Decimal("0.0005")
Answer = TypeVar("Answer")


def rows(quick: bool) -> list[tuple[str, str]]:
    consumers = 1_000 if quick else 10_000
    worlds = [_world(index, metric, consumers) for index, metric in enumerate(METERS)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = blocks.create((one for world in worlds for one in world.series()), folder / "blocks")
        with Prometheus(folder / "prometheus", blocks=folder / "blocks", retention="100y") as server:
            _warm(server.url, worlds[0])
            calm = Period(START + HOUR, START + 3 * HOUR)
            restart = Period(START + 3 * HOUR, START + 4 * HOUR)
            result = [(f"{consumers:,} consumers x {len(METERS)} meters", f"{samples:,} samples")]
            result += _compared("two calm hours", server.url, worlds, calm, folder)
            result += _compared("the hour in which every process restarts", server.url, worlds, restart, folder)
    return result


def _world(seed: int, metric: str, consumers: int) -> World:
    """Every process restarts once, at 03:20."""
    return World(
        seed=seed,
        start=START,
        end=START + 4 * HOUR,
        consumers={f"c{number:05d}": Traffic(20 + number % 80) for number in range(consumers)},
        endpoints={"/": 1.0},
        metric=metric,
        job=metric.removesuffix("_total"),
        instances=1,
        interval=timedelta(seconds=60),
        restarts=Restarts(200 * timedelta(minutes=1), 200 * timedelta(minutes=1)),
    )


def _warm(url: str, world: World) -> None:
    """The first query after a start maps the blocks into memory: nobody's to pay."""
    for metric in METERS:
        _ask(url, f"sum(increase({metric}[4h]))", world.end)


@dataclass(frozen=True, slots=True)
class Measured:
    seconds: float
    records: int
    right: int


def _compared(what: str, url: str, worlds: list[World], period: Period, folder: Path) -> Iterator[tuple[str, str]]:
    truth = {
        (world.metric, cell.consumer, cell.start): amount
        for world in worlds
        for cell, amount in world.cells(period, HOUR).items()
    }
    script = _script(url, period, folder / f"script-{period.start.hour}.db", truth)
    with open_book(f"sqlite:///{folder / f'book-{period.start.hour}.db'}") as book:
        meters = [_meter(world) for world in worlds]
        source, end = PrometheusSource([url]), period.end
        collected, run = _timed(
            lambda: collect(book, source, meters, since=period.start, now=end + HOUR, until=end, look_ahead=True)
        )
        contracts = _contracts(meters, worlds[0])
        rated, _ = _timed(lambda: rate_all(usage_to_date(book, contracts, period.end), period.end))
        meter_of = {meter.name: meter.metric for meter in meters}
        records = list(book.usage(period))
        heads = [head for meter in meters for head in book.closings(meter.name, period)]
    right = sum(
        truth.get((meter_of[row.meter], row.usage.consumer, row.window.start)) == row.usage.quantity for row in records
    )
    assert not run.held
    assert not run.stopped
    fetched, decoded = _fetch(url, heads)
    ours = collected + rated
    own = collected - fetched
    yield what, f"{len(truth):,} records"
    yield "  script: increase() an hour, Decimal, one commit", _figures(script.seconds, script.records)
    yield "  ours: exact windows with evidence, book, rated", _figures(ours, len(records))
    yield "  ours over script", f"{ours / script.seconds:.2f}x the time"
    yield "  ours: collect / rate", f"{collected:.2f} s / {rated:.2f} s"
    yield "  plain fetch of our answers / and json.loads", f"{fetched:.2f} s / {fetched + decoded:.2f} s"
    yield "  ours but for fetching, over fetch and json.loads", f"{own / (fetched + decoded):.2f}x"
    yield "  right records: script / ours", f"{script.right:,} / {right:,} of {len(truth):,}"


def _figures(seconds: float, records: int) -> str:
    return f"{seconds:.2f} s, {records / seconds:,.0f} records/s"


def _script(url: str, period: Period, file: Path, truth: dict[tuple[str, str, datetime], int]) -> Measured:
    """The seed-style script, with prometheus-api-client as everybody has it."""

    def run() -> list[tuple[str, str, datetime, Decimal]]:
        prometheus = PrometheusConnect(url=url)
        book = sqlite3.connect(file)
        book.execute("CREATE TABLE usage (metric TEXT, consumer TEXT, start TEXT, quantity TEXT, amount TEXT)")
        records = []
        for window in period.windows(HOUR):
            for metric in METERS:
                answer = prometheus.custom_query(
                    f"sum by (consumer_id) (increase({metric}[1h]))", params={"time": window.end.timestamp()}
                )
                for row in answer:
                    quantity = Decimal(row["value"][1])
                    consumer = row["metric"]["consumer_id"]
                    records.append((metric, consumer, window.start, quantity))
                    book.execute(
                        "INSERT INTO usage VALUES (?, ?, ?, ?, ?)",
                        (metric, consumer, window.start.isoformat(), str(quantity), str(quantity * PRICE)),
                    )
        book.commit()
        book.close()
        return records

    seconds, records = _timed(run)
    right = sum(truth.get((metric, consumer, start)) == quantity for metric, consumer, start, quantity in records)
    return Measured(seconds, len(records), right)


def _fetch(url: str, heads: list[ClosingHead]) -> tuple[float, float]:
    """Seconds to fetch the answers to the queries behind these windows once more, and to decode them."""
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"
    questions = [query for head in heads for query in head.evidence.queries]
    fetched, bodies = _timed(
        lambda: [
            session.post(f"{url}/api/v1/query", data={"query": query.text, "time": query.at / 1000}).content
            for query in questions
        ]
    )
    decoded, _ = _timed(lambda: [json.loads(body)["status"] for body in bodies])
    return fetched, decoded


def _meter(world: World) -> Meter:
    return Meter(
        name=world.job, metric=world.metric, consumer=world.consumer_label, scrape_interval=world.interval, window=HOUR
    )


def _contracts(meters: list[Meter], world: World) -> Contracts:
    tiers = Tiers((Tier(Fraction(100), unit_price=Fraction("0.0005")), Tier(None, unit_price=Fraction("0.0003"))))
    cards = tuple(RateCard(meter.name, meter.name, meter, Graduated(tiers), Fraction(10)) for meter in meters)
    plan = Plan("pro", "Pro", Currency("USD"), Cadence.MONTH, Fraction(49), cards)
    subscriptions = tuple(Subscription(consumer, "pro", START) for consumer in world.consumers)
    known = {meter.name: meter for meter in meters}
    catalogue = Catalogue(plan.currency, known, {"pro": plan}, subscriptions, digest="bench")
    return Contracts(((EPOCH, catalogue),), subscriptions)


def _ask(url: str, query: str, at: datetime) -> None:
    requests.get(f"{url}/api/v1/query", params={"query": query, "time": str(at.timestamp())}, timeout=120)


def _timed(work: Callable[[], Answer]) -> tuple[float, Answer]:
    begun = time.perf_counter()
    answer = work()
    return time.perf_counter() - begun, answer
