"""`rating collect`: close the usage windows that are due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book, open_source
from rating.cli.frame import (
    DONE,
    FAILED,
    FORMAT,
    LOOK,
    Format,
    instant,
    now,
    progress_bar,
    settings_of,
    show,
    stderr,
)
from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import decimal_text
from rating.core.periods import Period
from rating.core.windows import Closing, Held
from rating.engine import since
from rating.jobs.collect import Collected, collect
from rating.jobs.contracts import gather, keep, metered_from
from rating.settings import MOST_WORKERS

SPELLED_OUT = 5
"""Held neighbours that get a line each; beyond, one sentence says as much."""

COLUMNS = ("meter", "start", "end", "consumers", "quantity", "unit", "completeness", "coverage")


def add(app: typer.Typer) -> None:
    app.command("collect")(command)


def command(
    context: typer.Context,
    begin: Annotated[
        str | None,
        typer.Option("--from", help="First window to close; by default the start of the first subscription."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Windows that end after this wait.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and show, keep nothing.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_WORKERS, help="Windows read at once where many are due [RATING_COLLECT_WORKERS]."),
    ] = None,
    format: Format = FORMAT,
) -> None:
    """Close every usage window that has ended, settled, and is not in the book yet, oldest first.

    A backfill (`--from 2026-08-01`) reads several windows at once and keeps each as it is done: stopped or killed, the
    next run goes on where it was. Running it again is nothing. Exit code 1 when a meter's source could not be read
    (what was closed stays), 3 when a window is held for a person or a meter was redefined.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    meters = chosen(catalogue, meter)
    rows: list[dict[str, object]] = []
    with open_book(settings) as book:
        if not dry_run:
            # Windows can be verified for as long as the book knows by which meter they were measured.
            keep(book, catalogue, now=moment)
        contracts = gather(book, catalogue, now=moment)
        first = instant(begin) or since(contracts, moment)
        with progress_bar("closing windows") as progress:
            collected = collect(
                book,
                open_source(settings),
                meters,
                since=first,
                begins=metered_from(contracts) if begin is None else {},
                until=instant(end),
                now=moment,
                dry_run=dry_run,
                readers=[open_source(settings) for _ in range((workers or settings.collect_workers) - 1)],
                look_ahead=True,
                closed=lambda closing: rows.append(_row(catalogue.meters[closing.meter], closing)),
                progress=lambda done, total, _: progress(done, total),
            )
    _report(collected, rows, first, format)
    raise typer.Exit(FAILED if collected.stopped else LOOK if collected.held or collected.redefined else DONE)


def chosen(catalogue: Catalogue, name: str | None) -> tuple[Meter, ...]:
    """One meter of the catalogue, or all.

    Raises:
        typer.BadParameter: there is none of that name.
    """
    if name is None:
        return tuple(catalogue.meters.values())
    if name not in catalogue.meters:
        raise typer.BadParameter(
            f"no meter {name!r}; the catalogue has {', '.join(sorted(catalogue.meters)) or 'none'}"
        )
    return (catalogue.meters[name],)


def _report(collected: Collected, rows: list[dict[str, object]], first: datetime, format: Format) -> None:
    if rows or format is not Format.TABLE:
        show(rows, COLUMNS, format)
    for redefined in collected.redefined:
        stderr.print(f"{redefined}", soft_wrap=True, markup=False)
    for sentence in still_held(collected.held):
        stderr.print(sentence, soft_wrap=True, markup=False)
    for stop in collected.stopped:
        stderr.print(f"{stop.due.meter.name} stopped at {stop.due.window}: {stop.reason}", soft_wrap=True, markup=False)
    if collected.waiting:
        stderr.print(f"{collected.waiting} windows wait; run `rating collect` again to go on")
    if any(len(run) > SPELLED_OUT for run in _neighbours(collected.held)):
        stderr.print(
            "held windows are measured again each time; `rating windows release METER START --to END` bills what was "
            "seen; for what lies before the first sample, let the subscription start later",
            soft_wrap=True,
        )
    if not (rows or collected.held or collected.stopped):
        stderr.print(f"no window is due since {first:%Y-%m-%d %H:%M}")


def still_held(held: Sequence[Held]) -> list[str]:
    """A sentence for each held window, or for many of one reason that follow each other."""
    return [sentence for run in _neighbours(held) for sentence in _held(run)]


def _neighbours(held: Sequence[Held]) -> list[list[Held]]:
    """Held windows that follow each other with one reason, such as the days before a service was scraped, together."""
    runs: list[list[Held]] = []
    for one in sorted(held, key=lambda one: (one.meter, one.window)):
        last = runs[-1][-1] if runs else None
        if last and (last.meter, last.window.end, last.reason) == (one.meter, one.window.start, one.reason):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _held(run: Sequence[Held]) -> list[str]:
    first, last = run[0], run[-1]
    if len(run) <= SPELLED_OUT:
        return [f"held: {one.meter} {one.window}: {one.reason}" for one in run]
    return [f"held: {first.meter} {Period(first.window.start, last.window.end)}, {len(run)} windows: {first.reason}"]


def _row(meter: Meter, closing: Closing) -> dict[str, object]:
    return {
        "meter": meter.name,
        "start": f"{closing.window.start:%Y-%m-%dT%H:%MZ}",
        "end": f"{closing.window.end:%Y-%m-%dT%H:%MZ}",
        "consumers": len({row.consumer for row in closing.usage}),
        "quantity": decimal_text(meter.quantity(sum(row.quantity for row in closing.usage))),
        "unit": meter.unit,
        "completeness": closing.completeness.value,
        "coverage": f"{float(closing.evidence.coverage) * 100:.1f}%",
    }
