"""`rating usage`: what the closed windows of the book say was used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book
from rating.cli.collect import chosen
from rating.cli.frame import FORMAT, Format, instant, now, settings_of, show, stderr
from rating.core.meters import Meter
from rating.core.money import decimal_text
from rating.core.periods import Period
from rating.ports import Book


def add(app: typer.Typer) -> None:
    app.command("usage")(command)


def command(
    context: typer.Context,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="First instant of the windows; by default this month's start.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Windows start before this; by default now.")] = None,
    format: Format = FORMAT,
) -> None:
    """Print closed usage windows: one row per consumer, meter, dimensions and window.

    What no sample of a window shows is a strict bound for each consumer where the meter has a max_rate. Elsewhere it is
    an estimate, of all consumers together.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    meters = chosen(catalogue, meter)
    period = span(begin, end, Period(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0), moment))
    with open_book(settings) as book:
        rows = list(_rows(book, meters, period, consumer))
    dimensions = list(dict.fromkeys(label for one in meters for label in one.dimensions))
    columns = ("start", "end", "quantity", "unit", "completeness", "unseen", "unseen is")
    show(rows, ("consumer", "meter", *dimensions, *columns), format)
    if not rows:
        between = f"{period.start:%Y-%m-%d %H:%M} to {period.end:%Y-%m-%d %H:%M}"
        who = f" of {consumer}" if consumer else ""
        stderr.print(
            f"no closed window with usage{who} starts in {between}; `rating collect` closes what is due", soft_wrap=True
        )


def span(begin: str | None, end: str | None, otherwise: Period) -> Period:
    """The period of two flags.

    Raises:
        typer.BadParameter: it would end before it starts.
    """
    first, last = instant(begin) or otherwise.start, instant(end) or otherwise.end
    if last < first:
        raise typer.BadParameter(f"--to {last:%Y-%m-%d %H:%M} lies before --from {first:%Y-%m-%d %H:%M}")
    return Period(first, last)


def _rows(book: Book, meters: tuple[Meter, ...], period: Period, consumer: str | None) -> Iterator[dict[str, object]]:
    for meter in meters:
        evidence = {head.window.start: head.evidence for head in book.closings(meter.name, period)}
        for row in book.usage(period, meter.name, consumer):
            yield {
                "consumer": row.usage.consumer,
                "meter": meter.name,
                **dict(zip(meter.dimensions, row.usage.dimensions, strict=False)),
                "start": f"{row.window.start:%Y-%m-%dT%H:%MZ}",
                "end": f"{row.window.end:%Y-%m-%dT%H:%MZ}",
                "quantity": decimal_text(meter.quantity(row.usage.quantity)),
                "unit": meter.unit,
                "completeness": row.completeness.value,
                "unseen": decimal_text(meter.quantity(evidence[row.window.start].lacking)),
                "unseen is": evidence[row.window.start].lacking_is,
            }
