"""`rating export`: usage, charges, invoices and the journal of a period as files for other systems. Read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rating.bootstrap import open_book, open_tables, read_sources
from rating.cli.frame import days_of, now, progress_bar, settings_of, stderr
from rating.core.journal import Accounts
from rating.jobs.export import charges, invoices, ledger, usage
from rating.ports import Book, Table
from rating.specs.accounts import accounts as compile_accounts


class What(StrEnum):
    USAGE = "usage"
    CHARGES = "charges"
    INVOICES = "invoices"
    LEDGER = "ledger"
    ALL = "all"


class As(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"


def add(app: typer.Typer) -> None:
    app.command("export")(command)


def command(
    context: typer.Context,
    what: Annotated[What, typer.Argument(help="Which table; all of them by `all`.")],
    period: Annotated[str, typer.Option(help="2026-10, 2026-Q4, 2026, or one day 2026-10-15.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder the files are written into.")],
    format: Annotated[As, typer.Option("--format", "-f", help="csv, or parquet (needs the extra `parquet`).")] = As.CSV,
    accounts: Annotated[
        Path | None, typer.Option(help='Numbers of your accounts for the ledger, a YAML file: `revenue/pro: "4010"`.')
    ] = None,
) -> None:
    """Write tables of a period for other systems, exact and a row at a time.

    Usage: windows that start in the period (UTC). Charges and invoices: billing periods that begin in it. Ledger:
    double entry of what happened in it (invoices, credit notes, payments, wallets and what expires of them, partners'
    statements), debits equal to credits; roles are receivable, revenue, discount, credit, tax, bank, bad_debt, wallet,
    promotion, expired, share and payable, and a name such as revenue/pro or tax/VAT may have a number of its own.
    """
    days = days_of(period)
    assert days is not None
    numbers = Accounts() if accounts is None else compile_accounts(read_sources(accounts)[0][1], str(accounts))
    tables: dict[What, Callable[[Book], Table]] = {
        What.USAGE: lambda book: usage(book, days),
        What.CHARGES: lambda book: charges(book, days),
        What.INVOICES: lambda book: invoices(book, days),
        What.LEDGER: lambda book: ledger(book, days, numbers, now()),
    }
    writer = open_tables(format.value)
    with open_book(settings_of(context)) as book:
        for name in tables if what is What.ALL else (what,):
            with progress_bar(name.value) as progress:
                table = tables[name](book)
                file, count = writer.write(replace(table, rows=_counted(table.rows, progress)), out)
            stderr.print(f"{count} rows in {file}", soft_wrap=True)


def _counted(rows: Iterator[tuple[object, ...]], progress: Callable[[int, int], None]) -> Iterator[tuple[object, ...]]:
    for number, row in enumerate(rows, 1):
        if number % 10_000 == 0:
            progress(number, number)
        yield row
