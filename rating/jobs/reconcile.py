"""Reconcile: what stands at a gateway beside our book, in both directions, as differences. Changes nothing anywhere.

Once a day it is done by itself; that it was, and what it came to, is in the book, so that a restart does not ask again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TypeVar

from rating.core.collection import Collection as Who
from rating.core.creditnotes import CreditNote
from rating.core.dispatches import Papers, chains
from rating.core.funding import paid_of
from rating.core.invoices import Invoice
from rating.core.lifecycle import Account, InvoiceEntry, Step, account
from rating.core.parity import Difference, Differs, Ours, Theirs, differences
from rating.core.periods import Period
from rating.core.publications import (
    Outcome,
    Progressed,
    RemoteName,
    State,
    by_subject,
    due_at,
    following,
    signal_subject,
    state,
)
from rating.core.wallets import Wallet
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.jobs.compare_amounts import compare_amounts
from rating.jobs.compare_usage import compare_usage
from rating.jobs.contracts import Contracts
from rating.jobs.offer import offered, offering
from rating.jobs.settle import settle, take_up
from rating.jobs.uncarried import left_out
from rating.ports import Book, Reconcilable, SignalReader, UsageGateway

CLAIM = "reconcile"
BACK = timedelta(days=90)
"""How far back papers are compared when nobody says."""
REMEMBERED = timedelta(days=30)
"""How long a gateway can be asked for what it told us."""
OVERLAP = timedelta(days=1)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Compared:
    """What one comparison came to."""

    gateway: str
    differs: tuple[Differs, ...]
    papers: int
    """Invoices that stand there."""
    ours: int
    under_way: int
    """Invoices about which something is still to be told: not judged."""
    taken_up: int = 0
    """Events that had not reached us, and were settled first."""

    def counts(self) -> Mapping[Difference, int]:
        return Counter(one.kind for one in self.differs)


def compare(
    book: Book,
    contracts: Contracts,
    reading: Reconcilable,
    reader: SignalReader,
    who: Who,
    *,
    now: datetime,
    period: Period | None = None,
    since: date | None = None,
    usage: UsageGateway | None = None,
    read: Callable[[str, int], None] = lambda what, count: None,
) -> Compared:
    """Compare invoices whose billing period starts inside `period`, or those of the last 90 days.

    Invoices issued before `since` were never carried there. With `usage` the gateway rates by itself: its usage is
    compared with our windows, and what it charges for each billing period with our rating; our invoices are not looked
    for there. `read` hears how much of what was read so far.
    """
    name = reading.name
    issued = book.invoices()
    notes, entries, wallets = book.credit_notes(), book.entries(), book.wallets()
    carried = chains(Papers(issued, entries, notes, wallets), name, who, since=since, begun=_begun(book, name))
    if usage is not None:
        carried = ()
    collected = {link.invoice.number for chain in carried for link in chain.links}
    begin = now - BACK if period is None else period.start
    own = [
        one
        for one in issued
        if one.number in collected
        and (one.issued_at >= begin if period is None else period.contains(one.draft.period.start))
    ]
    theirs = Theirs(
        tuple(_told("invoices", reading.papers(begin), read)),
        tuple(_told("payments", reading.payments(begin), read)),
        tuple(_told("refunds", reading.refunds(begin), read)),
        tuple(_told("credit notes", reading.notes(begin), read)),
        tuple(_told("customers", reading.customers(), read)),
    )
    if period is None:
        # Carried since then, though issued before.
        there = {paper.number for paper in theirs.papers}
        known = {one.number for one in own}
        own += [one for one in issued if one.number in there and one.number not in known]
    steps: dict[str, list[InvoiceEntry]] = defaultdict(list)
    for entry in entries:
        steps[entry.invoice].append(entry)
    credited: dict[str, list[CreditNote]] = defaultdict(list)
    for note in notes:
        credited[note.draft.invoice].append(note)
    names = book.remote_names(name)
    finished = book.finished(name, "invoice") | book.finished(name, "credit_note") | book.finished(name, "step")
    waiting = {
        link.invoice.number for chain in carried for link in chain.links if link.subject not in finished
    } | _spoken_of(book, reader, entries)
    ours = Ours(
        name,
        tuple((one, _account(one, steps, credited, wallets)) for one in own),
        [note for note in notes if note.draft.invoice in {one.number for one in own}],
        {subject.partition("/")[2] for subject in finished},
        {
            one.subject.partition("/")[2]: one.name
            for one in names
            if one.subject.startswith("invoice/") and not one.part
        },
        waiting,
        {key: contracts.current.parties.customer(key) for key in _named(names, "customer")},
        _everybody(contracts, issued),
        whole=period is None,
    )
    metered: Sequence[Differs] = ()
    if usage is not None:
        metered = _metered(book, contracts, usage, reading, theirs, who, now, begin, period)
    return Compared(
        name,
        (*differences(ours, theirs), *metered),
        len(theirs.papers),
        len(own),
        len(waiting & {one.number for one in own}),
    )


def _metered(
    book: Book,
    contracts: Contracts,
    usage: UsageGateway,
    reading: Reconcilable,
    theirs: Theirs,
    who: Who,
    now: datetime,
    begin: datetime,
    period: Period | None,
) -> Sequence[Differs]:
    def takes(customer: str) -> bool:
        return who.gateway_of(customer) == usage.name

    counted = compare_usage(book, contracts, usage, reading, takes=takes, now=now)
    papers, notes = theirs.papers, theirs.notes
    charged = compare_amounts(
        book, contracts, usage, reading, papers, notes, takes=takes, now=now, since=begin, within=period
    )
    wanted = offered(contracts, usage, takes=takes, now=now)
    alone = [Differs(Difference.NOT_CARRIED, one.finding) for one in left_out(book, usage.name, wanted, now=now)]
    return (*counted, *charged, *alone)


def look(
    book: Book,
    contracts: Contracts,
    reading: Reconcilable,
    reader: SignalReader,
    who: Who,
    *,
    now: datetime,
    since: date | None = None,
    usage: UsageGateway | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Compared | None:
    """Compare, if today it was not yet; what it came to is entered. None when nothing is due, or somebody else does it.

    What happened there and never reached us is asked for and settled first.

    Raises:
        EdgeUnavailable: the gateway is away; it is entered, and tried again after a pause.
    """
    if not due(book, reading.name, now):
        return None
    subject = _subject(now)
    entries = book.progressed(reading.name, subject)
    at_last = clock or (lambda: now)
    with book.claim(CLAIM) as free:
        if not free:
            return None
        try:
            taken = take_up(book, reader, since=told_until(book, reading.name, now), clock=at_last)
            if taken:
                wanted = offering(contracts, [usage], who, now=now)
                settle(book, contracts, [reader], now=now, clock=clock, wanted=wanted)
            compared = compare(book, contracts, reading, reader, who, now=now, since=since, usage=usage)
        except (EdgeUnavailable, EdgeRefused, EdgeDisagrees) as error:
            book.progress((following(reading.name, subject, entries, Outcome.FAILED, str(error)),), at=at_last())
            raise
        said = " ".join(f"{kind}={count}" for kind, count in sorted(compared.counts().items())) or "none"
        book.progress((following(reading.name, subject, entries, Outcome.DONE, said),), at=at_last())
    return replace(compared, taken_up=taken)


def due(book: Book, gateway: str, now: datetime) -> bool:
    """Was it not compared today, and is no pause after a failure under way?"""
    entries = book.progressed(gateway, _subject(now))
    at = due_at(entries)
    return state(entries) is State.WAITING and (at is None or at <= now)


def last_look(book: Book, gateway: str) -> tuple[datetime, Mapping[Difference, int]] | None:
    """When the last comparison ended, and how many differences of each kind it found; None before the first."""
    days = sorted(book.finished(gateway, "parity"), reverse=True)
    for day in days:
        entries = book.progressed(gateway, day)
        if entries and entries[-1].progress.outcome is Outcome.DONE:
            return entries[-1].at, dict(_counted(entries[-1].progress.said))
    return None


def told_until(book: Book, gateway: str, now: datetime) -> datetime:
    """From when on a gateway is asked for what was lost on its way: a day before the last comparison."""
    last = last_look(book, gateway)
    earliest = now - REMEMBERED
    return earliest if last is None else max(earliest, last[0] - OVERLAP)


def _counted(said: str) -> Iterator[tuple[Difference, int]]:
    known = {kind.value: kind for kind in Difference}
    for word in said.split():
        kind, _, count = word.partition("=")
        if kind in known and count.isdecimal():
            yield known[kind], int(count)


def _subject(now: datetime) -> str:
    return f"parity/{now:%Y-%m-%d}"


def _told(what: str, items: Iterable[Item], read: Callable[[str, int], None]) -> Iterator[Item]:
    count = 0
    for count, item in enumerate(items, 1):
        if count % 100 == 0:
            read(what, count)
        yield item
    read(what, count)


def _begun(book: Book, name: str) -> Collection[str]:
    unfinished = {one.progress.subject for one in book.unfinished(name)}
    return unfinished | book.finished(name, "invoice")


def _account(
    invoice: Invoice,
    steps: Mapping[str, Sequence[InvoiceEntry]],
    credited: Mapping[str, Sequence[CreditNote]],
    wallets: Sequence[Wallet],
) -> Account:
    mine = [wallet for wallet in wallets if wallet.customer == invoice.draft.customer]
    totals = [note.total for note in credited.get(invoice.number, ())]
    return account(invoice, steps.get(invoice.number, ()), totals, None, paid_of(mine, invoice))


def _spoken_of(book: Book, reader: SignalReader, entries: Sequence[InvoiceEntry]) -> set[str]:
    """Numbers of invoices that signals speak of which wait to be settled and not for a person."""
    paid = {
        entry.reference: entry.invoice for entry in entries if entry.step is Step.PAY and entry.source == reader.name
    }
    progressed: Mapping[str, list[Progressed]] = by_subject(book.unfinished(reader.name))
    found = set()
    for heard in book.signals(reader.name, waiting=True):
        if state(progressed.get(signal_subject(heard.signal.id), [])) is not State.WAITING:
            continue
        try:
            facts = reader.read(heard.signal)
        except (EdgeRefused, EdgeDisagrees):
            continue
        for fact in facts:
            remote = getattr(fact, "invoice", "")
            name = book.remotely(reader.name, remote) if remote else None
            found.add(name.subject.partition("/")[2] if name else getattr(fact, "number", ""))
            found.add(paid.get(getattr(fact, "payment", ""), ""))
    return found - {""}


def _named(names: Iterable[RemoteName], kind: str) -> dict[str, str]:
    """What the gateway calls ours of this kind, by our name."""
    return {
        one.subject.partition("/")[2]: one.name for one in names if one.subject.startswith(f"{kind}/") and not one.part
    }


def _everybody(contracts: Contracts, issued: Sequence[Invoice]) -> Collection[str]:
    return (
        {one.payer for one in contracts.subscriptions}
        | {one.draft.customer for one in issued}
        | set(contracts.current.parties.customers)
    )
