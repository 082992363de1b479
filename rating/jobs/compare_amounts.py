"""Compare amounts: what a gateway that rates by itself charges for each billing period, beside our rating of it.

Reads both sides, changes neither. Our side is drafted anew from the windows that are closed, with all adjustments: so
what was corrected after the gateway's invoice became final is a difference until it is charged or credited there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from rating.core.billing import Due, billing_periods
from rating.core.invoices import LineKind
from rating.core.money import Money
from rating.core.offers import RemoteContract
from rating.core.parity import Differs
from rating.core.periodparity import Charged, Rated, amounts
from rating.core.periods import Period, from_seconds
from rating.core.publications import subscription_subject
from rating.core.remotepapers import RemoteNote, RemotePaper
from rating.core.subscriptions import Subscription
from rating.jobs.contracts import Contracts
from rating.jobs.offer import offered
from rating.jobs.writing import Writer
from rating.ports import Book, Reconcilable, UsageGateway

_RATED = (LineKind.USAGE, LineKind.FEE)


def compare_amounts(
    book: Book,
    contracts: Contracts,
    gateway: UsageGateway,
    reading: Reconcilable,
    papers: Sequence[RemotePaper],
    notes: Sequence[RemoteNote],
    *,
    takes: Callable[[str], bool],
    now: datetime,
    since: datetime,
    within: Period | None = None,
) -> Iterator[Differs]:
    """Every billing period of every contract that stands there, of which usage may still be told.

    `papers` and `notes` are those made there since `since`. With `within`, only periods that begin inside it.
    """
    ours = []
    for one in rated_periods(book, contracts, gateway, takes=takes, now=now):
        asked = one.period.end >= since and (within is None or within.contains(one.period.start))
        ours.append(replace(one, judged=one.judged and asked))
    if ours:
        yield from amounts(gateway.name, ours, Charged(papers, notes, tuple(reading.corrections())))


def rated_periods(
    book: Book, contracts: Contracts, gateway: UsageGateway, *, takes: Callable[[str], bool], now: datetime
) -> Iterator[Rated]:
    """What our rating of each of them comes to by now."""
    names = {(one.subject, one.part): one.name for one in book.remote_names(gateway.name)}
    writer: Writer | None = None
    subscriptions = {one.key: one for one in contracts.subscriptions}
    for contract in offered(contracts, gateway, takes=takes, now=now).contracts:
        subject = subscription_subject(contract.subscription)
        remote, begun = names.get((subject, "")), names.get((subject, "start"))
        if remote is None or begun is None:
            continue
        writer = writer or Writer(book, contracts.subscriptions)
        for period in contract.periods:
            # What was used before the gateway had it is billed elsewhere.
            if max(period.start, contract.start) >= from_seconds(int(begun)) and period.start <= now:
                amount = _rated(writer, contracts, subscriptions, contract, period)
                final = period.end + gateway.grace <= now
                goes_on = contract.end is None or contract.end > now
                yield Rated(contract.subscription, remote, period, amount, final, contract.customer, goes_on)


def _rated(
    writer: Writer,
    contracts: Contracts,
    subscriptions: Mapping[str, Subscription],
    contract: RemoteContract,
    period: Period,
) -> Money:
    found = Money(0, contract.offer.prices[0].currency)
    for member in contract.members:
        drafted = _due(contracts, subscriptions[member.subscription], period)
        if drafted is not None:
            lines = writer.draft(drafted, items=()).lines
            found = sum((line.amount for line in lines if line.kind in _RATED), found)
    return found


def _due(contracts: Contracts, one: Subscription, period: Period) -> Due | None:
    for billed, plan, catalogue in billing_periods(one, contracts.plan, period.end):
        if billed == period and one.billed(billed) is not None:
            return Due(period.end, f"{one.key}/{period.start.isoformat()}", one, period, plan, catalogue)
    return None
