"""`rating invoices`: list, show, export and render what was issued; what follows an invoice is `following`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from rating.bootstrap import open_book, open_documents
from rating.cli import following
from rating.cli.frame import FORMAT, Format, console, days_of, days_text, now, settings_of, show
from rating.cli.papers import BRAND, LOCALE, OUT, PAPER, Drawn, Paper, letterhead, nothing, rendered, write
from rating.core.creditnotes import CreditNote
from rating.core.documents import Document
from rating.core.invoices import Invoice, LineItem
from rating.core.lifecycle import Account, State
from rating.core.money import decimal_text, grouped
from rating.core.periods import stamp
from rating.jobs.documents import credit_document, hashed_text, invoice_document
from rating.jobs.lives import accounts
from rating.ports import Book
from rating.settings import Settings

LIST = ("invoice", "issued", "customer", "consumer", "plan", "period", "total", "currency", "state", "due", "due on")
LINES = ("invoice", "line", "kind", "charge", "title", "quantity", "unit", "included", "exact", "amount", "currency")


def add(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Invoices: preview, list, show, render; sent, paid, void.",
        invoke_without_command=True,
    )
    group.callback()(default)
    group.command("list")(list_invoices)
    group.command("show")(show_invoice)
    group.command("export")(export)
    group.command("render")(render)
    following.add_to(group)
    app.add_typer(group, name="invoices")


PERIOD = typer.Option(None, help="Only billing periods that start in 2026-10, 2026-Q4 or 2026, or on 2026-10-15.")
CONSUMER = typer.Option(None, help="Only this consumer.")


def default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_invoices(context, None, None, None, Format.TABLE)


def list_invoices(
    context: typer.Context,
    period: str | None = PERIOD,
    consumer: str | None = CONSUMER,
    state: Annotated[
        list[State] | None, typer.Option(help="Only those that are so today: overdue, paid, ...; may be given twice.")
    ] = None,
    format: Format = FORMAT,
) -> None:
    """List issued invoices in the order in which they were issued, with what has become of each."""
    with open_book(settings_of(context)) as book:
        found_ones = accounts(book, selected(book, period, consumer), now())
    rows = [{**_head(invoice), **_became(one)} for invoice, one in found_ones if not state or one.state in state]
    show(rows, LIST, format)


def _became(one: Account) -> dict[str, Any]:
    return {
        "state": one.state.value,
        "due": one.amount_due.digits,
        "due on": one.due_on.isoformat() if one.due_on is not None else None,
    }


def show_invoice(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The invoice's number, INV-000042.")],
    format: Format = FORMAT,
) -> None:
    """Show one invoice with its lines."""
    settings = settings_of(context)
    with open_book(settings) as book:
        invoice = found(book, number)
    if format is Format.TABLE:
        _paper(invoice, settings)
    else:
        show([_line(invoice, position, line) for position, line in enumerate(invoice.draft.lines, 1)], LINES, format)


def export(
    context: typer.Context,
    period: str | None = PERIOD,
    consumer: str | None = CONSUMER,
    format: Annotated[Format, typer.Option("--format", "-f", help="csv or json.")] = Format.CSV,
) -> None:
    """Print every line of the issued invoices, one row each, safe to open in a spreadsheet."""
    with open_book(settings_of(context)) as book:
        invoices = selected(book, period, consumer)
    show([row for invoice in invoices for row in _rows(invoice)], LINES, format)


def render(
    context: typer.Context,
    number: Annotated[
        str | None, typer.Argument(help="An invoice's or credit note's number; all of the period without it.")
    ] = None,
    period: str | None = PERIOD,
    consumer: str | None = CONSUMER,
    credit_notes: Annotated[bool, typer.Option("--credit-notes", help="Also the credit notes about them.")] = False,
    format: Paper = PAPER,
    out: Path | None = OUT,
    locale: str | None = LOCALE,
    brand: str | None = BRAND,
) -> None:
    """Render invoices and credit notes as documents to send: the same paper gives the same bytes.

    A PDF is PDF/A-3 with its fonts inside, and with the e-invoice where EN 16931 can say all of it. The exit code is 3
    when a person must look, for example at a name that no font of this machine can draw.
    """
    if number is None and period is None and consumer is None:
        raise typer.BadParameter("name an invoice, or say which: --period 2026-10 or --consumer C")
    settings = settings_of(context)
    documents, head = open_documents(settings), letterhead(settings, locale, brand)
    with open_book(settings) as book:
        papers = _papers(book, number, period, consumer, credit_notes)
        if nothing(papers, "no invoice was issued for these; see `rating invoices list`"):
            return

        def document(paper: Invoice | CreditNote) -> Document:
            return (
                invoice_document(book, paper, head)
                if isinstance(paper, Invoice)
                else credit_document(book, paper, head)
            )

        def drawn(paper: Invoice | CreditNote) -> Drawn:
            return paper.number, lambda: rendered(
                documents, lambda: document(paper), format, lambda: hashed_text(paper)
            )

        raise typer.Exit(write([drawn(paper) for paper in papers], format, out))


def _papers(
    book: Book, number: str | None, period: str | None, consumer: str | None, credit_notes: bool
) -> list[Invoice | CreditNote]:
    if number is None:
        invoices = selected(book, period, consumer)
    else:
        note = next((note for note in book.credit_notes() if note.number == number), None)
        if note is not None:
            return [note]
        invoices = [found(book, number)]
    papers: list[Invoice | CreditNote] = []
    for invoice in invoices:
        papers.append(invoice)
        papers += book.credit_notes(invoice.number) if credit_notes else ()
    return papers


def selected(book: Book, period: str | None, consumer: str | None) -> list[Invoice]:
    days = days_of(period)
    return [
        invoice
        for invoice in book.invoices(consumer=consumer)
        if days is None or days[0] <= invoice.draft.days[0] < days[1]
    ]


def found(book: Book, number: str) -> Invoice:
    """The invoice of that number.

    Raises:
        typer.BadParameter: there is none.
    """
    invoice = book.invoice(number)
    if invoice is None:
        raise typer.BadParameter(f"the book holds no invoice {number}; `rating invoices list` shows those it holds")
    return invoice


def _head(invoice: Invoice) -> dict[str, Any]:
    draft = invoice.draft
    return {
        "invoice": invoice.number,
        "issued": invoice.issued_at.date().isoformat(),
        "customer": draft.customer,
        "consumer": " ".join(dict.fromkeys(part.consumer for _, part in draft.parts)),
        "plan": " ".join(dict.fromkeys(part.plan for _, part in draft.parts)),
        "period": days_text(draft),
        "total": draft.total.digits,
        "currency": draft.currency.code,
    }


def _rows(invoice: Invoice) -> Iterator[dict[str, Any]]:
    for position, line in enumerate(invoice.draft.lines, 1):
        yield _line(invoice, position, line)


def _line(invoice: Invoice, position: int, line: LineItem) -> dict[str, Any]:
    metered = bool(line.meter)
    return {
        "invoice": invoice.number,
        "line": position,
        "kind": line.kind.value,
        "charge": line.card or "fee",
        "title": line.title,
        "quantity": decimal_text(line.quantity) if metered else None,
        "unit": line.unit or None,
        "included": decimal_text(line.included) if metered else None,
        "exact": decimal_text(line.exact),
        "amount": line.amount.digits,
        "currency": line.amount.currency.code,
    }


def _paper(invoice: Invoice, settings: Settings) -> None:
    draft = invoice.draft
    seller = f"{settings.seller}: invoice" if settings.seller else "Invoice"
    console.print(f"{seller} {invoice.number}, issued {stamp(invoice.issued_at.replace(microsecond=0))}")
    served = "" if draft.customer == draft.consumer else f", for consumer {draft.consumer}"
    console.print(f"To {draft.customer}{served}")
    console.print(f"{draft.plan_title}, {days_text(draft)}")
    rows: list[dict[str, Any]] = [
        {
            "line": position,
            "title": line.title,
            "quantity": grouped(decimal_text(line.quantity)) if line.meter else None,
            "unit": line.unit or None,
            "included": grouped(decimal_text(line.included)) if line.included else None,
            "amount": grouped(line.amount.digits),
        }
        for position, line in enumerate(draft.lines, 1)
    ]
    rows.append({"title": f"Total {draft.currency}", "amount": grouped(invoice.total.digits)})
    show(rows, ("line", "title", "quantity", "unit", "included", "amount"), Format.TABLE)
    console.print(f"Each line can be explained: rating explain {invoice.number}/1")
