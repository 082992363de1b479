"""The UsageGateway of `ports` for Chargebee: one usage record for each day, subscription and metered item price.

Chargebee takes one record of an item price for an instant, and a wrong one is deleted and made again; so records of a
day are listed before one is made, and ours are known by their note. No call carries a key: a number that was there
before may be the right one once more, and its first answer would be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from rating.adapters.chargebee.site import Site
from rating.adapters.taken_up import Found, Teller, only, take_up, unnamed
from rating.core.money import Currency
from rating.core.offers import RemoteContract
from rating.core.parties import Customer
from rating.core.periods import from_seconds, seconds, stamp
from rating.core.publications import subscription_subject
from rating.core.usageevents import DAY, Share, UsageEvent
from rating.core.usagerecords import LONGEST, tag
from rating.errors import EdgeRefused, EdgeUnavailable
from rating.ports import Names, Trail, Unreported

_BY_HAND = "charge or credit the difference there by hand"


class ChargebeeUsage:
    """One site in usage mode.

    Args:
        items: metered item prices by our product.
        subscriptions: theirs by ours, where a customer has several.
        grace: how long a period's invoice stays pending there.
    """

    def __init__(
        self, name: str, site: Site, items: Mapping[str, str], subscriptions: Mapping[str, str], *, grace: timedelta
    ) -> None:
        self._name, self._site, self._items, self._subscriptions = name, site, items, subscriptions
        self._grace = grace
        self._teller = Teller("Chargebee")

    @property
    def name(self) -> str:
        return self._name

    @property
    def grain(self) -> timedelta:
        return DAY

    @property
    def grace(self) -> timedelta:
        return self._grace

    def decimals(self, currency: Currency) -> int | None:
        return currency.exponent if currency.exponent <= 2 else None

    def lacks(self, contract: RemoteContract, names: Names) -> str:
        return unnamed(contract, self._items, "items")

    def subscribe(self, contract: RemoteContract, buyer: Customer | None, trail: Trail, *, now: datetime) -> str:
        wanted = sorted({self._items[price.product] for price in contract.offer.prices})
        calls = self._site.client.Subscription
        known = self._subscriptions.get(contract.subscription) or trail.name(
            subject=subscription_subject(contract.subscription)
        )
        if known is not None:
            there = _found(self._site.ask(f"find subscription {known}", calls.retrieve, known).subscription)
        else:
            what = f"list subscriptions of {contract.customer}"
            theirs = self._site.every(what, calls.list, where={"customer_id": {"is": contract.customer}})
            there = only("Chargebee", contract, [_found(one.subscription) for one in theirs], wanted)
        return take_up(contract, there, self._items, trail, least=-LONGEST, most=LONGEST)

    def report(self, events: Sequence[UsageEvent], names: Names) -> Sequence[Unreported]:
        return self._teller.tell(events, names, _Told(self._site, self._items).stand)


class _Told:
    """What stands there, as far as it was asked for in one report."""

    def __init__(self, site: Site, items: Mapping[str, str]) -> None:
        self._site, self._items = site, items
        self._records: dict[tuple[str, datetime], list[Any]] = {}
        self._terms: dict[str, datetime | None] = {}

    def stand(self, event: UsageEvent, share: Share, product: str, subscription: str) -> None:
        """Make the number stand there, alone among ours.

        Raises:
            EdgeRefused: its invoice is closed, or Chargebee declined it.
        """
        item = self._items.get(product)
        if item is None:
            raise EdgeRefused(f"{product} is told under no name any more; write it under `items` again")
        mark = tag(event, share, product)
        what = f"record {share.value} of {item} for {subscription} on {event.hour:%Y-%m-%d}"
        mine = [one for one in self._of_day(subscription, event.hour) if (one.note or "").split(" ")[0] == mark]
        said = (item, Decimal(share.value), seconds(share.at))
        kept = [one for one in mine if (one.item_price_id, _quantity(one), one.usage_date) == said][:1]
        wrong = [one for one in mine if one not in kept]
        if not wrong and (kept or not share.value):
            return
        self._open(what, subscription, share, mine)
        calls = self._site.client.Usage
        for one in wrong:
            self._site.ask(f"{what}, in place of {one.quantity}", calls.delete, subscription, {"id": one.id})
        if share.value and not kept:
            words = {"quantity": str(share.value), "usage_date": seconds(share.at), "note": f"{mark} {event.name}"}
            self._site.ask(what, calls.create, subscription, {"item_price_id": item, **words})
        self._records.pop((subscription, event.hour), None)

    def _of_day(self, subscription: str, day: datetime) -> list[Any]:
        if (subscription, day) not in self._records:
            where = {
                "subscription_id": {"is": subscription},
                "usage_date": {"after": seconds(day) - 1, "before": seconds(day + DAY)},
            }
            what = f"list usage of {subscription}"
            found = self._site.every(what, self._site.client.Usage.list, where=where)
            self._records[subscription, day] = [one.usage for one in found]
        return self._records[subscription, day]

    def _open(self, what: str, subscription: str, share: Share, mine: Sequence[Any]) -> None:
        """Chargebee takes usage of a period whose invoice is closed, and never bills it: so it is asked first."""
        billed = sorted({one.invoice_id for one in mine if one.invoice_id})
        for number in billed:
            status = self._site.ask(what, self._site.client.Invoice.retrieve, number).invoice.status
            if status not in ("pending", "voided"):
                stood = sum((_quantity(one) for one in mine), Decimal(0))
                raise EdgeRefused(
                    f"{what}: {stood.normalize():f} of it is on invoice {number}, which is {status}; {_BY_HAND}"
                )
        began = self._began(subscription)
        if began is not None and share.at < began and not billed:
            where = {"subscription_id": {"is": subscription}, "status": {"is": "pending"}}
            if not list(self._site.every(what, self._site.client.Invoice.list, where=where)):
                raise EdgeRefused(f"{what}: the invoice of what was used before {stamp(began)} is closed; {_BY_HAND}")

    def _began(self, subscription: str) -> datetime | None:
        if subscription not in self._terms:
            calls = self._site.client.Subscription
            there = self._site.ask(f"find subscription {subscription}", calls.retrieve, subscription).subscription
            began = there.cancelled_at if there.status == "cancelled" else there.current_term_start
            self._terms[subscription] = None if began is None else from_seconds(began)
        return self._terms[subscription]


def _quantity(record: Any) -> Decimal:
    try:
        return Decimal(record.quantity)
    except (InvalidOperation, TypeError) as error:
        raise EdgeUnavailable(f"what answered is not Chargebee: {record.quantity!r} is no quantity") from error


def _found(there: Any) -> Found:
    ends = there.cancelled_at if there.status in ("non_renewing", "cancelled") else None
    return Found(
        there.id,
        there.status,
        there.status in ("active", "non_renewing"),
        frozenset(one.item_price_id for one in there.subscription_items or ()),
        None if there.current_term_start is None else from_seconds(there.current_term_start),
        None if there.current_term_end is None else from_seconds(there.current_term_end),
        None if ends is None else from_seconds(ends),
    )
