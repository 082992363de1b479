"""Invoices: numbered, hashed, chained and written in one pass, beside the bare insert of the very rows; PDFs."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select

from rating.adapters.documents import PrintedDocuments
from rating.adapters.store import StoreBook, open_book
from rating.adapters.store.bulk import batched, insert_rows
from rating.adapters.store.tables import invoices, lines
from rating.core.documents import Form
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.core.money import Currency, round_amount
from rating.core.periods import Period
from rating.core.prices.price import Portion
from rating.errors import RatingError
from rating.jobs.documents import invoice_document
from rating_demo.parts import PostgreSQL

TITLE = "Invoices of three lines (fee, graduated usage, tax): issued and written in one pass"

OCTOBER = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
AT = datetime(2026, 11, 1, 0, 5, tzinfo=UTC)
Answer = TypeVar("Answer")


def rows(quick: bool) -> list[tuple[str, str]]:
    count = 5_000 if quick else 100_000
    drafts = [_draft(number) for number in range(count)]
    found: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'issued.db'}"
        found += _measured("SQLite", url, f"sqlite:///{Path(folder) / 'bare.db'}", drafts)
        found += _pdfs(url, 20 if quick else 100)
    try:
        with PostgreSQL() as server:
            found += _measured("PostgreSQL", server.database("issued"), server.database("bare"), drafts)
    except RatingError as error:
        found.append(("PostgreSQL", f"skipped: {error}"))
    return found


def _measured(engine: str, url: str, bare: str, drafts: list[Draft]) -> list[tuple[str, str]]:
    with open_book(url) as book, _quiet():
        issuing, _ = _timed(lambda: book.issue(drafts, at=AT))
        heads, positions = _stored(book)
    with open_book(bare) as book, _quiet():
        inserting, _ = _timed(lambda: _insert(book, heads, positions))
    return [
        (f"{engine}: {len(drafts):,} invoices issued and written", f"{issuing:.1f} s"),
        ("  bare bulk insert of the same rows", f"{inserting:.1f} s"),
        ("  ratio", f"{issuing / inserting:.2f}x"),
    ]


def _stored(book: StoreBook) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    with book._database.reading() as connection:
        return (
            [tuple(row) for row in connection.execute(select(invoices).order_by(invoices.c.sequence))],
            [tuple(row) for row in connection.execute(select(lines).order_by(lines.c.invoice, lines.c.line))],
        )


def _insert(book: StoreBook, heads: list[tuple[object, ...]], positions: list[tuple[object, ...]]) -> None:
    with book._database.writing() as connection:
        insert_rows(connection, invoices, [column.name for column in invoices.columns], heads)
        insert_rows(connection, lines, [column.name for column in lines.columns], positions)


def _pdfs(url: str, count: int) -> list[tuple[str, str]]:
    documents = PrintedDocuments()
    with open_book(url) as book:
        some = next(batched(book.invoices(), count))

        def draw(invoice: Invoice) -> None:
            documents.render(invoice_document(book, invoice), Form.PDF)

        try:
            draw(some[0])
        except RatingError as error:
            return [("PDFs", f"skipped: {error}")]
        spent, _ = _timed(lambda: [draw(invoice) for invoice in some])
    return [(f"{count} PDFs of one page, one process", f"{count / spent:.1f} a second")]


@contextmanager
def _quiet() -> Iterator[None]:
    """Both sides of a ratio begin with the same heap, and neither pays for looking at what the other made."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def _timed(work: Callable[[], Answer]) -> tuple[float, Answer]:
    begun = time.perf_counter()
    answer = work()
    return time.perf_counter() - begun, answer


def _draft(number: int) -> Draft:
    usd = Currency("USD")
    quantity = Fraction(150_000 + number * 7919 % 900_000)
    steps = (
        Portion("tier 1 (up to 100000)", Fraction(100_000), Fraction("0.0005"), Fraction(50)),
        Portion("tier 2", quantity - 100_000, Fraction("0.00031"), (quantity - 100_000) * Fraction("0.00031")),
    )
    exact = steps[0].amount + steps[1].amount
    fee = LineItem(LineKind.FEE, "", "Pro fee", OCTOBER, Fraction(49), round_amount(Fraction(49), usd))
    usage = replace(
        fee,
        kind=LineKind.USAGE,
        card="api_calls",
        title="API calls",
        exact=exact,
        amount=round_amount(exact, usd),
        meter="api_calls",
        unit="request",
        quantity=quantity,
        portions=steps,
        windows=744,
        usage_digest=f"{number:064x}",
    )
    taxed = (fee.amount.exact + usage.amount.exact) * Fraction(19, 100)
    tax = replace(fee, kind=LineKind.TAX, card="VAT", title="VAT 19 %", exact=taxed, amount=round_amount(taxed, usd))
    name = f"c{number:07d}"
    return Draft(f"{name}/pro/2026-10-01", name, name, "pro", "Pro", usd, OCTOBER, (fee, usage, tax), "f" * 64)
