"""`rating catalog`: which version of the catalogue is in force when."""

from __future__ import annotations

from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book
from rating.cli.frame import FORMAT, Format, instant, now, settings_of, show, stderr
from rating.core.periods import EPOCH, stamp
from rating.jobs.contracts import adopt


def add(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Which catalogue is in force when: a period is billed under the one in force when it began.",
        no_args_is_help=True,
    )
    group.command("list")(list_versions)
    group.command("adopt")(adopt_version)
    app.add_typer(group, name="catalog")


def list_versions(context: typer.Context, format: Format = FORMAT) -> None:
    """List the versions the book has kept."""
    with open_book(settings_of(context)) as book:
        rows = [
            {
                "digest": version.digest[:12],
                "in force from": "the beginning" if version.in_force_from == EPOCH else stamp(version.in_force_from),
                "recorded": stamp(version.recorded_at),
            }
            for version in book.catalogues()
        ]
    show(rows, ("digest", "in force from", "recorded"), format)


def adopt_version(
    context: typer.Context,
    since: Annotated[str, typer.Option("--from", help="First instant it holds for, such as 2026-10-01.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be kept, keep nothing.")] = False,
) -> None:
    """Let the catalogue as it is now hold from a past instant on, over what was kept for that time.

    Invoices already issued do not change.
    """
    settings = settings_of(context)
    catalogue, start = load_catalogue(settings), instant(since)
    assert start is not None
    if dry_run:
        stderr.print(f"would keep catalogue {catalogue.digest[:12]} as in force from {stamp(start)}")
        return
    with open_book(settings) as book:
        new = adopt(book, catalogue, since=start, now=now())
    verb = "kept" if new else "was already kept:"
    stderr.print(f"{verb} catalogue {catalogue.digest[:12]} as in force from {stamp(start)}")
