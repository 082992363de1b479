"""Uncarried: reads which one-off items and wallets of a gateway's customers it is not told, and nobody has seen to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    charged = _charged_there(book, gateway, wanted.contracts)
    found = (
        *uncarried.items(_collected_there(book, gateway, items, of), of),
        *uncarried.wallets(_wallets(book, wanted.contracts, now), wanted.contracts, charged, now),
    )
    open_ones = (one for one in found if state(book.progressed(gateway, one.subject)) is not State.DONE)
    return tuple(sorted(open_ones, key=lambda one: one.subject))


def _wallets(book: Book, contracts: Sequence[RemoteContract], now: datetime) -> list[Wallet]:
    whose = {contract.customer for contract in contracts} & {one.customer for one in book.glance(now)}
    return [wallet for customer in sorted(whose) for wallet in book.wallets(customer)]


def _charged_there(book: Book, gateway: str, contracts: Sequence[RemoteContract]) -> Callable[[str, str], bool]:
    """Does an invoice of ours begin when the gateway collected from the customer already?"""
    starts = _starts(book, gateway)
    since: dict[str, datetime] = {}
    for contract in contracts:
        start = starts.get(subscription_subject(contract.subscription))
        if start is not None:
            since[contract.customer] = min(start, since.get(contract.customer, start))

    def charged(customer: str, number: str) -> bool:
        invoice = book.invoice(number) if customer in since else None
        return invoice is not None and invoice.draft.period.start >= since[customer]

    return charged


def _starts(book: Book, gateway: str) -> Mapping[str, datetime]:
    return {one.subject: from_seconds(int(one.name)) for one in book.remote_names(gateway) if one.part == "start"}


def _collected_there(book: Book, gateway: str, items: list[Item], of: Mapping[str, RemoteContract]) -> list[Item]:
    """Without those on our invoices for a time before the gateway had the subscription: they were collected by us."""
    if not items:
        return []
    starts = _starts(book, gateway)
    back = taken_back(book)
    ours: set[str] = set()
    for invoice in book.invoices():
        if invoice.number in back:
            continue
        for _, paper in invoice.draft.parts:
            contract = of.get(paper.subscription)
            if contract is not None:
                begun = starts.get(subscription_subject(contract.subscription))
                if begun is None or paper.period.start < begun:
                    ours |= {line.card for line in paper.lines if line.kind is LineKind.ITEM}
    return [item for item in items if item.key not in ours]
