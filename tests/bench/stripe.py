"""Invoices of five lines carried to the local Stripe: calls, time here, and time at the limits Stripe publishes."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from tempfile import TemporaryDirectory

from rating.adapters.store import open_book
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.gateway import StripeInvoices
from rating.core.collection import Collection
from rating.jobs.publish import Served, publish
from rating.ports import Book
from tests.bench import stripe_usage
from tests.promises.gateways.papers import draft
from tests.stripe_peer.peer import StripePeer

TITLE = "Collect with Stripe: invoices of five lines, each for a customer of its own, against the local server"

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LIVE, SANDBOX, ONE_CALL = 100, 25, 25
"""Requests a second over all, live and in a sandbox, and of any single call (docs.stripe.com/rate-limits)."""
WORKERS = 4


def rows(quick: bool) -> list[tuple[str, str]]:
    count = 200 if quick else 10_000
    with TemporaryDirectory() as folder, open_book(f"sqlite:///{folder}/rating.db") as book:
        carried = _carried(book, count)
    return [*carried, ("", ""), (stripe_usage.TITLE, ""), *stripe_usage.rows(quick)]


def _carried(book: Book, count: int) -> list[tuple[str, str]]:
    papers = [draft(f"c{number}", 1_000, 230, 45, 1_100, 7) for number in range(count)]
    book.issue([replace(paper, consumer=paper.customer) for paper in papers], at=NOW)
    with StripePeer(now=int(NOW.timestamp()), standing=True) as peer:
        account = StripeAccount("main", peer.key, url=peer.url, requests_per_second=1_000_000)
        served = [Served(StripeInvoices(account), WORKERS)]
        begun = time.perf_counter()
        done = publish(book, served, Collection("main"), now=NOW)
        wall = time.perf_counter() - begun
        calls: dict[str, int] = {}
        for one in peer.requests():
            kind = one["path"].rpartition("/")[2] if one["path"].count("/") > 3 else one["path"]
            key = f"{one['method']} {kind}"
            calls[key] = calls.get(key, 0) + 1
    assert len(done.entries) == count
    total, most = account.calls, max(calls.values())
    return [
        ("invoices", f"{count:,} of 5 lines, {WORKERS} customers at once"),
        ("calls for each invoice, its new customer included", f"{total / count:.2f}"),
        ("calls by kind", ", ".join(f"{name} {number:,}" for name, number in sorted(calls.items()))),
        ("wall time here, client and server on this machine", f"{wall:.0f} s, {count / wall:.0f} invoices/s"),
        ("at the published limits, live", _span(max(total / LIVE, most / ONE_CALL))),
        ("at the published limits, sandbox", _span(max(total / SANDBOX, most / ONE_CALL))),
    ]


def _span(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
