"""`rating disputes`: put a line of an invoice on hold, and resolve it."""

from __future__ import annotations

from typing import Annotated

import typer

from rating.bootstrap import open_book
from rating.cli.following import AUTHOR, DRY_RUN, REASON, acting, money, tell
from rating.cli.frame import FORMAT, Format, now, settings_of, show
from rating.core.lifecycle import Step
from rating.jobs.lives import accounts

LIST = ("invoice", "line", "on hold", "currency", "since", "reason", "author")

LINE = Annotated[str, typer.Argument(metavar="INVOICE/LINE", help="INV-000042/2.")]


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="Lines on hold: not collected until they are resolved.", no_args_is_help=True)
    app.add_typer(group, name="disputes")
    group.command("list")(list_all)
    group.command("open")(hold)
    group.command("accept")(accept)
    group.command("reject")(reject)


def list_all(context: typer.Context, format: Format = FORMAT) -> None:
    """List the lines that are on hold."""
    with open_book(settings_of(context)) as book:
        found = accounts(book, book.invoices(), now())
    rows = []
    for invoice, one in found:
        for line, amount in sorted(one.on_hold.items()):
            entry = next(step for step in reversed(one.steps) if step.step is Step.DISPUTE and step.line == line)
            rows.append(
                {
                    "invoice": invoice.number,
                    "line": line,
                    "on hold": amount.digits,
                    "currency": amount.currency.code,
                    "since": entry.on.isoformat(),
                    "reason": entry.reason,
                    "author": entry.author or None,
                }
            )
    show(rows, LIST, format)


def hold(
    context: typer.Context,
    where: LINE,
    reason: REASON,
    amount: Annotated[str | None, typer.Option(help="So much of it; the whole line and its taxes if absent.")] = None,
    author: AUTHOR = "",
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """Put a line on hold: what is due leaves it out until the dispute is accepted or rejected."""
    number, line = _line(where)
    with acting(context, number, author, dry_run) as (clerk, invoice):
        held = None if amount is None else money(amount, invoice)
        tell(clerk, invoice, clerk.dispute(invoice, line, reason=reason, amount=held), format)


def accept(
    context: typer.Context,
    where: LINE,
    reason: REASON,
    author: AUTHOR = "",
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """The customer was right: the line is given back by a credit note, with its discounts and taxes."""
    number, line = _line(where)
    with acting(context, number, author, dry_run) as (clerk, invoice):
        tell(clerk, invoice, clerk.accept(invoice, line, reason=reason), format)


def reject(
    context: typer.Context,
    where: LINE,
    reason: REASON,
    author: AUTHOR = "",
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """The line stands and is due again. `rating explain INVOICE/LINE` is what to show the customer."""
    number, line = _line(where)
    with acting(context, number, author, dry_run) as (clerk, invoice):
        tell(clerk, invoice, clerk.reject(invoice, line, reason=reason), format)


def _line(where: str) -> tuple[str, int]:
    number, _, line = where.partition("/")
    if not line.isdecimal():
        raise typer.BadParameter(f"{where!r} names no line; write INV-000042/2")
    return number, int(line)
