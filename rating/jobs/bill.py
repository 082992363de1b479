"""Bill: issue the invoices that are due, each once, and say what keeps the others waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from rating.core.billing import Due, due, gap
from rating.core.drafts import MeteredUsage, draft, metered
from rating.core.invoices import Draft, Invoice
from rating.core.periods import Period
from rating.core.windows import Completeness
from rating.jobs.contracts import Contracts
from rating.ports import Book, UsageRow

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
    usage = _UsageReader(book)
    drafts: list[Draft] = []
    postponed: list[Postponed] = []
    issued: list[Invoice] = []
    for start in range(0, len(wanted), BATCH):
        batch: list[Draft] = []
        for item in wanted[start : start + BATCH]:
            reasons = usage.gaps(item)
            if reasons:
                postponed.append(Postponed(item, reasons))
                continue
            batch.append(draft(item.subscription, item.plan, item.period, usage.of(item), item.catalogue))
        if batch and not dry_run:
            issued.extend(book.issue(batch, at=now))
        drafts.extend(batch)
        progress(min(start + BATCH, len(wanted)), len(wanted))
    return Billed(tuple(issued), tuple(drafts), tuple(postponed))


def _first_day(item: Due) -> date:
    return item.period.start.astimezone(item.subscription.zone).date()


class _UsageReader:
    """Reads the book once per meter and span, however many subscriptions share them."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._held = {(entry.held.meter, entry.held.window.start) for entry in book.held()}
        self._states: dict[tuple[str, Period], Mapping[datetime, Completeness]] = {}
        self._usage: dict[tuple[str, Period], dict[str, MeteredUsage]] = {}

    def gaps(self, item: Due) -> tuple[str, ...]:
        found = []
        for card in item.plan.cards:
            meter = card.meter
            held = [start for name, start in self._held if name == meter.name]
            missing = gap(meter.name, item.active, meter.window, self._closed(meter.name, item.active), held)
            if missing is not None:
                found.append(str(missing))
        return tuple(found)

    def of(self, item: Due) -> dict[str, MeteredUsage]:
        return {
            card.meter.name: self._metered(card.meter.name, item.active).get(
                item.subscription.consumer, self._nothing(card.meter.name, item.active)
            )
            for card in item.plan.cards
        }

    def _closed(self, meter: str, span: Period) -> Mapping[datetime, Completeness]:
        if (meter, span) not in self._states:
            self._states[meter, span] = self._book.closed(meter, span)
        return self._states[meter, span]

    def _metered(self, meter: str, span: Period) -> dict[str, MeteredUsage]:
        if (meter, span) not in self._usage:
            windows, degraded = self._counts(meter, span)
            rows: dict[str, list[UsageRow]] = {}
            for row in self._book.usage(span, meter):
                rows.setdefault(row.usage.consumer, []).append(row)
            self._usage[meter, span] = {
                consumer: metered(((row.window, row.completeness, row.usage) for row in own), windows, degraded)
                for consumer, own in rows.items()
            }
        return self._usage[meter, span]

    def _nothing(self, meter: str, span: Period) -> MeteredUsage:
        """Zero usage is a measurement too: it stands on the same windows."""
        return metered((), *self._counts(meter, span))

    def _counts(self, meter: str, span: Period) -> tuple[int, int]:
        closed = self._closed(meter, span)
        return len(closed), sum(state is Completeness.DEGRADED for state in closed.values())


def by_period(invoices: Sequence[Invoice]) -> list[tuple[Period, list[Invoice]]]:
    """Invoices grouped by billing period, in order."""
    ordered = sorted(invoices, key=lambda invoice: (invoice.draft.period, invoice.number))
    return [(period, list(group)) for period, group in groupby(ordered, key=lambda invoice: invoice.draft.period)]
