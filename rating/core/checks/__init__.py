"""The invariants of the book, one small function per rule: entries exactly as they are stored in, Findings out.

Decides what must always hold. Reading the entries, and what to do about a Finding, is left to others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rating.core.checks.chains import hashes_chain, numbers_without_gaps
from rating.core.checks.invoices import columns_agree_with_content, lines_round_their_arithmetic, lines_sum_to_total
from rating.core.checks.lifecycle import (
    credit_notes_as_issued,
    credits_within_invoices,
    entries_as_kept,
    steps_are_allowed,
    taken_back,
)
from rating.core.checks.records import (
    AdjustmentRecord,
    ClosingRecord,
    CreditLine,
    CreditRecord,
    EntryRecord,
    Line,
    Record,
    SectionRow,
    credit_record,
    entry_record,
    lines_by_name,
    record,
)
from rating.core.checks.rollups import DayRecord, RollUpRecord, check_rollups, rollup_record
from rating.core.checks.statements import StatementLine, StatementRecord, check_statements, statement_record
from rating.core.checks.taxes import taxes_follow_decision
from rating.core.checks.usage import adjusted_as_kept, catalogue_as_digested, items_as_kept, usage_as_closed
from rating.core.checks.wallets import MoveRecord, check_wallets
from rating.core.checks.windows import invoiced_windows_stand, stands_on, windows_billed_once
from rating.core.invoices import invoice_number
from rating.errors import Finding

INVOICE_RULES: tuple[Callable[[Sequence[Record]], Iterator[Finding]], ...] = (
    partial(numbers_without_gaps, kind="invoice", numbered=invoice_number),
    partial(hashes_chain, kind="invoice"),
    columns_agree_with_content,
    lines_sum_to_total,
    lines_round_their_arithmetic,
    taxes_follow_decision,
)


def check_invoices(
    records: Sequence[Record],
    entries: Sequence[EntryRecord] = (),
    notes: Sequence[CreditRecord] = (),
    moves: Sequence[MoveRecord] = (),
) -> Iterator[Finding]:
    """Every rule about invoices, their steps and their credit notes; `moves` of wallets have paid some of them."""
    for rule in INVOICE_RULES:
        yield from rule(records)
    yield from windows_billed_once(records, taken_back(entries, notes))
    yield from entries_as_kept(entries, records)
    yield from steps_are_allowed(entries, records, notes, moves)
    yield from numbers_without_gaps(notes, "credit note", invoice_number)
    yield from hashes_chain(notes, "credit note")
    yield from credit_notes_as_issued(notes)
    yield from credits_within_invoices(notes, records)


__all__ = [
    "INVOICE_RULES",
    "AdjustmentRecord",
    "ClosingRecord",
    "CreditLine",
    "CreditRecord",
    "DayRecord",
    "EntryRecord",
    "Line",
    "MoveRecord",
    "Record",
    "RollUpRecord",
    "SectionRow",
    "StatementLine",
    "StatementRecord",
    "adjusted_as_kept",
    "catalogue_as_digested",
    "check_invoices",
    "check_rollups",
    "check_statements",
    "check_wallets",
    "columns_agree_with_content",
    "credit_notes_as_issued",
    "credit_record",
    "credits_within_invoices",
    "entries_as_kept",
    "entry_record",
    "hashes_chain",
    "invoiced_windows_stand",
    "items_as_kept",
    "lines_by_name",
    "lines_round_their_arithmetic",
    "lines_sum_to_total",
    "numbers_without_gaps",
    "record",
    "rollup_record",
    "stands_on",
    "statement_record",
    "steps_are_allowed",
    "taken_back",
    "taxes_follow_decision",
    "usage_as_closed",
    "windows_billed_once",
]
