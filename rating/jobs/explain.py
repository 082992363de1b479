"""Explain: walk from an invoice line back to the windows it is the sum of, and to the evidence of each.

Windows that the book has rolled up are read from the archive where one is given; else the sum of their day is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

from rating.core.checks import stands_on
from rating.core.drafts import metered
from rating.core.invoices import Invoice, LineItem
from rating.core.rollup import KeptRollUp, known_by_day
from rating.jobs.hours import Hours
from rating.ports import AdjustmentEntry, Archive, Book, ClosingHead, UsageRow


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
    rollups: tuple[KeptRollUp, ...] = ()
    """Where windows of the line are rolled up to days."""
    archived: bool = False
    """Whether the rows of those windows come from their archive, window by window."""

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


def explain(
    book: Book, invoice: Invoice, positions: Sequence[int] | None = None, archive: Archive | None = None
) -> tuple[Explained, ...]:
    """The lines at these positions (counted from 1), or all of them.

    Raises:
        EdgeUnavailable: the archive lacks a file.
        EdgeDisagrees: one of its files is not what the book says.
    """
    wanted = range(1, len(invoice.draft.lines) + 1) if positions is None else positions
    return tuple(_explain(book, invoice, position, archive) for position in wanted)


def _explain(book: Book, invoice: Invoice, position: int, archive: Archive | None) -> Explained:
    line = invoice.draft.lines[position - 1]
    if not line.meter:
        return Explained(line, position, (), (), True)
    consumer, issued = invoice.draft.part_of(position).consumer, invoice.issued_at
    heads = book.closings(line.meter, line.period)
    rollups = book.rollups(line.meter, line.period)
    rows = tuple(Hours(book, archive).usage(line.period, line.meter, consumer, as_of=issued))
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
        stands_on(line, now, by_day=known_by_day(rollups, issued, archive is not None)),
        tuple(entry for entry in adjustments if entry.at <= issued),
        tuple(entry for entry in adjustments if entry.at > issued),
        rollups,
        bool(rollups) and archive is not None,
    )
