"""`rating windows`: which windows are closed, on what evidence, and which are held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from fractions import Fraction
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book, open_source
from rating.cli.collect import chosen, still_held
from rating.cli.frame import DONE, FAILED, FORMAT, LOOK, Format, instant, now, progress_bar, settings_of, show, stderr
from rating.cli.usage import span
from rating.core.catalogue import Catalogue
from rating.core.meters import Meter
from rating.core.money import decimal_text
from rating.core.periods import Period
from rating.jobs.collect import Collected, collect
from rating.ports import Book, ClosingHead, HeldEntry
from rating.settings import Settings

CLOSED = ("meter", "start", "end", "completeness", "consumers", "coverage", "resets", "births", "baselines")
UNSEEN = ("unseen", "unseen is", "tail", "gaps s")
HELD = ("meter", "start", "end", "reason", "since")


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="Usage windows: closed, degraded, held.", no_args_is_help=True)
    group.command("list")(list_windows)
    group.command("release")(release)
    group.command("retry")(retry)
    app.add_typer(group, name="windows")


def release(
    context: typer.Context,
    meter: Annotated[str, typer.Argument(help="The meter.")],
    start: Annotated[str, typer.Argument(help="The start of the held window, 2026-10-01T06:00.")],
    end: Annotated[str | None, typer.Option("--to", help="Release every held window that ends by then.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and show, keep nothing.")] = False,
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
            entry.held.window.start
            for entry in book.held()
            if entry.held.meter == meter
            and first <= entry.held.window.start
            and entry.held.window.end <= (instant(end) or first + chosen_meter.window)
        }
        if not held:
            raise typer.BadParameter(
                f"no window of {meter} that starts at {start} is held; see `rating windows list --held`"
            )
        collected = _again(settings, book, (chosen_meter,), {(meter, one) for one in held}, moment, dry_run, True)
    for closed in collected.closed:
        would = "would be released" if dry_run else "released"
        stderr.print(f"{would}: {meter} {closed.window}, {closed.consumers} consumers", soft_wrap=True)
    left = [held.reason for held in collected.held] + [stop.reason for stop in collected.stopped]
    for reason in left:
        stderr.print(f"not released: {reason}", soft_wrap=True, markup=False)
    raise typer.Exit(LOOK if left else DONE)


def retry(
    context: typer.Context,
    meter: Annotated[str | None, typer.Argument(help="Only this meter.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Only windows that start at or after this.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Only windows that end by then.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and show, keep nothing.")] = False,
) -> None:
    """Read held windows again now, and close those that can be trusted after all.

    A running engine does it by itself, less and less often; this is for when you have mended something. Exit code 3
    when one is still held, 1 when a source could not be read.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    meters = chosen(catalogue, meter)
    first, last = instant(begin), instant(end)
    with open_book(settings) as book:
        held = {
            (entry.held.meter, entry.held.window.start)
            for entry in book.held()
            if entry.held.meter in {one.name for one in meters}
            and (first is None or first <= entry.held.window.start)
            and (last is None or entry.held.window.end <= last)
        }
        if not held:
            stderr.print("no window is held")
            raise typer.Exit(DONE)
        collected = _again(settings, book, meters, held, moment, dry_run, False)
    for closed in collected.closed:
        would = "would be closed" if dry_run else "closed"
        said = f"{would}: {closed.meter} {closed.window}, {closed.completeness}, {closed.consumers} consumers"
        stderr.print(said, soft_wrap=True)
    for sentence in still_held(collected.held):
        stderr.print(sentence, soft_wrap=True, markup=False)
    for stop in collected.stopped:
        stderr.print(f"{stop.due.meter.name} stopped at {stop.due.window}: {stop.reason}", soft_wrap=True, markup=False)
    raise typer.Exit(FAILED if collected.stopped else LOOK if collected.held else DONE)


def _again(
    settings: Settings,
    book: Book,
    meters: Sequence[Meter],
    windows: AbstractSet[tuple[str, datetime]],
    moment: datetime,
    dry_run: bool,
    released: bool,
) -> Collected:
    starts = [start for _, start in windows]
    with progress_bar("measuring again") as progress:
        return collect(
            book,
            open_source(settings),
            meters,
            since=min(starts),
            until=max(starts) + max(meter.window for meter in meters),
            now=moment,
            dry_run=dry_run,
            released=released,
            only=windows,
            readers=[open_source(settings) for _ in range(settings.collect_workers - 1)],
            progress=lambda done, total, _: progress(done, total),
        )


def list_windows(
    context: typer.Context,
    held: Annotated[bool, typer.Option("--held", help="Only windows held for a person, of any time.")] = False,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="By default this month's start.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="By default now.")] = None,
    format: Format = FORMAT,
) -> None:
    """List windows of the book. With --held, exit code 3 when there is one.

    unseen: what no sample shows: the most that each consumer may have used more, where the meter has a max_rate, else
    an estimate of it for all together. tail: with a max_rate, the most each may have used after the window's last
    scrapes, which the next window counts. gaps s: seconds, over all gauges, in which no sample spoke for one.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    names = tuple(one.name for one in chosen(catalogue, meter))
    period = span(begin, end, Period(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0), moment))
    with open_book(settings) as book:
        if not held:
            show(list(_closed(book, catalogue, names, period)), (*CLOSED, *UNSEEN), format)
            return
        entries = [entry for entry in book.held() if meter is None or entry.held.meter == meter]
    if entries or format is not Format.TABLE:
        show([_held_row(entry) for entry in entries], HELD, format)
    if not entries:
        stderr.print("no window is held")
    raise typer.Exit(LOOK if entries else DONE)


def _closed(book: Book, catalogue: Catalogue, meters: tuple[str, ...], period: Period) -> Iterator[dict[str, object]]:
    for name in meters:
        for head in book.closings(name, period):
            yield _closed_row(catalogue.meters[name], head)


def _closed_row(meter: Meter, head: ClosingHead) -> dict[str, object]:
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
        "unseen": decimal_text(meter.quantity(evidence.lacking)),
        "unseen is": evidence.lacking_is,
        "tail": None if evidence.bound is None else decimal_text(meter.quantity(evidence.tail)),
        "gaps s": decimal_text(Fraction(evidence.uncovered, 1000)) if evidence.uncovered else None,
    }


def _held_row(entry: HeldEntry) -> dict[str, object]:
    return {
        "meter": entry.held.meter,
        "start": f"{entry.held.window.start:%Y-%m-%dT%H:%MZ}",
        "end": f"{entry.held.window.end:%Y-%m-%dT%H:%MZ}",
        "reason": entry.held.reason,
        "since": f"{entry.at:%Y-%m-%dT%H:%MZ}",
    }
