"""The append-only record: its promises, and the values in which it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from rating.core.checks import (
    AdjustmentRecord,
    ClosingRecord,
    CreditRecord,
    EntryRecord,
    MoveRecord,
    Record,
    RollUpRecord,
    StatementRecord,
)
from rating.core.creditnotes import CreditDraft, CreditNote
from rating.core.invoices import Draft, Invoice
from rating.core.items import Item
from rating.core.lifecycle import InvoiceEntry
from rating.core.money import Money
from rating.core.payouts import Payout, StatementDraft
from rating.core.periods import Period
from rating.core.rollup import Day, KeptRollUp, RollUp
from rating.core.subscriptions import Pause, Subscription
from rating.core.wallets import Grant, LowBalance, Move, Wallet, WalletGlance
from rating.core.windows import Adjustment, Closing, Completeness, Evidence, Held, Usage
from rating.ports.journaling import Journaling
from rating.ports.notices import Notices
from rating.ports.publishing import Publications


@dataclass(frozen=True, slots=True)
class ClosingHead:
    """A closing without its usage rows: cheap to list."""

    meter: str
    window: Period
    completeness: Completeness
    consumers: int
    meter_digest: str
    closed_at: datetime
    evidence: Evidence
    rolled: bool = False
    """Whether its rows are rolled up to their day."""


@dataclass(frozen=True, slots=True)
class HeldEntry:
    held: Held
    at: datetime


@dataclass(frozen=True, slots=True)
class AdjustmentEntry:
    adjustment: Adjustment
    at: datetime


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One usage window as it stands in the book: as it was closed, with its adjustments added.

    Of windows that are rolled up there is one row a day, and `window` is the day's span.
    """

    meter: str
    window: Period
    usage: Usage
    completeness: Completeness


@dataclass(frozen=True, slots=True)
class KeptCatalogue:
    digest: str
    text: str
    in_force_from: datetime
    recorded_at: datetime


class Accrual(NamedTuple):
    """What one rate card of one subscription has come to in the open period. A projection, not an entry."""

    subscription: str
    card: str
    """The rate card's key; empty for the plan's fee."""
    period_start: datetime
    quantity: int
    """In the meter's resolution."""
    amount: str
    """Exact, in major units, as `numerator/denominator`."""


class Book(Notices, Publications, Journaling, Protocol):
    """The append-only record.

    Every entry has a key computed from what it is about. The same entry twice is nothing; the same key with different
    content raises Contradiction and changes nothing. Each method is one transaction: after a crash at any moment its
    entries are all there or none is. Reads see only whole entries.

    Raises (every method):
        EdgeUnavailable: the database cannot be reached, is locked beyond the time-out, or its disk is full.
        BookError: its schema is newer than this program.
    """

    # usage
    def close(self, closing: Closing, *, meter_digest: str, at: datetime) -> bool:
        """Keep a closed window with its usage and evidence. True when it is new.

        A second closing of the same window is the same entry when its usage and completeness are equal (evidence may
        differ: it was another reading); otherwise Contradiction.
        """

    def hold(self, held: Held, *, at: datetime) -> None:
        """Keep that a window is held. Repeating the same reason for the same window is nothing."""

    def closings(self, meter: str, period: Period) -> tuple[ClosingHead, ...]:
        """Closed windows of a meter that start inside `period`, oldest first."""

    def closed(self, meter: str, period: Period) -> Mapping[datetime, Completeness]:
        """Start and completeness of every closed window of a meter that starts inside `period`: cheap to ask often."""

    def closed_through(self, meter: str) -> datetime | None:
        """The end of a meter's last closed window; None before the first."""

    def held(self) -> tuple[HeldEntry, ...]:
        """Windows held and not closed since, oldest first; the latest reason of each."""

    def adjust(self, adjustment: Adjustment, *, at: datetime) -> bool:
        """Keep an adjustment of a closed window. True when it is new.

        It is recorded as of `at`, but later than every invoice issued before it. The same revision with equal rows is
        the same entry, whoever found it; with other rows a Contradiction. Overtaken when a revision before it is
        missing; BookError when the window is not closed, or is rolled up to its day.
        """

    def adjustments(self, period: Period, meter: str | None = None) -> tuple[AdjustmentEntry, ...]:
        """Adjustments of windows that start inside `period`, ordered by meter, start and revision."""

    def adjusted(self, period: Period | None = None) -> frozenset[str]:
        """Every consumer for whom a window (that starts inside `period`) was adjusted: cheap to ask often."""

    def usage(
        self,
        period: Period,
        meter: str | None = None,
        consumer: str | None = None,
        *,
        as_of: datetime | None = None,
    ) -> Iterator[UsageRow]:
        """Usage windows that start inside `period`, ordered by meter, start, consumer, dimensions.

        With `as_of`, adjustments recorded later than that are left out; what they cancel to zero is no row.

        Rolled-up windows come as rows of their day. This and all sums raise BookError where `period` begins or ends
        inside such a day; Overtaken when windows are rolled up while they are read.
        """

    def totals(
        self, meter: str, period: Period, consumer: str | None = None, *, as_of: datetime | None = None
    ) -> tuple[Usage, ...]:
        """The rows of `usage` summed over the windows, sorted by consumer and dimensions, zeros left out."""

    def sums(self, meter: str, period: Period, consumer: str | None = None) -> Mapping[str, int]:
        """`totals` by consumer alone: cheap for many consumers, in no particular order."""

    def roll_up(self, rollup: RollUp, days: Sequence[Day], *, at: datetime) -> bool:
        """Put days in the place of the usage of their windows, whose rows are removed. True when it is new.

        Closings with their evidence and digests, and adjustments, stay. Every sum over whole days is as before. The
        same windows from the same archive are the same entry; else a Contradiction.

        Raises:
            BookError: the book's windows are not those the days were made of, or do not sum to them.
        """

    def rollups(self, meter: str | None = None, period: Period | None = None) -> tuple[KeptRollUp, ...]:
        """Roll-ups with a window that starts inside `period`, in the order in which they were kept."""

    # contracts
    def keep_catalogue(self, digest: str, text: str, *, in_force_from: datetime, at: datetime) -> bool:
        """Keep this version of the catalogue. True when its (digest, in_force_from) is new."""

    def catalogues(self) -> tuple[KeptCatalogue, ...]:
        """Every version kept, by the instant it is in force from, then by when it was recorded."""

    def subscribe(self, subscription: Subscription, *, at: datetime) -> bool:
        """Keep a subscription made by command. True when it is new; Contradiction when its key has other content."""

    def cancel(self, key: str, *, end: datetime, at: datetime) -> None:
        """Keep that a subscription ends. Cancelling twice with one end is nothing; another end is a Contradiction."""

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Subscriptions made by command, their cancellations applied, sorted by key."""

    def pause(self, subscription: str, *, start: datetime, at: datetime) -> bool:
        """Keep that a subscription (of the catalogue or by command) is paused. True when it is new.

        Contradiction when it is paused already, from another instant.
        """

    def resume(self, subscription: str, *, end: datetime, at: datetime) -> bool:
        """Keep that the pause ends. True when it is new; Contradiction when nothing is paused."""

    def pauses(self) -> Mapping[str, tuple[Pause, ...]]:
        """By subscription, in order of time."""

    # invoices
    def issue(self, drafts: Sequence[Draft], *, at: datetime, known: int | None = None) -> tuple[Invoice, ...]:
        """Issue each draft once, numbering its series without gaps in the order given, all in one transaction.

        A draft whose key is already issued with equal content returns the invoice that exists. Different content is a
        Contradiction and nothing of the batch is issued. Concurrent issuers never share or skip a number. What the
        customer's wallet of that currency holds pays at once, in the same transaction.

        `known` is the `latest_adjustment` of before the drafts' usage was read.

        Raises:
            Overtaken: an adjustment that is not among the known ones is about a consumer of a draft; part of a draft
                is on another invoice, or an item of it is.
            Contradiction: a draft takes the place of an invoice that was not taken back.
        """

    def latest_adjustment(self) -> int:
        """A number that grows with every adjustment kept; 0 before the first."""

    def invoices(self, period: Period | None = None, consumer: str | None = None) -> tuple[Invoice, ...]:
        """Issued invoices in order of number; with `period`, those whose billing period starts inside it."""

    def invoice(self, number: str) -> Invoice | None: ...

    def issued(self) -> frozenset[str]:
        """Everything that is billed (`Draft.keys`) by any issued invoice: cheap to ask often."""

    # what follows an issued invoice
    def enter(self, entry: InvoiceEntry, *, at: datetime) -> bool:
        """Keep a step in the life of an issued invoice: it was sent, paid, voided ... True when it is new.

        The same entry twice is nothing. A step that `core.lifecycle` does not allow after those that are kept is a
        Contradiction, whoever was faster.
        """

    def entries(self, invoice: str | None = None) -> tuple[InvoiceEntry, ...]:
        """The steps of one invoice, or of all by invoice; in the order in which they were kept."""

    def credit(self, draft: CreditDraft, *, at: datetime, entry: InvoiceEntry | None = None) -> CreditNote:
        """Issue a credit note once, numbering its series without gaps; `entry` is kept in the same transaction.

        A draft whose key is already issued with equal content returns the note that exists; other content, more than
        the invoice has left, or a void invoice is a Contradiction.
        """

    def credit_notes(self, invoice: str | None = None) -> tuple[CreditNote, ...]:
        """Issued credit notes, of one invoice or all, in the order in which they were issued."""

    def add_item(self, item: Item, *, at: datetime) -> bool:
        """Keep a one-off item. True when it is new; Contradiction when its key has other content."""

    def items(self) -> tuple[Item, ...]:
        """Every one-off item, in the order in which they were kept."""

    # wallets
    def fund(self, grant: Grant, *, at: datetime) -> bool:
        """Put a grant into its customer's wallet. True when it is new.

        A grant with its customer and reference is the same entry when kind, amount, priority and expiry are equal,
        else a Contradiction. BookError when it would have expired already. Moves of one wallet are recorded one after
        the other, whatever the clocks say.
        """

    def withdraw(self, customer: str, reference: str, *, why: str, at: datetime) -> Move | None:
        """Take what is left of a grant out of the wallet. None when nothing is left: twice is once.

        Raises BookError when the customer has no such grant.
        """

    def warn_below(self, customer: str, amount: Money, *, at: datetime) -> bool:
        """Keep from what balance down the customer's wallet in that currency is low. True when that is new."""

    def wallets(self, customer: str | None = None) -> tuple[Wallet, ...]:
        """Every wallet with its grants and their moves, by customer and currency.

        No grant ever falls below zero and no cent pays twice, however many draw on it at once: the book refuses what
        does not follow on a grant's last move (Overtaken).
        """

    def glance(self, at: datetime) -> tuple[WalletGlance, ...]:
        """Balance and threshold of every wallet as it stands, what expired by then left out: cheap to ask often."""

    def notice_lows(self, until: datetime) -> tuple[LowBalance, ...]:
        """Keep each time a wallet fell to its threshold, up to `until`, once; returns what was not kept yet."""

    def lows(self) -> tuple[LowBalance, ...]:
        """What `notice_lows` kept, oldest first."""

    # partners
    def issue_statements(self, drafts: Sequence[StatementDraft], *, at: datetime) -> tuple[Payout, ...]:
        """Issue each statement once, numbering without gaps in the order given, all in one transaction.

        As `issue` has it for invoices; and no share is stated twice (Overtaken, when somebody else stated it first).
        """

    def statements(self, partner: str | None = None) -> tuple[Payout, ...]:
        """Issued statements in order of number."""

    def statement(self, number: str) -> Payout | None: ...

    # projections: may be lost and rebuilt at any time
    def show_accruals(self, accruals: Sequence[Accrual], *, at: datetime) -> None:
        """Replace the accruals shown by these, all at once."""

    def accruals(self) -> tuple[Accrual, ...]:
        """The accruals last shown, sorted by subscription and card."""

    # claims
    def claim(self, job: str) -> AbstractContextManager[bool]:
        """Try to be the only one doing `job` on this database until the context ends; False when somebody else is.

        The claim dies with the process that holds it.
        """


class StoredBook(Book, Protocol):
    """A book whose entries can be read exactly as they are stored, for `core.checks`: nothing derived or mended."""

    def invoice_records(self) -> tuple[Record, ...]:
        """Every invoice in order of sequence."""

    def entry_records(self) -> tuple[EntryRecord, ...]:
        """Every step of every invoice, by invoice and revision."""

    def credit_records(self) -> tuple[CreditRecord, ...]:
        """Every credit note in order of sequence."""

    def item_records(self) -> tuple[tuple[str, str, str, str], ...]:
        """Every one-off item's key, subscription, content and hash."""

    def closing_records(self, meter: str | None = None, period: Period | None = None) -> Iterator[ClosingRecord]:
        """Every closing with its usage, by meter and start; with `period`, those of windows that start inside it."""

    def rollup_records(self) -> Iterator[RollUpRecord]:
        """Every roll-up with its days, their usage and the heads of their windows, in order of sequence."""

    def adjustment_records(self) -> tuple[AdjustmentRecord, ...]:
        """Every adjustment, by meter, start and revision."""

    def statement_records(self) -> tuple[StatementRecord, ...]:
        """Every partner's statement in order of sequence."""

    def move_records(self) -> tuple[MoveRecord, ...]:
        """Every move of every grant, in the order in which grants were kept, then by step."""

    def counts(self) -> dict[str, int]:
        """How many entries of each kind there are."""
