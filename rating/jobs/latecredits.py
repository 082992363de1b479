"""Late credits: what late data took off issued invoices, as credit notes, for customers who agreed on it.

The amounts are those that the next invoice would settle; only the paper differs. What late data adds stays for that
invoice: more money is asked for by invoices alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rating.core.billing import Due
from rating.core.creditnotes import Cause, CreditNote, credit_lines
from rating.core.invoices import LineItem
from rating.core.parties import LatePolicy
from rating.core.subscriptions import Subscription
from rating.jobs.contracts import Contracts
from rating.jobs.writing import Writer
from rating.ports import Book

REASON = "Late usage data"


def credit_late(
    book: Book, contracts: Contracts, *, now: datetime, consumer: str | None = None, everybody: bool = False
) -> tuple[CreditNote, ...]:
    """Issue what is owed back; the same late data is credited once. `everybody`: whatever was agreed."""
    wanted = [one for one in contracts.subscriptions if consumer in (None, one.consumer)]
    if not everybody:
        parties = contracts.parties(now)
        policies = {one.payer: parties.customer(one.payer) for one in wanted}
        agreed = {payer for payer, buyer in policies.items() if buyer and buyer.late is LatePolicy.CREDIT_NOTE}
        wanted = [one for one in wanted if one.payer in agreed]
    if not wanted or book.latest_adjustment() == 0:
        return ()
    writer = Writer(book, contracts.subscriptions, contracts=contracts, as_of=now)
    notes: list[CreditNote] = []
    for subscription in wanted:
        for number, lines in _by_invoice(_too_much(writer, contracts, subscription, now)).items():
            invoice = book.invoice(number)
            assert invoice is not None
            draft = credit_lines(invoice, lines, book.credit_notes(number), cause=Cause.LATE_USAGE, reason=REASON)
            notes.append(book.credit(draft, at=now))
    return tuple(notes)


def _too_much(writer: Writer, contracts: Contracts, subscription: Subscription, now: datetime) -> Iterable[LineItem]:
    """The lines that would settle late data downwards, were an invoice due now."""
    plan, catalogue = contracts.plan(subscription.plan, now)
    period = subscription.period(plan.cadence, now)
    item = Due(now, subscription.key, subscription, period, plan, catalogue)
    return [line for line in writer.late(item) if line.amount.minor < 0]


def _by_invoice(lines: Iterable[LineItem]) -> dict[str, list[LineItem]]:
    found: dict[str, list[LineItem]] = {}
    for line in lines:
        found.setdefault(line.settles.partition("/")[0], []).append(line)
    return found
