"""Whoever collects the money: what the book remembers of them, and what they are asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from rating.core.money import Currency
from rating.core.offers import RemoteContract
from rating.core.parties import Customer
from rating.core.periodparity import Correction
from rating.core.provisions import Provision, Standing
from rating.core.publications import Dispatch, HeardSignal, Progress, Progressed, RemoteName, Signal
from rating.core.usageevents import UsageEvent


class Publications(Protocol):
    """The part of the book about what was carried to gateways and what they told us. Append-only as all others.

    Raises as Book does.
    """

    def progress(self, entries: Sequence[Progress], names: Sequence[RemoteName] = (), *, at: datetime) -> int:
        """Keep how far subjects have come, and what the gateway calls them, all in one transaction.

        Returns how many entries and names are new; one that is kept already is nothing. Contradiction when an entry's
        number was kept with another outcome or a name differs from the one that is kept, Overtaken when an entry before
        it is missing.
        """

    def progressed(self, gateway: str, subject: str | None = None) -> tuple[Progressed, ...]:
        """Entries about one subject, or about all of a gateway's, by subject and number."""

    def unfinished(self, gateway: str) -> tuple[Progressed, ...]:
        """Entries about subjects on which something is still to be done, by subject and number: cheap to ask often."""

    def parked(self, gateway: str) -> tuple[Progressed, ...]:
        """The last entry about each subject that waits for a person, by subject."""

    def finished(self, gateway: str, kind: str) -> frozenset[str]:
        """Subjects that begin with `kind/` and are done or parked there: cheap to ask often."""

    def remote_names(self, gateway: str, subject: str | None = None) -> tuple[RemoteName, ...]:
        """What the gateway calls the parts of a subject, or of all, by subject and part."""

    def remotely(self, gateway: str, name: str) -> RemoteName | None:
        """What of ours the gateway calls by this name."""

    def signal(self, signal: Signal, *, at: datetime) -> bool:
        """Keep what a gateway told us. True when it is new; Contradiction when its id was told with other words."""

    def signals(self, gateway: str, *, waiting: bool = False) -> tuple[HeardSignal, ...]:
        """What a gateway told us, by when it occurred, then by id; with `waiting` what is neither done nor parked."""


class Trail(Protocol):
    """What a gateway knows of its own earlier work on one dispatch. What it keeps outlives a crash."""

    @property
    def begun_at(self) -> datetime | None:
        """When a call about this subject may first have been made; None when this is the very first attempt."""

    @property
    def revived(self) -> int:
        """How often a person asked to try again what was parked."""

    def name(self, part: str = "", subject: str | None = None) -> str | None:
        """What the gateway calls that part of the subject (of another one's, if named); None when it is not known."""

    def keep(self, name: str, part: str = "", subject: str | None = None) -> None:
        """Keep it, at once."""


class InvoiceGateway(Protocol):
    """Somebody who collects what was issued.

    Its amounts are never its own: what it shows the customer equals our paper to the smallest unit, or it is not
    finalised.
    """

    @property
    def name(self) -> str:
        """Names it among all gateways, for ever: entries of the book are kept under it."""

    def preview(self, dispatch: Dispatch) -> str:
        """What would be done, readable by people, without secrets. Calls nobody."""

    def publish(self, dispatch: Dispatch, trail: Trail, *, now: datetime) -> str:
        """Carry it there, once, however often it is asked and wherever it was cut off; returns what was done.

        Everything made there is kept on the trail as soon as it is known. Every call that makes something carries a
        key from the dispatch's content, so that a repetition finds the first answer; after the gateway has forgotten
        its keys, it looks for what it made before making another.

        Raises:
            EdgeUnavailable: not reached, failing, or asked to wait (`retry_after`); a retry may succeed.
            EdgeRefused: it was understood and declined, or cannot be said in the gateway's terms.
            EdgeDisagrees: what is there contradicts our paper; nothing was finalised.
        """

    def finish(self, *, now: datetime) -> str:
        """A round of publishing is over: hand on what was gathered in it; returns what was done, "" for nothing.

        Raises as `publish` does; what was not handed on then is with the next round.
        """


class Unreported(NamedTuple):
    """An event that was declined, and why: a person looks."""

    event: UsageEvent
    why: str


class Names(Protocol):
    """What a gateway calls things of ours, as its trails have kept it."""

    def __call__(self, subject: str, part: str = "") -> str | None:
        """Its name of that part of the subject; None when it is not known."""


class UsageGateway(Protocol):
    """Somebody who is told what was used, rates it by prices that are written there, and collects it.

    It keeps the last number it was told for one customer, meter and hour, or day. What it was told of a period is final
    once the period's invoice is.

    Raises (`subscribe` and `report`):
        EdgeUnavailable: not reached, failing, or asked to wait (`retry_after`); a retry may succeed.
        EdgeRefused: it was understood and declined, or cannot be said in the gateway's terms.
        EdgeDisagrees: what is there contradicts what we know.
    """

    @property
    def name(self) -> str:
        """Names it among all gateways, for ever: entries of the book are kept under it."""

    @property
    def grain(self) -> timedelta:
        """What one number is about: an hour, or a day of UTC, which is told when it is over. The same for ever."""

    @property
    def grace(self) -> timedelta:
        """How long after the end of a billing period usage of it still counts."""

    def decimals(self, currency: Currency) -> int | None:
        """How many decimals its amounts in this currency have; None where it cannot bill it exactly. Calls nobody."""

    def lacks(self, contract: RemoteContract, names: Names) -> str:
        """What has to be made there, or written down here, before the contract can stand there; "" for nothing.

        Calls nobody.
        """

    def subscribe(self, contract: RemoteContract, buyer: Customer | None, trail: Trail, *, now: datetime) -> str:
        """Make the subscription stand there as the contract says: its prices, from when, until when.

        It begins with the billing period in which it is first asked for, or with the contract. A change of prices
        holds from the billing period under way on; an end is carried, also one that has passed. Its name is kept under
        `subscription_subject`, once, however often it is asked and wherever it was cut off, and as its part `start`
        the second from which usage is told. What only a person can do there is refused, and said.
        """

    def report(self, events: Sequence[UsageEvent], names: Names) -> Sequence[Unreported]:
        """Tell it these numbers; one that stands there already is nothing.

        Returns what it declined. After an exception any of them may have been told; to tell all again is nothing.
        """


class OfferGateway(UsageGateway, Protocol):
    """A UsageGateway whose meters, products and prices are made by us, from the catalogue. Raises as that does."""

    def standing(self) -> Standing:
        """What of ours stands there, put away or not. Changes nothing."""

    def provide(self, provision: Provision, trail: Trail) -> str:
        """Do it, once, however often it is asked and wherever it was cut off; returns what was done.

        The names of what is made are kept on the trail, under the provision's subject. The meter of a price, and the
        product of it, are known to the trail by then.
        """

    def correct(self, correction: Correction, customer: str) -> str:
        """Charge it, or credit it below zero, with the customer's next invoice; returns what it is called there.

        The same correction twice within a day is one; whoever asks later looks first for what stands there. `customer`
        is the gateway's name of the customer.
        """
