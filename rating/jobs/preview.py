"""Preview: what the open billing periods would be invoiced at, were they to end now. Writes nothing, issues nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rating.core.billing import Due, billing_periods
from rating.core.invoices import Draft
from rating.jobs.contracts import Contracts
from rating.jobs.writing import Writer
from rating.ports import Book, TaxService


def preview(
    book: Book,
    contracts: Contracts,
    *,
    now: datetime,
    consumer: str | None = None,
    taxes: TaxService | None = None,
    untaxed: Callable[[str], None] = lambda why: None,
) -> tuple[Draft, ...]:
    """A draft for each subscription's open period, from the windows that are closed, in the order of their keys.

    Fees, minimum and allowance are those of the whole period; what is due already is `bill` with `dry_run`. `untaxed`
    hears why a draft is without taxes.
    """
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=now, taxes=taxes)
    drafts = []
    for subscription in contracts.subscriptions:
        if consumer not in (None, subscription.consumer):
            continue
        for period, plan, catalogue in billing_periods(subscription, contracts.plan, now):
            if period.contains(now) and subscription.billed(period) is not None:
                due = Due(
                    period.end, f"{subscription.key}/{period.start.isoformat()}", subscription, period, plan, catalogue
                )
                for why in writer.ask_taxes(due):
                    untaxed(why)
                drafts.append(writer.draft(due))
    return tuple(drafts)
