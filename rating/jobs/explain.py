"""Explain: walk from an invoice line back to the windows it is the sum of, and to the evidence of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

from rating.core.drafts import metered
from rating.core.invoices import Invoice, LineItem
from rating.ports import AdjustmentEntry, Book, ClosingHead, UsageRow


@dataclass(frozen=True, slots=True)
class Explained:
    """One line with everything behind it."""

    line: LineItem
    position: int
    heads: tuple[ClosingHead, ...]
    rows: tuple[UsageRow, ...]
    """The consumer's usage as of the invoice's issue, adjustments of that time added."""
    agrees: bool
    """Whether the windows in the book still sum to the line's quantity and digest."""
    adjustments: tuple[AdjustmentEntry, ...] = ()
    """Adjustments of the consumer's windows that the line contains; only the consumer's rows."""
    later: tuple[AdjustmentEntry, ...] = ()
    """Those recorded after issue: a later invoice settles them."""

    def by_day(self, zone: ZoneInfo) -> list[tuple[date, int, int]]:
        """Per local day: windows closed, and the consumer's quantity in the meter's resolution."""
        quantities: dict[date, int] = {}
        windows: dict[date, int] = {}
        for head in self.heads:
            day = head.window.start.astimezone(zone).date()
            windows[day] = windows.get(day, 0) + 1
        for row in self.rows:
            day = row.window.start.astimezone(zone).date()
            quantities[day] = quantities.get(day, 0) + row.usage.quantity
        return [(day, windows[day], quantities.get(day, 0)) for day in sorted(windows)]


def explain(book: Book, invoice: Invoice, positions: Sequence[int] | None = None) -> tuple[Explained, ...]:
    """The lines at these positions (counted from 1), or all of them."""
    wanted = range(1, len(invoice.draft.lines) + 1) if positions is None else positions
    return tuple(_explain(book, invoice, position) for position in wanted)


def _explain(book: Book, invoice: Invoice, position: int) -> Explained:
    line = invoice.draft.lines[position - 1]
    if not line.meter:
        return Explained(line, position, (), (), True)
    consumer, issued = invoice.draft.part_of(position).consumer, invoice.issued_at
    heads = book.closings(line.meter, line.period)
    rows = tuple(book.usage(line.period, line.meter, consumer, as_of=issued))
    now = metered(((row.window, row.completeness, row.usage) for row in rows), len(heads), line.degraded)
    adjustments = [
        AdjustmentEntry(replace(entry.adjustment, rows=own), entry.at)
        for entry in book.adjustments(line.period, line.meter)
        if (own := tuple(row for row in entry.adjustment.rows if row.consumer == consumer))
    ]
    return Explained(
        line,
        position,
        heads,
        rows,
        (now.digest, now.windows) == (line.usage_digest, line.windows),
        tuple(entry for entry in adjustments if entry.at <= issued),
        tuple(entry for entry in adjustments if entry.at > issued),
    )
