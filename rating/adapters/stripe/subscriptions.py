"""Contracts as Stripe subscriptions: made once, their prices changed with the billing period, ended with it.

A subscription begins with the billing period of ours in which it is first asked for, also when some of that has passed:
what is reported of it counts. Nothing is prorated; what would have to be is not offered (`core.offers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import stripe

from rating.adapters.stripe.catalogue import GATEWAY, OURS, PAGE
from rating.adapters.stripe.client import StripeAccount, metadata, told
from rating.core.canonical import digest
from rating.core.offers import RemoteContract
from rating.core.periods import from_seconds, seconds, stamp
from rating.core.publications import subscription_subject
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.ports import Trail

KEYS = 3
"""How many idempotency keys one subscription may need: Stripe keeps the 500 that an attempt ended with for a day."""
_ENDED = ("canceled", "incomplete_expired")


class StripeSubscriptions:
    """The subscriptions of one account.

    Args:
        collection: how Stripe collects its invoices: `send_invoice` with `days_until_due`, or `charge_automatically`.
    """

    def __init__(self, account: StripeAccount, *, collection: str, days_until_due: int) -> None:
        self._account = account
        self._api = account.client.v1
        self._collection: dict[str, Any] = {"collection_method": collection}
        if collection == "send_invoice":
            self._collection["days_until_due"] = days_until_due

    def carry(self, contract: RemoteContract, customer: str, trail: Trail, *, now: datetime) -> str:
        """Make it stand there as the contract says. `customer` is Stripe's name of it."""
        subject = subscription_subject(contract.subscription)
        prices = {price.key: self._price(price.key, trail) for price in contract.offer.prices}
        name = trail.name(subject=subject)
        done = []
        if name is None:
            there = self._look(contract, customer)
            made = there if there is not None else self._create(contract, customer, prices, now)
            name = made.id
            trail.keep(name, subject=subject)
            done.append(f"made as {name}" if there is None else f"found as {name}")
        answer = self._retrieved(name)
        if trail.name("start", subject) is None:
            trail.keep(str(told(answer, "start_date", int)), "start", subject)
        if answer.customer != customer:
            raise EdgeDisagrees(
                f"subscription {contract.subscription} is {name}, of {answer.customer}, and now belongs to {customer}: "
                "Stripe cannot move it; end it there and begin another subscription"
            )
        if answer.status in _ENDED:
            done.append("has ended there")
        else:
            done += self._prices_changed(contract, answer, prices)
            done += self._end_changed(contract, answer, now)
        return "; ".join(done) or "stands there already"

    def _price(self, key: str, trail: Trail) -> str:
        name = trail.name(subject=f"price/{key}")
        if name is None:
            raise EdgeDisagrees(f"price {key} has no name there; `rating stripe apply` makes it")
        return name

    def _retrieved(self, name: str) -> Any:
        return self._account.asked(f"read subscription {name}", lambda: self._api.subscriptions.retrieve(name))

    def _look(self, contract: RemoteContract, customer: str) -> Any:
        """What an earlier call made. Lists are as new as the last call, searches are not."""
        after: dict[str, Any] = {}
        while True:
            params: Any = {"customer": customer, "status": "all", "limit": PAGE, **after}
            page = self._account.asked(
                f"list subscriptions of {contract.customer}",
                lambda params=params: self._api.subscriptions.list(params),  # type: ignore[misc]
            )
            for one in page.data:
                said = metadata(one)
                if said.get(OURS) == contract.subscription and said.get(GATEWAY) == self._account.name:
                    return one
            if not page.has_more or not page.data:
                return None
            after = {"starting_after": page.data[-1].id}

    def _create(self, contract: RemoteContract, customer: str, prices: Mapping[str, str], now: datetime) -> Any:
        period = contract.period
        start = max(contract.start, period.start)
        params: dict[str, Any] = {
            "customer": customer,
            "items": [{"price": name, "metadata": {OURS: key}} for key, name in prices.items()],
            "metadata": {OURS: contract.subscription, GATEWAY: self._account.name},
            "description": contract.offer.title,
            "proration_behavior": "none",
            **self._collection,
        }
        if start < now:
            params["backdate_start_date"] = seconds(start)
        params["billing_cycle_anchor"] = seconds(period.end)
        what = f"make subscription {contract.subscription}"
        for number in range(KEYS):
            # Other words want another key; a repetition within the period has the same ones.
            key = f"rating:{contract.subject[:160]}:{digest(repr(params))[:16]}:{number}"
            replayed = _Replayed()
            try:
                return self._account.asked(what, replayed.of(lambda key=key: self._made(params, key)))  # type: ignore[misc]
            except EdgeUnavailable:
                # It may have come through all the same. A remembered failure of a call that did not is asked anew.
                there = self._look(contract, customer)
                if there is not None:
                    return there
                if not replayed.seen or number == KEYS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _made(self, params: dict[str, Any], key: str) -> Any:
        return self._api.subscriptions.create(params, {"idempotency_key": key})  # type: ignore[arg-type]

    def _prices_changed(self, contract: RemoteContract, answer: Any, prices: Mapping[str, str]) -> list[str]:
        items = self._items(answer.id)
        there = {item.price.id for item in items}
        added = [(key, name) for key, name in prices.items() if name not in there]
        gone = [item for item in items if item.price.id not in prices.values()]
        if not added and not gone:
            return []
        began = max((int(item.current_period_start) for item in items), default=0)
        if contract.start <= contract.period.start and began < seconds(contract.period.start):
            # Earlier, the usage of the period that ends would be rated by the new prices.
            raise EdgeUnavailable(
                f"subscription {answer.id} is still in the period from {stamp(from_seconds(began))}; its prices change "
                f"with the one from {stamp(contract.period.start)}"
            )
        if len(added) > len(gone):
            more = ", ".join(name for _, name in added[len(gone) :])
            raise EdgeRefused(
                f"subscription {answer.id} gains {more}: Stripe counts an added price from then on, not "
                f"what was used since {stamp(contract.period.start)}; add it by hand, charge that by an item, then "
                "`rating stripe retry`"
            )
        # An item keeps its period when it gets another price, so what was used of it so far counts.
        changes: list[dict[str, Any]] = [
            {"id": item.id, "price": name, "metadata": {OURS: key}}
            for item, (key, name) in zip(gone, added, strict=False)
        ]
        changes += [{"id": item.id, "deleted": True} for item in gone[len(added) :]]
        self._updated(answer.id, {"items": changes, "proration_behavior": "none"}, "change the prices of")
        return [f"{len(added)} prices changed, {len(gone) - len(added)} removed"]

    def _items(self, name: str) -> list[Any]:
        page = self._account.asked(
            f"read the items of {name}",
            lambda: self._api.subscription_items.list({"subscription": name, "limit": PAGE}),
        )
        return list(page.data)

    def _end_changed(self, contract: RemoteContract, answer: Any, now: datetime) -> list[str]:
        end = None if contract.end is None else seconds(contract.end)
        if contract.end is not None and contract.end <= now:
            # Without an invoice: the period that has begun there since is not ours.
            name = answer.id
            self._account.asked(
                f"end subscription {name}",
                lambda: self._api.subscriptions.cancel(name, {"invoice_now": False, "prorate": False}),
            )
            return [f"ended as of {stamp(contract.end)}"]
        if answer.cancel_at == end:
            return []
        self._updated(
            answer.id, {"cancel_at": "" if end is None else end, "proration_behavior": "none"}, "set the end of"
        )
        return ["goes on" if contract.end is None else f"ends {stamp(contract.end)}"]

    def _updated(self, name: str, params: dict[str, Any], what: str) -> None:
        # Saying it twice is saying it once, so it needs no key of ours.
        self._account.asked(
            f"{what} subscription {name}",
            lambda: self._api.subscriptions.update(name, params),  # type: ignore[arg-type]
        )


class _Replayed:
    """Notices that an error was not made just now but remembered."""

    def __init__(self) -> None:
        self.seen = False

    def of(self, call: Callable[[], Any]) -> Callable[[], Any]:
        def noticed() -> Any:
            try:
                return call()
            except stripe.StripeError as error:
                headers = {str(name).lower(): value for name, value in (error.headers or {}).items()}
                self.seen = self.seen or headers.get("idempotent-replayed") == "true"
                raise

        return noticed
