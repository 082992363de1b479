"""What has to be carried to a gateway, of which papers and in which order: a pure function of the book.

Decides the order within one invoice and what of its life concerns a gateway. How far each has come is `publications`;
how it is carried is a gateway's affair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection as Set
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from rating.core.collection import Collection
from rating.core.creditnotes import CreditNote
from rating.core.invoices import Invoice
from rating.core.lifecycle import InvoiceEntry, Step
from rating.core.money import Money
from rating.core.publications import CreditNoteDispatch, Dispatch, InvoiceDispatch, StepDispatch, invoice_subject
from rating.core.wallets import MoveKind, Wallet

_CARRIED = (Step.PAY, Step.WRITE_OFF, Step.VOID)
"""A refund is made where the payment was made, and comes from there; disputes and holds are between us and them."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One invoice and what follows on it, each of which waits for the one before."""

    customer: str
    links: tuple[Dispatch, ...]


@dataclass(frozen=True, slots=True)
class Papers:
    """What the book holds of invoices and their lives."""

    invoices: Sequence[Invoice]
    entries: Sequence[InvoiceEntry]
    notes: Sequence[CreditNote]
    wallets: Sequence[Wallet]


def chains(
    papers: Papers, gateway: str, who: Collection, *, since: date | None = None, begun: Set[str] = frozenset()
) -> tuple[Chain, ...]:
    """Every chain of a gateway, done or not, by number of invoice.

    Left out is what was issued before `since`, and an invoice that was voided before its first call was made (its
    subject is not among those `begun`): nobody has to hear of it.
    """
    steps: dict[str, list[InvoiceEntry]] = defaultdict(list)
    for entry in papers.entries:
        steps[entry.invoice].append(entry)
    notes: dict[str, list[CreditNote]] = defaultdict(list)
    for note in papers.notes:
        notes[note.draft.invoice].append(note)
    burned = _burned(papers.wallets)
    found = []
    for invoice in papers.invoices:
        subject = invoice_subject(invoice.number)
        if who.gateway_of(invoice.draft.customer) != gateway or (since is not None and invoice.issued_on < since):
            continue
        own = steps[invoice.number]
        if subject not in begun and any(entry.step is Step.VOID for entry in own):
            continue
        prepaid = Money(burned.get((invoice.draft.customer, invoice.number), 0), invoice.draft.currency)
        found.append(Chain(invoice.draft.customer, _links(invoice, own, notes[invoice.number], prepaid, gateway)))
    return tuple(found)


def _links(
    invoice: Invoice, entries: Iterable[InvoiceEntry], notes: Iterable[CreditNote], prepaid: Money, gateway: str
) -> tuple[Dispatch, ...]:
    entries = tuple(entries)
    nothing = Money(0, invoice.draft.currency)
    paid = prepaid
    for entry in entries:
        amount = nothing if entry.amount is None else entry.amount
        paid = paid + amount if entry.step is Step.PAY else paid - amount if entry.step is Step.REFUND else paid
    early: list[Dispatch] = []
    late: list[Dispatch] = []
    credited = nothing
    for note in notes:
        open_before = max(0, (invoice.total - paid - credited).minor)
        settled = Money(max(0, note.total.minor - open_before), nothing.currency)
        # What came after the payment was given back; what came before it lowered what was left to pay.
        (late if settled.minor else early).append(CreditNoteDispatch(note, invoice, settled))
        credited += note.total
    # What the gateway collected itself it has told us; it is not told in turn.
    outside = [entry for entry in entries if entry.source != gateway]
    received = _sum(outside, Step.PAY, nothing)
    # Given back in part it still was paid; given back whole it was not.
    elsewhere = received if received.minor > _sum(outside, Step.REFUND, nothing).minor else nothing
    own = [
        StepDispatch(entry, invoice, elsewhere if entry.step is Step.PAY else None)
        for entry in outside
        if entry.step in _CARRIED
    ]
    return (InvoiceDispatch(invoice, prepaid), *early, *own, *late)


def _sum(entries: Iterable[InvoiceEntry], step: Step, nothing: Money) -> Money:
    return sum((entry.amount for entry in entries if entry.step is step and entry.amount is not None), nothing)


def _burned(wallets: Iterable[Wallet]) -> dict[tuple[str, str], int]:
    """What wallets paid when invoices were issued, whatever was given back since; by customer and invoice."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for wallet in wallets:
        for account in wallet.accounts:
            for move in account.moves:
                if move.kind is MoveKind.BURNED:
                    found[wallet.customer, move.invoice] -= move.change
    return found
