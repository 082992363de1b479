"""Statements: gathers the issued papers and the contracts they were billed under, for what partners are owed; issues
what is stated to them.

An invoice keeps its contract: what is adopted later does not change what was owed of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from rating.core.catalogue import Catalogue
from rating.core.invoices import Draft
from rating.core.lifecycle import Step
from rating.core.partners import PartnerStatement, partner_statements
from rating.core.payouts import Payout, StatementDraft, due_statements
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription
from rating.errors import Finding, NoPlanInForce
from rating.jobs.contracts import Contracts, billed_under
from rating.jobs.late import as_billed
from rating.ports import Book


def statements(book: Book, contracts: Contracts) -> tuple[tuple[PartnerStatement, ...], tuple[Finding, ...]]:
    """What every partner is owed of every invoice, and the invoices nobody can say it of."""
    return partner_statements(book.invoices(), _as_billed(book, contracts), book.credit_notes(), _void(book))


@dataclass(frozen=True, slots=True)
class Stated:
    issued: tuple[Payout, ...]
    drafts: tuple[StatementDraft, ...]
    """What was stated; in a dry run nothing was issued."""
    findings: tuple[Finding, ...]


def state(
    book: Book,
    contracts: Contracts,
    *,
    month: date,
    now: datetime,
    partner: str | None = None,
    dry_run: bool = False,
) -> Stated:
    """Issue the statement of each partner, or of one, that closes the month: all that was not stated before.

    Nothing is issued while a finding says that a share is not known: silence would cost the partner.
    """
    owed, findings = statements(book, contracts)
    due = due_statements(owed, book.statements(), month, _void(book))
    drafts = tuple(draft for draft in due if partner in (None, draft.partner))
    if dry_run or findings or not drafts:
        return Stated((), drafts, findings)
    return Stated(book.issue_statements(drafts, at=now), drafts, findings)


def _void(book: Book) -> frozenset[str]:
    """Invoices that were taken back without a credit note."""
    return frozenset(entry.invoice for entry in book.entries() if entry.step is Step.VOID)


def _as_billed(book: Book, contracts: Contracts) -> Callable[[Draft], tuple[Subscription, Plan] | None]:
    subscriptions = {subscription.key: subscription for subscription in contracts.subscriptions}
    catalogues: dict[str, Catalogue | None] = {}

    def catalogue_of(paper: Draft) -> Catalogue | None:
        if paper.catalogue not in catalogues:
            try:
                catalogues[paper.catalogue] = billed_under(book, contracts, paper)
            except NoPlanInForce:
                catalogues[paper.catalogue] = None
        return catalogues[paper.catalogue]

    def contract(paper: Draft) -> tuple[Subscription, Plan] | None:
        subscription, catalogue = subscriptions.get(paper.subscription), catalogue_of(paper)
        if subscription is None or catalogue is None or paper.plan not in catalogue.plans:
            return None
        return as_billed(subscription, catalogue, paper), catalogue.plans[paper.plan]

    return contract
