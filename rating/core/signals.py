"""Signals: what a gateway may tell us of money, papers, customers and subscriptions, whatever its own words for it are.

Decides nothing: each is a fact as it was told. What the book makes of it is `settling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rating.core.money import Money


class Refusal(StrEnum):
    """Why something that was delivered is not taken for a signal. Part of a metric: no secret, no content."""

    SIGNATURE = "signature"
    """No secret of ours signed it."""
    STALE = "stale"
    """Signed by us too long ago: somebody may be replaying it."""
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    MODE = "mode"
    """Of tests where money is real, or the other way round."""
    UNSERVED = "unserved"
    """There is no secret to check it by."""
    BOOK = "book"
    """It is genuine, and the book could not keep it: it has to be delivered again."""


@dataclass(frozen=True, slots=True)
class Paid:
    """Money came in for an invoice."""

    invoice: str
    """The gateway's name of it."""
    amount: Money
    at: datetime
    reference: str
    """The gateway's name of the payment: one payment has one, however it is told."""
    outside: bool = False
    """It came in elsewhere, and the gateway was told so."""
    number: str = ""
    """Our number, where the gateway's paper carries it."""


@dataclass(frozen=True, slots=True)
class PaidInFull:
    """Nothing is left to pay there. Says what all payments came to, not what each was."""

    invoice: str
    at: datetime
    outside: Money
    """How much of it came in elsewhere."""
    number: str = ""


@dataclass(frozen=True, slots=True)
class PaymentFailed:
    invoice: str
    amount: Money
    at: datetime
    attempt: int
    why: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class GaveBack:
    """(Part of) a payment was given back."""

    payment: str
    """Reference of the payment."""
    amount: Money
    at: datetime
    reference: str
    undone: bool = False
    """It did not arrive, and the money came back to us."""


class Stage(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Disputed:
    """A customer's bank takes a payment back. It concerns the payment, no line of the invoice."""

    payment: str
    amount: Money
    at: datetime
    reference: str
    stage: Stage
    why: str = ""
    until: datetime | None = None
    """By when it has to be answered."""


@dataclass(frozen=True, slots=True)
class VoidedThere:
    invoice: str
    at: datetime
    paid: Money
    """What had come in for it by then."""
    given_up: bool = False
    """It had been written off there before."""
    number: str = ""


@dataclass(frozen=True, slots=True)
class GivenUpThere:
    """Marked as uncollectible."""

    invoice: str
    at: datetime
    paid: Money
    left: Money
    number: str = ""


@dataclass(frozen=True, slots=True)
class CreditedThere:
    """A credit note was made there."""

    note: str
    invoice: str
    amount: Money
    at: datetime
    ours: str = ""
    """The number of the credit note of ours that it carries; empty for one that somebody made by hand."""
    number: str = ""


@dataclass(frozen=True, slots=True)
class CustomerChanged:
    customer: str
    at: datetime
    now: tuple[tuple[str, str], ...]
    """Fields that changed, `email`, `name`, `country`, and what they say now."""
    key: str = ""
    """Our name of the customer, where the gateway knows it."""


@dataclass(frozen=True, slots=True)
class CustomerGone:
    customer: str
    at: datetime
    key: str = ""


@dataclass(frozen=True, slots=True)
class Began:
    """Somebody was subscribed there."""

    subscription: str
    customer: str
    plan: str
    """Empty where the gateway's prices name no plan of ours."""
    at: datetime
    consumer: str = ""
    """Whose usage it is, where the gateway knows."""
    ours: str = ""
    """The key of the subscription of ours that it stands for."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A subscription there went from one plan to another."""

    subscription: str
    customer: str
    before: str
    plan: str
    at: datetime
    consumer: str = ""
    ours: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    subscription: str
    customer: str
    plan: str
    at: datetime
    consumer: str = ""
    ours: str = ""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event of usage that was taken there and cannot be used."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class UsageDeclined:
    """Usage that was reported there is not billed by it."""

    what: str
    at: datetime
    why: str = ""
    failed: tuple[FailedEvent, ...] = ()
    """Those that are named; the gateway may name only some."""
    count: int = 0
    """How many events failed."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Known, and nothing for the book."""

    said: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Of a kind that is not known here: kept and set aside."""

    kind: str


InvoiceFact = Paid | PaidInFull | PaymentFailed | VoidedThere | GivenUpThere | CreditedThere
PaymentFact = GaveBack | Disputed
SubscriptionFact = Began | Moved | Ended
CustomerFact = CustomerChanged | CustomerGone
Fact = InvoiceFact | PaymentFact | SubscriptionFact | CustomerFact | UsageDeclined | Remark | Unknown
