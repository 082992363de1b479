"""`rating statements`: what is owed to partners of the invoices issued, line by line or as documents; and what was
stated to them, numbered.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from rating.bootstrap import load_catalogue, open_book, open_documents
from rating.cli.explain import print_head, print_line
from rating.cli.frame import (
    DONE,
    FORMAT,
    LOOK,
    WRONG_INPUT,
    Format,
    console,
    days_of,
    now,
    settings_of,
    show,
    stderr,
    warn,
)
from rating.cli.papers import BRAND, LOCALE, OUT, Drawn, Paper, letterhead, nothing, rendered, write
from rating.core.money import decimal_text, grouped, total
from rating.core.partners import PartnerLine, PartnerStatement
from rating.core.payouts import Payout, StatementDraft
from rating.core.periods import stamp
from rating.errors import BookError
from rating.jobs.contracts import gather
from rating.jobs.documents import hashed_text, payout_document, statement_document
from rating.jobs.explain import explain as explained
from rating.jobs.statements import state, statements
from rating.ports import Book

COLUMNS = (
    "partner",
    "month",
    "invoice",
    "line",
    "charge",
    "start",
    "end",
    "base",
    "percent",
    "exact",
    "amount",
    "currency",
    "usage_digest",
)
SHORT = ("partner", "month", "invoice", "line", "charge", "base", "percent", "exact", "amount", "currency")
"""A terminal is narrow: the span and the proof are for programs."""
TOTALS = ("partner", "month", "lines", "base", "amount", "currency")
LIST = ("statement", "issued", "partner", "month", "lines", "total", "currency")
STATED = ("line", "invoice", "of line", "title", "base", "percent", "amount", "corrects")
STATED_ALL = ("statement", *STATED, "exact", "currency", "start", "end", "usage_digest")

PARTNER = Annotated[str | None, typer.Option(help="Only this partner.")]
NUMBER = Annotated[str, typer.Argument(help="The statement's number, ST-000042.")]


def add(app: typer.Typer) -> None:
    group = typer.Typer(help="What partners are owed of the invoices issued, and what was stated to them.")
    app.add_typer(group, name="statements")
    group.callback(invoke_without_command=True)(command)
    group.command("issue")(issue)
    group.command("list")(list_all)
    group.command("show")(show_statement)
    group.command("render")(render)
    group.command("explain")(explain)


def command(
    context: typer.Context,
    period: Annotated[
        str | None, typer.Option(help="Only billing periods that begin in the months of 2026-10, 2026-Q4 or 2026.")
    ] = None,
    partner: Annotated[str | None, typer.Option(help="Only this partner.")] = None,
    totals: Annotated[bool, typer.Option("--totals", help="One row per partner, month and currency.")] = False,
    format: Format = FORMAT,
    out: Path | None = OUT,
    paper: Annotated[Paper, typer.Option("--paper", help="With --out: pdf, html, json or csv.")] = Paper.PDF,
    locale: str | None = LOCALE,
    brand: str | None = BRAND,
) -> None:
    """Show what is owed to partners: their share of each invoice line, rounded once per line. Writes nothing.

    The base is the line as it stands on the invoice. Each line names the invoice line, and the same digest of usage
    windows, so `rating explain INVOICE/LINE` proves it. With --out, each statement becomes a document instead. The exit
    code is 3 when a person must look.
    """
    if context.invoked_subcommand is not None:
        return
    settings, moment, span = settings_of(context), now(), days_of(period)
    catalogue = load_catalogue(settings)
    with open_book(settings) as book:
        contracts = gather(book, catalogue, now=moment)
        owed, findings = statements(book, contracts)
    chosen = [
        one for one in owed if partner in (None, one.partner) and (span is None or span[0] <= one.month < span[1])
    ]
    if out is not None and chosen:
        documents, head = open_documents(settings), letterhead(settings, locale, brand)

        def drawn(one: PartnerStatement) -> Drawn:
            document = statement_document(one, head)
            return document.number, lambda: rendered(documents, lambda: document, paper)

        code = write([drawn(one) for one in chosen], paper, out)
        warn(findings)
        raise typer.Exit(LOOK if findings else code)
    _print(chosen, totals, format)
    warn(findings)
    raise typer.Exit(LOOK if findings else DONE)


def issue(
    context: typer.Context,
    period: Annotated[str, typer.Option(help="The month to close: 2026-10.")],
    partner: PARTNER = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be stated, issue nothing.")] = False,
    format: Format = FORMAT,
) -> None:
    """Issue each partner's statement of a month: every share not stated before, up to that month.

    A statement never changes. Shares that become known later, and those that credit notes and void invoices take back,
    stand on the statement of a later month. Repeating the command issues nothing twice. The exit code is 3 when a
    person must look, and then nothing is issued.
    """
    settings, moment = settings_of(context), now()
    catalogue = load_catalogue(settings)
    month = _month(period, moment.astimezone(catalogue.zone).date())
    with open_book(settings) as book:
        contracts = gather(book, catalogue, now=moment)
        stated = state(book, contracts, month=month, now=moment, partner=partner, dry_run=dry_run)
    rows = (
        [_head("(dry run)", None, draft) for draft in stated.drafts] if dry_run else list(map(_issued, stated.issued))
    )
    if rows or format is not Format.TABLE:
        show(rows, LIST, format)
    elif not stated.findings:
        stderr.print(f"everything owed up to {month:%Y-%m} is stated")
    warn(stated.findings)
    raise typer.Exit(LOOK if stated.findings else DONE)


def list_all(context: typer.Context, partner: PARTNER = None, format: Format = FORMAT) -> None:
    """List what was stated, in order of number."""
    with open_book(settings_of(context)) as book:
        show([_issued(payout) for payout in book.statements(partner)], LIST, format)


def show_statement(context: typer.Context, number: NUMBER, format: Format = FORMAT) -> None:
    """Show one statement with its lines."""
    with open_book(settings_of(context)) as book:
        payout = _found(book, number)
    rows = [_stated(payout, place, line) for place, line in enumerate(payout.draft.lines, 1)]
    if format is not Format.TABLE:
        show(rows, STATED_ALL, format)
        return
    draft = payout.draft
    console.print(f"Statement {payout.number} to {draft.partner}, {draft.month:%Y-%m}, issued {_day(payout)}")
    rows.append({"title": f"Total {draft.currency}", "amount": grouped(payout.total.digits)})
    show(rows, STATED, format)
    console.print(f"Each line can be explained: rating statements explain {payout.number}/1")


def render(
    context: typer.Context,
    number: Annotated[str | None, typer.Argument(help="A statement's number; all of them without it.")] = None,
    period: Annotated[str | None, typer.Option(help="Those that close the months of 2026-10, 2026-Q4 or 2026.")] = None,
    partner: PARTNER = None,
    format: Annotated[
        Paper, typer.Option("--format", "-f", help="pdf, html, json, csv, or text: what the hash covers.")
    ] = Paper.PDF,
    out: Path | None = OUT,
    locale: str | None = LOCALE,
    brand: str | None = BRAND,
) -> None:
    """Render issued statements as documents to send: the same statement gives the same bytes.

    The exit code is 3 when a person must look, for example at a name that no font of this machine can draw.
    """
    settings, span = settings_of(context), days_of(period)
    documents, head = open_documents(settings), letterhead(settings, locale, brand)
    with open_book(settings) as book:
        issued = book.statements(partner) if number is None else [_found(book, number)]
    chosen = [
        one
        for one in issued
        if (span is None or span[0] <= one.draft.month < span[1]) and partner in (None, one.draft.partner)
    ]
    if nothing(chosen, "no statement was issued for these; see `rating statements list`"):
        return

    def drawn(one: Payout) -> Drawn:
        return one.number, lambda: rendered(
            documents, lambda: payout_document(one, head), format, lambda: hashed_text(one)
        )

    raise typer.Exit(write([drawn(one) for one in chosen], format, out))


def explain(
    context: typer.Context,
    line: Annotated[
        str, typer.Argument(metavar="STATEMENT[/LINE]", help="ST-000042 for all lines, ST-000042/2 for one.")
    ],
    windows: Annotated[bool, typer.Option("--windows", help="List every usage window, not only days.")] = False,
) -> None:
    """Explain a statement: share <- invoice line <- arithmetic <- windows <- evidence.

    The exit code is 3 when a share or its windows are no longer what the statement says.
    """
    number, _, position = line.partition("/")
    agrees = True
    with open_book(settings_of(context)) as book:
        payout = _found(book, number)
        count = len(payout.draft.lines)
        if position and (not position.isdecimal() or not 1 <= int(position) <= count):
            stderr.print(f"statement {number} has lines 1 to {count}, not {position!r}")
            raise typer.Exit(WRONG_INPUT)
        console.print(
            f"Statement {payout.number} to {payout.draft.partner}, {payout.draft.month:%Y-%m}, total {payout.total}; "
            f"content hash {payout.content_hash[:12]}"
        )
        for place in [int(position)] if position else range(1, count + 1):
            agrees &= _explain(book, place, payout.draft.lines[place - 1], windows)
    raise typer.Exit(DONE if agrees else LOOK)


def _explain(book: Book, place: int, share: PartnerLine, windows: bool) -> bool:
    console.print(f"\nLine {place}: {share.title}: {share.amount}")
    console.print(
        f"  {decimal_text(share.percent)} % of {share.base}, the amount of {share.invoice} line {share.position}, is "
        f"{decimal_text(share.exact)}, rounded once to {share.amount}",
        soft_wrap=True,
    )
    if share.corrects:
        console.print(f"  takes back (part of) {share.corrects.replace('/', ' line ')}")
    invoice = book.invoice(share.invoice)
    if invoice is None:
        notes = {note.number: note for note in book.credit_notes()}
        if share.invoice not in notes:
            console.print(f"  {share.invoice} IS NOT IN THE BOOK")
            return False
        note = notes[share.invoice]
        console.print(f"  credit note {note.number} of {note.total} for {note.draft.invoice}: {note.draft.reason}")
        return note.draft.lines[share.position - 1].amount == share.base
    [item] = explained(book, invoice, [share.position])
    print_head(invoice)
    print_line(invoice, item, windows, False)
    return item.agrees and abs(item.line.amount.minor) == abs(share.base.minor)


def _month(text: str, today: date) -> date:
    """Its first day.

    Raises:
        typer.BadParameter: it is no month, or has not ended.
    """
    span = days_of(text)
    assert span is not None
    first, after = span
    if len(text) != len("2026-10"):
        raise typer.BadParameter(f"{text!r} is not a month; write 2026-10")
    if after > today:
        raise typer.BadParameter(f"{text} has not ended, so what is owed of it is not known; close an earlier month")
    return first


def _found(book: Book, number: str) -> Payout:
    payout = book.statement(number)
    if payout is None:
        raise BookError(f"the book holds no statement {number}; `rating statements list` shows those it holds")
    return payout


def _day(payout: Payout) -> str:
    return payout.issued_at.astimezone(ZoneInfo("UTC")).date().isoformat()


def _issued(payout: Payout) -> dict[str, Any]:
    return _head(payout.number, _day(payout), payout.draft)


def _head(number: str, issued: str | None, draft: StatementDraft) -> dict[str, Any]:
    return {
        "statement": number,
        "issued": issued,
        "partner": draft.partner,
        "month": f"{draft.month:%Y-%m}",
        "lines": len(draft.lines),
        "total": draft.total.digits,
        "currency": draft.currency.code,
    }


def _stated(payout: Payout, place: int, line: PartnerLine) -> dict[str, Any]:
    return {
        "statement": payout.number,
        "line": place,
        "invoice": line.invoice,
        "of line": line.position,
        "title": line.title,
        "base": line.base.digits,
        "percent": f"{decimal_text(line.percent)}%",
        "exact": decimal_text(line.exact),
        "amount": line.amount.digits,
        "corrects": line.corrects or None,
        "currency": payout.draft.currency.code,
        "start": stamp(line.period.start),
        "end": stamp(line.period.end),
        "usage_digest": line.usage_digest,
    }


def _print(owed: list[PartnerStatement], totals: bool, format: Format) -> None:
    if not owed and format is Format.TABLE:
        stderr.print("nothing is owed to a partner")
        return
    if totals:
        show([_total(one) for one in owed], TOTALS, format)
        return
    rows = [row for one in owed for row in _lines(one)]
    show(rows, SHORT if format is Format.TABLE else COLUMNS, format)
    if format is Format.TABLE:
        for one in owed:
            console.print(f"{one.partner}, {one.month:%Y-%m}: {one.total}")


def _total(statement: PartnerStatement) -> dict[str, Any]:
    return {
        "partner": statement.partner,
        "month": f"{statement.month:%Y-%m}",
        "lines": len(statement.lines),
        "base": total([line.base for line in statement.lines], statement.currency).digits,
        "amount": statement.total.digits,
        "currency": str(statement.currency),
    }


def _lines(statement: PartnerStatement) -> Iterator[dict[str, Any]]:
    for line in statement.lines:
        yield {
            "partner": statement.partner,
            "month": f"{statement.month:%Y-%m}",
            "invoice": line.invoice,
            "line": line.position,
            "charge": line.charge,
            "start": stamp(line.period.start),
            "end": stamp(line.period.end),
            "base": line.base.digits,
            "percent": f"{decimal_text(line.percent)}%",
            "exact": decimal_text(line.exact),
            "amount": line.amount.digits,
            "currency": str(statement.currency),
            "usage_digest": line.usage_digest,
        }
