"""Bill: issue the invoices that are due, each once, and say what keeps the others waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from rating.core.billing import Due, due
from rating.core.drafts import draft
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.parts import parts
from rating.core.periods import Period
from rating.core.settlements import remaining
from rating.jobs.contracts import Contracts
from rating.jobs.usage import UsageReader
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
    usage, history = UsageReader(book), _History(book)
    drafts: list[Draft] = []
    postponed: list[Postponed] = []
    issued: list[Invoice] = []
    for start in range(0, len(wanted), BATCH):
        batch: list[Draft] = []
        for item in wanted[start : start + BATCH]:
            priced = parts(item.subscription, item.plan, item.period)
            reasons = usage.gaps(priced)
            if reasons:
                postponed.append(Postponed(item, reasons))
                continue
            drafted = draft(
                item.subscription,
                item.plan,
                item.period,
                usage.of(item.subscription.consumer, priced),
                item.catalogue,
                credits=remaining(item.subscription.credits, history.lines(item)),
                redeemed=history.redeemed(item),
            )
            history.add(drafted)
            batch.append(drafted)
        if batch and not dry_run:
            issued.extend(book.issue(batch, at=now))
        drafts.extend(batch)
        progress(min(start + BATCH, len(wanted)), len(wanted))
    return Billed(tuple(issued), tuple(drafts), tuple(postponed))


class _History:
    """Lines of a subscription's earlier invoices: what credits have paid and which discounts were redeemed.

    Read only for subscriptions whose terms depend on it; most depend on nothing but this period.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._lines: dict[str, list[LineItem]] = {}

    def lines(self, item: Due) -> tuple[LineItem, ...]:
        subscription, agreed = item.subscription, item.plan.settlement
        if not subscription.credits and all(discount.redemptions is None for discount in agreed.discounts):
            return ()
        if subscription.key not in self._lines:
            self._lines[subscription.key] = [
                line
                for invoice in self._book.invoices(consumer=subscription.consumer)
                if invoice.draft.subscription == subscription.key
                for line in invoice.draft.lines
            ]
        return tuple(self._lines[subscription.key])

    def redeemed(self, item: Due) -> tuple[str, ...]:
        return tuple(line.card for line in self.lines(item) if line.kind is LineKind.DISCOUNT)

    def add(self, drafted: Draft) -> None:
        """A draft of this run is history for the next period of the same subscription."""
        if drafted.subscription in self._lines:
            self._lines[drafted.subscription] += drafted.lines


def _first_day(item: Due) -> date:
    return item.period.start.astimezone(item.subscription.zone).date()


def by_period(invoices: Sequence[Invoice]) -> list[tuple[Period, list[Invoice]]]:
    """Invoices grouped by billing period, in order."""
    ordered = sorted(invoices, key=lambda invoice: (invoice.draft.period, invoice.number))
    return [(period, list(group)) for period, group in groupby(ordered, key=lambda invoice: invoice.draft.period)]
