"""A month of the demonstration's catalogue, metered: its windows, and an engine that reports them to Stripe.

The windows are drawn with a seed; the amounts are whatever the catalogue makes of them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rating.adapters.memory_book import MemoryBook
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.meters import StripeMeters
from rating.adapters.stripe.usage_gateway import StripeUsage
from rating.core.catalogue import Catalogue
from rating.core.invoices import Invoice
from rating.core.keys import meter_digest
from rating.core.parties import Customer
from rating.core.periods import Period
from rating.core.publications import customer_subject
from rating.core.windows import Closing, Completeness, Evidence, Usage
from rating.jobs import contracts as contracts_job
from rating.jobs.bill import bill
from rating.jobs.offer import apply, offered
from rating.jobs.report_usage import Reported, report
from rating.ports import Book, Trail
from rating.specs.compile import compile_catalogue

CATALOGUE = Path("compose/catalogue")
NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
HOUR = timedelta(hours=1)
METERED = ("Umbrella Holding", "acme", "hooli", "initech")
"""Customers of the plans that can be metered; `scale` sells packages beyond an allowance."""


def catalogue(change: Callable[[str], str] = lambda text: text) -> Catalogue:
    """The demonstration's, its subscriptions beginning with November."""
    sources = []
    for file in sorted(CATALOGUE.glob("*.yaml")):
        text = file.read_text(encoding="utf-8").replace("2026-10-01", "2026-11-01")
        sources.append((str(file), change(text)))
    return compile_catalogue(sources)


def close(book: Book, found: Catalogue, period: Period, seed: int = 7) -> None:
    """Close every window of every meter that begins in the period, with usage drawn for each consumer."""
    draw = random.Random(seed)
    scale = {"api_calls": 900, "tokens": 60_000, "streaming": 9_000_000}
    for meter in found.meters.values():
        for window in period.windows(meter.window):
            rows = []
            for subscription in sorted(found.subscriptions, key=lambda one: one.consumer):
                names = ("/embed", "/search") if meter.dimensions else ()
                for dimensions in [(name,) for name in names] or [()]:
                    quantity = draw.randrange(scale[meter.name])
                    if quantity:
                        rows.append(Usage(subscription.consumer, dimensions, quantity))
            closing = Closing(meter.name, window, Completeness.COMPLETE, tuple(rows), Evidence())
            book.close(closing, meter_digest=meter_digest(meter), at=window.end + meter.settling)


@dataclass
class Metered:
    """One engine, one book, one account."""

    book: Book
    catalogue: Catalogue
    gateway: StripeUsage
    account: StripeAccount

    def apply(self, now: datetime) -> int:
        return len(apply(self.book, self.gateway, self.wanted(now), now=now))

    def wanted(self, now: datetime) -> Any:
        return offered(self.contracts(now), self.gateway, takes=lambda customer: True, now=now)

    def contracts(self, now: datetime) -> contracts_job.Contracts:
        contracts_job.keep(self.book, self.catalogue, now=now)
        return contracts_job.gather(self.book, self.catalogue, now=now)

    def report(self, now: datetime, **options: Any) -> Reported:
        return report(self.book, self.contracts(now), self.gateway, takes=lambda customer: True, now=now, **options)

    def billed(self, now: datetime) -> list[tuple[str, int]]:
        """Subscription and total of every invoice of ours, issued by now."""
        bill(self.book, self.contracts(now), now=now)
        return [(one.draft.subscription, one.total.minor) for one in self.book.invoices()]

    def bill(self, now: datetime) -> dict[str, Invoice]:
        issued = bill(self.book, self.contracts(now), now=now).issued
        return {invoice.draft.subscription: invoice for invoice in issued}


def engine(url: str, key: str, book: Book | None = None, found: Catalogue | None = None, **options: Any) -> Metered:
    account = StripeAccount("stripe", key, url=url, requests_per_second=10_000, sleep=lambda seconds: None)
    meters = StripeMeters(account, **options)
    gateway = StripeUsage(account, meters, Payers(account))
    return Metered(MemoryBook() if book is None else book, found or catalogue(), gateway, account)


class Payers:
    """Finds each customer by its name, or makes it, with an address to send invoices to."""

    def __init__(self, account: StripeAccount) -> None:
        self._account = account
        self._attempts = itertools.count()

    def name(self, key: str, customer: Customer | None, trail: Trail, *, now: datetime) -> str:
        known = trail.name(subject=customer_subject(key))
        api = self._account.client.v1.customers
        if known is None:
            there = self._account.asked(key, lambda: api.list({"limit": 100})).data
            known = next((one.id for one in there if one.name == key), None)
        if known is None:
            params: Any = {"name": key, "email": "pay@example.com"}
            options: Any = {"idempotency_key": f"{key}:{next(self._attempts)}"}
            known = self._account.asked(key, lambda: api.create(params, options)).id
        trail.keep(known, subject=customer_subject(key))
        return known


def totals(state: dict[str, Any]) -> dict[str, list[int]]:
    """What the server's invoices come to, by our subscription, in order of their periods."""
    found: dict[str, list[int]] = {}
    for invoice in sorted(state["invoices"], key=lambda one: one["period_end"]):
        key = invoice["parent"]["subscription_details"]["metadata"]["rating_key"]
        found.setdefault(key, []).append(invoice["total"])
    return found
