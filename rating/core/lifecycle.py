"""The life of an issued invoice: which step is allowed when, and what its entries come to.

The state is a fold over entries and credit notes; nothing keeps it. *Overdue* is a matter of the due date and of today,
so it is asked, never stored. Entries are kept by the book; papers that correct an invoice are `creditnotes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from rating.core.invoices import Invoice
from rating.core.money import Money
from rating.errors import Contradiction


class State(StrEnum):
    DRAFT = "draft"
    """Not a paper yet: recomputed whenever somebody looks."""
    ISSUED = "issued"
    SENT = "sent"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    """Nothing is left to collect, whether money or a credit note settled it."""
    OVERDUE = "overdue"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


class Step(StrEnum):
    """What can happen to an invoice."""

    ISSUE = "issue"
    SEND = "send"
    PAY = "pay"
    REFUND = "refund"
    CREDIT = "credit"
    """A credit note is issued for it."""
    WRITE_OFF = "write_off"
    VOID = "void"
    DISPUTE = "dispute"
    """A line is put on hold: it is not collected until the dispute is resolved."""
    ACCEPT = "accept"
    """The customer was right; a credit note follows in the same transaction."""
    REJECT = "reject"
    """The line is due again."""


_OPEN = {
    Step.PAY: {State.PARTIALLY_PAID, State.PAID},
    Step.WRITE_OFF: {State.UNCOLLECTIBLE},
}


def _while(state: State) -> dict[Step, set[State]]:
    """Steps of an invoice that is being collected and stays in its state until the amounts say otherwise."""
    return {
        **_OPEN,
        Step.SEND: {State.SENT if state is State.ISSUED else state},
        Step.CREDIT: {state, State.PAID},
        Step.DISPUTE: {state},
        Step.ACCEPT: {state, State.PAID},
        Step.REJECT: {state},
    }


_RETURNED = {State.ISSUED, State.SENT, State.PARTIALLY_PAID, State.PAID, State.UNCOLLECTIBLE}

TRANSITIONS: Mapping[State, Mapping[Step, set[State]]] = {
    State.DRAFT: {Step.ISSUE: {State.ISSUED, State.PAID}},
    State.ISSUED: {**_while(State.ISSUED), Step.VOID: {State.VOID}},
    State.SENT: {**_while(State.SENT), Step.VOID: {State.VOID}},
    # What a wallet paid goes back to it; what was paid otherwise keeps an invoice from being voided, by its amount.
    State.PARTIALLY_PAID: {**_while(State.PARTIALLY_PAID), Step.REFUND: _RETURNED, Step.VOID: {State.VOID}},
    State.PAID: {
        Step.SEND: {State.PAID},
        Step.PAY: {State.PAID},
        Step.REFUND: _RETURNED,
        Step.CREDIT: {State.PAID},
        Step.VOID: {State.VOID},
    },
    # Sent or not, paid in part or not: it is one of these three, and has all their steps.
    State.OVERDUE: {
        **_while(State.OVERDUE),
        Step.SEND: {State.OVERDUE},
        Step.PAY: {State.OVERDUE, State.PARTIALLY_PAID, State.PAID},
        Step.REFUND: _RETURNED,
        Step.VOID: {State.VOID},
    },
    State.UNCOLLECTIBLE: {
        Step.SEND: {State.UNCOLLECTIBLE},
        Step.PAY: {State.UNCOLLECTIBLE, State.PAID},
        Step.REFUND: {State.UNCOLLECTIBLE},
        Step.CREDIT: {State.UNCOLLECTIBLE, State.PAID},
    },
    State.VOID: {},
}
"""The one table of what may happen: from a state, by a step, to one of these states."""


@dataclass(frozen=True, slots=True)
class InvoiceEntry:
    """One step in the life of an issued invoice, as the book keeps it. Its key follows from what it is about."""

    invoice: str
    step: Step
    on: date
    """The day it happened."""
    amount: Money | None = None
    """Paid, refunded, written off or put on hold; always positive."""
    line: int = 0
    """The disputed line."""
    source: str = ""
    """What paid: bank, card, wallet, ...; or how it was sent."""
    reference: str = ""
    """The bank's or the customer's own."""
    reason: str = ""
    author: str = ""

    @property
    def key(self) -> str:
        parts: tuple[object, ...]
        match self.step:
            case Step.PAY | Step.REFUND:
                parts = (self.source, self.reference or f"{self.on}/{self.amount}")
            case Step.SEND:
                parts = (self.on, self.source)
            case Step.DISPUTE | Step.ACCEPT | Step.REJECT:
                parts = (self.line, self.on)
            case _:
                parts = ()
        return "/".join(str(part) for part in (self.invoice, self.step, *parts))


def payment(
    invoice: str, amount: Money, on: date, *, source: str = "bank", reference: str = "", author: str = ""
) -> InvoiceEntry:
    """Money that settles (part of) an invoice. One reference is one payment, however often it is reported."""
    return InvoiceEntry(invoice, Step.PAY, on, amount, source=source, reference=reference, author=author)


@dataclass(frozen=True, slots=True)
class Account:
    """What an invoice's entries come to."""

    invoice: str
    total: Money
    paid: Money
    """By payments, less what was refunded, and by the customer's wallet."""
    prepaid: Money
    """How much of it the wallet paid."""
    credited: Money
    """By credit notes."""
    on_hold: Mapping[int, Money]
    """Disputed lines that wait, with the amounts that are not collected meanwhile."""
    written_off: Money
    state: State
    """As of the day it was asked for."""
    due_on: date | None = None
    steps: tuple[InvoiceEntry, ...] = field(default=(), repr=False)

    @property
    def outstanding(self) -> Money:
        """What is neither paid nor credited; negative where the customer has paid too much."""
        return self.total - self.paid - self.credited

    @property
    def disputed(self) -> Money:
        return Money(sum(amount.minor for amount in self.on_hold.values()), self.total.currency)

    @property
    def amount_due(self) -> Money:
        """What may be collected now: nothing of lines on hold, written off or void."""
        if self.state in (State.VOID, State.UNCOLLECTIBLE):
            return Money(0, self.total.currency)
        return Money(max(0, self.outstanding.minor - self.disputed.minor), self.total.currency)


def account(
    invoice: Invoice,
    entries: Iterable[InvoiceEntry],
    credited: Sequence[Money],
    today: date | None,
    prepaid: Money | None = None,
) -> Account:
    """Fold `entries` in the order in which they were kept, the totals of the invoice's credit notes, and what the
    customer's wallet has paid of it.

    Without `today` nothing is overdue.
    """
    steps = tuple(entries)
    nothing = Money(0, invoice.total.currency)
    paid = written_off = nothing
    wallet = nothing if prepaid is None else prepaid
    on_hold: dict[int, Money] = {}
    seen = set()
    for entry in steps:
        seen.add(entry.step)
        amount = nothing if entry.amount is None else entry.amount
        match entry.step:
            case Step.PAY:
                paid = paid + amount
            case Step.REFUND:
                paid = paid - amount
            case Step.WRITE_OFF:
                written_off = amount
            case Step.DISPUTE:
                on_hold[entry.line] = amount
            case Step.ACCEPT | Step.REJECT:
                on_hold.pop(entry.line, None)
    credits = sum(credited, nothing)
    found = Account(
        invoice.number,
        invoice.total,
        paid + wallet,
        wallet,
        credits,
        on_hold,
        written_off,
        State.ISSUED,
        invoice.due_on,
        steps,
    )
    return _in_state(found, seen, today)


def _in_state(one: Account, seen: set[Step], today: date | None) -> Account:
    state = State.ISSUED
    if Step.VOID in seen:
        state = State.VOID
    elif one.outstanding.minor <= 0:
        state = State.PAID
    elif Step.WRITE_OFF in seen:
        state = State.UNCOLLECTIBLE
    elif one.paid.minor > 0:
        state = State.PARTIALLY_PAID
    elif Step.SEND in seen:
        state = State.SENT
    collected = state in (State.ISSUED, State.SENT, State.PARTIALLY_PAID)
    late = today is not None and one.due_on is not None and today > one.due_on
    if collected and late and one.outstanding.minor > one.disputed.minor:
        state = State.OVERDUE
    return replace(one, state=state)


def allowed(entry: InvoiceEntry, before: Account) -> None:
    """Let the entry pass, told what the invoice has come to before it (an account that was not asked for a day).

    Raises:
        Contradiction: its step is not in the table for the invoice's state, or its amount is not possible.
    """
    where = f"invoice {entry.invoice}"
    if entry.step in (Step.ISSUE, Step.CREDIT):
        raise Contradiction(f"{where}: {entry.step} is a paper of its own, not an entry")
    if entry.step not in TRANSITIONS[before.state]:
        raise Contradiction(f"{where} is {_said(before.state)}: {_REFUSED[entry.step]}; {_instead(before, entry)}")
    currency = before.total.currency
    if entry.amount is not None and (entry.amount.currency != currency or entry.amount.minor <= 0):
        raise Contradiction(f"{where} is in {currency}: {entry.amount} is not an amount above zero in that currency")
    if entry.amount is None and entry.step in (Step.PAY, Step.REFUND, Step.WRITE_OFF, Step.DISPUTE):
        raise Contradiction(f"{where}: {_said(entry.step)} needs an amount")
    match entry.step:
        case Step.VOID if before.paid != before.prepaid or before.credited.minor:
            raise Contradiction(
                f"{where} cannot be voided: {before.paid - before.prepaid} was paid and {before.credited} credited; "
                "void it with a credit note over the rest"
            )
        case Step.VOID if before.on_hold:
            raise Contradiction(
                f"{where} cannot be voided while line {min(before.on_hold)} is disputed; resolve it first"
            )
        case Step.REFUND if entry.amount is not None and entry.amount.minor > (before.paid - before.prepaid).minor:
            raise Contradiction(
                f"{where}: {entry.amount} cannot be given back, {before.paid - before.prepaid} was paid"
            )
        case Step.WRITE_OFF if entry.amount != before.outstanding:
            raise Contradiction(f"{where}: {before.outstanding} is outstanding and {entry.amount} would be written off")
        case Step.DISPUTE if entry.line in before.on_hold:
            raise Contradiction(
                f"{where}: line {entry.line} is on hold already, with {before.on_hold[entry.line]}; resolve that first"
            )
        case Step.DISPUTE if (
            entry.amount is not None and entry.amount.minor > (before.outstanding - before.disputed).minor
        ):
            raise Contradiction(
                f"{where}: {entry.amount} of line {entry.line} cannot be put on hold, "
                f"{before.outstanding - before.disputed} is outstanding; credit what was paid with a credit note"
            )
        case Step.ACCEPT | Step.REJECT if entry.line not in before.on_hold:
            raise Contradiction(
                f"{where}: line {entry.line} is not on hold; `rating disputes list` shows those that are"
            )


_REFUSED = {
    Step.SEND: "it cannot be sent",
    Step.PAY: "it cannot be paid",
    Step.REFUND: "nothing of it can be given back",
    Step.WRITE_OFF: "it cannot be written off",
    Step.VOID: "it cannot be voided",
    Step.DISPUTE: "its lines cannot be put on hold",
    Step.ACCEPT: "no dispute of it can be accepted",
    Step.REJECT: "no dispute of it can be rejected",
}


def _instead(before: Account, entry: InvoiceEntry) -> str:
    if before.state is State.VOID:
        return "nothing follows a void invoice but its reissue"
    if before.state is State.PAID and entry.step is Step.DISPUTE:
        return "what was paid is given back by a credit note"
    if entry.step is Step.VOID:
        return f"{before.paid} was paid, so a credit note takes its place"
    if entry.step is Step.REFUND:
        return "nothing was paid"
    return f"allowed from here: {', '.join(sorted(TRANSITIONS[before.state]))}"


def _said(word: State | Step) -> str:
    return word.replace("_", " ")


def creditable_in(before: Account) -> None:
    """Let a credit note be issued.

    Raises:
        Contradiction: the invoice is void.
    """
    if Step.CREDIT not in TRANSITIONS[before.state]:
        raise Contradiction(f"invoice {before.invoice} is {_said(before.state)}: nothing of it can be credited")


def replaceable(number: str, before: Account | None, creditable: Money | None) -> None:
    """Let an invoice be issued in the place of `number`, told its account and the most that could be credited of it.

    Raises:
        Contradiction: it does not exist, or it still stands.
    """
    if before is None or creditable is None:
        raise Contradiction(f"invoice {number} is not in the book, so nothing can be issued in its place")
    if before.state is not State.VOID and before.credited.minor < creditable.minor:
        raise Contradiction(
            f"invoice {number} is {_said(before.state)} and {before.credited} of {creditable} is credited; "
            f"`rating invoices void {number}` takes it back"
        )
