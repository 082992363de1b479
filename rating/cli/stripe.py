"""`rating stripe`: what concerns gateways beyond publishing: what they told, what differs, what is parked."""

from __future__ import annotations

from typing import Annotated

import typer

from rating.bootstrap import open_book
from rating.cli import correct_periods, offers, reconcile, settle
from rating.cli.frame import FORMAT, Format, now, settings_of, show
from rating.cli.publish import specs_of
from rating.errors import Finding, SpecError
from rating.jobs.publish import retry

REVIVED = ("gateway", "subject")


def add(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Gateways: what they told, how they differ from the book, what is parked, our prices there.",
        no_args_is_help=True,
    )
    group.command("retry")(again)
    offers.add_to(group)
    settle.add_to(group)
    reconcile.add_to(group)
    correct_periods.add_to(group)
    app.add_typer(group, name="stripe")


def again(
    context: typer.Context,
    subject: Annotated[str | None, typer.Argument(help="What is parked, invoice/INV-000042.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that is parked.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be tried again.")] = False,
    format: Format = FORMAT,
) -> None:
    """Have parked papers tried again by the next `rating publish`, or by `rating run`.

    Mend first what the last answer says: `rating publish --parked`.
    """
    if (subject is None) is not every:
        raise SpecError((Finding("stripe retry", "says neither what nor --all", "name one subject, or give --all"),))
    settings = settings_of(context)
    names = list(specs_of(settings))
    with open_book(settings) as book:
        if dry_run:
            parked = [one.progress for name in names for one in book.parked(name)]
            found = [one for one in parked if subject in (None, one.subject)]
        else:
            found = list(retry(book, names, subject, now=now()))
    show([{"gateway": one.gateway, "subject": one.subject} for one in found], REVIVED, format)
