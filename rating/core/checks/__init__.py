"""The invariants of the book, one small function per rule: entries exactly as they are stored in, Findings out.

Decides what must always hold. Reading the entries, and what to do about a Finding, is left to others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rating.core.checks.chains import hashes_chain, numbers_without_gaps
from rating.core.checks.invoices import columns_agree_with_content, lines_round_their_arithmetic, lines_sum_to_total
from rating.core.checks.records import AdjustmentRecord, ClosingRecord, Line, Record, record
from rating.core.checks.usage import adjusted_as_kept, catalogue_as_digested, usage_as_closed
from rating.core.checks.wallets import MoveRecord, check_wallets
from rating.core.checks.windows import invoiced_windows_stand, windows_billed_once
from rating.core.invoices import invoice_number
from rating.errors import Finding

INVOICE_RULES: tuple[Callable[[Sequence[Record]], Iterator[Finding]], ...] = (
    partial(numbers_without_gaps, kind="invoice", numbered=invoice_number),
    partial(hashes_chain, kind="invoice"),
    columns_agree_with_content,
    lines_sum_to_total,
    lines_round_their_arithmetic,
    windows_billed_once,
)


def check_invoices(records: Sequence[Record]) -> Iterator[Finding]:
    for rule in INVOICE_RULES:
        yield from rule(records)


__all__ = [
    "INVOICE_RULES",
    "AdjustmentRecord",
    "ClosingRecord",
    "Line",
    "MoveRecord",
    "Record",
    "adjusted_as_kept",
    "catalogue_as_digested",
    "check_invoices",
    "check_wallets",
    "columns_agree_with_content",
    "hashes_chain",
    "invoiced_windows_stand",
    "lines_round_their_arithmetic",
    "lines_sum_to_total",
    "numbers_without_gaps",
    "record",
    "usage_as_closed",
    "windows_billed_once",
]
