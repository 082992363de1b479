"""Carry subscriptions: what customers are subscribed to, to a gateway that rates by itself.

A subscription needs an entry before it is told: a crash may have left it there. What the gateway would charge otherwise
than we do waits for a person, by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from rating.core.details import last_told, mark_of
from rating.core.offers import Offered, RemoteContract
from rating.core.periods import stamp
from rating.core.publications import (
    Outcome,
    Progressed,
    State,
    begun_at,
    customer_subject,
    due_at,
    revivals,
    state,
    subscription_subject,
)
from rating.core.uncarried import WALLET, Uncarried
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.jobs.contracts import Contracts
from rating.jobs.rounds import Round
from rating.jobs.trails import KeptTrail

COLLECT = "collect our invoice for it by `mode: invoices` or by hand"


def carry(
    round: Round, contracts: Contracts, wanted: Offered, uncarried: Sequence[Uncarried]
) -> tuple[tuple[str, str], ...]:
    """Make them stand there as they are wanted. Returns each one that was touched, and what was done.

    `uncarried` is what the gateway is not told of their customers: it waits for a person.
    """
    carrier = _Carrier(round, contracts, {one.customer for one in uncarried if one.holds})
    told = round.book.finished(round.name, "subscription")
    for contract in wanted.contracts:
        if round.over:
            break
        carrier.part_of_a_period(contract)
        carrier.subscription(contract, told)
        carrier.details(contract, told)
    round.read_names()
    for contract in wanted.left:
        carrier.left_out(contract)
    for one in uncarried:
        round.park_once(one.subject, one.said)
    _emptied(round, uncarried)
    return tuple(carrier.subscribed)


def _emptied(round: Round, uncarried: Sequence[Uncarried]) -> None:
    """A wallet in which nothing is left waits for nobody."""
    full = {one.subject for one in uncarried}
    for one in round.book.parked(round.name):
        subject = one.progress.subject
        if subject.startswith(f"{WALLET}/") and subject not in full and not round.dry:
            said = "nothing is left of it, or its customer is not collected from there"
            round.enter(round.book.progressed(round.name, subject), subject, Outcome.DONE, said)


class _Carrier:
    def __init__(self, round: Round, contracts: Contracts, held: AbstractSet[str]) -> None:
        self._round, self._held = round, held
        self._parties = contracts.parties(round.now)
        self._ours = {one.key: one for one in contracts.subscriptions}
        self.subscribed: list[tuple[str, str]] = []
        self._described: set[str] = set()
        """Customers whose new details were told in this round, or were tried to."""

    def part_of_a_period(self, contract: RemoteContract) -> None:
        """What is charged otherwise than we do waits for a person, by name."""
        if not contract.uneven or contract.start > self._round.now:
            return
        if contract.waits and self._round.since(contract) is None:
            self._look(contract, f"is not metered: {contract.uneven}; {COLLECT}")
        else:
            what = f"differs there: {contract.uneven}"
            self._look(contract, f"{what}; compare our invoice with theirs, and correct theirs by an item there")

    def left_out(self, contract: RemoteContract) -> None:
        if contract.start <= self._round.now and (contract.end is None or contract.end > self._round.now):
            self._look(contract, f"is not metered: its customer is charged for the same use already; {COLLECT}")

    def _look(self, contract: RemoteContract, why: str) -> None:
        period = contract.period
        subject = f"period/{contract.subscription}/{period.start:%Y-%m-%dT%H:%M:%SZ}"
        self._round.park_once(subject, f"the billing period {period} of {contract.subscription} {why}")

    def subscription(self, contract: RemoteContract, told: frozenset[str]) -> None:
        made = self._round.since(contract) is not None
        if contract.subject in told or contract.start > self._round.now or (contract.waits and not made):
            return
        if self._moved_there(contract):
            return
        if not made and contract.end is not None and contract.end <= self._round.now:
            return
        if not made and contract.customer in self._held:
            why = f"{contract.customer} has money in a wallet here; see `rating publish --parked`"
            self._round.waiting.append(f"{contract.subscription}: is not made there, {why}")
            return
        entries = self._round.open.get(contract.subject, [])
        if (at := due_at(entries)) is not None and at > self._round.now:
            self._round.waiting.append(f"{contract.subscription}: tried again at {stamp(at.replace(microsecond=0))}")
            return
        if lacks := self._round.gateway.lacks(contract, self._round.called):
            self._round.waiting.append(f"{contract.subscription}: {lacks}")
            return
        if self._round.dry:
            self.subscribed.append((contract.subscription, "would be changed" if made else "would be made"))
            return
        if begun_at(entries) is None:
            entries = self._round.enter(entries, contract.subject, Outcome.BEGUN)
        buyer = self._parties.customer(contract.customer)
        try:
            said = self._round.gateway.subscribe(contract, buyer, self._trail(contract, entries), now=self._round.now)
        except EdgeUnavailable as error:
            self._round.failed(contract.subject, entries, error)
        except (EdgeRefused, EdgeDisagrees) as error:
            self._round.park(contract.subject, entries, str(error))
        else:
            self._round.enter(entries, contract.subject, Outcome.DONE, said)
            self.subscribed.append((contract.subscription, said))

    def details(self, contract: RemoteContract, told: AbstractSet[str]) -> None:
        """Tell what has changed of the customer since the gateway was last told of it, once for each customer."""
        customer, buyer = contract.customer, self._parties.customer(contract.customer)
        ended = contract.end is not None and contract.end <= self._round.now
        stands = contract.subject in told and self._round.since(contract) is not None and not ended
        if buyer is None or customer in self._described or not stands:
            return
        last = last_told(lambda part: self._round.called(customer_subject(customer), part))
        subject = f"details/{customer}/{mark_of(buyer)}"
        if last is None or not last.stale(buyer, self._round.now) or not self._round.may(subject):
            return
        entries = self._round.book.progressed(self._round.name, subject)
        if state(entries) is State.PARKED or self._round.over or self._moved_there(contract):
            return
        self._described.add(customer)
        if self._round.dry:
            self.subscribed.append((contract.subscription, f"would tell the new details of {customer}"))
            return
        try:
            self._round.gateway.subscribe(contract, buyer, self._trail(contract, ()), now=self._round.now)
        except EdgeUnavailable as error:
            self._round.failed(subject, entries, error)
        except (EdgeRefused, EdgeDisagrees) as error:
            self._round.park(subject, entries, str(error))
        else:
            if entries and state(entries) is not State.DONE:
                self._round.enter(entries, subject, Outcome.DONE, "told")
            self.subscribed.append((contract.subscription, f"told the new details of {customer}"))

    def _trail(self, contract: RemoteContract, entries: Sequence[Progressed]) -> KeptTrail:
        return KeptTrail(
            self._round.book,
            self._round.name,
            contract.subject,
            self._round.clock,
            begun_at=begun_at(entries),
            revived=revivals(entries),
        )

    def _moved_there(self, contract: RemoteContract) -> bool:
        """Was its plan changed at the gateway? Then it stands for another of ours by now, and is not ended there."""
        subject = subscription_subject(contract.subscription)
        name, own = self._round.names.get((subject, "")), self._ours.get(contract.subscription)
        if name is None or own is None or own.end is None:
            return False
        same = {
            other for (other, part), one in self._round.names.items() if one == name and not part and other != subject
        }
        return any(
            one.start >= own.end and one.key != own.key
            for one in self._ours.values()
            if subscription_subject(one.key) in same
        )
