"""Wallets: prepaid money of one customer in one currency, as a fold over what was granted and moved.

Decides what a wallet holds at an instant, which grant pays first, and where what is given back goes. Whether two may
take the same cent at once is decided by the book, which keeps each grant's moves as a chain.

A wallet settles an invoice's total, taxes included, as a payment does. A top-up is money received before anything was
supplied, so the tax falls due on what it is spent on, and an invoice that says less tax than was supplied would be
wrong. What lowers the taxable amount is a plan's discount or a subscription's credit (`balances`), not a wallet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rating.core.balances import Credit, burn_down, paying_order
from rating.core.money import Currency, Money


class GrantKind(StrEnum):
    TOPUP = "topup"
    """Money that was received."""
    GRANT = "grant"
    """Given away."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What was put into a wallet at once: never changed, only drawn on."""

    customer: str
    reference: str
    """Names it among all grants of the customer, such as the payment's own number."""
    amount: Money
    kind: GrantKind = GrantKind.TOPUP
    priority: int = 0
    """Lower pays first; then what expires first, then what was granted first."""
    expires: datetime | None = None
    """The first instant at which what is left is worth nothing; whole seconds."""
    note: str = ""
    author: str = ""

    def __post_init__(self) -> None:
        if not self.customer or not self.reference:
            raise ValueError("a grant needs a customer and a reference that names it")
        if self.amount.minor <= 0:
            raise ValueError(f"grant {self.reference!r} of {self.amount} puts nothing in; an amount is more than zero")


class MoveKind(StrEnum):
    GRANTED = "granted"
    BURNED = "burned"
    """Paid an invoice."""
    RETURNED = "returned"
    """Given back, because what it paid was taken back."""
    WITHDRAWN = "withdrawn"
    """Taken out before its time by a person: paid out, or granted by mistake."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one grant. Each begins where the one before it ended, and none ends below zero."""

    customer: str
    reference: str
    step: int
    """0 is the granting."""
    before: int
    """In minor units, as `change`."""
    change: int
    kind: MoveKind
    at: datetime
    invoice: str = ""
    """The one it paid, or whose payment it gives back."""
    cause: str = ""
    """What took the payment back, such as a credit note; or why a person took something out."""

    @property
    def after(self) -> int:
        return self.before + self.change


@dataclass(frozen=True, slots=True)
class GrantAccount:
    """A grant and its moves in their order; the first one is the granting itself."""

    grant: Grant
    moves: tuple[Move, ...]

    @property
    def granted_at(self) -> datetime:
        return self.moves[0].at

    @property
    def left(self) -> int:
        """Minor units left, were there no time."""
        return self.moves[-1].after

    def expired(self, at: datetime) -> bool:
        return self.grant.expires is not None and self.grant.expires <= at

    def worth(self, now: datetime) -> int:
        """Minor units left after every move there is: what may be drawn now, whichever clock recorded the moves."""
        return 0 if self.expired(now) else self.left

    def left_at(self, at: datetime) -> int:
        """Minor units it was worth at that instant. Expiry is this and no entry: it changes nothing that was."""
        if self.expired(at):
            return 0
        return next((move.after for move in reversed(self.moves) if move.at <= at), 0)

    def moved(self, change: int, kind: MoveKind, at: datetime, invoice: str = "", cause: str = "") -> Move:
        """Its next step.

        Raises:
            ValueError: more would be taken than is left, or given back than was granted.
        """
        if not 0 <= self.left + change <= self.grant.amount.minor:
            currency = self.grant.amount.currency
            raise ValueError(
                f"grant {self.grant.reference!r} of {self.grant.customer} holds {Money(self.left, currency)} of "
                f"{self.grant.amount} and cannot change by {Money(change, currency)}"
            )
        grant = self.grant
        return Move(grant.customer, grant.reference, len(self.moves), self.left, change, kind, at, invoice, cause)

    def paid(self, invoice: str) -> int:
        """Minor units it has paid of an invoice and not had back."""
        return -sum(move.change for move in self.moves if move.invoice == invoice)

    @property
    def credit(self) -> Credit:
        """What is left of it, for the order in which credits pay."""
        grant = self.grant
        left = Money(self.left, grant.amount.currency)
        return Credit(left.exact, grant.reference, grant.priority, grant.expires, self.granted_at)


@dataclass(frozen=True, slots=True)
class Threshold:
    """From what balance down a customer's wallet in one currency is called low, from `at` on; zero is for never."""

    customer: str
    amount: Money
    at: datetime


@dataclass(frozen=True, slots=True)
class LowBalance:
    """A wallet fell to its threshold or below. One for each time it does."""

    customer: str
    at: datetime
    balance: Money
    threshold: Money


@dataclass(frozen=True, slots=True)
class WalletGlance:
    """What a wallet holds now and from where down it is low, without what happened to it."""

    customer: str
    balance: Money
    threshold: Money | None


@dataclass(frozen=True, slots=True)
class Wallet:
    customer: str
    currency: Currency
    accounts: tuple[GrantAccount, ...] = ()
    """In the order in which they were granted."""
    thresholds: tuple[Threshold, ...] = ()
    """Oldest first; the last one holds."""

    def worth(self, now: datetime) -> Money:
        """What it holds after every move there is."""
        return Money(sum(account.worth(now) for account in self.accounts), self.currency)

    def balance(self, at: datetime) -> Money:
        """What it held at that instant."""
        return Money(sum(account.left_at(at) for account in self.accounts), self.currency)

    @property
    def threshold(self) -> Money | None:
        return self.thresholds[-1].amount if self.thresholds else None

    @property
    def moved_at(self) -> datetime | None:
        """When it last changed by an entry."""
        return max((move.at for account in self.accounts for move in account.moves), default=None)

    def account(self, reference: str) -> GrantAccount | None:
        return next((account for account in self.accounts if account.grant.reference == reference), None)

    def burned(self, owed: Money, invoice: str, at: datetime) -> tuple[Move, ...]:
        """The moves that pay what is owed, as far as there is anything to pay with: by priority, then the earliest to
        expire, then the earliest granted. What expired is not touched.
        """
        scale = 10**self.currency.exponent
        owed += Money(0, self.currency)
        drawn = burn_down(owed.exact, [account.credit for account in self.accounts], at).drawn
        return tuple(
            account.moved(-int(part * scale), MoveKind.BURNED, at, invoice)
            for account, part in zip(self.accounts, drawn, strict=True)
            if part
        )

    def paid(self, invoice: str) -> Money:
        """What it has paid of one invoice and not had back."""
        return Money(sum(account.paid(invoice) for account in self.accounts), self.currency)

    def returned(self, invoice: str, amount: Money, cause: str, at: datetime) -> tuple[Move, ...]:
        """The moves that give back what paid an invoice, to the grants that paid, the last one to pay first.

        What expired meanwhile comes back to its grant and is worth nothing there. `cause` names what took the payment
        back, such as a credit note's number: one cause gives back to a grant once.

        Raises:
            ValueError: it paid less.
        """
        rest = amount.minor
        moves = []
        for account in sorted(self.accounts, key=lambda account: paying_order(account.credit), reverse=True):
            part = min(rest, account.paid(invoice))
            if part > 0:
                moves.append(account.moved(part, MoveKind.RETURNED, at, invoice, cause))
                rest -= part
        if rest:
            paid = self.paid(invoice)
            raise ValueError(f"the wallet of {self.customer} paid {paid} of {invoice} and cannot have back {amount}")
        return tuple(moves)

    def with_moves(self, moves: Iterable[Move]) -> Wallet:
        """The wallet after these."""
        new: dict[str, list[Move]] = {}
        for move in moves:
            new.setdefault(move.reference, []).append(move)
        accounts = (
            GrantAccount(account.grant, (*account.moves, *new.get(account.grant.reference, ())))
            for account in self.accounts
        )
        return Wallet(self.customer, self.currency, tuple(accounts), self.thresholds)

    def lows(self, until: datetime) -> Iterator[LowBalance]:
        """Every time it fell to the threshold of that time, by an entry or by expiry, up to and with `until`."""
        low = False
        for instant in self._instants(until):
            threshold = next((one.amount for one in reversed(self.thresholds) if one.at <= instant), None)
            balance = self.balance(instant)
            fell = threshold is not None and balance.minor <= threshold.minor and threshold.minor > 0
            if fell and not low:
                assert threshold is not None
                yield LowBalance(self.customer, instant, balance, threshold)
            low = fell

    def _instants(self, until: datetime) -> list[datetime]:
        moved = {move.at for account in self.accounts for move in account.moves}
        expired = {account.grant.expires for account in self.accounts if account.grant.expires is not None}
        return sorted(at for at in moved | expired | {one.at for one in self.thresholds} if at <= until)


def moved_after(at: datetime, last: datetime | None) -> datetime:
    """When a move is recorded: later than the wallet's last one, whatever the clocks say, so that its past is fixed."""
    return at if last is None else max(at, last + timedelta(milliseconds=1))
