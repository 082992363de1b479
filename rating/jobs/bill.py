"""Bill: issue the invoices that are due, each once, and say what keeps the others waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from rating.core.billing import Due, due
from rating.core.invoices import Draft, Invoice
from rating.jobs.contracts import Contracts
from rating.jobs.writing import Writer
from rating.ports import Book

BATCH = 200
"""Invoices issued in one transaction: a crash costs at most this much work and never a number."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """An invoice that is due and cannot be trusted yet."""

    due: Due
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Billed:
    issued: tuple[Invoice, ...]
    drafts: tuple[Draft, ...]
    """What was rated; in a dry run nothing was issued."""
    postponed: tuple[Postponed, ...]


def bill(
    book: Book,
    contracts: Contracts,
    *,
    now: datetime,
    starting: tuple[date, date] | None = None,
    consumer: str | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Billed:
    """Issue every invoice that is due at `now`.

    `starting` limits it to billing periods whose first local day lies in that half-open range of days, `consumer` to
    one consumer. An invoice whose usage has
    a window missing or held is postponed, never issued short.

    Raises:
        NoPlanInForce, NoTierCovers: the contract does not say what the usage costs.
        Contradiction: the book holds an invoice of that key with other content.
    """
    wanted = [
        item
        for item in due(contracts.subscriptions, contracts.plan, book.issued(), now)
        if (starting is None or starting[0] <= _first_day(item) < starting[1])
        and consumer in (None, item.subscription.consumer)
    ]
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=now)
    drafts: list[Draft] = []
    postponed: list[Postponed] = []
    issued: list[Invoice] = []
    for start in range(0, len(wanted), BATCH):
        batch: list[Draft] = []
        for item in wanted[start : start + BATCH]:
            reasons = writer.obstacles(item)
            if reasons:
                postponed.append(Postponed(item, reasons))
                writer.postpone(item)
            else:
                batch.append(writer.draft(item))
        if batch and not dry_run:
            issued.extend(book.issue(batch, at=now))
        drafts.extend(batch)
        progress(min(start + BATCH, len(wanted)), len(wanted))
    return Billed(tuple(issued), tuple(drafts), tuple(postponed))


def _first_day(item: Due) -> date:
    return item.period.start.astimezone(item.subscription.zone).date()
