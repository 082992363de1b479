"""Funding: when a grant is the same grant again, what may be taken out of it, and what a batch of invoices draws.

Decides what the book must agree to before it keeps a wallet's entries. What a wallet then holds is `wallets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rating.core.invoices import Invoice
from rating.core.lifecycle import Account, State
from rating.core.money import Currency, Money
from rating.core.periods import stamp
from rating.core.wallets import Grant, GrantAccount, Move, MoveKind, Threshold, Wallet, moved_after
from rating.errors import BookError, Contradiction


def granting(grant: Grant, at: datetime) -> Move:
    """The first move of a grant.

    Raises:
        BookError: it would be worth nothing from the beginning.
    """
    if grant.expires is not None and grant.expires <= at:
        raise BookError(
            f"grant {grant.reference} of {grant.customer} would expire {grant.expires.isoformat()}, not after it is "
            f"granted at {at.isoformat()}; choose a later day"
        )
    return Move(grant.customer, grant.reference, 0, 0, grant.amount.minor, MoveKind.GRANTED, at)


def same_grant(grant: Grant, kept: Grant) -> None:
    """Raises:
    Contradiction: the customer has a grant of this reference with other content. Note and author may differ.
    """
    if _content(grant) != _content(kept):
        raise Contradiction(
            f"grant {kept.reference} of {kept.customer} was kept as {_described(kept)} and is now {_described(grant)}; "
            "one reference names one payment or gift, so give this one its own"
        )


def _described(grant: Grant) -> str:
    ends = "" if grant.expires is None else f" until {stamp(grant.expires)}"
    return f"a {grant.kind} of {grant.amount}{ends}, priority {grant.priority}"


def _content(grant: Grant) -> tuple[object, ...]:
    return grant.kind, grant.amount, grant.priority, grant.expires


def withdrawable(wallets: Iterable[Wallet], customer: str, reference: str) -> tuple[Wallet, GrantAccount]:
    """The customer's grant of that reference, with its wallet.

    Raises:
        BookError: there is none.
    """
    for wallet in wallets:
        account = wallet.account(reference)
        if wallet.customer == customer and account is not None:
            return wallet, account
    raise BookError(f"{customer} has no grant {reference!r}; `rating wallets history {customer}` shows those there are")


def collected(accounts: Iterable[GrantAccount], thresholds: Iterable[Threshold]) -> tuple[Wallet, ...]:
    """Grants and thresholds as wallets, sorted by customer and currency."""
    held: dict[tuple[str, Currency], list[GrantAccount]] = {}
    said: dict[tuple[str, Currency], list[Threshold]] = {}
    for account in accounts:
        held.setdefault((account.grant.customer, account.grant.amount.currency), []).append(account)
    for threshold in thresholds:
        said.setdefault((threshold.customer, threshold.amount.currency), []).append(threshold)
    return tuple(
        Wallet(
            *key,
            tuple(sorted(held.get(key, ()), key=lambda account: account.granted_at)),
            tuple(sorted(said.get(key, ()), key=lambda threshold: threshold.at)),
        )
        for key in sorted(held.keys() | said.keys())
    )


def burned_by(wallets: Sequence[Wallet], owed: Iterable[tuple[str, str, Money]], at: datetime) -> tuple[Move, ...]:
    """What these invoices (customer, number, amount) draw on the wallets, one after the other.

    An invoice draws on its customer's wallet of its own currency; money in another currency pays nothing.
    """
    state = {(wallet.customer, wallet.currency): wallet for wallet in wallets}
    moves: list[Move] = []
    for customer, number, amount in owed:
        wallet = state.get((customer, amount.currency))
        if wallet is None:
            continue
        drawn = wallet.burned(amount, number, moved_after(at, wallet.moved_at))
        state[customer, amount.currency] = wallet.with_moves(drawn)
        moves += drawn
    return tuple(moves)


def paid_of(wallets: Iterable[Wallet], invoice: Invoice) -> Money:
    """What wallets have paid of an invoice and not had back."""
    nothing = Money(0, invoice.total.currency)
    own = [wallet.paid(invoice.number) for wallet in wallets if wallet.currency == nothing.currency]
    return sum(own, nothing)


def given_back(wallets: Iterable[Wallet], paid: Account, cause: str, at: datetime) -> tuple[Move, ...]:
    """The moves that give a wallet back what it has paid too much, once an invoice is credited or void."""
    void = paid.state is State.VOID
    rest = Money(paid.prepaid.minor if void else min(paid.prepaid.minor, -paid.outstanding.minor), paid.total.currency)
    for wallet in wallets:
        if rest.minor > 0 and wallet.currency == rest.currency and wallet.paid(paid.invoice).minor:
            return wallet.returned(paid.invoice, rest, cause, moved_after(at, wallet.moved_at))
    return ()
