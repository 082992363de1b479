"""Reissue: draft an invoice anew that was taken back, from what is known and agreed today, in its place.

The new paper names the old one. Which invoices were taken back, and that each is reissued once, the book holds to.
"""

from __future__ import annotations

from datetime import datetime

from rating.core.billing import Due
from rating.core.consolidated import alike
from rating.core.invoices import Draft, Invoice
from rating.errors import BookError, Contradiction
from rating.jobs.contracts import Contracts
from rating.jobs.lives import taken_back
from rating.jobs.writing import Writer
from rating.ports import Book, TaxService


def redraft(
    book: Book, contracts: Contracts, invoice: Invoice, *, now: datetime, taxes: TaxService | None = None
) -> Draft:
    """The draft that takes the invoice's place.

    Raises:
        Contradiction: the invoice still stands.
        BookError: usage is missing, a subscription of it is gone, or nobody can say how it is taxed.
    """
    if invoice.number not in taken_back(book):
        raise Contradiction(
            f"invoice {invoice.number} still stands; `rating invoices void {invoice.number}` takes it back first"
        )
    present = {one.key: one for one in contracts.subscriptions}
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=now, taxes=taxes)
    drafts = []
    for _, part in invoice.draft.parts:
        subscription = present.get(part.subscription)
        if subscription is None or subscription.billed(part.period) is None:
            # Ended or removed since: nothing of it is charged any more.
            continue
        plan, catalogue = contracts.plan(subscription.plan, part.period.start)
        due = Due(part.period.end, part.key, subscription, part.period, plan, catalogue, part.opening)
        if reasons := writer.obstacles(due):
            raise BookError(f"invoice {invoice.number} cannot be reissued yet: {'; '.join(reasons)}")
        drafts.append(writer.draft(due, replaces=invoice.number))
    if not drafts:
        raise BookError(
            f"invoice {invoice.number} is about subscriptions that are not billed in its period any more; "
            "there is nothing to issue in its place"
        )
    papers = alike(drafts, drafts[0].customer)
    if len(papers) > 1:
        raise BookError(
            f"invoice {invoice.number} cannot be reissued as one: its parts would be taxed in {len(papers)} ways now; "
            "give what is right of it back by credit notes instead"
        )
    return papers[0]


def reissue(
    book: Book, contracts: Contracts, invoice: Invoice, *, now: datetime, taxes: TaxService | None = None
) -> Invoice:
    """Issue it. Repeating it gives the invoice that exists. Raises as `redraft` does, and Overtaken."""
    for issued in book.invoices():
        if any(part.replaces == invoice.number for _, part in issued.draft.parts):
            return issued
    known = book.latest_adjustment()
    return book.issue([redraft(book, contracts, invoice, now=now, taxes=taxes)], at=now, known=known)[0]
