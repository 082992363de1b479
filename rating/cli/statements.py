"""`rating statements`: what is owed to partners of the invoices issued, line by line, or as documents. Read-only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from rating.bootstrap import load_catalogue, open_book, open_documents
from rating.cli.frame import DONE, FORMAT, LOOK, Format, console, days_of, now, settings_of, show, stderr, warn
from rating.cli.papers import BRAND, LOCALE, OUT, Drawn, Paper, letterhead, rendered, write
from rating.core.money import decimal_text, total
from rating.core.partners import PartnerStatement
from rating.core.periods import stamp
from rating.jobs.contracts import gather
from rating.jobs.documents import statement_document
from rating.jobs.statements import statements

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


def add(app: typer.Typer) -> None:
    app.command("statements")(command)


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
    """Show what is owed to partners: their share of each invoice line, rounded once per line.

    The base is the line as it stands on the invoice. Each line names the invoice line, and the same digest of usage
    windows, so `rating explain INVOICE/LINE` proves it. With --out, each statement becomes a document instead. The exit
    code is 3 when a person must look.
    """
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
