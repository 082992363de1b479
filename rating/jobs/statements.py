"""Statements: gathers the issued invoices and the contracts they were billed under, for what partners are owed.

Writes nothing. An invoice keeps its contract: what is adopted later does not change what was owed of it.
"""

from __future__ import annotations

from collections.abc import Callable

from rating.core.catalogue import Catalogue
from rating.core.invoices import Draft
from rating.core.partners import PartnerStatement, partner_statements
from rating.core.plans import Plan
from rating.core.subscriptions import Subscription
from rating.errors import Finding, NoPlanInForce
from rating.jobs.contracts import Contracts, billed_under
from rating.jobs.late import as_billed
from rating.ports import Book


def statements(book: Book, contracts: Contracts) -> tuple[tuple[PartnerStatement, ...], tuple[Finding, ...]]:
    """What every partner is owed of every invoice, and the invoices nobody can say it of."""
    return partner_statements(book.invoices(), _as_billed(book, contracts))


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
