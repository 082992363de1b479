"""Entries exactly as they are stored, nothing derived or mended: what the rules of the book look at.

Decides how an invoice must be stored; whether one is so is for the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from rating.core.canonical import digest, read
from rating.core.creditnotes import CreditNote
from rating.core.entries import CreditPaper, KeptEntry, Paper
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.parties import INVOICES
from rating.core.periods import Period, milliseconds, seconds
from rating.core.windows import Completeness, Usage

METERED = (LineKind.USAGE, LineKind.ADJUSTMENT)
"""Lines that stand on windows."""


class Line(NamedTuple):
    """A row of `lines` as stored."""

    line: int
    kind: str
    card: str
    meter: str
    quantity: str
    exact: str
    minor: int


class SectionRow(NamedTuple):
    """A row of `sections` as stored."""

    section: int
    key: str
    subscription: str
    consumer: str
    lines: int


class Record(NamedTuple):
    """A row of `invoices` as stored, with its lines."""

    sequence: int
    number: str
    key: str
    consumer: str
    customer: str
    period_start: int
    period_end: int
    currency: str
    total_minor: int
    issued_at: int
    content: str
    content_hash: str
    previous_hash: str
    series: str = INVOICES
    lines: tuple[Line, ...] = ()
    sections: tuple[SectionRow, ...] = ()


class ClosingRecord(NamedTuple):
    """A row of `closings` as stored, with its usage."""

    meter: str
    window: Period
    rows: int
    consumers: int
    usage_digest: str
    usage: tuple[Usage, ...]
    completeness: Completeness = Completeness.COMPLETE
    rolled: bool = False
    """Whether it is part of a rolled-up day, which holds its usage."""


class AdjustmentRecord(NamedTuple):
    """A row of `adjustments` as stored, with its rows."""

    meter: str
    window: Period
    revision: int
    rows: int
    usage_digest: str
    usage: tuple[Usage, ...]


def record(sequence: int, invoice: Invoice, content: str) -> Record:
    """How this invoice must be stored."""
    draft = invoice.draft
    return Record(
        sequence,
        invoice.number,
        draft.key,
        draft.consumer,
        draft.customer,
        seconds(draft.period.start),
        seconds(draft.period.end),
        draft.currency.code,
        draft.total.minor,
        milliseconds(invoice.issued_at),
        content,
        invoice.content_hash,
        invoice.previous_hash,
        draft.series,
        tuple(_line(number, line) for number, line in enumerate(draft.lines, start=1)),
        tuple(_sections(draft)),
    )


def _sections(draft: Draft) -> Iterator[SectionRow]:
    for number, (_, part) in enumerate(draft.parts if draft.sections else (), start=1):
        yield SectionRow(number, part.key, part.subscription, part.consumer, len(part.lines))


def _line(number: int, line: LineItem) -> Line:
    quantity, exact = _ratio(line.quantity), _ratio(line.exact)
    return Line(number, str(line.kind), line.card, line.meter, quantity, exact, line.amount.minor)


def _ratio(number: Fraction) -> str:
    numerator, denominator = number.as_integer_ratio()
    return f"{numerator}/{denominator}"


class EntryRecord(NamedTuple):
    """A row of `invoice_entries` as stored."""

    id: int
    invoice: str
    revision: int
    key: str
    step: str
    on: str
    minor: int | None
    at: int
    content: str
    content_hash: str
    previous_hash: str


class CreditLine(NamedTuple):
    """A row of `credit_lines` as stored."""

    line: int
    kind: str
    settles: str
    exact: str
    minor: int


class CreditRecord(NamedTuple):
    """A row of `credit_notes` as stored, with its lines."""

    sequence: int
    number: str
    key: str
    invoice: str
    customer: str
    currency: str
    total_minor: int
    issued_at: int
    content: str
    content_hash: str
    previous_hash: str
    series: str
    lines: tuple[CreditLine, ...] = ()


def credit_record(sequence: int, note: CreditNote, content: str) -> CreditRecord:
    """How this credit note must be stored."""
    draft = note.draft
    return CreditRecord(
        sequence,
        note.number,
        draft.key,
        draft.invoice,
        draft.customer,
        draft.currency.code,
        note.total.minor,
        milliseconds(note.issued_at),
        content,
        note.content_hash,
        note.previous_hash,
        draft.series,
        tuple(
            CreditLine(number, line.kind.value, line.settles, _ratio(line.exact), line.amount.minor)
            for number, line in enumerate(draft.lines, start=1)
        ),
    )


def entry_record(number: int, kept: KeptEntry, content: str) -> EntryRecord:
    """How this step of an invoice must be stored."""
    entry = kept.entry
    return EntryRecord(
        number,
        entry.invoice,
        kept.revision,
        entry.key,
        entry.step.value,
        entry.on.isoformat(),
        None if entry.amount is None else entry.amount.minor,
        milliseconds(kept.at),
        content,
        digest(content),
        kept.previous_hash,
    )


def paper(one: Record) -> Paper | None:
    """What the stored content says; None when it cannot be read."""
    try:
        return read(Paper, one.content)
    except ValueError:
        return None


def drafts(records: Sequence[Record]) -> Iterator[tuple[Record, Draft]]:
    """Each invoice whose content can be read, with it."""
    for one in records:
        found = paper(one)
        if found is not None:
            yield one, found.draft


def lines_by_name(records: Sequence[Record], notes: Sequence[CreditRecord]) -> dict[str, LineItem]:
    """Every line of invoices and credit notes whose content can be read, by the name that a share gives it."""
    papers = [(one.number, draft.lines) for one, draft in drafts(records)]
    for note in notes:
        try:
            papers.append((note.number, read(CreditPaper, note.content).draft.lines))
        except ValueError:
            continue
    return {f"{number}/{place}": line for number, lines in papers for place, line in enumerate(lines, 1)}
