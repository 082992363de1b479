"""`rating verify`: does Prometheus still say what the book says?"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book, open_source
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
from rating.core.meters import Meter
from rating.core.money import decimal_text
from rating.core.periods import Period
from rating.jobs.verify import Difference, verify

COLUMNS = ("meter", "start", "end", "consumer", "dimensions", "booked", "measured", "unit")


def add(app: typer.Typer) -> None:
    app.command("verify")(command)


def command(
    context: typer.Context,
    period: Annotated[
        str | None, typer.Option(help="Windows that start in 2026-10, 2026-Q4, 2026 or on 2026-10-15; else this month.")
    ] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    format: Format = FORMAT,
) -> None:
    """Measure closed windows again and compare with the book. Changes nothing; exit code 3 on a difference."""
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    days = days_of(period or f"{moment:%Y-%m}")
    assert days is not None
    first, after = (datetime.combine(day, time(), UTC) for day in days)
    with open_book(settings) as book, progress_bar("measuring again") as progress:
        verified = verify(
            book, open_source(settings), chosen(catalogue, meter), Period(first, after), progress=progress
        )
    rows = [
        difference_row(catalogue.meters[difference.meter], difference, "booked", "measured")
        for difference in verified.differences
    ]
    if rows or format is not Format.TABLE:
        show(rows, COLUMNS, format)
    for name, window, why in verified.unreadable:
        stderr.print(f"cannot be measured again: {name} {window}: {why}", soft_wrap=True, markup=False)
    stderr.print(
        f"{verified.equal} windows measure what the book says, {len({(r['meter'], r['start']) for r in rows})} differ, "
        f"{len(verified.unreadable)} cannot be measured again",
        soft_wrap=True,
    )
    raise typer.Exit(LOOK if rows else DONE)


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
