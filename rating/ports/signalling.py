"""What a gateway tells us: proven at a door, read as facts, and compared with what we know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Protocol

from rating.core.periods import Period
from rating.core.publications import Signal
from rating.core.remotepapers import RemoteCharge, RemoteCustomer, RemoteNote, RemotePaper, RemotePayment, RemoteRefund
from rating.core.signals import Fact, Paid, Refusal


class SignalDoor(Protocol):
    """Proves who delivers something. Calls nobody, and repeats nothing of what was delivered in what it says."""

    @property
    def name(self) -> str:
        """Of the gateway."""

    @property
    def kind(self) -> str:
        """What sort of gateway it is: all of one sort deliver to one address, and are told apart by their proof."""

    def admitted(self, body: bytes, headers: Mapping[str, str]) -> Signal | Refusal:
        """The signal that was delivered, once its sender is proven; or why it is not taken. `headers` in lower case."""


class SignalReader(Protocol):
    """Reads signals as facts.

    Raises (every method):
        EdgeUnavailable: the gateway had to be asked and is away.
        EdgeRefused, EdgeDisagrees: it cannot be read; a person looks.
    """

    @property
    def name(self) -> str:
        """Of the gateway: signals are kept under it."""

    def read(self, signal: Signal) -> tuple[Fact, ...]:
        """What it says. The same signal says the same however often it is read, whatever came after it."""

    def payments(self, invoice: str) -> tuple[Paid, ...]:
        """Every payment of an invoice, as its own signals tell them. The gateway is asked."""

    def invoice_of(self, payment: str) -> str | None:
        """The gateway's name of the invoice that a payment paid; None when it paid none. The gateway is asked."""

    def missed(self, since: datetime) -> Iterator[Signal]:
        """What has happened since then, oldest first, as far as the gateway remembers. It is asked."""


class Reconcilable(Protocol):
    """Shows everything that stands at a gateway. Changes nothing there, keeps to its pace, and reads page by page.

    Raises (every method): as `SignalReader` does.
    """

    @property
    def name(self) -> str:
        """Of the gateway."""

    def papers(self, since: datetime) -> Iterator[RemotePaper]:
        """Invoices made there since then, with all their lines."""

    def payments(self, since: datetime) -> Iterator[RemotePayment]:
        """Payments of invoices that came in since then."""

    def refunds(self, since: datetime) -> Iterator[RemoteRefund]:
        """What was given back since then."""

    def notes(self, since: datetime) -> Iterator[RemoteNote]:
        """Credit notes made since then."""

    def customers(self) -> Iterator[RemoteCustomer]:
        """Everybody who has our name there."""

    def corrections(self) -> Iterator[RemoteCharge]:
        """What was charged or credited there to correct a billing period of ours and stands on no invoice yet."""

    def usage(self, meter: str, customer: str, span: Period) -> Iterator[tuple[datetime, int]]:
        """What it counts for the customer in each hour in which there is any; names are the gateway's."""
