"""`rating credit-notes`: give back part of an invoice, list and show what was given back, credit late data."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rating.bootstrap import load_catalogue, open_book
from rating.cli.following import AUTHOR, DRY_RUN, REASON, acting, money, tell
from rating.cli.frame import FORMAT, Format, console, now, settings_of, show, warn
from rating.core.creditnotes import CreditNote
from rating.core.money import decimal_text
from rating.errors import BookError
from rating.jobs.contracts import gather
from rating.jobs.latecredits import credit_late

LIST = ("credit note", "issued", "invoice", "customer", "cause", "total", "currency", "reason", "author")
LINES = ("credit note", "line", "corrects", "kind", "title", "quantity", "amount", "currency")


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="The only papers that take back what an issued invoice charged.", no_args_is_help=True)
    app.add_typer(group, name="credit-notes")
    group.command("list")(list_all)
    group.command("show")(show_note)
    group.command("add")(issue)
    group.command("late")(late)


def list_all(
    context: typer.Context,
    invoice: Annotated[str | None, typer.Option(help="Only those about this invoice.")] = None,
    format: Format = FORMAT,
) -> None:
    """List issued credit notes in the order in which they were issued."""
    with open_book(settings_of(context)) as book:
        rows = [_head(note) for note in book.credit_notes(invoice)]
    show(rows, LIST, format)


def show_note(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The credit note's number, CN-000042.")],
    format: Format = FORMAT,
) -> None:
    """Show one credit note; each line names the invoice line that it corrects."""
    with open_book(settings_of(context)) as book:
        note = next((one for one in book.credit_notes() if one.number == number), None)
    if note is None:
        raise BookError(f"the book holds no credit note {number}; `rating credit-notes list` shows those it holds")
    if format is Format.TABLE:
        draft = note.draft
        console.print(f"Credit note {number} about invoice {draft.invoice}, issued {note.issued_at:%Y-%m-%d}")
        console.print(f"To {draft.customer}: {draft.reason}" + (f" ({draft.author})" if draft.author else ""))
    show(_lines(note), LINES[1:] if format is Format.TABLE else LINES, format)


def issue(
    context: typer.Context,
    where: Annotated[str, typer.Argument(metavar="INVOICE[/LINE]", help="INV-000042/2 for one line, or all of it.")],
    amount: Annotated[str, typer.Option(help="Before discounts and taxes, which are given back in proportion.")],
    reason: REASON,
    author: AUTHOR = "",
    reference: Annotated[str, typer.Option(help="Tells two credits apart that are the same otherwise.")] = "",
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """Give back part of a line, or of the whole invoice in proportion. The same command twice is one credit note.

    What the invoice's discounts took off and its taxes added is given back in the same proportion. What a wallet had
    paid goes back to it.
    """
    number, _, line = where.partition("/")
    if line and not line.isdecimal():
        raise typer.BadParameter(f"{where!r} names no line; write INV-000042/2")
    with acting(context, number, author, dry_run) as (clerk, invoice):
        followed = clerk.credit(
            invoice, money(amount, invoice), line=int(line) if line else None, reason=reason, reference=reference
        )
        tell(clerk, invoice, followed, format)


def late(
    context: typer.Context,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer.")] = None,
    format: Format = FORMAT,
) -> None:
    """Issue credit notes for what late data took off issued invoices now, whatever the customers have agreed on.

    Without it, the next invoice settles it; customers with `late: credit_note` have theirs with every `rating bill`.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        contracts = gather(book, catalogue, now=moment)
        warn(contracts.findings)
        notes = credit_late(book, contracts, now=moment, consumer=consumer, everybody=True)
    show([_head(note) for note in notes], LIST, format)


def _head(note: CreditNote) -> dict[str, Any]:
    draft = note.draft
    return {
        "credit note": note.number,
        "issued": note.issued_at.date().isoformat(),
        "invoice": draft.invoice,
        "customer": draft.customer,
        "cause": draft.cause.value,
        "total": note.total.digits,
        "currency": draft.currency.code,
        "reason": draft.reason,
        "author": draft.author or None,
    }


def _lines(note: CreditNote) -> list[dict[str, Any]]:
    return [
        {
            "credit note": note.number,
            "line": place,
            "corrects": line.settles,
            "kind": line.kind.value,
            "title": line.title,
            "quantity": decimal_text(line.quantity) if line.meter else None,
            "amount": line.amount.digits,
            "currency": line.amount.currency.code,
        }
        for place, line in enumerate(note.draft.lines, 1)
    ]
