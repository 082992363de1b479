"""`rating book`: is the book whole, what is in it, and is its schema current."""

from __future__ import annotations

import typer

from rating.bootstrap import migrate_book, open_stored_book
from rating.cli.frame import DONE, FORMAT, LOOK, Format, settings_of, show, stderr
from rating.jobs.audit import audit
from rating.settings import safe_url


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="The append-only record: check it, count it, bring it up to date.", no_args_is_help=True)
    group.command("check")(check)
    group.command("status")(status)
    group.command("migrate")(migrate)
    app.add_typer(group, name="book")


def check(context: typer.Context, format: Format = FORMAT) -> None:
    """Hold every entry to the invariants: sums, hashes, numbers, windows. Exit code 3 when one is broken."""
    with open_stored_book(settings_of(context)) as book:
        findings = list(audit(book))
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
