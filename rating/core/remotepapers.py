"""What stands at a gateway, as whoever reads it there hands it over: papers, money and customers. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rating.core.money import Money


class Stand(StrEnum):
    """How far an invoice is there."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class RemoteCharge:
    """What a gateway that rates by itself charges, before taxes and less its own discounts."""

    subscription: str
    """The gateway's name of it; empty for a correction that names none."""
    start: datetime
    """Of what it is charged for."""
    amount: Money
    corrects: str = ""
    """Which billing period of ours it corrects (`periodparity.period_name`), whenever it is charged."""


@dataclass(frozen=True, slots=True)
class RemotePaper:
    """An invoice as it stands at a gateway."""

    name: str
    number: str
    """Ours, where it carries one."""
    total: Money
    stand: Stand
    lines: tuple[tuple[str, Money], ...]
    """Which line of ours each is (`INV-000042/1`; `INV-000042/rest` for all that are not named), and its amount."""
    made_there: bool = False
    """A subscription there made it: the gateway rates it, we do not."""
    charges: tuple[RemoteCharge, ...] = ()
    """Of one that was made there: what was rated, and what corrects a period of ours."""


@dataclass(frozen=True, slots=True)
class RemotePayment:
    reference: str
    invoice: str
    """The gateway's name of it."""
    amount: Money
    outside: bool = False


@dataclass(frozen=True, slots=True)
class RemoteRefund:
    reference: str
    payment: str
    amount: Money
    undone: bool = False


@dataclass(frozen=True, slots=True)
class RemoteNote:
    name: str
    number: str
    """Ours, where it carries one."""
    invoice: str
    amount: Money


@dataclass(frozen=True, slots=True)
class RemoteCustomer:
    name: str
    key: str
    """Ours."""
    email: str = ""
    title: str = ""
