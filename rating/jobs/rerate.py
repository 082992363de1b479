"""Draft an issued invoice again from the book alone, and say where it no longer comes to what stands on the paper.

Changes nothing. Usage is taken as of its issue and terms from the catalogue it was rated under, so a difference means
that something was changed which must not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from rating.core.billing import Due
from rating.core.consolidated import together
from rating.core.invoices import Draft, Invoice, LineItem, LineKind
from rating.jobs.contracts import Contracts, billed_under
from rating.jobs.explain import explain
from rating.jobs.late import as_billed
from rating.jobs.writing import Writer
from rating.ports import Archive, Book


@dataclass(frozen=True, slots=True)
class Unequal:
    """One line of the paper, or its total, that the book does not bear out."""

    where: str
    """`line 2` or `total`."""
    issued: str
    rated: str


def rerate(book: Book, contracts: Contracts, invoice: Invoice, archive: Archive | None = None) -> tuple[Unequal, ...]:
    """Every difference between the invoice and what the book comes to; empty when there is none.

    With an `archive`, windows that are rolled up are held to the line's digest one by one.

    Raises:
        NoPlanInForce: the catalogue it was rated under is not in the book.
        EdgeUnavailable, EdgeDisagrees: as `explain` does.
    """
    return (*_windows(book, invoice, archive), *_amounts(invoice.draft, _again(book, contracts, invoice)))


def _again(book: Book, contracts: Contracts, invoice: Invoice) -> Draft:
    parts = [_part_again(book, contracts, invoice, part) for _, part in invoice.draft.parts]
    return together(parts, invoice.draft.customer)


def _part_again(book: Book, contracts: Contracts, invoice: Invoice, paper: Draft) -> Draft:
    catalogue = billed_under(book, contracts, paper)
    present = {one.key: one for one in contracts.subscriptions}
    subscription = as_billed(present[paper.subscription], catalogue, paper)
    plan = catalogue.plans[paper.plan]
    item = Due(paper.period.end, paper.key, subscription, paper.period, plan, paper.catalogue, opening=paper.opening)
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=invoice.issued_at)
    writer.take_taxes(item, paper.tax)
    placed = {line.card for line in paper.lines if line.kind is LineKind.ITEM}
    return writer.draft(item, paper.replaces, [item for item in book.items() if item.key in placed])


def _windows(book: Book, invoice: Invoice, archive: Archive | None) -> Iterator[Unequal]:
    for item in explain(book, invoice, archive=archive):
        if not item.agrees:
            line = item.line
            said = f"{line.windows} windows with digest {line.usage_digest[:12]}"
            yield Unequal(f"line {item.position}", said, "windows that sum to something else, see `rating explain`")


def _amounts(issued: Draft, rated: Draft) -> Iterator[Unequal]:
    for position, (before, after) in enumerate(zip_longest(issued.lines, rated.lines), 1):
        if _said(before) != _said(after):
            yield Unequal(f"line {position}", _said(before), _said(after))
    if issued.total != rated.total:
        yield Unequal("total", str(issued.total), str(rated.total))


def _said(line: LineItem | None) -> str:
    if line is None:
        return "no such line"
    return f"{line.title}: {line.quantity} {line.unit}, {line.amount}" if line.meter else f"{line.title}: {line.amount}"
