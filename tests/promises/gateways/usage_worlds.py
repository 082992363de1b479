"""What gateways that rate are told with: two customers, two days, and a book that closes their windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from rating.adapters.memory_book import MemoryBook
from rating.core.keys import meter_digest
from rating.core.periods import Period
from rating.core.windows import Adjustment, Closing, Completeness, Evidence, Usage
from rating.jobs import contracts as contracts_job
from rating.jobs.report_usage import Reported, report
from rating.ports import UsageGateway
from rating.specs.compile import compile_catalogue

from .usage_peers import BEGIN, DAY

CATALOGUE = """
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: c, window: 12h}
plans:
  daily: {name: Daily, period: day, charges: [{meter: calls, name: Calls, unit_price: "0.01"}]}
subscriptions:
  - {consumer: ada, plan: daily, start: 2026-11-01, customer: acme}
  - {consumer: eve, plan: daily, start: 2026-11-01, customer: acme}
  - {consumer: bob, plan: daily, start: 2026-11-01}
"""
PAYERS = {"ada": "acme", "eve": "acme", "bob": "bob"}
MINUTES = timedelta(minutes=10)


class UsageWorld:
    """A book and a catalogue of our own."""

    def __init__(self, text: str = CATALOGUE) -> None:
        self.book = MemoryBook()
        self.catalogue = compile_catalogue([("small.yaml", text)])

    def contracts(self, now: datetime) -> contracts_job.Contracts:
        contracts_job.keep(self.book, self.catalogue, now=now)
        return contracts_job.gather(self.book, self.catalogue, now=now)

    def report(self, gateway: UsageGateway, now: datetime, **options: Any) -> Reported:
        return report(self.book, self.contracts(now), gateway, takes=lambda customer: True, now=now, **options)

    def close(self, first: datetime, last: datetime) -> None:
        for meter in self.catalogue.meters.values():
            for number, window in enumerate(Period(first, last).windows(meter.window)):
                rows = tuple(Usage(name, (), 100 * window.start.day + 7 * number + len(name) + place)
                             for place, name in enumerate(PAYERS))  # fmt: skip
                closing = Closing(meter.name, window, Completeness.COMPLETE, rows, Evidence())
                self.book.close(closing, meter_digest=meter_digest(meter), at=window.end)

    def adjust(self, start: datetime, revision: int, at: datetime, **rows: int) -> None:
        """Correct one window by so many units of each consumer."""
        changed = tuple(Usage(consumer, (), units) for consumer, units in rows.items())
        span = Period(start, start + timedelta(hours=12))
        self.book.adjust(Adjustment("calls", span, revision, changed, "late samples", "a test"), at=at)

    def used(self, until: datetime) -> Mapping[str, int]:
        """What the book has of each customer before then."""
        found: Counter[str] = Counter()
        for row in self.book.usage(Period(BEGIN, until), "calls"):
            found[PAYERS[row.usage.consumer]] += row.usage.quantity
        return found


def begun(peer: Any, text: str = CATALOGUE) -> tuple[UsageWorld, UsageGateway]:
    """A world whose subscriptions are known there since the beginning of November."""
    world, gateway = UsageWorld(text), peer.gateway()
    peer.ready(world, gateway, BEGIN)
    world.report(gateway, BEGIN + MINUTES)
    return world, gateway


def first_day(peer: Any, text: str = CATALOGUE) -> tuple[UsageWorld, UsageGateway, datetime]:
    """One whose first day was told; it is just over."""
    world, gateway = begun(peer, text)
    world.close(BEGIN, BEGIN + DAY)
    now = BEGIN + DAY + MINUTES
    peer.at(now)
    world.report(gateway, now)
    return world, gateway, now
