"""A business whose windows get old: hourly usage of three meters, days billed in two time zones, late data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from rating.adapters.store import StoreBook, open_book
from rating.core.catalogue import Catalogue
from rating.core.invoices import Draft
from rating.core.periods import Period
from rating.core.windows import Adjustment, Closing, Completeness, Evidence, Usage
from rating.jobs.accrue import accrue, rows
from rating.jobs.audit import audit
from rating.jobs.bill import bill
from rating.jobs.contracts import Contracts, gather, keep
from rating.jobs.documents import invoice_document
from rating.jobs.export import charges, invoices
from rating.jobs.rerate import rerate
from rating.ports import StoredBook
from rating.specs.compile import compile_catalogue

START = datetime(2026, 3, 27, tzinfo=UTC)
"""Clocks in Berlin go forward in the night to the 29th."""
DAYS = 3
HOUR = timedelta(hours=1)
WHOLE = Period(START - timedelta(days=1), START + timedelta(days=DAYS + 2))
OLD = date(2026, 3, 30)
"""What starts before this day is old."""

TEXT = """
version: 1
currency: USD
meters:
  calls: {metric: api_requests_total, consumer: consumer_id, dimensions: [endpoint]}
  bytes: {metric: api_bytes_total, consumer: consumer_id, unit: byte}
  peak: {metric: api_peak_total, consumer: consumer_id}
plans:
  pro:
    period: day
    fee: "1.10"
    charges:
      - meter: calls
        included: 10
        graduated: [{up_to: 50, unit_price: "0.0123"}, {unit_price: "0.0099"}]
      - {meter: bytes, package: {size: 1000, price: "0.40"}, rollover: 1, included: 100}
  mixed:
    period: day
    charges:
      - meter: calls
        matrix:
          by: [endpoint]
          cells: [{match: {endpoint: /a}, unit_price: "0.02"}, {match: {endpoint: /b}, unit_price: "0.05"}]
          default: {unit_price: "0.01"}
  nightly:
    period: day
    charges:
      - meter: peak
        times:
          bands: [{name: night, start: "22:00", end: "06:00", unit_price: "0.01"}]
          otherwise: {unit_price: "0.05"}
subscriptions:
  - {consumer: c0, plan: pro, start: 2026-03-27}
  - {consumer: c1, plan: pro, start: 2026-03-27, timezone: Europe/Berlin}
  - {consumer: c2, plan: mixed, start: 2026-03-27}
  - {consumer: c3, plan: nightly, start: 2026-03-27}
"""


@cache
def catalogue() -> Catalogue:
    return compile_catalogue([("pruned.yaml", TEXT)])


def at(day: int, minutes: int = 90) -> datetime:
    """After so many days of usage, when all of them can be billed."""
    return START + timedelta(days=day, minutes=minutes)


@dataclass(frozen=True)
class Late:
    """What turns out to have been counted more or less: by meter, hour and consumer."""

    meter: str
    hour: int
    consumer: str
    quantity: int
    endpoint: str = "/a"


Counted = Callable[[str, int, str, str], int]
"""Meter, hour, consumer and endpoint to a quantity."""


def usual(meter: str, hour: int, consumer: str, endpoint: str) -> int:
    return (hour * 7 + int(consumer[1]) * 3 + len(meter) + (endpoint == "/b") * 2) % 9


def collected(book: StoredBook, days: range, counted: Counted = usual, degraded: frozenset[int] = frozenset()) -> None:
    keep(book, catalogue(), now=START)
    # The first hour is of the evening before: it is the 27th in Berlin.
    for hour in range(days.start * 24 - (2 if days.start == 0 else 0), days.stop * 24):
        window = Period(START + hour * HOUR, START + (hour + 1) * HOUR)
        state = Completeness.DEGRADED if hour in degraded else Completeness.COMPLETE
        for meter, endpoints in (("calls", ("/a", "/b")), ("bytes", ("",)), ("peak", ("",))):
            rows = tuple(
                Usage(consumer, (endpoint,) if endpoint else (), quantity)
                for consumer in ("c0", "c1", "c2", "c3", "c9")
                for endpoint in endpoints
                if (quantity := counted(meter, hour, consumer, endpoint))
            )
            closing = Closing(meter, window, state, tuple(sorted(rows)), Evidence(scrapes_seen=4, scrapes_expected=4))
            book.close(closing, meter_digest="m", at=window.end)


def contracts(book: StoredBook, now: datetime) -> Contracts:
    return gather(book, catalogue(), now=now)


def billed(book: StoredBook, now: datetime) -> None:
    assert bill(book, contracts(book, now), now=now).postponed == ()


def adjusted(book: StoredBook, late: Sequence[Late], now: datetime) -> None:
    for one in late:
        window = Period(START + one.hour * HOUR, START + (one.hour + 1) * HOUR)
        revision = len(book.adjustments(window, one.meter)) + 1
        row = Usage(one.consumer, (one.endpoint,) if one.meter == "calls" else (), one.quantity)
        book.adjust(Adjustment(one.meter, window, revision, (row,), "late", "ann"), at=now)


def story(
    url: str, known: dict[Any, int], degraded: frozenset[int], before: list[Late], after: list[Late]
) -> StoreBook:
    """Two days are billed one after the other, then the third, with late data before and after its invoices."""

    def counted(meter: str, hour: int, consumer: str, endpoint: str) -> int:
        return known.get((meter, hour, consumer), usual(meter, hour, consumer, endpoint))

    book = open_book(url)
    collected(book, range(2), counted, degraded)
    billed(book, at(2))
    collected(book, range(2, DAYS), counted, degraded)
    adjusted(book, before, at(DAYS))
    billed(book, at(DAYS))
    collected(book, range(DAYS, DAYS + 1), counted, degraded)
    adjusted(book, after, at(DAYS, 120))
    return book


def told(book: StoredBook, now: datetime) -> dict[str, object]:
    """All that anybody can ask of whole days, lines and invoices."""
    terms = contracts(book, now)
    spans = sorted(
        {(line.meter, line.period) for invoice in book.invoices() for line in invoice.draft.lines if line.meter}
    )
    days = [Period(start, start + timedelta(days=1)) for start in (START + timedelta(days=day) for day in range(-1, 5))]
    moments = [(*span, instant) for span in spans for instant in (at(2), at(DAYS))]
    spans += [(meter, span) for meter in ("calls", "bytes", "peak") for span in (*days, WHOLE)]
    exported: dict[tuple[object, ...], int] = {}
    for row in book.usage(WHOLE):
        key = (row.meter, row.usage.consumer, row.usage.dimensions, row.window.start.date())
        exported[key] = exported.get(key, 0) + row.usage.quantity
    return {
        "totals": [(book.totals(*span), dict(book.sums(*span)), book.totals(*span, "c1")) for span in spans],
        "as of": [book.totals(meter, span, as_of=instant) for meter, span, instant in moments],
        "by day": {key: quantity for key, quantity in exported.items() if quantity},
        "heads": [replace(head, rolled=False) for name in ("calls", "bytes") for head in book.closings(name, WHOLE)],
        "adjustments": book.adjustments(WHOLE),
        "audit": list(audit(book)),
        "rated again": [rerate(book, terms, invoice) for invoice in book.invoices()],
        "papers": [invoice_document(book, invoice) for invoice in book.invoices()],
        "charges": list(charges(book, (date(2026, 3, 1), date(2026, 5, 1))).rows),
        "invoices": list(invoices(book, (date(2026, 3, 1), date(2026, 5, 1))).rows),
        "due": [_without_digests(draft) for draft in bill(book, terms, now=now, dry_run=True).drafts],
        "open": list(rows(accrue(book, terms, now=now))),
    }


def _without_digests(draft: Draft) -> Draft:
    """A line about late usage of days is drafted from days, and says so in its digest."""
    lines = (replace(line, usage_digest="") if line.settles else line for line in draft.lines)
    return replace(draft, lines=tuple(lines))
