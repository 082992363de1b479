"""`rating book prune`, `rollups` and `compact`: old windows as days, where their rows lie, and the space they took."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from rating.bootstrap import compact_book, load_catalogue, open_archive, open_stored_book
from rating.cli.frame import (
    DONE,
    FAILED,
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
from rating.core.periods import stamp
from rating.core.retention import months_before
from rating.errors import EdgeDisagrees, EdgeUnavailable
from rating.jobs.contracts import gather
from rating.jobs.prune import Outcome, prune
from rating.settings import Settings, safe_url

PRUNED = ("meter", "from", "to", "windows", "rows", "day rows", "total", "archive", "sha256")
ROLLED = ("rollup", "meter", "from", "to", "windows", "rows", "days", "recorded", "author", "archive", "sha256")

ARCHIVE = Annotated[
    Path | None,
    typer.Option(
        "--archive",
        help="The folder of `rating book prune`: windows that were rolled up to days are read from its files, each "
        "held to the SHA-256 that the book keeps of it.",
    ),
]


def add_to(group: typer.Typer) -> None:
    group.command("prune")(command)
    group.command("rollups")(rollups)
    group.command("compact")(compact)


def command(
    context: typer.Context,
    archive: Annotated[
        Path | None, typer.Option("--archive", help="The folder the windows' rows are written into first. Keep it.")
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            help="Windows that start before this: 2026, 2026-Q4, 2026-10 or 2026-10-15; else what is older than "
            "RATING_RETENTION_MONTHS."
        ),
    ] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    author: Annotated[str, typer.Option(help="Who says so; it stays in the book.")] = "rating",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; write and remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before rows are removed.")] = False,
    format: Format = FORMAT,
) -> None:
    """Roll old windows up to days: archive their rows, read the archive back, then remove them from the book.

    Only what is fully invoiced and past correction goes. Closings with their evidence and digests, adjustments and
    invoices stay, and every total over whole days is what it was. Explaining, verifying and checking go on with the
    days, or window by window with --archive. Doing it again is nothing. Then `rating book compact` gives the space
    back.
    """
    settings, moment = settings_of(context), now()
    day = _before(settings, before, moment.date(), months_before(moment, settings.retention_months))
    if archive is None and not dry_run:
        raise typer.BadParameter("say where the rows go with --archive, or only look with --dry-run")
    with open_stored_book(settings) as book:
        contracts = gather(book, load_catalogue(settings), now=moment)

        def run(folder: Path | None) -> Outcome:
            with progress_bar("rolling up") as progress:
                return prune(
                    book,
                    contracts,
                    day,
                    None if folder is None else open_archive(folder),
                    now=moment,
                    meter=meter,
                    author=author,
                    progress=progress,
                )

        if not dry_run and not yes:
            _ask(run(None), day, settings)
        outcome = run(None if dry_run else archive)
    _report(outcome, day, dry_run, format)


def _before(settings: Settings, written: str | None, today: date, retained: date) -> date:
    """The earlier of the two days: what the setting keeps is kept."""
    if written is None and not settings.retention_months:
        raise typer.BadParameter("say --before, or set RATING_RETENTION_MONTHS")
    days = [retained] if settings.retention_months else []
    if written is not None:
        asked = days_of(written)
        assert asked is not None
        days.append(asked[0])
        if settings.retention_months and asked[0] > retained:
            stderr.print(
                f"RATING_RETENTION_MONTHS keeps {settings.retention_months} months: only what starts before {retained} "
                f"is rolled up, not before {asked[0]}",
                soft_wrap=True,
            )
    return min((today, *days))


def _ask(planned: Outcome, day: date, settings: Settings) -> None:
    rows = sum(one.rows for one in planned.pruned)
    if not rows:
        return
    where = safe_url(settings.database_url)
    stderr.print(f"{rows} usage rows of windows before {day} will be removed from {where}, once they are archived")
    if not sys.stdin.isatty():
        stderr.print("nothing was removed; say --yes where nobody can be asked")
        raise typer.Exit(FAILED)
    typer.confirm("Go on?", abort=True, err=True)


def _report(outcome: Outcome, day: date, dry_run: bool, format: Format) -> None:
    rows = [
        {
            "meter": one.meter,
            "from": stamp(one.span.start),
            "to": stamp(one.span.end),
            "windows": one.windows,
            "rows": one.rows,
            "day rows": one.day_rows,
            "total": str(one.total),
            "archive": one.archive,
            "sha256": one.digest,
        }
        for one in outcome.pruned
    ]
    if rows or format is not Format.TABLE:
        show(rows, PRUNED, format)
    for name, why in outcome.stays:
        stderr.print(f"meter {name}: {why}", soft_wrap=True)
    sums = (sum(getattr(one, what) for one in outcome.pruned) for what in ("windows", "rows", "day_rows"))
    windows, before, after = sums
    did = "would become" if dry_run else "became"
    stderr.print(f"{windows} windows before {day}: {before} rows {did} {after}", soft_wrap=True)


def rollups(context: typer.Context, archive: ARCHIVE = None, format: Format = FORMAT) -> None:
    """List what was rolled up to days, and in which file its windows lie. With --archive, compare each file.

    Exit code 3 when a file is missing or is not what the book says.
    """
    doubts = []
    with open_stored_book(settings_of(context)) as book:
        kept = book.rollups()
    rows = []
    for number, one in enumerate(kept, 1):
        rollup = one.rollup
        rows.append(
            {
                "rollup": number,
                "meter": rollup.meter,
                "from": stamp(rollup.span.start),
                "to": stamp(rollup.span.end),
                "windows": rollup.windows,
                "rows": rollup.rows,
                "days": len(rollup.days),
                "recorded": stamp(one.at),
                "author": rollup.author,
                "archive": rollup.archive,
                "sha256": rollup.archive_digest,
            }
        )
        if archive is not None:
            try:
                open_archive(archive).read(rollup.archive, rollup.archive_digest)
            except (EdgeDisagrees, EdgeUnavailable) as error:
                doubts.append(f"roll-up {number}: {error}")
    show(rows, ROLLED, format)
    for doubt in doubts:
        stderr.print(doubt, soft_wrap=True)
    if archive is not None and not doubts:
        stderr.print(f"{len(rows)} files are there, each with its digest; `rating book check --archive` reads them too")
    raise typer.Exit(LOOK if doubts else DONE)


def compact(context: typer.Context) -> None:
    """Give back the space that removed rows took. On SQLite the file shrinks; it needs as much free space meanwhile.

    SQLite: VACUUM, which waits for other writers and holds them up. PostgreSQL: VACUUM of the table of usage, beside
    everything else; its space is used again by new rows. What returns it to the disk is `VACUUM FULL usage`, which
    locks the table, or pg_repack.
    """
    settings = settings_of(context)
    before, after = compact_book(settings)
    stderr.print(f"{safe_url(settings.database_url)} took {_mebibytes(before)} and takes {_mebibytes(after)}")


def _mebibytes(size: int) -> str:
    return f"{size >> 20}.{(size % (1 << 20) * 10) >> 20} MiB"
