"""Pipeline: whom we told of a plan to grow into, and what became of it. Reads only; writes nothing."""

from __future__ import annotations

from datetime import datetime

from rating.core.conversions import REMEMBERED, Approach, approaches
from rating.jobs.contracts import Contracts
from rating.ports import Book


def pipeline(book: Book, contracts: Contracts, *, now: datetime) -> tuple[Approach, ...]:
    """Every subscription told of a next plan in the last 90 days, by when it was first told."""
    return approaches(book.notifications(since=now - REMEMBERED), contracts.subscriptions, now)
