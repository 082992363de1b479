"""Publications: what is to be carried to whoever collects the money, and how far each one has come there.

Decides what a subject is called, when its next attempt is due, and when a person has to look. How something is carried
is a gateway's affair; what has to be carried follows from the book, and is never kept beside it.

The first entry about a subject is written before the first call is made. A gateway that is asked again long after
learns from it that its own earlier call may have come through, and looks for what it made before it makes another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rating.core.creditnotes import CreditNote
from rating.core.deliveries import pause
from rating.core.invoices import Invoice
from rating.core.lifecycle import InvoiceEntry
from rating.core.money import Money
from rating.errors import Contradiction, Overtaken


class Outcome(StrEnum):
    """What one entry says about a subject."""

    BEGUN = "begun"
    """Written before the first call."""
    DONE = "done"
    FAILED = "failed"
    """Unreachable, slow or asked to wait: tried again."""
    REFUSED = "refused"
    """Understood and declined, or contradicted: parked until a person looks."""
    REVIVED = "revived"
    """A person asked to try again: what failed before no longer counts."""


class State(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Progress:
    """One entry on how far a subject has come at a gateway."""

    gateway: str
    subject: str
    """`invoice/INV-000042`; see the functions below."""
    number: int
    """1, 2, 3 ... of this subject at this gateway."""
    outcome: Outcome
    said: str = ""
    """What the other side said, or what was done. Holds no secret."""
    retry_after: int = 0
    """Seconds the other side asked us to wait."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """A progress in the book."""

    progress: Progress
    at: datetime


@dataclass(frozen=True, slots=True)
class RemoteName:
    """What a gateway calls (a part of) a subject of ours: `in_1Mt…` for invoice/INV-000042. Never changes."""

    gateway: str
    subject: str
    part: str
    """What of the subject is meant; empty for the whole."""
    name: str


@dataclass(frozen=True, slots=True)
class Signal:
    """What a gateway told us, exactly as it was told, once its sender was proven."""

    gateway: str
    id: str
    """The gateway's own name of this event: however often it is told, it is one."""
    kind: str
    """The gateway's own word: `invoice.paid`."""
    occurred_at: datetime
    content: str
    """The text that was sent."""


@dataclass(frozen=True, slots=True)
class HeardSignal:
    signal: Signal
    at: datetime


def invoice_subject(number: str) -> str:
    return f"invoice/{number}"


def credit_note_subject(number: str) -> str:
    return f"credit_note/{number}"


def step_subject(entry: InvoiceEntry) -> str:
    return f"step/{entry.key}"


def customer_subject(customer: str) -> str:
    return f"customer/{customer}"


def subscription_subject(subscription: str) -> str:
    return f"subscription/{subscription}"


def usage_subject(meter: str, start: datetime, revision: int = 0) -> str:
    """One closed window of one meter as it stands after so many adjustments."""
    return f"usage/{meter}/{start:%Y-%m-%dT%H:%M:%SZ}/{revision}"


def signal_subject(name: str) -> str:
    """What a gateway told us has progress of its own: DONE when it is in the book, REFUSED when it is set aside."""
    return f"signal/{name}"


@dataclass(frozen=True, slots=True)
class InvoiceDispatch:
    """An issued invoice to be collected."""

    invoice: Invoice
    prepaid: Money
    """What the customer's wallet paid of it when it was issued."""

    @property
    def subject(self) -> str:
        return invoice_subject(self.invoice.number)

    @property
    def customer(self) -> str:
        return self.invoice.draft.customer


@dataclass(frozen=True, slots=True)
class CreditNoteDispatch:
    """A credit note over an invoice that is collected there."""

    note: CreditNote
    invoice: Invoice
    settled: Money
    """How much of the note was given back to the wallet or the customer, because the invoice was paid already."""

    @property
    def subject(self) -> str:
        return credit_note_subject(self.note.number)

    @property
    def customer(self) -> str:
        return self.invoice.draft.customer


@dataclass(frozen=True, slots=True)
class StepDispatch:
    """A step of an invoice that the gateway has to know: paid elsewhere, void, written off."""

    entry: InvoiceEntry
    invoice: Invoice
    elsewhere: Money | None = None
    """For a payment: what all payments made elsewhere come to by now, nothing if all was given back; None: this one."""

    @property
    def subject(self) -> str:
        return step_subject(self.entry)

    @property
    def customer(self) -> str:
        return self.invoice.draft.customer


Dispatch = InvoiceDispatch | CreditNoteDispatch | StepDispatch
"""What is carried, one paper or step at a time."""

MOST = 12
"""Attempts before a subject is parked: with the pauses between them a gateway may be down for a day and a half."""


def state(entries: Sequence[Progressed]) -> State:
    """Where a subject stands."""
    if not entries:
        return State.WAITING
    match entries[-1].progress.outcome:
        case Outcome.DONE:
            return State.DONE
        case Outcome.REFUSED:
            return State.PARKED
        case Outcome.BEGUN | Outcome.REVIVED:
            return State.WAITING
    return State.PARKED if failures(entries) >= MOST else State.WAITING


def final(entries: Sequence[Progressed]) -> bool:
    """Is nothing to be done about the subject unless a person asks for it?"""
    return state(entries) is not State.WAITING


def failures(entries: Sequence[Progressed]) -> int:
    """How many attempts have failed since the beginning, or since a person asked to try again."""
    count = 0
    for one in reversed(entries):
        if one.progress.outcome is not Outcome.FAILED:
            break
        count += 1
    return count


def due_at(entries: Sequence[Progressed]) -> datetime | None:
    """When the next attempt is due; None when none is, or when it is due whenever one likes (nothing failed)."""
    if state(entries) is not State.WAITING or not entries:
        return None
    last = entries[-1]
    if last.progress.outcome is not Outcome.FAILED:
        return None
    asked = timedelta(seconds=last.progress.retry_after)
    return last.at + max(pause(failures(entries)), min(asked, timedelta(days=1)))


def begun_at(entries: Iterable[Progressed]) -> datetime | None:
    """When a call about the subject may first have been made; None when none can have been."""
    return next((one.at for one in entries if one.progress.outcome is Outcome.BEGUN), None)


def revivals(entries: Iterable[Progressed]) -> int:
    """How often a person asked to try the subject again."""
    return sum(one.progress.outcome is Outcome.REVIVED for one in entries)


def following(gateway: str, subject: str, entries: Sequence[Progressed], outcome: Outcome, said: str = "") -> Progress:
    """The entry that follows on these."""
    return Progress(gateway, subject, len(entries) + 1, outcome, said)


def keepable_progress(progress: Progress, kept: Sequence[Progressed]) -> bool:
    """Is it new after what is kept of its subject? False when it is kept already. What was said may differ.

    Raises:
        Contradiction: the entry of this number says something else.
        Overtaken: entries before it are missing.
    """
    where = f"{progress.subject} at {progress.gateway}"
    if progress.number <= len(kept):
        before = kept[progress.number - 1].progress.outcome
        if before is not progress.outcome:
            raise Contradiction(
                f"{where}: entry {progress.number} was kept as {before} and is now {progress.outcome}; "
                "two engines publish at once, end one of them"
            )
        return False
    if progress.number > len(kept) + 1:
        raise Overtaken(f"{where}: entry {progress.number} does not follow {len(kept)} entries; read them again")
    return True


def same_name(name: RemoteName, kept: str) -> None:
    """Raises:
    Contradiction: the gateway had another name for this part of the subject.
    """
    if name.name != kept:
        part = f"{name.part} of {name.subject}" if name.part else name.subject
        raise Contradiction(
            f"{part} is {kept} at {name.gateway} and would now be {name.name}: it was made there twice; "
            f"look at both there, and void the one that is not wanted"
        )


def same_signal(signal: Signal, kept: Signal) -> None:
    """Raises:
    Contradiction: the gateway told something else under this id.
    """
    if (signal.kind, signal.occurred_at) != (kept.kind, kept.occurred_at):
        raise Contradiction(
            f"{signal.gateway} told {signal.id} as {kept.kind} of {kept.occurred_at:%Y-%m-%d %H:%M:%S} and now as "
            f"{signal.kind} of {signal.occurred_at:%Y-%m-%d %H:%M:%S}"
        )


def by_subject(entries: Iterable[Progressed]) -> Mapping[str, list[Progressed]]:
    """Entries of one gateway by what they are about, in the order given."""
    found: dict[str, list[Progressed]] = {}
    for one in entries:
        found.setdefault(one.progress.subject, []).append(one)
    return found
