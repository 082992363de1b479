"""Rules about what follows an issued invoice: its steps and its credit notes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rating.core.canonical import digest, read
from rating.core.checks.records import (
    CreditRecord,
    EntryRecord,
    Record,
    credit_record,
    entry_record,
    paper,
)
from rating.core.checks.wallets import MoveRecord
from rating.core.creditnotes import CreditNote, creditable
from rating.core.entries import CreditPaper, KeptEntry, issue_credit, place_of
from rating.core.invoices import Invoice
from rating.core.lifecycle import Account, InvoiceEntry, Step, account, allowed
from rating.core.money import Money
from rating.core.wallets import MoveKind
from rating.errors import Contradiction, Finding, RatingError

_BACKUP = "it was changed after it was kept; compare with a backup"


def entries_as_kept(entries: Sequence[EntryRecord], invoices: Sequence[Record]) -> Iterator[Finding]:
    """An invoice's steps are numbered 1, 2, 3 ... and chained from its own hash; columns say what the content says."""
    last = {one.number: one.content_hash for one in invoices}
    revisions: dict[str, int] = defaultdict(int)
    for one in entries:
        where = f"entry {one.revision} of invoice {one.invoice}"
        if digest(one.content) != one.content_hash:
            yield Finding(
                where, f"its content has the hash {digest(one.content)[:12]}, not {one.content_hash[:12]}", _BACKUP
            )
        if one.previous_hash != last.get(one.invoice):
            yield Finding(
                where, "does not follow the entry before it", "one was removed or changed; compare with a backup"
            )
        last[one.invoice] = one.content_hash
        revisions[one.invoice] += 1
        if one.revision != revisions[one.invoice]:
            yield Finding(
                where, f"follows {revisions[one.invoice] - 1} entries", "one was removed; compare with a backup"
            )
        kept = _kept(one)
        if kept is None:
            yield Finding(where, "its content cannot be read", _BACKUP)
            continue
        expected = entry_record(one.id, kept, one.content)
        for name, stored, said in zip(EntryRecord._fields, one, expected, strict=True):
            if stored != said and name != "content_hash":
                yield Finding(where, f"{name} is stored as {stored} but its content says {said}", _BACKUP)


def steps_are_allowed(
    entries: Sequence[EntryRecord],
    invoices: Sequence[Record],
    notes: Sequence[CreditRecord],
    moves: Sequence[MoveRecord] = (),
) -> Iterator[Finding]:
    """Each step is one the table allows after those before it, whatever was credited and prepaid at its time."""
    papers = {one.number: invoice for one in invoices if (invoice := _invoice(one)) is not None}
    credited: dict[str, list[tuple[int, Money]]] = defaultdict(list)
    for note in notes:
        if (found := _note(note)) is not None:
            credited[note.invoice].append((note.issued_at, found.total))
    drawn: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for move in moves:
        if move.kind in (MoveKind.BURNED, MoveKind.RETURNED):
            # Burned with the issue, before any step, whatever its instant.
            drawn[move.invoice].append((0 if move.kind == MoveKind.BURNED else move.at, -move.change))
    before: dict[str, list[InvoiceEntry]] = defaultdict(list)
    for one in entries:
        kept, invoice = _kept(one), papers.get(one.invoice)
        if kept is None or invoice is None:
            continue
        refusals = []
        # A note of the same millisecond (an accepted dispute's is) may have come before or after.
        for until in (one.at, one.at + 1):
            totals = [total for at, total in credited[one.invoice] if at < until]
            prepaid = Money(sum(minor for at, minor in drawn[one.invoice] if at < until), invoice.total.currency)
            refusals.append(_refusal(kept.entry, account(invoice, before[one.invoice], totals, None, prepaid)))
        if all(refusals):
            yield Finding(f"entry {one.revision} of invoice {one.invoice}", str(refusals[0]), "a person must look")
        before[one.invoice].append(kept.entry)


def _refusal(entry: InvoiceEntry, before: Account) -> Contradiction | None:
    try:
        allowed(entry, before)
    except Contradiction as error:
        return error
    return None


def credit_notes_as_issued(notes: Sequence[CreditRecord]) -> Iterator[Finding]:
    """What is spread out for SQL says what a credit note's hashed content says, and its lines sum to its total."""
    for one in notes:
        where = f"credit note {one.number}"
        try:
            kept = read(CreditPaper, one.content)
            note, content = issue_credit(kept.draft, place_of(kept.number), kept.previous_hash, kept.issued_at)
        except (ValueError, RatingError):
            yield Finding(where, "its content cannot be read", _BACKUP)
            continue
        expected = credit_record(one.sequence, note, content)
        for name, stored, said in zip(CreditRecord._fields, one, expected, strict=True):
            if stored != said and name not in ("content", "content_hash"):
                yield Finding(where, f"{name} is stored as {stored} but its content says {said}", _BACKUP)


def credits_within_invoices(notes: Sequence[CreditRecord], invoices: Sequence[Record]) -> Iterator[Finding]:
    """No invoice is credited with more than it charged, and each note names the paper it corrects by its hash."""
    papers = {one.number: invoice for one in invoices if (invoice := _invoice(one)) is not None}
    given: dict[str, int] = defaultdict(int)
    for one in notes:
        note, invoice = _note(one), papers.get(one.invoice)
        if note is None:
            continue
        where = f"credit note {one.number}"
        if invoice is None or note.draft.invoice_hash != invoice.content_hash:
            yield Finding(where, f"is not about invoice {one.invoice} as the book has it", "compare with a backup")
            continue
        given[one.invoice] += note.total.minor
        most = creditable(invoice)
        if given[one.invoice] > most.minor:
            yield Finding(
                where, f"with it {Money(given[one.invoice], most.currency)} of {most} is credited", "a person must look"
            )


def taken_back(entries: Sequence[EntryRecord], notes: Sequence[CreditRecord]) -> frozenset[str]:
    """Numbers of the invoices that charge nothing any more: void, or credited as a whole."""
    void = {one.invoice for one in entries if one.step == Step.VOID}
    whole = {note.draft.invoice for note in map(_note, notes) if note is not None and note.draft.takes_back}
    return frozenset(void | whole)


def _kept(one: EntryRecord) -> KeptEntry | None:
    try:
        return read(KeptEntry, one.content)
    except ValueError:
        return None


def _note(one: CreditRecord) -> CreditNote | None:
    try:
        kept = read(CreditPaper, one.content)
    except ValueError:
        return None
    return CreditNote(kept.number, kept.issued_at, kept.draft, one.content_hash, kept.previous_hash)


def _invoice(one: Record) -> Invoice | None:
    kept = paper(one)
    return (
        None if kept is None else Invoice(kept.number, kept.issued_at, kept.draft, one.content_hash, kept.previous_hash)
    )
