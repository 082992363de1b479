"""The UsageGateway of `ports` for Recurly: one usage record for each day, subscription and usage add-on.

Recurly takes as many records as it is given, so those of a day are listed before one is made; ours are known by their
merchant tag, and a correction changes the record that stands there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rating.adapters.recurly.account import Absent, Account, keyed, name_of
from rating.adapters.taken_up import Found, Teller, only, take_up, unnamed
from rating.core.canonical import digest
from rating.core.money import Currency
from rating.core.offers import RemoteContract
from rating.core.parties import Customer
from rating.core.periods import stamp
from rating.core.publications import subscription_subject
from rating.core.usageevents import DAY, Share, UsageEvent
from rating.core.usagerecords import tag
from rating.errors import EdgeRefused
from rating.ports import Names, Trail, Unreported

_MOST = timedelta(hours=11, minutes=59)
"""How long after midnight in UTC a billing period there may end."""
_BY_HAND = "charge or credit the difference there by hand"


class RecurlyUsage:
    """One site in usage mode.

    Args:
        add_ons: codes of usage add-ons by our product.
        subscriptions: theirs by ours, where a customer has several.
        grace: how long after midnight in UTC subscriptions renew there; a period's last day is told by then.
    """

    def __init__(
        self, name: str, account: Account, add_ons: Mapping[str, str], subscriptions: Mapping[str, str], *,
        grace: timedelta,
    ) -> None:  # fmt: skip
        self._name, self._account, self._add_ons, self._subscriptions = name, account, add_ons, subscriptions
        self._grace = grace
        self._teller = Teller("Recurly")

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
        return unnamed(contract, self._add_ons, "add_ons")

    def subscribe(self, contract: RemoteContract, buyer: Customer | None, trail: Trail, *, now: datetime) -> str:
        wanted = sorted({self._add_ons[price.product] for price in contract.offer.prices})
        known = self._subscriptions.get(contract.subscription) or trail.name(
            subject=subscription_subject(contract.subscription)
        )
        if known is not None:
            what = f"find subscription {known}"
            there = self._account.ask(what, lambda site: _found(site.get_subscription(known)))
        else:
            there = only("Recurly", contract, self._of(contract.customer), wanted)
        return take_up(contract, there, self._add_ons, trail, least=self._grace, most=_MOST)

    def _of(self, customer: str) -> Sequence[Found]:
        def listed(site: Any) -> list[Found]:
            found = site.list_account_subscriptions(name_of(customer), params={"limit": 200}).items()
            return [_found(one) for one in found]

        try:
            return self._account.ask(f"list subscriptions of {customer}", listed)
        except Absent:
            return []

    def report(self, events: Sequence[UsageEvent], names: Names) -> Sequence[Unreported]:
        return self._teller.tell(events, names, self._stand)

    def _stand(self, event: UsageEvent, share: Share, product: str, subscription: str) -> None:
        """Make the number stand there, alone among ours.

        Raises:
            EdgeRefused: it was billed with another number, or Recurly declined it.
        """
        code = self._add_ons.get(product)
        if code is None:
            raise EdgeRefused(f"{product} is told under no name any more; write it under `add_ons` again")
        mark = tag(event, share, product)
        what = f"record {share.value} of {code} for {subscription} on {event.hour:%Y-%m-%d}"
        mine = self._standing(what, subscription, code, event.hour, mark)
        stood = sum((_exactly(one.amount) for one in mine), Decimal(0))
        if stood == share.value and len(mine) <= 1:
            return
        billed = [one for one in mine if one.billed_at is not None]
        if billed:
            raise EdgeRefused(
                f"{what}: it was billed as {stood.normalize():f} at {stamp(billed[0].billed_at)}; {_BY_HAND}"
            )
        at = share.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"amount": share.value, "merchant_tag": mark, "usage_timestamp": at, "recording_timestamp": at}
        for one in mine[1:]:
            self._account.ask(what, lambda site, one=one: site.remove_usage(one.id))  # type: ignore[misc]
        if mine:
            self._account.ask(what, lambda site: site.update_usage(mine[0].id, body))
        else:
            # The key spares a double while the answer is on its way; whoever comes later finds the record.
            options = keyed(f"rating-{digest(f'{mark}/{event.name}/{subscription}/{code}')[:40]}")
            self._account.ask(what, lambda site: site.create_usage(subscription, f"code-{code}", body, **options))

    def _standing(self, what: str, subscription: str, code: str, day: datetime, mark: str) -> list[Any]:
        params = {
            "begin_time": f"{day:%Y-%m-%dT%H:%M:%SZ}",
            "end_time": f"{day + DAY:%Y-%m-%dT%H:%M:%SZ}",
            "sort": "usage_timestamp",
            "order": "asc",
            "billing_status": "all",
            "limit": 200,
        }

        def listed(site: Any) -> list[Any]:
            found = site.list_usage(subscription, f"code-{code}", params=params).items()
            return [one for one in found if one.merchant_tag == mark]

        return self._account.ask(what, listed)


def _exactly(number: object) -> Decimal:
    return Decimal(repr(number)) if isinstance(number, int | float) else Decimal("NaN")


def _found(there: Any) -> Found:
    """Usage is summed up only where the add-on counts all that was recorded."""
    return Found(
        there.id,
        there.state,
        there.state in ("active", "canceled"),
        frozenset(
            one.add_on.code
            for one in there.add_ons or ()
            if one.add_on.add_on_type == "usage"
            and one.add_on.usage_type == "price"
            and one.usage_calculation_type in (None, "cumulative")
        ),
        there.current_period_started_at,
        there.current_period_ends_at,
        there.expires_at if there.state in ("canceled", "expired") else None,
    )
