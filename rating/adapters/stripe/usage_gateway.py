"""Stripe as one that rates what is reported: the OfferGateway of `ports`, out of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from rating.adapters.stripe.amounts import exact_exponent
from rating.adapters.stripe.catalogue import StripeCatalogue
from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.items import corrected
from rating.adapters.stripe.meters import StripeMeters
from rating.adapters.stripe.subscriptions import StripeSubscriptions
from rating.core.money import Currency
from rating.core.offers import RemoteContract
from rating.core.parties import Customer
from rating.core.periodparity import Correction
from rating.core.provisions import Provision, Standing
from rating.core.publications import customer_subject
from rating.core.usageevents import HOUR, UsageEvent
from rating.ports import Names, Trail, Unreported

GRACE = timedelta(hours=1)
"""How long Stripe keeps the draft of a period's invoice, unless the account's settings say longer."""


class Customers(Protocol):
    """Whoever finds or makes the customers of one account."""

    def name(self, key: str, customer: Customer | None, trail: Trail, *, now: datetime) -> str:
        """What Stripe calls the customer, which is kept on the trail under `customer_subject`."""


class StripeUsage:
    """One account in metered mode.

    Args:
        account: for products, prices and subscriptions.
        meters: where events go, at a pace of their own.
    """

    def __init__(
        self,
        account: StripeAccount,
        meters: StripeMeters,
        customers: Customers,
        *,
        collection: str = "send_invoice",
        days_until_due: int = 30,
        grace: timedelta = GRACE,
    ) -> None:
        self._account = account
        self._catalogue = StripeCatalogue(account)
        self._subscriptions = StripeSubscriptions(account, collection=collection, days_until_due=days_until_due)
        self._meters = meters
        self._customers = customers
        self._grace = grace

    @property
    def name(self) -> str:
        return self._account.name

    @property
    def grain(self) -> timedelta:
        return HOUR

    @property
    def grace(self) -> timedelta:
        return self._grace

    def decimals(self, currency: Currency) -> int | None:
        return exact_exponent(currency)

    def lacks(self, contract: RemoteContract, names: Names) -> str:
        made = all(names(f"price/{price.key}") is not None for price in contract.offer.prices)
        return "" if made else "its prices do not stand there yet; `rating stripe apply`"

    def standing(self) -> Standing:
        return self._catalogue.standing()

    def provide(self, provision: Provision, trail: Trail) -> str:
        return self._catalogue.provide(provision, trail)

    def correct(self, correction: Correction, customer: str) -> str:
        return corrected(self._account, correction, customer)

    def subscribe(self, contract: RemoteContract, buyer: Customer | None, trail: Trail, *, now: datetime) -> str:
        customer = self._customers.name(contract.customer, buyer, trail, now=now)
        return self._subscriptions.carry(contract, customer, trail, now=now)

    def report(self, events: Sequence[UsageEvent], names: Names) -> Sequence[Unreported]:
        customers = {event.customer: names(customer_subject(event.customer)) for event in events}
        return self._meters.report(events, {ours: name for ours, name in customers.items() if name is not None})
