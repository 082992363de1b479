"""`rating book`: is the book whole, what is in it, is its schema current, and what becomes of what is old."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from rating.bootstrap import migrate_book, open_archive, open_stored_book, open_tables
from rating.cli import pruning
from rating.cli.export import As
from rating.cli.frame import DONE, FORMAT, LOOK, Format, days_of, settings_of, show, stderr
from rating.cli.pruning import ARCHIVE
from rating.jobs.archive import counted, windows
from rating.jobs.archive import days as rolled_days
from rating.jobs.audit import audit
from rating.settings import safe_url


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="The append-only record: check it, count it, bring it up to date.", no_args_is_help=True)
    group.command("check")(check)
    group.command("status")(status)
    group.command("migrate")(migrate)
    group.command("archive")(archive)
    pruning.add_to(group)
    app.add_typer(group, name="book")


def check(context: typer.Context, archive: ARCHIVE = None, format: Format = FORMAT) -> None:
    """Hold every entry to the invariants: sums, hashes, numbers, windows. Exit code 3 when one is broken.

    Windows that were rolled up are held to their days; with --archive each row of theirs to the window's digest.
    """
    with open_stored_book(settings_of(context)) as book:
        findings = list(audit(book, None if archive is None else open_archive(archive)))
        counts = book.counts()
    if findings or format is not Format.TABLE:
        rows = [{"where": finding.where, "what": finding.what, "hint": finding.hint} for finding in findings]
        show(rows, ("where", "what", "hint"), format)
    stderr.print(
        f"{counts['invoices']} invoices, {counts['closings']} windows with {counts['usage']} usage rows: "
        + (f"{len(findings)} findings" if findings else "every rule holds"),
        soft_wrap=True,
    )
    raise typer.Exit(LOOK if findings else DONE)


def status(context: typer.Context, format: Format = FORMAT) -> None:
    """Count the entries of each kind."""
    settings = settings_of(context)
    with open_stored_book(settings) as book:
        counts = book.counts()
    rows = [{"entries": kind, "count": count} for kind, count in sorted(counts.items())]
    show(rows, ("entries", "count"), format, title=safe_url(settings.database_url))


def migrate(context: typer.Context) -> None:
    """Bring the book's schema up to date, in one transaction. Make a backup first."""
    settings = settings_of(context)
    before, after = migrate_book(settings)
    where = safe_url(settings.database_url)
    if before == after:
        stderr.print(f"{where} has schema {after}, which is current", soft_wrap=True)
    else:
        stderr.print(
            f"{where} went from {'an empty database' if before is None else before} to {after}", soft_wrap=True
        )


def archive(
    context: typer.Context,
    before: Annotated[str, typer.Option(help="Windows that start before this: 2026, 2026-Q4, 2026-10 or 2026-10-15.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder to copy into.")] = None,
    format: Annotated[As, typer.Option("--format", "-f", help="parquet, or csv.")] = As.PARQUET,
    zone: Annotated[str, typer.Option(help="Whose midnights bound the days.")] = "UTC",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
) -> None:
    """Copy old windows, and the days they roll up to, into files with a SHA-256 for each.

    A day names how many windows it is the sum of, and a digest over theirs. Nothing is removed from the book; what
    rolls windows up to days there is `rating book prune`, which has an archive of its own.
    """
    days = days_of(before)
    assert days is not None
    try:
        midnights = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise typer.BadParameter(f"{zone!r} is not a time zone; write one such as Europe/Berlin") from error
    with open_stored_book(settings_of(context)) as book:
        count, rows = counted(book, days[0], midnights)
        if dry_run or out is None:
            stderr.print(f"would copy {count} windows with {rows} rows that start before {days[0]}")
            if not dry_run:
                raise typer.BadParameter("say where to with --out, or only look with --dry-run")
            return
        writer = open_tables(format.value)
        files = [writer.write(table(book, days[0], midnights), out)[0] for table in (windows, rolled_days)]
    sums = "".join(f"{_sha256(file)}  {file.name}\n" for file in files)
    (out / "SHA256SUMS").write_text(sums, encoding="utf-8")
    sys.stdout.write(sums)
    stderr.print(f"{count} windows with {rows} rows copied to {out}; `sha256sum -c SHA256SUMS` checks them")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
