"""One day of many consumers under a plan with tiers: whose bill is right to half a cent, ours or hourly increase()'s.

A third of the consumers come in bursts and a third are born during the day; every process restarts every few hours.
Ours goes the whole way: exact windows, the book, issued invoices. The other takes what `increase()` says, unrounded,
through the same prices. What is right is worked out apart, in fractions, from what the samples prove.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import requests

from rating.adapters.prometheus import PrometheusSource
from rating.adapters.store import open_book
from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import Currency
from rating.core.periods import EPOCH, Cadence
from rating.core.plans import Plan
from rating.core.prices.graduated import Graduated
from rating.core.ratecards import RateCard
from rating.core.subscriptions import Subscription
from rating.core.tiers import Tier, Tiers
from rating.jobs.bill import bill
from rating.jobs.collect import collect
from rating.jobs.contracts import Contracts
from rating_demo import blocks
from rating_demo.faults import Restarts, Shape, Traffic
from rating_demo.parts import Prometheus
from rating_demo.truth import World

TITLE = "Bills side by side: one day with bursts, births and restarts, 120 s samples, real Prometheus, SQLite"

START = datetime(2026, 10, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PEER = 2_861
"""Right to half a cent of 10,000: CloudKitty, the direct peer, as measured on such a day once. Not run here."""

FEE, INCLUDED = Fraction(5), Fraction(200)
STEPS = ((Fraction(1_000), Fraction("0.0120")), (Fraction(2_500), Fraction("0.0085")), (None, Fraction("0.0049")))
"""Up to so many calls beyond the allowance, each costs so much."""
HALF_A_CENT = Fraction(1, 200)


@dataclass(frozen=True, slots=True)
class SideBySide:
    consumers: int
    samples: int
    ours: int
    """Consumers whose bill is right to half a cent."""
    increase: int
    over: int
    """Consumers billed more than they truly used, by ours."""
    most: Fraction
    """What hourly increase() is off by at the consumer it serves worst, in dollars."""
    seconds: float
    """Collecting and billing by ours."""


def rows(quick: bool) -> list[tuple[str, str]]:
    found = measure(1_000 if quick else 10_000)
    of = f"of {found.consumers:,}"
    return [
        (f"{found.consumers:,} consumers", f"{found.samples:,} samples"),
        ("  bills right to half a cent: ours", f"{found.ours:,} {of}"),
        ("  bills right to half a cent: hourly increase()", f"{found.increase:,} {of}"),
        ("  CloudKitty on such a day, as measured once, not run here", f"{PEER:,} of 10,000"),
        ("  billed more than was used: ours", f"{found.over:,} {of}"),
        ("  increase() at the consumer it serves worst", f"{float(found.most):+.2f} USD"),
        ("  ours: a day collected and every invoice issued", f"{found.seconds:.1f} s"),
    ]


def measure(consumers: int, interval: timedelta = timedelta(seconds=120)) -> SideBySide:
    world = day(consumers, interval)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = blocks.create(world.series(), folder / "blocks")
        with Prometheus(folder / "prometheus", blocks=folder / "blocks", retention="100y") as server:
            begun = time.perf_counter()
            billed = _invoiced(server.url, world, folder)
            seconds = time.perf_counter() - begun
            estimated = _estimated(server.url, world)
    right = {consumer: plainly(count) for consumer, count in _proven(world.usage()).items()}
    true = {consumer: plainly(count) for consumer, count in _proven(world.increments()).items()}
    nothing = plainly(Fraction(0))
    others = {consumer: plainly(estimated.get(consumer, Fraction(0))) for consumer in world.consumers}
    off = {consumer: bill - right.get(consumer, nothing) for consumer, bill in others.items()}
    return SideBySide(
        consumers,
        samples,
        sum(abs(billed[consumer] - right.get(consumer, nothing)) <= HALF_A_CENT for consumer in world.consumers),
        sum(abs(difference) <= HALF_A_CENT for difference in off.values()),
        sum(bill > true.get(consumer, nothing) + HALF_A_CENT for consumer, bill in billed.items()),
        max(off.values(), key=abs),
        seconds,
    )


def day(consumers: int, interval: timedelta) -> World:
    def traffic(number: int) -> Traffic:
        rate = 20 + number * 7919 % 130
        if number % 3 == 1:
            return Traffic(rate, Shape.BURSTY)
        return Traffic(rate, begins=number * 6_173 % 86_400 * timedelta(seconds=1) if number % 3 else timedelta(0))

    return World(
        seed=2_026,
        start=START,
        end=START + DAY,
        consumers={f"c{number:05d}": traffic(number) for number in range(consumers)},
        endpoints={"/": 1.0},
        instances=1,
        interval=interval,
        restarts=Restarts(2 * HOUR, 7 * HOUR),
    )


def plainly(calls: Fraction) -> Fraction:
    """The bill as the price list says it, read aloud: the fee, the allowance, then step after step."""
    left, owed, reached = max(Fraction(0), calls - INCLUDED), FEE, Fraction(0)
    for until, price in STEPS:
        step = left if until is None else min(left, until - reached)
        owed += step * price
        left -= step
        reached = until if until is not None else reached
    return owed


def _proven(usage: Mapping[tuple[str, str], int]) -> dict[str, Fraction]:
    sums: dict[str, Fraction] = defaultdict(Fraction)
    for (consumer, _), quantity in usage.items():
        sums[consumer] += quantity
    return dict(sums)


def _invoiced(url: str, world: World, folder: Path) -> dict[str, Fraction]:
    """The totals of the invoices that the engine issues for the day."""
    meter = Meter("calls", world.metric, world.consumer_label, scrape_interval=world.interval, coverage=Fraction(0))
    tiers = Tiers(tuple(Tier(until, unit_price=price) for until, price in STEPS))
    card = RateCard("calls", "Calls", meter, Graduated(tiers), INCLUDED)
    plan = Plan("pro", "Pro", Currency("USD"), Cadence.DAY, FEE, (card,))
    subscriptions = tuple(Subscription(consumer, "pro", START) for consumer in world.consumers)
    catalogue = Catalogue(plan.currency, {"calls": meter}, {"pro": plan}, subscriptions, digest="side by side")
    now = world.end + HOUR
    with open_book(f"sqlite:///{folder / 'book.db'}") as book:
        collected = collect(book, PrometheusSource([url]), [meter], since=START, until=world.end, now=now)
        assert not collected.held
        assert not collected.stopped
        contracts = Contracts(((EPOCH, catalogue),), subscriptions)
        issued = bill(book, contracts, now=now).issued
    totals = {invoice.draft.consumer: invoice.draft.total for invoice in issued}
    return {consumer: Fraction(total.minor, 100) for consumer, total in totals.items()}


def _estimated(url: str, world: World) -> dict[str, Fraction]:
    """What `increase()` of each hour says, summed."""
    sums: dict[str, Fraction] = defaultdict(Fraction)
    for hour in range(1, 25):
        query = f"sum by ({world.consumer_label}) (increase({world.metric}[1h]))"
        at = (START + hour * HOUR).timestamp()
        answer = requests.post(f"{url}/api/v1/query", data={"query": query, "time": f"{at:.3f}"}, timeout=120)
        answer.raise_for_status()
        for row in answer.json()["data"]["result"]:
            sums[row["metric"][world.consumer_label]] += Fraction(row["value"][1])
    return dict(sums)
