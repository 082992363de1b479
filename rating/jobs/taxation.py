"""Taxation: asks how each due invoice is taxed, once, and says which cannot be said of."""

from __future__ import annotations

from datetime import timedelta

from rating.core.billing import Due
from rating.core.catalogue import Catalogue
from rating.core.parties import Parties
from rating.core.taxation import TaxDecision, TaxQuestion, TaxRule, decide
from rating.errors import EdgeError, EdgeUnavailable, NoTaxRuleCovers
from rating.jobs.contracts import Contracts
from rating.ports import TaxService


class Taxation:
    """The decisions of one run, by invoice."""

    def __init__(self, contracts: Contracts | None, service: TaxService | None, parties: Parties) -> None:
        """`parties` are who they are when the invoices are issued."""
        self._contracts, self._service, self._parties = contracts, service, parties
        self._decided: dict[str, TaxDecision | None] = {}
        self._down = ""

    def obstacles(self, item: Due) -> tuple[str, ...]:
        """Ask about it. Why nobody can say how it is taxed, or nothing."""
        if self._down:
            # A service that is down is not waited for a thousand times.
            return (self._down,)
        try:
            self._decided[item.key] = self._asked(item)
        except EdgeUnavailable as error:
            self._down = str(error)
            return (str(error),)
        except (NoTaxRuleCovers, EdgeError) as error:
            return (str(error),)
        return ()

    def take(self, item: Due, decision: TaxDecision | None) -> None:
        """What was decided before, as its invoice says."""
        self._decided[item.key] = decision

    def decided(self, item: Due) -> TaxDecision | None:
        """What was decided, if it was asked and could be said."""
        return self._decided.get(item.key)

    def _asked(self, item: Due) -> TaxDecision | None:
        catalogue = self._catalogue(item)
        if catalogue is None:
            return None
        question = question_of(item, self._parties, catalogue.tax_rules)
        if self._service is not None:
            return self._service.decide(question)
        return decide(question) if question.rules else None

    def _catalogue(self, item: Due) -> Catalogue | None:
        versions = () if self._contracts is None else self._contracts.versions
        return next((catalogue for _, catalogue in versions if catalogue.digest == item.catalogue), None)


def question_of(item: Due, parties: Parties, rules: tuple[TaxRule, ...]) -> TaxQuestion:
    """What is asked about a due invoice; the rules are those of the catalogue it is rated under."""
    subscription = item.subscription
    zone = subscription.zone
    if item.opening:
        on = subscription.begins.astimezone(zone).date()
    else:
        billed = subscription.billed(item.period) or item.period
        # What ends at midnight ends on the day before.
        on = (billed.end - timedelta(microseconds=1)).astimezone(zone).date()
    exchange = subscription.exchange
    customer = parties.customer(subscription.payer)
    seller = parties.seller(subscription.payer)
    return TaxQuestion(
        invoice=item.key,
        on=on,
        currency=(item.plan.currency if exchange is None else exchange.currency).code,
        plan=item.plan.key,
        customer=subscription.payer,
        country=customer.country if customer else "",
        tax_id=customer.tax_id if customer else "",
        exempt=customer.tax_exempt if customer else "",
        seller=seller.key if seller else "",
        seller_country=seller.country if seller else "",
        seller_tax_id=seller.tax_id if seller else "",
        rules=rules,
    )
