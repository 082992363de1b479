"""`rating windows`: which windows are closed, on what evidence, and which are held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book, open_source
from rating.cli.collect import chosen
from rating.cli.frame import DONE, FORMAT, LOOK, Format, instant, now, settings_of, show, stderr
from rating.cli.usage import span
from rating.core.periods import Period
from rating.jobs.collect import collect
from rating.ports import Book, ClosingHead, HeldEntry

CLOSED = ("meter", "start", "end", "completeness", "consumers", "coverage", "resets", "births", "baselines", "unseen")
HELD = ("meter", "start", "end", "reason", "since")


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="Usage windows: closed, degraded, held.", no_args_is_help=True)
    group.command("list")(list_windows)
    group.command("release")(release)
    app.add_typer(group, name="windows")


def release(
    context: typer.Context,
    meter: Annotated[str, typer.Argument(help="The meter.")],
    start: Annotated[str, typer.Argument(help="The start of the held window, 2026-10-01T06:00.")],
    end: Annotated[str | None, typer.Option("--to", help="Release every held window that ends by then.")] = None,
) -> None:
    """Close held windows as degraded: you have looked, and what was seen shall be billed.

    The reason for which a window was held stays in its evidence. What no sample shows stays unbilled; exit code 3 when
    the samples are gone and there is nothing to release.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    (chosen_meter,) = chosen(catalogue, meter)
    first = instant(start)
    assert first is not None
    with open_book(settings) as book:
        held = {
            entry.held.window
            for entry in book.held()
            if entry.held.meter == meter
            and first <= entry.held.window.start
            and entry.held.window.end <= (instant(end) or first + chosen_meter.window)
        }
        if not held:
            raise typer.BadParameter(
                f"no window of {meter} that starts at {start} is held; see `rating windows list --held`"
            )
        left = []
        for window in sorted(held):
            collected = collect(
                book,
                open_source(settings),
                (chosen_meter,),
                since=window.start,
                until=window.end,
                now=moment,
                released=True,
            )
            for closed in collected.closed:
                stderr.print(f"released: {meter} {closed.window}, {closed.consumers} consumers")
            left += [held.reason for held in collected.held] + [stop.reason for stop in collected.stopped]
    for reason in left:
        stderr.print(f"not released: {reason}", soft_wrap=True, markup=False)
    raise typer.Exit(LOOK if left else DONE)


def list_windows(
    context: typer.Context,
    held: Annotated[bool, typer.Option("--held", help="Only windows held for a person, of any time.")] = False,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="By default this month's start.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="By default now.")] = None,
    format: Format = FORMAT,
) -> None:
    """List windows of the book. With --held, exit code 3 when there is one."""
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    names = tuple(one.name for one in chosen(catalogue, meter))
    period = span(begin, end, Period(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0), moment))
    with open_book(settings) as book:
        if not held:
            show(list(_closed(book, names, period)), CLOSED, format)
            return
        entries = [entry for entry in book.held() if meter is None or entry.held.meter == meter]
    if entries or format is not Format.TABLE:
        show([_held_row(entry) for entry in entries], HELD, format)
    if not entries:
        stderr.print("no window is held")
    raise typer.Exit(LOOK if entries else DONE)


def _closed(book: Book, meters: tuple[str, ...], period: Period) -> Iterator[dict[str, object]]:
    for name in meters:
        for head in book.closings(name, period):
            yield _closed_row(head)


def _closed_row(head: ClosingHead) -> dict[str, object]:
    evidence = head.evidence
    return {
        "meter": head.meter,
        "start": f"{head.window.start:%Y-%m-%dT%H:%MZ}",
        "end": f"{head.window.end:%Y-%m-%dT%H:%MZ}",
        "completeness": head.completeness.value,
        "consumers": head.consumers,
        "coverage": f"{float(evidence.coverage) * 100:.1f}%",
        "resets": evidence.resets,
        "births": evidence.births,
        "baselines": evidence.baselines,
        "unseen": evidence.unseen,
    }


def _held_row(entry: HeldEntry) -> dict[str, object]:
    return {
        "meter": entry.held.meter,
        "start": f"{entry.held.window.start:%Y-%m-%dT%H:%MZ}",
        "end": f"{entry.held.window.end:%Y-%m-%dT%H:%MZ}",
        "reason": entry.held.reason,
        "since": f"{entry.at:%Y-%m-%dT%H:%MZ}",
    }
