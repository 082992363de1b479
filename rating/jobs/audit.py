"""Audit: hold the whole book, as it is stored, to its invariants. Writes nothing; the rules are `core.checks`.

Windows that are rolled up are held to their days, and with an archive to every row that they had.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from rating.core.checks import (
    adjusted_as_kept,
    catalogue_as_digested,
    check_invoices,
    check_rollups,
    check_statements,
    check_wallets,
    invoiced_windows_stand,
    items_as_kept,
    lines_by_name,
    usage_as_closed,
)
from rating.core.invoices import LineItem
from rating.core.periods import Period, from_milliseconds
from rating.core.rollup import KeptRollUp, known_by_day
from rating.core.windows import Completeness, Usage
from rating.errors import EdgeDisagrees, EdgeUnavailable, Finding
from rating.jobs.hours import Hours
from rating.ports import Archive, StoredBook

Row = tuple[Period, Completeness, Usage]


def audit(book: StoredBook, archive: Archive | None = None) -> Iterator[Finding]:
    """Everything in the book that must not be as it is: first the invoices, then what paid them, then their windows.

    With an `archive`, also every file of it that the book names; windows are read from it where it has them.
    """
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
    yield from check_rollups(book.rollup_records())
    spoilt = list(_archived(book, archive)) if archive is not None else []
    yield from spoilt
    # What an archive that is not whole says proves nothing: then days are held to quantities, as without one.
    windows = _Windows(book, None if spoilt else archive)
    # By period, so that the windows of a period are read once for all its invoices.
    for one in sorted(records, key=lambda one: (one.period_start, one.period_end, one.sequence)):
        issued_at = from_milliseconds(one.issued_at)
        yield from invoiced_windows_stand(one, partial(windows.of, as_of=issued_at))


class _Windows:
    """The usage of the spans last asked about, by consumer."""

    KEPT = 8
    """Spans held in memory: as many meters as the invoices of one period commonly have."""

    def __init__(self, book: StoredBook, archive: Archive | None) -> None:
        self._book = book
        self._archive = archive
        self._spans: dict[tuple[str, Period, int], tuple[int, dict[str, list[Row]]]] = {}
        self._rollups: dict[tuple[str, Period], tuple[KeptRollUp, ...]] = {}
        self._adjusted: dict[tuple[str, Period], list[datetime]] = {}

    def of(self, line: LineItem, consumer: str, as_of: datetime) -> tuple[int, bool, list[Row]]:
        """How many windows of the line's meter are closed in its period, whether some are known by their day alone, and
        the consumer's rows in them as of then."""
        span = (line.meter, line.period)
        if span not in self._adjusted:
            entries = self._book.adjustments(line.period, line.meter)
            self._adjusted[span] = sorted(entry.at for entry in entries)
            self._rollups[span] = self._book.rollups(*span)
        # Between two adjustments usage is the same at every instant: one reading serves all invoices issued there.
        key = (*span, bisect_right(self._adjusted[span], as_of))
        if key not in self._spans:
            while len(self._spans) >= self.KEPT:
                del self._spans[next(iter(self._spans))]
            self._spans[key] = self._read(*span, as_of)
        closed, rows = self._spans[key]
        by_day = known_by_day(self._rollups[span], as_of, self._archive is not None)
        return closed, by_day, rows.get(consumer, [])

    def _read(self, meter: str, period: Period, as_of: datetime) -> tuple[int, dict[str, list[Row]]]:
        rows: dict[str, list[Row]] = {}
        for row in Hours(self._book, self._archive).usage(period, meter, as_of=as_of):
            rows.setdefault(row.usage.consumer, []).append((row.window, row.completeness, row.usage))
        return len(self._book.closed(meter, period)), rows


def _archived(book: StoredBook, archive: Archive) -> Iterator[Finding]:
    """Every file holds the windows that were rolled up, each with the rows it was closed with."""
    for one in book.rollup_records():
        wanted = [(head.window, head.usage_digest) for day in one.days for head in day.heads]
        where = f"archive {one.archive}, roll-up {one.number}"
        try:
            found = [(window.window, window.digest) for window in archive.read(one.archive, one.archive_digest)]
        except (EdgeUnavailable, EdgeDisagrees) as error:
            yield Finding(where, str(error))
            continue
        if found != wanted:
            yield Finding(
                where,
                f"has {len(found)} windows, which are not the {len(wanted)} that the book rolled up from it",
                "the book or the file was changed; compare with a backup",
            )
