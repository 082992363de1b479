"""Uncarried: what customers of a gateway that rates by itself have beside usage and fees, and it is not told.

Decides which one-off items and which money in wallets that is, and says what to do. Our own invoice has the item and is
paid by the wallet, while the gateway collects by an invoice of its own: so both wait for a person, by name, and nobody
who has money in a wallet is subscribed there before.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from rating.core.items import Item
from rating.core.money import Money, decimal_text
from rating.core.offers import RemoteContract
from rating.core.wallets import GrantAccount, Wallet
from rating.errors import Finding

ITEM, WALLET = "item", "wallet"


@dataclass(frozen=True, slots=True)
class Uncarried:
    subject: str
    """`item/acme/pro/2026-10-01/2026-11-03/PO-7`, `wallet/acme/pi_123`: parked until a person has dismissed it."""
    customer: str
    finding: Finding
    holds: bool = False
    """Is the customer subscribed there only once it is seen to?"""

    @property
    def said(self) -> str:
        return str(self.finding)


def contracts_by_subscription(contracts: Iterable[RemoteContract]) -> Mapping[str, RemoteContract]:
    """Each of our subscriptions that is collected there, with what it stands under."""
    return {member.subscription: contract for contract in contracts for member in contract.members}


def items(found: Iterable[Item], of: Mapping[str, RemoteContract]) -> Iterator[Uncarried]:
    """Items of subscriptions that are collected there."""
    for item in found:
        contract = of.get(item.subscription)
        if contract is None:
            continue
        subject = f"{ITEM}/{item.key}"
        over = f"{decimal_text(item.amount)} {contract.offer.prices[0].currency}"
        what = f'"{item.title}" over {over} is on our invoice and is not carried there'
        finding = Finding(f"{ITEM} {item.key}", what, f"add it there by hand, then {_seen(subject)}")
        yield Uncarried(subject, contract.customer, finding)


def wallets(
    found: Iterable[Wallet],
    contracts: Iterable[RemoteContract],
    charged_there: Callable[[str, str], bool],
    now: datetime,
) -> Iterator[Uncarried]:
    """What is left in wallets of customers who are collected from there, and what paid our invoices all the same.

    `charged_there` says whether the gateway charges a customer for what an invoice of ours does, by its number.
    """
    whose = {contract.customer for contract in contracts if contract.end is None or contract.end > now}
    for wallet in found:
        for account in wallet.accounts if wallet.customer in whose else ():
            left = Money(account.worth(now), wallet.currency)
            paid = Money(_paid(account, charged_there), wallet.currency)
            if left.minor or paid.minor > 0:
                yield _of_wallet(account.grant.customer, account.grant.reference, left, paid)


def _paid(account: GrantAccount, charged_there: Callable[[str, str], bool]) -> int:
    """Minor units that have paid such invoices of ours and were not given back."""
    numbers = dict.fromkeys(move.invoice for move in account.moves if move.invoice)
    paid = {number: account.paid(number) for number in numbers}
    return sum(minor for number, minor in paid.items() if minor and charged_there(account.grant.customer, number))


def _of_wallet(customer: str, reference: str, left: Money, paid: Money) -> Uncarried:
    name = f"{customer}/{reference}"
    subject = f"{WALLET}/{name}"
    said = []
    if left.minor:
        said.append(f"{left} in the wallet of {customer} would pay our invoices and not those of the gateway")
    if paid.minor > 0:
        said.append(f"{paid} from the wallet of {customer} has paid our invoices while the gateway charged the same")
    what = "; ".join(said)
    hint = "give it to the customer there as a balance and take out what is left here by `rating wallets withdraw`"
    hint = f"{hint}, then {_seen(subject)}"
    return Uncarried(subject, customer, Finding(f"{WALLET} {name}", what, hint), holds=bool(left.minor))


def _seen(subject: str) -> str:
    return f"`rating stripe dismiss {shlex.quote(subject)} --reason ...`"
