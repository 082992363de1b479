"""Settle: what gateways told us becomes entries of the book, once, in whatever order it was told.

Each waiting signal is read, decided, applied, and its end is entered. What does not fit yet is looked at again as long
as something else moves, then later; after its attempts a person looks. Stopped anywhere, the next round finds the
entries it made and goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from rating.core.funding import paid_of
from rating.core.invoices import Invoice
from rating.core.lifecycle import Account, InvoiceEntry, Step, account
from rating.core.notices import Notification
from rating.core.notifications import planned
from rating.core.offers import Offered
from rating.core.publications import (
    Outcome,
    Progress,
    Progressed,
    RemoteName,
    Signal,
    State,
    by_subject,
    due_at,
    following,
    signal_subject,
    state,
    subscription_subject,
)
from rating.core.resubscribing import Contracted, about_subscription
from rating.core.settling import (
    Action,
    Decision,
    Ending,
    Verdict,
    about_customer,
    about_invoice,
    about_payment,
    about_usage,
    foreign,
    known,
    parked,
    waits,
)
from rating.core.signals import (
    Began,
    CreditedThere,
    CustomerChanged,
    CustomerGone,
    Disputed,
    Ended,
    Fact,
    GaveBack,
    Moved,
    PaidInFull,
    Remark,
    Unknown,
    UsageDeclined,
)
from rating.core.subscriptions import Subscription
from rating.errors import BookError, EdgeDisagrees, EdgeRefused, EdgeUnavailable, Overtaken
from rating.jobs.contracts import Contracts
from rating.jobs.failed_events import sort
from rating.jobs.rounds import USAGE
from rating.ports import Book, SignalReader

CLAIM = "settle"

_OUTCOMES = {Verdict.WAITS: Outcome.FAILED, Verdict.PARKED: Outcome.REFUSED}


@dataclass(frozen=True, slots=True)
class Settlement:
    """One signal and what became of it."""

    signal: Signal
    verdict: Verdict
    said: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What one round came to."""

    settlements: tuple[Settlement, ...] = ()
    told: tuple[Notification, ...] = ()
    away: tuple[str, ...] = ()
    """Gateways that had to be asked and were not reached, in sentences."""

    def count(self) -> Mapping[Verdict, int]:
        return Counter(one.verdict for one in self.settlements)


@dataclass
class _Round:
    """One gateway's signals in one round."""

    book: Book
    contracts: Contracts
    reader: SignalReader
    now: datetime
    at: Callable[[], datetime]
    reach: tuple[Collection[str], Collection[str]]
    dry_run: bool
    wanted: Callable[[str], Offered]
    payments: dict[str, list[InvoiceEntry]] = field(default_factory=dict)
    """By reference: what came in at this gateway."""
    told: list[Notification] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.reader.name

    def gather(self) -> None:
        for entry in self.book.entries():
            self._remember(entry)

    def decide(self, fact: Fact, *, ask: bool) -> Decision:
        """`ask` allows to ask the gateway where only it can say more."""
        match fact:
            case Remark(said):
                return known(said)
            case Unknown(kind):
                return Decision(Verdict.UNKNOWN, f"{kind} is not known here")
            case UsageDeclined():
                events = sort(self.book, self.name, self.wanted(self.name), fact.failed)
                return about_usage(fact, self.name, events.parked, len(events.known), events.unknown)
            case CustomerChanged() | CustomerGone():
                key = self._named(fact.customer, "customer") or fact.key
                if not key:
                    return foreign(f"customer {fact.customer}")
                return about_customer(fact, key, self.contracts.current.parties.customer(key), self.name)
            case Began() | Moved() | Ended():
                return self._subscription(fact)
            case GaveBack() | Disputed():
                return self._payment(fact, ask=ask)
            case CreditedThere() if not fact.ours and self.book.remotely(self.name, fact.note) is not None:
                return known("we made it")
        invoice = self._invoice(fact.invoice, fact.number)
        if invoice is None:
            return foreign(f"invoice {fact.invoice}")
        before = self._account(invoice)
        decision = about_invoice(fact, invoice, before, self.name)
        if isinstance(fact, PaidInFull) and decision.verdict is Verdict.WAITS and ask:
            # Its payments' own signals may be lost: ask for them, and let them say the same as those would.
            for paid in self.reader.payments(fact.invoice):
                found = about_invoice(replace(paid, number=invoice.number), invoice, self._account(invoice), self.name)
                if found.verdict is Verdict.ENTERED:
                    self.apply(found.actions)
            decision = about_invoice(fact, invoice, self._account(invoice), self.name)
        return decision

    def apply(self, actions: Sequence[Action]) -> None:
        """Enter them. Raises as the book does."""
        for action in actions:
            if self.dry_run:
                continue
            match action:
                case InvoiceEntry():
                    self.book.enter(action, at=self.at())
                    self._remember(action)
                case Progress():
                    self._park(action)
                case Ending():
                    self.book.cancel(action.key, end=action.end, at=self.at())
                case Subscription():
                    self.book.subscribe(action, at=self.at())
                case Notification():
                    routing = self.contracts.current.notifications
                    one = replace(action, planned=planned(action, routing, *self.reach))
                    self.told += self.book.tell((one,), at=self.at())

    def _park(self, entry: Progress) -> None:
        # Whoever tells usage writes about the same subjects.
        with self.book.claim(f"{USAGE}/{self.name}") as free:
            if not free:
                raise Overtaken(f"{entry.subject}: usage is told to {self.name} just now")
            self.book.progress((entry,), at=self.at())

    def keep_name(self, fact: Fact, actions: Sequence[Action]) -> None:
        """A subscription that moved there is the one that ours is now."""
        if self.dry_run or not isinstance(fact, Began | Moved):
            return
        for action in actions:
            if isinstance(action, Subscription):
                name = RemoteName(self.name, subscription_subject(action.key), "", fact.subscription)
                self.book.progress((), (name,), at=self.at())

    def _remember(self, entry: InvoiceEntry) -> None:
        if entry.step is Step.PAY and entry.source == self.name and entry.reference:
            self.payments.setdefault(entry.reference, []).append(entry)

    def _payment(self, fact: GaveBack | Disputed, *, ask: bool) -> Decision:
        paid = self.payments.get(fact.payment, [])
        if len({entry.invoice for entry in paid}) > 1:
            numbers = ", ".join(sorted({entry.invoice for entry in paid}))
            return parked(
                f"{fact.reference} is about payment {fact.payment}, which paid {numbers}: enter by `rating invoices "
                "refund` how much of each went back, and dismiss this"
            )
        if not paid:
            if ask:
                remote = self.reader.invoice_of(fact.payment)
                if remote is None or self._invoice(remote, "") is None:
                    return foreign(f"payment {fact.payment}")
            return waits(f"payment {fact.payment} is not in the book yet")
        invoice = self.book.invoice(paid[0].invoice)
        if invoice is None:
            return foreign(f"payment {fact.payment}")
        return about_payment(fact, paid[0], invoice, self._account(invoice), self.name)

    def _subscription(self, fact: Began | Moved | Ended) -> Decision:
        kept = self.book.subscriptions()
        current = self.contracts.current
        contracted = Contracted(current.subscriptions, kept, current.plans, current.zone)
        ours = fact.ours or self._named(fact.subscription, "subscription")
        own = {one.key: one for one in (*current.subscriptions, *kept)}
        known_here = own.get(ours)
        customer = self._named(fact.customer, "customer")
        if isinstance(fact, Began) and known_here is not None:
            return known(f"it stands for {ours}")
        consumer = fact.consumer or ("" if known_here is None else known_here.consumer)
        if not consumer and customer in contracted.consumers():
            consumer = customer
        if not consumer and not customer and not ours:
            return foreign(f"subscription {fact.subscription}")
        if known_here is not None and not fact.consumer and not isinstance(fact, Began):
            plan = fact.before if isinstance(fact, Moved) else fact.plan
            together = {
                one.consumer for one in own.values() if (one.payer, one.plan, one.end) == (known_here.payer, plan, None)
            }
            if len(together) > 1:
                return parked(
                    f"{fact.subscription} stands for {', '.join(sorted(together))}: move or cancel those that are "
                    "meant by `rating subscriptions`, and dismiss this"
                )
        return about_subscription(fact, consumer, customer or consumer, contracted)

    def _invoice(self, remote: str, number: str) -> Invoice | None:
        found = self._named(remote, "invoice") or number
        return self.book.invoice(found) if found else None

    def _named(self, remote: str, kind: str) -> str:
        """Our name of what the gateway calls so."""
        name = self.book.remotely(self.name, remote)
        return "" if name is None or not name.subject.startswith(f"{kind}/") else name.subject.partition("/")[2]

    def _account(self, invoice: Invoice) -> Account:
        credited = [note.total for note in self.book.credit_notes(invoice.number)]
        prepaid = paid_of(self.book.wallets(invoice.draft.customer), invoice)
        return account(invoice, self.book.entries(invoice.number), credited, None, prepaid)


def settle(
    book: Book,
    contracts: Contracts,
    readers: Sequence[SignalReader],
    *,
    now: datetime,
    clock: Callable[[], datetime] | None = None,
    reach: tuple[Collection[str], Collection[str]] = ((), ()),
    stopping: Callable[[], bool] = lambda: False,
    dry_run: bool = False,
    wanted: Callable[[str], Offered] = lambda gateway: Offered(),
    settled: Callable[[Settlement], None] = lambda settlement: None,
) -> Settled:
    """Settle every signal that is due at `now`; does nothing while somebody else does it.

    `reach` are the channels that end at customers, and the inboxes; `wanted` is what a gateway that rates by itself is
    told, by its name: whose usage it is that failed there. A dry run decides each signal as the book stands,
    and keeps nothing: what waits for another one that it would have entered still waits.
    """
    found, told, away = [], [], []
    with book.claim(CLAIM) as free:
        if not free:
            return Settled()
        for reader in readers:
            one = _Round(book, contracts, reader, now, clock or (lambda: now), reach, dry_run, cache(wanted))
            try:
                found += _one_gateway(one, stopping, settled)
            except EdgeUnavailable as error:
                away.append(str(error))
            told += one.told
    return Settled(tuple(found), tuple(told), tuple(away))


def _one_gateway(one: _Round, stopping: Callable[[], bool], settled: Callable[[Settlement], None]) -> list[Settlement]:
    progressed = by_subject(one.book.unfinished(one.name))
    due = []
    for heard in one.book.signals(one.name, waiting=True):
        entries = progressed.get(signal_subject(heard.signal.id), [])
        at = due_at(entries)
        if at is None or at <= one.now:
            due.append((heard.signal, entries))
    if not due:
        return []
    one.gather()
    found: list[Settlement] = []
    waiting, moved = due, True
    why: dict[str, str] = {}
    while waiting and moved and not stopping():
        moved, again, why = False, [], {}
        for signal, entries in waiting:
            if stopping():
                return found
            verdict, said = _settled(one, signal, ask=bool(entries))
            if verdict is Verdict.WAITS:
                again.append((signal, entries))
                why[signal.id] = said
                continue
            moved = moved or verdict is Verdict.ENTERED
            found.append(_ended(one, signal, entries, verdict, said))
            settled(found[-1])
        waiting = again
    for signal, entries in waiting:
        found.append(_ended(one, signal, entries, Verdict.WAITS, why[signal.id]))
        settled(found[-1])
    return found


def _settled(one: _Round, signal: Signal, *, ask: bool) -> tuple[Verdict, str]:
    """Read it, decide, apply: the worst that any of its facts came to."""
    try:
        facts = one.reader.read(signal)
    except (EdgeRefused, EdgeDisagrees) as error:
        return Verdict.PARKED, str(error)
    worst, sentences = Verdict.KNOWN if facts else Verdict.UNKNOWN, []
    for fact in facts:
        try:
            decision = one.decide(fact, ask=ask)
            one.apply(decision.actions)
            one.keep_name(fact, decision.actions)
        except BookError as refused:
            # It did not fit what the book holds by now, which another signal may change.
            decision = waits(str(refused))
        except (EdgeRefused, EdgeDisagrees) as error:
            decision = parked(str(error))
        if decision.said:
            sentences.append(decision.said)
        worst = max(worst, decision.verdict, key=_weight)
    return worst, "; ".join(sentences)


def _weight(verdict: Verdict) -> int:
    order = (
        Verdict.KNOWN,
        Verdict.FOREIGN,
        Verdict.UNKNOWN,
        Verdict.TOLD,
        Verdict.ENTERED,
        Verdict.WAITS,
        Verdict.PARKED,
    )
    return order.index(verdict)


def _ended(one: _Round, signal: Signal, entries: Sequence[Progressed], verdict: Verdict, said: str) -> Settlement:
    subject = signal_subject(signal.id)
    outcome = _OUTCOMES.get(verdict, Outcome.DONE)
    said = f"{verdict}: {said}" if said else str(verdict)
    if not one.dry_run:
        entry = following(one.name, subject, entries, outcome, said)
        one.book.progress((entry,), at=one.at())
        after = (*entries, Progressed(entry, one.now))
        if verdict is Verdict.WAITS and state(after) is State.PARKED:
            verdict = Verdict.PARKED
    return Settlement(signal, verdict, said)


def take_up(book: Book, reader: SignalReader, *, since: datetime, clock: Callable[[], datetime]) -> int:
    """Keep what happened at a gateway and was lost on its way to us. Returns how much was."""
    return sum(book.signal(signal, at=clock()) for signal in reader.missed(since))
