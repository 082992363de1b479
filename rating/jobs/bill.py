"""Bill: issue the invoices that are due, each once, and say what keeps the others waiting."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from rating.core.billing import Due, due
from rating.core.consolidated import alike
from rating.core.creditnotes import CreditNote
from rating.core.invoices import Draft, Invoice
from rating.core.parties import Parties, Together
from rating.errors import Contradiction, Overtaken
from rating.jobs.contracts import Contracts
from rating.jobs.latecredits import credit_late
from rating.jobs.writing import Writer
from rating.ports import Book, TaxService

ATTEMPTS = 8
"""How often what others wrote meanwhile is read again before a person is told."""

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
    credited: tuple[CreditNote, ...] = ()
    """What late data took off issued invoices of customers who have credit notes for it."""


def bill(
    book: Book,
    contracts: Contracts,
    *,
    now: datetime,
    starting: tuple[date, date] | None = None,
    consumer: str | None = None,
    dry_run: bool = False,
    taxes: TaxService | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Billed:
    """Issue every invoice that is due at `now`.

    `starting` limits it to billing periods whose first local day lies in that half-open range of days, `consumer` to
    one consumer. An invoice whose usage has a window missing or held is postponed, never issued short; so is one of
    which `taxes` (the catalogue's rules where there is none) cannot say how it is taxed.

    Raises:
        NoPlanInForce, NoTierCovers: the contract does not say what the usage costs.
        Contradiction: the book holds an invoice of that key with other content.
        Overtaken: others wrote into the book again and again meanwhile.
    """
    issued: list[Invoice] = []
    notes: tuple[CreditNote, ...] = ()
    for attempt in range(1, ATTEMPTS + 1):
        before = book.issued()
        wanted = [
            item
            for item in due(contracts.subscriptions, contracts.plan, before, now)
            if starting is None or starting[0] <= _first_day(item) < starting[1]
        ]
        groups = _for_one_invoice(wanted, contracts.parties(now), consumer)
        try:
            if not dry_run:
                notes += credit_late(book, contracts, now=now, consumer=consumer)
            drafts, postponed = _issue(book, contracts, groups, now, dry_run, taxes, issued, progress)
            return Billed(tuple(issued), drafts, postponed, notes)
        except Overtaken:
            # Somebody corrected usage or billed part of it meanwhile: what is left is drafted from what is there now.
            if attempt == ATTEMPTS:
                raise
        except Contradiction:
            # Somebody who saw another book issued the same; where nothing was issued meanwhile, it is real.
            if attempt == ATTEMPTS or book.issued() == before:
                raise
    raise AssertionError("unreachable")


def _issue(
    book: Book,
    contracts: Contracts,
    groups: Sequence[Sequence[Due]],
    now: datetime,
    dry_run: bool,
    taxes: TaxService | None,
    issued: list[Invoice],
    progress: Callable[[int, int], None],
) -> tuple[tuple[Draft, ...], tuple[Postponed, ...]]:
    known = book.latest_adjustment()
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=now, taxes=taxes)
    drafts: list[Draft] = []
    postponed: list[Postponed] = []
    count, done = sum(map(len, groups)), 0
    batch: list[Draft] = []
    for place, group in enumerate(groups):
        reasons = {item.key: writer.obstacles(item) for item in group}
        if any(reasons.values()):
            for item in group:
                others = (f"{item.subscription.payer} has one invoice for several subscriptions, and another waits",)
                postponed.append(Postponed(item, reasons[item.key] or others))
                writer.postpone(item)
        else:
            batch += alike([writer.draft(item) for item in group], group[0].subscription.payer)
        done += len(group)
        if len(batch) >= BATCH or place == len(groups) - 1:
            if batch and not dry_run:
                issued.extend(book.issue(batch, at=now, known=known))
            drafts.extend(batch)
            batch = []
            progress(done, count)
    return tuple(drafts), tuple(postponed)


def _for_one_invoice(wanted: Sequence[Due], parties: Parties, consumer: str | None) -> list[list[Due]]:
    """Due invoices in their order, those that share one paper together."""
    groups: dict[Hashable, list[Due]] = {}
    for item in wanted:
        buyer = parties.customer(item.subscription.payer)
        alone = buyer is None or buyer.invoices is Together.SEPARATE
        groups.setdefault(item.key if alone else _kinship(item), []).append(item)
    return [
        group
        for group in groups.values()
        if consumer is None or consumer in {item.subscription.consumer for item in group}
    ]


def _kinship(item: Due) -> Hashable:
    """Due invoices that are equal in this share one paper: payer, currency, time zone, billing period."""
    one = item.subscription
    currency = item.plan.currency if one.exchange is None else one.exchange.currency
    return one.payer, currency, one.zone.key, item.period, item.opening


def _first_day(item: Due) -> date:
    return item.period.start.astimezone(item.subscription.zone).date()
