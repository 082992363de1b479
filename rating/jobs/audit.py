"""Audit: hold the whole book, as it is stored, to its invariants. Writes nothing; the rules are `core.checks`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from rating.core.checks import (
    adjusted_as_kept,
    catalogue_as_digested,
    check_invoices,
    check_statements,
    check_wallets,
    invoiced_windows_stand,
    items_as_kept,
    lines_by_name,
    usage_as_closed,
)
from rating.core.invoices import LineItem
from rating.core.periods import Period, from_milliseconds
from rating.core.windows import Completeness, Usage
from rating.errors import Finding
from rating.ports import StoredBook

Row = tuple[Period, Completeness, Usage]


def audit(book: StoredBook) -> Iterator[Finding]:
    """Everything in the book that must not be as it is: first the invoices, then what paid them, then their windows."""
    records = book.invoice_records()
    moves = book.move_records()
    notes = book.credit_records()
    yield from check_invoices(records, book.entry_records(), notes, moves)
    yield from check_wallets(moves, records)
    if stated := book.statement_records():
        yield from check_statements(stated, lines_by_name(records, notes))
    yield from items_as_kept(book.item_records())
    for kept in book.catalogues():
        yield from catalogue_as_digested(kept.digest, kept.text)
    for closing in book.closing_records():
        yield from usage_as_closed(closing)
    yield from adjusted_as_kept(book.adjustment_records())
    windows = _Windows(book)
    # By period, so that the windows of a period are read once for all its invoices.
    for one in sorted(records, key=lambda one: (one.period_start, one.period_end, one.sequence)):
        issued_at = from_milliseconds(one.issued_at)
        yield from invoiced_windows_stand(one, partial(windows.of, as_of=issued_at))


class _Windows:
    """The usage of the spans last asked about, by consumer."""

    KEPT = 8
    """Spans held in memory: as many meters as the invoices of one period commonly have."""

    def __init__(self, book: StoredBook) -> None:
        self._book = book
        self._spans: dict[tuple[str, Period, int], tuple[int, dict[str, list[Row]]]] = {}
        self._adjusted: dict[tuple[str, Period], list[datetime]] = {}

    def of(self, line: LineItem, consumer: str, as_of: datetime) -> tuple[int, list[Row]]:
        """How many windows of the line's meter are closed in its period, and the consumer's rows in them as of then."""
        span = (line.meter, line.period)
        if span not in self._adjusted:
            entries = self._book.adjustments(line.period, line.meter)
            self._adjusted[span] = sorted(entry.at for entry in entries)
        # Between two adjustments usage is the same at every instant: one reading serves all invoices issued there.
        key = (*span, bisect_right(self._adjusted[span], as_of))
        if key not in self._spans:
            while len(self._spans) >= self.KEPT:
                del self._spans[next(iter(self._spans))]
            self._spans[key] = self._read(*span, as_of)
        closed, rows = self._spans[key]
        return closed, rows.get(consumer, [])

    def _read(self, meter: str, period: Period, as_of: datetime) -> tuple[int, dict[str, list[Row]]]:
        rows: dict[str, list[Row]] = {}
        for row in self._book.usage(period, meter, as_of=as_of):
            rows.setdefault(row.usage.consumer, []).append((row.window, row.completeness, row.usage))
        return len(self._book.closed(meter, period)), rows
