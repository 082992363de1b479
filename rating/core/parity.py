"""Parity: what stands at a gateway beside what stands in our book, in both directions.

Decides what is a difference. A gateway says the same as we do when every invoice of ours that was carried there stands
there once with our lines, total and currency; when the money that came in, went back or was credited is the same; and
when nobody made a paper there that we do not know. What is still under way is not judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from rating.core.creditnotes import CreditNote
from rating.core.invoices import Invoice
from rating.core.lifecycle import Account, State, Step
from rating.core.money import Money, total
from rating.core.parties import Customer
from rating.core.remotepapers import RemoteCustomer, RemoteNote, RemotePaper, RemotePayment, RemoteRefund, Stand
from rating.core.settling import OUTSIDE, UNDONE
from rating.errors import Finding


class Difference(StrEnum):
    """What kind. Part of a metric."""

    INVOICE_MISSING_THERE = "invoice_missing_there"
    INVOICE_MISSING_HERE = "invoice_missing_here"
    INVOICE_TWICE = "invoice_twice"
    CURRENCY = "currency"
    AMOUNT = "amount"
    LINES = "lines"
    STATE = "state"
    PAID_THERE = "paid_there"
    PAID_HERE = "paid_here"
    PAYMENT_MISSING_HERE = "payment_missing_here"
    PAYMENT_MISSING_THERE = "payment_missing_there"
    PAYMENT_AMOUNT = "payment_amount"
    REFUND_MISSING_HERE = "refund_missing_here"
    REFUND_AMOUNT = "refund_amount"
    CREDIT_NOTE_MISSING_THERE = "credit_note_missing_there"
    CREDIT_NOTE_MISSING_HERE = "credit_note_missing_here"
    CREDIT_NOTE_AMOUNT = "credit_note_amount"
    CUSTOMER_MISSING_THERE = "customer_missing_there"
    CUSTOMER_MISSING_HERE = "customer_missing_here"
    CUSTOMER_DIFFERS = "customer_differs"
    USAGE = "usage"
    NOT_CARRIED = "not_carried"
    PERIOD_AMOUNT = "period_amount"
    PERIOD_MISSING_THERE = "period_missing_there"
    PERIOD_MISSING_HERE = "period_missing_here"


@dataclass(frozen=True, slots=True)
class Differs:
    kind: Difference
    finding: Finding


@dataclass(frozen=True, slots=True)
class Ours:
    """The book's side."""

    gateway: str
    invoices: Sequence[tuple[Invoice, Account]]
    """That this gateway collects; accounts not asked for a day."""
    notes: Sequence[CreditNote]
    carried: Collection[str]
    """Numbers of invoices and credit notes that were carried there."""
    names: Mapping[str, str]
    """What the gateway calls our invoices, by number."""
    under_way: Collection[str] = ()
    """Numbers of invoices about which something is still to be told, in either direction."""
    customers: Mapping[str, Customer | None] = field(default_factory=dict)
    """By key; those who have a name there."""
    everybody: Collection[str] = ()
    """Keys of all customers there are."""
    since: datetime | None = None
    whole: bool = True
    """Are these all invoices, so that a paper which is none of them is not ours?"""


@dataclass(frozen=True, slots=True)
class Theirs:
    """The gateway's side."""

    papers: Sequence[RemotePaper]
    payments: Sequence[RemotePayment] = ()
    refunds: Sequence[RemoteRefund] = ()
    notes: Sequence[RemoteNote] = ()
    customers: Sequence[RemoteCustomer] = ()


def differences(ours: Ours, theirs: Theirs) -> Iterator[Differs]:
    """All of them, by what they are about."""
    papers: dict[str, list[RemotePaper]] = defaultdict(list)
    for paper in theirs.papers:
        papers[paper.number].append(paper)
    accounts = {invoice.number: (invoice, account) for invoice, account in ours.invoices}
    for number, (invoice, account) in accounts.items():
        if number not in ours.under_way:
            yield from _invoice(ours, invoice, account, papers.get(number, []))
    yield from _strangers(ours, theirs.papers, accounts)
    numbers = {paper.name: paper.number for paper in theirs.papers} | {name: no for no, name in ours.names.items()}
    yield from _payments(ours, theirs, accounts, numbers)
    yield from _refunds(ours, theirs, accounts, numbers)
    yield from _notes(ours, theirs, accounts, numbers)
    yield from _customers(ours, theirs)


def _invoice(ours: Ours, invoice: Invoice, account: Account, papers: Sequence[RemotePaper]) -> Iterator[Differs]:
    number, at = invoice.number, ours.gateway
    if not papers:
        if account.state is not State.VOID or number in ours.carried:
            carried = "was carried there and is gone" if number in ours.carried else "was not carried there"
            yield _differs(
                Difference.INVOICE_MISSING_THERE,
                f"invoice {number}",
                f"over {invoice.total} {carried}, or was made before the time that was looked at",
                f"see `rating publish --parked`, or `rating publish --only {number}`",
            )
        return
    if len(papers) > 1:
        names = " and ".join(paper.name for paper in papers)
        yield _differs(
            Difference.INVOICE_TWICE,
            f"invoice {number}",
            f"is {names} at {at}",
            "void the one that is not wanted there",
        )
        return
    paper = papers[0]
    where = f"invoice {number} ({paper.name})"
    if paper.total.currency != invoice.total.currency:
        yield _differs(
            Difference.CURRENCY, where, f"is {invoice.total} in our book and {paper.total} at {at}", "void it there"
        )
        return
    if paper.total != invoice.total:
        yield _differs(
            Difference.AMOUNT, where, f"is {invoice.total} in our book and {paper.total} at {at}", "look at its lines"
        )
    yield from _lines(where, invoice, paper, at)
    yield from _state(where, account, paper, at)


def _lines(where: str, invoice: Invoice, paper: RemotePaper, at: str) -> Iterator[Differs]:
    mine = {f"{invoice.number}/{place}": line.amount for place, line in enumerate(invoice.draft.lines, 1)}
    rest = f"{invoice.number}/rest"
    named = {name for name, _ in paper.lines}
    if rest in named:
        folded = [amount for name, amount in mine.items() if name not in named]
        mine = {name: amount for name, amount in mine.items() if name in named}
        mine[rest] = total(folded, invoice.draft.currency)
    theirs: dict[str, Money] = {}
    for name, amount in paper.lines:
        theirs[name] = theirs[name] + amount if name in theirs else amount
    for name in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(name), theirs.get(name)
        if one != other:
            line = f"line {name or 'without a name'}"
            said = f"{line} is {one or 'not there'} in our book and {other or 'not there'} at {at}"
            yield _differs(Difference.LINES, where, said, "somebody changed it there: void it there, or credit ours")


def _state(where: str, account: Account, paper: RemotePaper, at: str) -> Iterator[Differs]:
    mine = _stand(account)
    if mine is paper.stand:
        return
    if mine is Stand.VOID and paper.stand is Stand.PAID and account.prepaid.minor >= 0 and not account.paid.minor:
        # What a wallet paid is taken back there by a credit note: a paid invoice is not voided.
        return
    kind = Difference.STATE
    if paper.stand is Stand.PAID:
        kind = Difference.PAID_THERE
    elif mine is Stand.PAID:
        kind = Difference.PAID_HERE
    yield _differs(
        kind,
        where,
        f"is {mine} in our book, {account.paid} paid of {account.total}, and {paper.stand} at {at}",
        "`rating stripe settle` takes up what was told; else enter here what happened there, or there what did here",
    )


def _stand(account: Account) -> Stand:
    """Where the invoice would stand there, whatever was given back since."""
    steps = {entry.step for entry in account.steps}
    if Step.VOID in steps:
        return Stand.VOID
    received = sum(
        (
            entry.amount.minor
            for entry in account.steps
            if entry.step is Step.PAY and entry.amount is not None and not entry.reference.endswith(UNDONE)
        ),
        account.prepaid.minor + account.credited.minor,
    )
    if received >= account.total.minor:
        return Stand.PAID
    return Stand.UNCOLLECTIBLE if Step.WRITE_OFF in steps else Stand.OPEN


def _strangers(
    ours: Ours, papers: Iterable[RemotePaper], accounts: Mapping[str, tuple[Invoice, Account]]
) -> Iterator[Differs]:
    if not ours.whole:
        return
    for paper in papers:
        if paper.number in accounts or paper.made_there or paper.stand in (Stand.DRAFT, Stand.VOID):
            continue
        said = f"says it is our {paper.number}, which the book does not hold" if paper.number else "is none of ours"
        yield _differs(
            Difference.INVOICE_MISSING_HERE,
            f"invoice {paper.name}",
            f"over {paper.total} at {ours.gateway} {said}",
            "void it there; what is charged is charged by an invoice of ours",
        )


def _payments(
    ours: Ours, theirs: Theirs, accounts: Mapping[str, tuple[Invoice, Account]], numbers: Mapping[str, str]
) -> Iterator[Differs]:
    there: dict[tuple[str, str], Money] = {}
    for one in theirs.payments:
        number = numbers.get(one.invoice, "")
        if number not in accounts or number in ours.under_way or one.outside:
            continue
        there[number, one.reference] = one.amount
    mine: dict[tuple[str, str], Money] = {}
    for number, (_, account) in accounts.items():
        for entry in account.steps:
            own = entry.step is Step.PAY and entry.source == ours.gateway and entry.amount is not None
            if own and number not in ours.under_way and not entry.reference.endswith((UNDONE, OUTSIDE)):
                assert entry.amount is not None
                mine[number, entry.reference] = entry.amount
    for number, reference in sorted(there.keys() | mine.keys()):
        one_of_ours, other = mine.get((number, reference)), there.get((number, reference))
        where = f"invoice {number}, payment {reference}"
        if one_of_ours is None:
            yield _differs(
                Difference.PAYMENT_MISSING_HERE,
                where,
                f"{other} came in at {ours.gateway} and is not in our book",
                "`rating stripe settle` takes up what was not told",
            )
        elif other is None:
            yield _differs(
                Difference.PAYMENT_MISSING_THERE,
                where,
                f"{one_of_ours} is in our book and not at {ours.gateway}",
                "give it back in our book by `rating invoices refund` if it never came in",
            )
        elif other != one_of_ours:
            yield _differs(
                Difference.PAYMENT_AMOUNT,
                where,
                f"is {one_of_ours} in our book and {other} at {ours.gateway}",
                "enter the difference by `rating invoices pay` or `refund`",
            )


def _refunds(
    ours: Ours, theirs: Theirs, accounts: Mapping[str, tuple[Invoice, Account]], numbers: Mapping[str, str]
) -> Iterator[Differs]:
    paid_by = {one.reference: numbers.get(one.invoice, "") for one in theirs.payments}
    mine: dict[str, Money] = {}
    for number, (_, account) in accounts.items():
        for entry in account.steps:
            if entry.source != ours.gateway or entry.amount is None:
                continue
            if entry.step is Step.PAY:
                paid_by.setdefault(entry.reference, number)
            elif entry.step is Step.REFUND:
                mine[entry.reference] = entry.amount
    for one in theirs.refunds:
        number = paid_by.get(one.payment, "")
        if number not in accounts or number in ours.under_way:
            continue
        known = mine.get(one.reference)
        where = f"invoice {number}, refund {one.reference}"
        if known is None and not one.undone:
            yield _differs(
                Difference.REFUND_MISSING_HERE,
                where,
                f"{one.amount} went back at {ours.gateway} and is not in our book",
                "`rating stripe settle` takes up what was not told",
            )
        elif known is not None and known != one.amount:
            yield _differs(
                Difference.REFUND_AMOUNT, where, f"is {known} in our book and {one.amount} at {ours.gateway}", ""
            )


def _notes(
    ours: Ours, theirs: Theirs, accounts: Mapping[str, tuple[Invoice, Account]], numbers: Mapping[str, str]
) -> Iterator[Differs]:
    mine = {note.number: note for note in ours.notes if note.draft.invoice in accounts}
    there: dict[str, RemoteNote] = {}
    for note in theirs.notes:
        number = numbers.get(note.invoice, "")
        taken_back = f"void {number}"
        if number in accounts and note.number in mine:
            there[note.number] = note
        elif number in accounts and note.number != taken_back and number not in ours.under_way:
            yield _differs(
                Difference.CREDIT_NOTE_MISSING_HERE,
                f"credit note {note.name} on {number}",
                f"over {note.amount} was made at {ours.gateway} by hand",
                f"void it there, or issue ours with `rating credit-notes add {number}`",
            )
    for number, own in sorted(mine.items()):
        if own.draft.invoice in ours.under_way:
            continue
        other = there.get(number)
        where = f"credit note {number} on {own.draft.invoice}"
        if other is None:
            yield _differs(
                Difference.CREDIT_NOTE_MISSING_THERE,
                where,
                f"over {own.total} is not at {ours.gateway}",
                "see `rating publish --parked`",
            )
        elif other.amount != own.total:
            yield _differs(
                Difference.CREDIT_NOTE_AMOUNT,
                where,
                f"is {own.total} in our book and {other.amount} at {ours.gateway}",
                f"void {other.name} there, then `rating stripe retry`",
            )


def _customers(ours: Ours, theirs: Theirs) -> Iterator[Differs]:
    there = {one.key: one for one in theirs.customers}
    for key, customer in sorted(ours.customers.items()):
        other = there.get(key)
        if other is None:
            yield _differs(
                Difference.CUSTOMER_MISSING_THERE,
                f"customer {key}",
                f"was made at {ours.gateway} and is gone there, or lost its rating_customer",
                "write rating_customer into the metadata of the right one there",
            )
            continue
        for what, mine, said in (
            ("email", customer and customer.email, other.email),
            ("name", customer and customer.name, other.title),
        ):
            if mine and said != mine:
                yield _differs(
                    Difference.CUSTOMER_DIFFERS,
                    f"customer {key} ({other.name})",
                    f"has another {what} at {ours.gateway} than in the catalogue",
                    "our catalogue is the source: change it there, or write the new one into the catalogue",
                )
    for key in sorted(there.keys() - set(ours.everybody)):
        yield _differs(
            Difference.CUSTOMER_MISSING_HERE,
            f"customer {there[key].name}",
            f'says it is our "{key}", whom neither the catalogue nor the book knows',
            "correct its rating_customer there",
        )


def _differs(kind: Difference, where: str, what: str, hint: str) -> Differs:
    return Differs(kind, Finding(where, what, hint))
