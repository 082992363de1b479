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
from rating.ports import Book, TaxService


@dataclass(frozen=True, slots=True)
class WalletToDate:
    wallet: Wallet
    balance: Money
    accrued: Money
    """What invoices in its currency that are not issued yet come to so far."""
    burns: Money
    """What they would draw, were they issued now."""
    untaxed: tuple[str, ...] = ()
    """Why some of it is without taxes: nobody could say."""

    @property
    def left(self) -> Money:
        return self.balance - self.burns

    @property
    def low(self) -> bool:
        threshold = self.wallet.threshold
        return threshold is not None and self.balance.minor <= threshold.minor and threshold.minor > 0


def wallets_to_date(
    book: Book,
    contracts: Contracts,
    *,
    now: datetime,
    customer: str | None = None,
    taxes: TaxService | None = None,
) -> tuple[WalletToDate, ...]:
    """Every wallet, or those of one customer, by customer and currency.

    Raises:
        NoPlanInForce, NoTierCovers: the contract does not say what the usage costs.
    """
    wallets = book.wallets(customer)
    customers = {wallet.customer for wallet in wallets}
    drafts = list(_unissued(book, contracts, customers, now, taxes))
    return tuple(_to_date(wallet, drafts, now) for wallet in wallets)


def _to_date(wallet: Wallet, drafts: list[tuple[Draft, tuple[str, ...]]], now: datetime) -> WalletToDate:
    due = [one for one in drafts if (one[0].customer, one[0].currency) == (wallet.customer, wallet.currency)]
    own = [draft.total for draft, _ in due]
    moves = burned_by([wallet], ((wallet.customer, str(place), amount) for place, amount in enumerate(own)), now)
    return WalletToDate(
        wallet,
        wallet.worth(now),
        total(own, wallet.currency),
        Money(-sum(move.change for move in moves), wallet.currency),
        tuple(dict.fromkeys(why for _, reasons in due for why in reasons)),
    )


def _unissued(
    book: Book, contracts: Contracts, customers: set[str], now: datetime, taxes: TaxService | None
) -> Iterator[tuple[Draft, tuple[str, ...]]]:
    """Drafts of these customers' invoices: those that are due and wait, oldest first, then the open periods'. With
    each, why it is without taxes.
    """
    own = [subscription for subscription in contracts.subscriptions if subscription.payer in customers]
    if not own:
        return
    items = due(own, contracts.plan, book.issued(), now)
    for subscription in own:
        for period, plan, catalogue in billing_periods(subscription, contracts.plan, now):
            if period.end > now and subscription.billed(period) is not None:
                key = invoice_key(subscription.key, period)
                items.append(Due(period.end, key, subscription, period, plan, catalogue))
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=now, taxes=taxes)
    for item in items:
        reasons = writer.ask_taxes(item)
        yield writer.draft(item), reasons
