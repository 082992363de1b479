"""Uncarried: reads which one-off items and wallets of a gateway's customers it is not told, and nobody has seen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rating.core import uncarried
from rating.core.invoices import LineKind
from rating.core.items import Item
from rating.core.offers import Offered, RemoteContract
from rating.core.periods import from_seconds
from rating.core.publications import State, state, subscription_subject
from rating.core.uncarried import Uncarried
from rating.core.wallets import Wallet
from rating.jobs.lives import taken_back
from rating.ports import Book


def left_out(book: Book, gateway: str, wanted: Offered, *, now: datetime) -> tuple[Uncarried, ...]:
    """By subject; without those that a person has dismissed."""
    of = uncarried.contracts_by_subscription(wanted.contracts)
    items = [item for item in book.items() if item.subscription in of]
    found = (
        *uncarried.items(_collected_there(book, gateway, items, of), of),
        *uncarried.wallets(_full(book, wanted.contracts, now), wanted.contracts, now),
    )
    open_ones = (one for one in found if state(book.progressed(gateway, one.subject)) is not State.DONE)
    return tuple(sorted(open_ones, key=lambda one: one.subject))


def _full(book: Book, contracts: Sequence[RemoteContract], now: datetime) -> list[Wallet]:
    """Their wallets with something in them."""
    whose = {contract.customer for contract in contracts}
    full = {one.customer for one in book.glance(now) if one.customer in whose and one.balance.minor}
    return [wallet for customer in sorted(full) for wallet in book.wallets(customer)]


def _collected_there(book: Book, gateway: str, items: list[Item], of: Mapping[str, RemoteContract]) -> list[Item]:
    """Without those on our invoices for a time before the gateway had the subscription: they were collected by us."""
    if not items:
        return []
    starts = {one.subject: one.name for one in book.remote_names(gateway) if one.part == "start"}
    back = taken_back(book)
    ours: set[str] = set()
    for invoice in book.invoices():
        if invoice.number in back:
            continue
        for _, paper in invoice.draft.parts:
            contract = of.get(paper.subscription)
            if contract is not None:
                begun = starts.get(subscription_subject(contract.subscription))
                if begun is None or paper.period.start < from_seconds(int(begun)):
                    ours |= {line.card for line in paper.lines if line.kind is LineKind.ITEM}
    return [item for item in items if item.key not in ours]
