"""What follows an issued invoice, as typed: `rating invoices send`, `pay`, `refund`, `write-off`, `void`, `reissue`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated

import typer

from rating.bootstrap import load_catalogue, open_book, open_taxes
from rating.cli.frame import FORMAT, Format, console, days_text, now, settings_of, show, stderr, warn
from rating.core.invoices import Draft, Invoice
from rating.core.money import Money, exact, round_amount
from rating.errors import BookError
from rating.jobs.contracts import gather
from rating.jobs.follow import Clerk, Followed
from rating.jobs.lives import account_of
from rating.jobs.preview import preview as previewed
from rating.jobs.reissue import redraft
from rating.jobs.reissue import reissue as reissued
from rating.ports import Book

COLUMNS = ("invoice", "step", "on", "amount", "credit note", "given back", "currency", "state", "due", "kept")
DRAFTS = ("customer", "consumer", "plan", "period", "line", "title", "amount", "currency")

NUMBER = Annotated[str, typer.Argument(help="The invoice's number, INV-000042.")]
AMOUNT = Annotated[str | None, typer.Option(help='In major units: "100.00"; all that is due when absent.')]
ON = Annotated[str | None, typer.Option("--date", help="The day it happened, 2026-10-15; today when absent.")]
REFERENCE = Annotated[
    str,
    typer.Option(help="The bank's or the card's own number: one reference is one payment, said once or often."),
]
SOURCE = Annotated[str, typer.Option(help="bank, card, cash or whatever paid.")]
REASON = Annotated[str, typer.Option(help="Why; it stays in the book.")]
AUTHOR = Annotated[str, typer.Option(help="Who says so.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Check and say what would be kept, keep nothing.")]


def add_to(group: typer.Typer) -> None:
    group.command("preview")(preview)
    group.command("send")(send)
    group.command("pay")(pay)
    group.command("refund")(refund)
    group.command("write-off")(write_off)
    group.command("void")(void)
    group.command("reissue")(reissue)


def preview(
    context: typer.Context,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer.")] = None,
    format: Format = FORMAT,
) -> None:
    """Show what the open billing periods come to so far: drafts, as they would be issued if the period ended now.

    What is due already is `rating bill --dry-run`.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        contracts = gather(book, catalogue, now=moment)
        warn(contracts.findings)
        why: list[str] = []
        drafts = previewed(
            book, contracts, now=moment, consumer=consumer, taxes=open_taxes(settings), untaxed=why.append
        )
    for sentence in dict.fromkeys(why):
        stderr.print(f"shown without taxes: {sentence}", soft_wrap=True)
    show([row for draft in drafts for row in _draft_rows(draft)], DRAFTS, format)


def _draft_rows(draft: Draft) -> Iterator[dict[str, object]]:
    for before, part in draft.parts:
        head = {"customer": part.customer, "consumer": part.consumer, "plan": part.plan, "period": days_text(part)}
        for place, line in enumerate(part.lines, before + 1):
            yield {
                **head,
                "line": place,
                "title": line.title,
                "amount": line.amount.digits,
                "currency": part.currency.code,
            }
    yield {"customer": draft.customer, "title": "Total", "amount": draft.total.digits, "currency": draft.currency.code}


def send(
    context: typer.Context,
    number: NUMBER,
    how: Annotated[str, typer.Option(help="email, post, portal, ...")] = "",
    on: ON = None,
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """Keep that an invoice was sent. It sends nothing itself; `rating invoices render` makes the document."""
    with acting(context, number, dry_run=dry_run) as (clerk, invoice):
        tell(clerk, invoice, clerk.send(invoice, how=how, on=_day(on)), format)


def pay(
    context: typer.Context,
    number: NUMBER,
    amount: AMOUNT = None,
    on: ON = None,
    reference: REFERENCE = "",
    source: SOURCE = "bank",
    overpaid: Annotated[bool, typer.Option("--overpaid", help="The customer has really paid more.")] = False,
    author: AUTHOR = "",
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """Keep a payment, whole or in part. The same reference twice is one payment; another amount is a contradiction."""
    with acting(context, number, author, dry_run) as (clerk, invoice):
        paid = None if amount is None else money(amount, invoice)
        followed = clerk.pay(invoice, paid, on=_day(on), source=source, reference=reference, overpaid=overpaid)
        tell(clerk, invoice, followed, format)


def refund(
    context: typer.Context,
    number: NUMBER,
    amount: Annotated[str, typer.Option(help='In major units: "100.00".')],
    on: ON = None,
    reference: REFERENCE = "",
    source: SOURCE = "bank",
    author: AUTHOR = "",
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """Keep that money went back: a payment that bounced, or what a credit note owed to the customer."""
    with acting(context, number, author, dry_run) as (clerk, invoice):
        followed = clerk.refund(invoice, money(amount, invoice), on=_day(on), source=source, reference=reference)
        tell(clerk, invoice, followed, format)


def write_off(
    context: typer.Context,
    number: NUMBER,
    reason: REASON,
    author: AUTHOR = "",
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """Give up what is outstanding as uncollectible. It can still be paid."""
    with acting(context, number, author, dry_run) as (clerk, invoice):
        tell(clerk, invoice, clerk.write_off(invoice, reason=reason), format)


def void(
    context: typer.Context,
    number: NUMBER,
    reason: REASON,
    credit_note: Annotated[
        bool, typer.Option("--credit-note", help="Take it back by a credit note over all of it: where it was paid.")
    ] = False,
    author: AUTHOR = "",
    dry_run: DRY_RUN = False,
    format: Format = FORMAT,
) -> None:
    """Take an invoice back. Nothing of it may be paid, unless a credit note does it; a wallet has its payment back.

    The invoice itself does not change. `rating invoices reissue` issues another one in its place.
    """
    with acting(context, number, author, dry_run) as (clerk, invoice):
        tell(clerk, invoice, clerk.void(invoice, reason=reason, credit_note=credit_note), format)


def reissue(context: typer.Context, number: NUMBER, dry_run: DRY_RUN = False, format: Format = FORMAT) -> None:
    """Issue an invoice in the place of one that was taken back, by what is known and agreed now; it names that one.

    Terms of its period are changed by `rating catalog adopt --from`, usage by `rating correct`.
    """
    settings, moment = settings_of(context), now()
    catalogue, taxes = load_catalogue(settings), open_taxes(settings)
    with open_book(settings) as book:
        contracts = gather(book, catalogue, now=moment)
        old = invoice_of(book, number)
        if dry_run:
            show(
                list(_draft_rows(redraft(book, contracts, old, now=moment, taxes=open_taxes(settings)))), DRAFTS, format
            )
            stderr.print(f"would be issued in place of {number}")
            return
        new = reissued(book, contracts, old, now=moment, taxes=taxes)
    if format is Format.TABLE:
        console.print(f"{new.number} over {new.total} was issued in place of {number}")
        return
    row = {"invoice": new.number, "total": new.total.digits, "currency": new.draft.currency.code, "replaces": number}
    show([row], tuple(row), format)


@contextmanager
def acting(
    context: typer.Context, number: str, author: str = "", dry_run: bool = False
) -> Iterator[tuple[Clerk, Invoice]]:
    """The invoice, and somebody who may do something about it."""
    with open_book(settings_of(context)) as book:
        yield Clerk(book, now(), author, dry_run), invoice_of(book, number)


def invoice_of(book: Book, number: str) -> Invoice:
    invoice = book.invoice(number)
    if invoice is None:
        raise BookError(f"the book holds no invoice {number}; `rating invoices list` shows those it holds")
    return invoice


def tell(clerk: Clerk, invoice: Invoice, followed: Followed, format: Format) -> None:
    """What was kept, and what the invoice has come to."""
    after = account_of(clerk.book, invoice, clerk.now)
    entry, draft, note = followed.entry, followed.draft, followed.note
    kept = "would be kept" if clerk.dry_run and followed.new else "kept" if followed.new else "was kept before"
    row = {
        "invoice": invoice.number,
        "step": entry.step.value if entry is not None else "credit",
        "on": entry.on.isoformat() if entry is not None else None,
        "amount": entry.amount.digits if entry is not None and entry.amount is not None else None,
        "credit note": note.number if note is not None else None,
        "given back": draft.total.digits if draft is not None else None,
        "currency": invoice.draft.currency.code,
        "state": after.state.value,
        "due": after.amount_due.digits,
        "kept": kept,
    }
    if format is not Format.TABLE:
        show([row], COLUMNS, format)
        return
    said = [f"{invoice.number}: {row['step']}".replace("_", " ")]
    said += [f"of {entry.amount}"] if entry is not None and entry.amount is not None else []
    said += [f"with credit note {note.number} over {note.total}"] if note is not None else []
    said += [f"with a credit note over {draft.total}"] if note is None and draft is not None else []
    state = after.state.value.replace("_", " ")
    console.print(f"{' '.join(said)} {kept}; it is {state}, {after.amount_due} due", soft_wrap=True)


def money(text: str, invoice: Invoice) -> Money:
    """An amount in the invoice's currency.

    Raises:
        typer.BadParameter: it is no amount, or finer than the currency.
    """
    currency = invoice.draft.currency
    try:
        written = exact(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    amount = round_amount(written, currency)
    if amount.exact != written:
        raise typer.BadParameter(f"{text} is finer than {currency} has decimals; write {amount.digits}")
    return amount


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a day; write it like 2026-10-15") from error
