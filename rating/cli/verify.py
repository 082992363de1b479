"""`rating verify`: does Prometheus still say what the book says?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_archive, open_book, open_source
from rating.cli.book import check
from rating.cli.collect import chosen
from rating.cli.frame import (
    DONE,
    FORMAT,
    LOOK,
    Format,
    days_of,
    now,
    progress_bar,
    settings_of,
    show,
    stderr,
)
from rating.cli.invoices import found
from rating.cli.pruning import ARCHIVE
from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import decimal_text
from rating.core.periods import Period, stamp
from rating.jobs.contracts import gather
from rating.jobs.rerate import rerate
from rating.jobs.verify import Difference, Verified, verify
from rating.ports import Archive
from rating.settings import Settings

COLUMNS = ("meter", "start", "end", "consumer", "dimensions", "booked", "measured", "unit")


def add(app: typer.Typer) -> None:
    app.command("verify")(command)


def command(
    context: typer.Context,
    period: Annotated[
        str | None, typer.Option(help="Windows that start in 2026-10, 2026-Q4, 2026 or on 2026-10-15; else this month.")
    ] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    invoice: Annotated[
        str | None, typer.Option(help="Rate this issued invoice again from the book, and measure its windows again.")
    ] = None,
    book: Annotated[
        bool, typer.Option("--book", help="Hold every entry of the book to its rules instead, as `rating book check`.")
    ] = False,
    archive: ARCHIVE = None,
    format: Format = FORMAT,
) -> None:
    """Measure closed windows again and compare with the book. Changes nothing; exit code 3 on a difference.

    An invoice is drafted once more from the book, by the catalogue it was rated under and usage as of its issue; then
    its windows are measured again for as long as Prometheus retains their samples. Windows that were rolled up are
    compared a day at a time, or one by one with --archive.
    """
    if book:
        if (period, meter, invoice) != (None, None, None):
            raise typer.BadParameter("--book checks all of it; leave out --period, --meter and --invoice")
        check(context, archive, format)
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    kept_in = None if archive is None else open_archive(archive)
    if invoice is not None:
        if period is not None or meter is not None:
            raise typer.BadParameter("an invoice has its own period and meters; leave out --period and --meter")
        raise typer.Exit(_invoice(settings, catalogue, invoice, moment, kept_in, format))
    days = days_of(period or f"{moment:%Y-%m}")
    assert days is not None
    first, after = (datetime.combine(day, time(), UTC) for day in days)
    with open_book(settings) as kept, progress_bar("measuring again") as progress:
        verified = verify(
            kept,
            open_source(settings),
            chosen(catalogue, meter),
            Period(first, after),
            archive=kept_in,
            progress=progress,
        )
    raise typer.Exit(_report(catalogue, verified, format))


def _invoice(
    settings: Settings, catalogue: Catalogue, number: str, moment: datetime, archive: Archive | None, format: Format
) -> int:
    with open_book(settings) as book:
        paper = found(book, number)
        unequal = rerate(book, gather(book, catalogue, now=moment), paper, archive)
        for one in unequal:
            stderr.print(f"{number}, {one.where}: issued as {one.issued}; the book now comes to {one.rated}")
        if not unequal:
            stderr.print(f"{number} comes to {paper.total} from the book, line by line as it was issued")
        together = Verified()
        spans = dict.fromkeys((line.meter, line.period) for line in paper.draft.lines if line.meter)
        source = open_source(settings)
        for name, span in spans:
            if name not in catalogue.meters:
                stderr.print(f"meter {name} is no longer in the catalogue, so its windows cannot be measured again")
                continue
            with progress_bar(f"measuring {name} again") as progress:
                together += verify(book, source, (catalogue.meters[name],), span, archive=archive, progress=progress)
    consumers = {part.consumer for _, part in paper.draft.parts}
    own = replace(together, differences=tuple(one for one in together.differences if one.consumer in consumers))
    return max(_report(catalogue, own, format), LOOK if unequal else DONE)


def _report(catalogue: Catalogue, verified: Verified, format: Format) -> int:
    rows = [
        difference_row(catalogue.meters[difference.meter], difference, "booked", "measured")
        for difference in verified.differences
    ]
    if rows or format is not Format.TABLE:
        show(rows, COLUMNS, format)
    for name, window, why in verified.unreadable:
        stderr.print(f"cannot be measured again: {name} {window}: {why}", soft_wrap=True, markup=False)
    for kept in verified.rollups:
        one = kept.rollup
        stderr.print(
            f"{one.meter} {one.span} is rolled up to days since {stamp(kept.at)}; its windows are in {one.archive}, "
            f"SHA-256 {one.archive_digest}",
            soft_wrap=True,
        )
    stderr.print(
        f"{verified.equal} windows measure what the book says, {len({(r['meter'], r['start']) for r in rows})} differ, "
        f"{len(verified.unreadable)} cannot be measured again",
        soft_wrap=True,
    )
    return LOOK if rows else DONE


def difference_row(meter: Meter, difference: Difference, before: str, after: str) -> dict[str, object]:
    """One difference; `before` and `after` name the columns of the book's quantity and the new reading's."""
    return {
        "meter": meter.name,
        "start": f"{difference.window.start:%Y-%m-%dT%H:%MZ}",
        "end": f"{difference.window.end:%Y-%m-%dT%H:%MZ}",
        "consumer": difference.consumer,
        "dimensions": " ".join(difference.dimensions),
        before: decimal_text(meter.quantity(difference.booked)),
        after: decimal_text(meter.quantity(difference.measured)),
        "unit": meter.unit,
    }
