"""`rating correct`: late samples become adjustments beside the windows they belong to."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book, open_source
from rating.cli.collect import chosen
from rating.cli.frame import DONE, FORMAT, LOOK, Format, now, progress_bar, settings_of, show, stderr
from rating.cli.usage import span
from rating.cli.verify import difference_row
from rating.core.periods import Period
from rating.jobs.contracts import gather
from rating.jobs.correct import LATE, correct, unsettled

COLUMNS = ("meter", "start", "end", "consumer", "dimensions", "was", "is", "unit")
RECENT = timedelta(hours=48)


def add(app: typer.Typer) -> None:
    app.command("correct")(command)


def command(
    context: typer.Context,
    begin: Annotated[
        str | None, typer.Option("--from", help="Windows start at or after this; by default 48 hours ago.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Windows start before this; by default now.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and show, keep nothing.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for those who read the adjustment later.")] = LATE,
    author: Annotated[str, typer.Option(help="Who says so, for the same readers.")] = "rating correct",
    format: Format = FORMAT,
) -> None:
    """Measure closed windows again and keep the differences as adjustments; the next invoice settles them.

    Issued invoices stay as they are. Running it again is nothing. Exit code 3 when something was corrected, or a window
    could not be judged.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    meters = chosen(catalogue, meter)
    period = span(begin, end, Period(moment - RECENT, moment))
    with open_book(settings) as book:
        with progress_bar("measuring again") as progress:
            corrected = correct(
                book,
                open_source(settings),
                meters,
                period,
                now=moment,
                reason=reason,
                author=author,
                dry_run=dry_run,
                clock=now,
                progress=progress,
            )
        left = unsettled(book, gather(book, catalogue, now=moment), now=now())
    rows = [difference_row(catalogue.meters[one.meter], one, "was", "is") for one in corrected.differences]
    if rows or format is not Format.TABLE:
        show(rows, COLUMNS, format)
    for name, window, why in corrected.unjudged:
        stderr.print(f"not judged: {name} {window}: {why}", soft_wrap=True, markup=False)
    for one in left:
        for line in one.lines:
            stderr.print(
                f"{one.subscription.key} has ended and no later invoice will settle {line.amount} for invoice "
                f"{line.settles.replace('/', ' line ')}; write a credit note or an invoice by hand",
                soft_wrap=True,
                markup=False,
            )
    stderr.print(
        f"{corrected.equal} windows measure what the book says, {len(corrected.adjustments)} "
        f"{'would be' if dry_run else 'were'} corrected, {len(corrected.unjudged)} could not be judged",
        soft_wrap=True,
    )
    raise typer.Exit(LOOK if corrected.adjustments or corrected.unjudged or left else DONE)
