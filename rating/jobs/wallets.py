"""Wallets to date: what each holds now, and what the invoices that are not issued yet would burn of it. Writes nothing.

An open period is drafted on the windows closed so far, taxes included, because that is what a wallet pays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rating.core.billing import Due, billing_periods, due
from rating.core.funding import burned_by
from rating.core.invoices import Draft, invoice_key
from rating.core.money import Money, total
from rating.core.wallets import Wallet
from rating.jobs.contracts import Contracts
from rating.jobs.writing import Writer
from rating.ports import Book


@dataclass(frozen=True, slots=True)
class WalletToDate:
    wallet: Wallet
    balance: Money
    accrued: Money
    """What invoices in its currency that are not issued yet come to so far."""
    burns: Money
    """What they would draw, were they issued now."""

    @property
    def left(self) -> Money:
        return self.balance - self.burns

    @property
    def low(self) -> bool:
        threshold = self.wallet.threshold
        return threshold is not None and self.balance < threshold


def wallets_to_date(
    book: Book, contracts: Contracts, *, now: datetime, customer: str | None = None
) -> tuple[WalletToDate, ...]:
    """Every wallet, or those of one customer, by customer and currency.

    Raises:
        NoPlanInForce, NoTierCovers: the contract does not say what the usage costs.
    """
    wallets = book.wallets(customer)
    customers = {wallet.customer for wallet in wallets}
    drafts = list(_unissued(book, contracts, customers, now))
    return tuple(_to_date(wallet, drafts, now) for wallet in wallets)


def _to_date(wallet: Wallet, drafts: list[Draft], now: datetime) -> WalletToDate:
    own = [draft.total for draft in drafts if (draft.customer, draft.currency) == (wallet.customer, wallet.currency)]
    moves = burned_by([wallet], ((wallet.customer, str(place), amount) for place, amount in enumerate(own)), now)
    return WalletToDate(
        wallet,
        wallet.worth(now),
        total(own, wallet.currency),
        Money(-sum(move.change for move in moves), wallet.currency),
    )


def _unissued(book: Book, contracts: Contracts, customers: set[str], now: datetime) -> Iterator[Draft]:
    """Drafts of these customers' invoices: those that are due and wait, oldest first, then the open periods'."""
    own = [subscription for subscription in contracts.subscriptions if subscription.payer in customers]
    if not own:
        return
    items = due(own, contracts.plan, book.issued(), now)
    for subscription in own:
        for period, plan, catalogue in billing_periods(subscription, contracts.plan, now):
            if period.end > now and subscription.billed(period) is not None:
                key = invoice_key(subscription.key, period)
                items.append(Due(period.end, key, subscription, period, plan, catalogue))
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=now)
    for item in items:
        yield writer.draft(item)
