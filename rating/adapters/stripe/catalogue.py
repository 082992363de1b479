"""Products, meters and prices of ours in Stripe: what stands there, and making it stand there.

Each is found by a name that we chose and that Stripe keeps unique: a product's id, a meter's event name, a price's
lookup key. So what an earlier call made, whatever became of its answer, is found and not made twice, for ever; Stripe's
idempotency keys, which would repeat a failure for a day, are not needed for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from rating.adapters.stripe.client import StripeAccount, metadata, told
from rating.core.canonical import digest
from rating.core.money import decimal_text
from rating.core.offers import RemoteMeter, RemotePrice
from rating.core.periods import Cadence
from rating.core.provisions import Act, Provision, Standing, Stood, Thing
from rating.core.remoteprices import Mode, RemoteTier
from rating.errors import EdgeDisagrees, EdgeRefused
from rating.ports import Trail

PAGE = 100
OURS = "rating_key"
"""In the metadata of every product and price: the key by which we know it."""
GATEWAY = "rating_gateway"
"""In the metadata as well: the name of the gateway that made it."""
EVENTS = "rating."
"""What the event names of our meters begin with."""
_TAKEN = re.compile(r"already (exists|uses)", re.IGNORECASE)
_INTERVALS = {
    Cadence.DAY: ("day", 1),
    Cadence.WEEK: ("week", 1),
    Cadence.MONTH: ("month", 1),
    Cadence.QUARTER: ("month", 3),
    Cadence.YEAR: ("year", 1),
}


def product_id(key: str) -> str:
    return f"rating_{digest(key)[:24]}"


class StripeCatalogue:
    """What is sold at one account."""

    def __init__(self, account: StripeAccount) -> None:
        self._account = account
        self._api = account.client.v1

    def standing(self) -> Standing:
        """Everything that this gateway made, put away or not."""
        products = self._listed("list products", self._api.products.list)
        prices = self._listed("list prices", self._api.prices.list)
        meters = self._listed("list meters", self._api.billing.meters.list)
        return Standing(
            {
                told(one, "event_name", str): Stood(one.id, one.display_name, one.status == "active")
                for one in _active_last(meters)
                if one.event_name.startswith(EVENTS)
            },
            {key: Stood(one.id, one.name, one.active) for one in products if (key := self._key(one))},
            {
                key: Stood(one.id, one.nickname or "", one.active)
                for one in prices
                if (key := self._key(one)) and one.lookup_key == key
            },
        )

    def provide(self, provision: Provision, trail: Trail) -> str:
        """See `ports.UsageGateway`."""
        name = f"{provision.act} {provision.thing} {provision.key}"
        match provision.act:
            case Act.ARCHIVE:
                self._switched(provision, name, active=False)
                return "put away"
            case Act.REVIVE:
                self._switched(provision, name, active=True)
                return "taken out again"
            case Act.CHANGE:
                self._renamed(provision, name)
                return f"renamed from {provision.before}"
        made = self._created(provision, name, trail)
        trail.keep(made)
        return f"made as {made}"

    def _created(self, provision: Provision, name: str, trail: Trail) -> str:
        price, meter = provision.price, provision.meter
        match provision.thing:
            case Thing.METER:
                assert meter is not None
                return self._once(name, lambda: self._meter(meter).id, lambda: self._meter_there(meter))
            case Thing.PRODUCT:
                key = provision.key
                return self._once(name, lambda: self._product(key, provision.title).id, lambda: product_id(key))
            case Thing.PRICE:
                assert price is not None
                counted_by = trail.name(subject=f"{Thing.METER}/{price.meter.key}")
                if counted_by is None:
                    raise EdgeDisagrees(f"price {price.key}: its meter {price.meter.key} has no name there yet")
                return self._once(name, lambda: self._price(price, counted_by).id, lambda: self._price_there(price.key))

    def _once(self, name: str, make: Any, there: Any) -> str:
        """What was made, or what stands there under the name that is taken."""
        try:
            return str(self._account.asked(name, make))
        except EdgeRefused as error:
            if not _TAKEN.search(str(error)):
                raise
            found = there()
            if found is None:
                raise
            return str(found)

    def _meter(self, meter: RemoteMeter) -> Any:
        return self._api.billing.meters.create(
            {
                "display_name": meter.title[:250],
                "event_name": meter.key,
                "default_aggregation": {"formula": "sum"},
                # A newer event of the same hour takes the place of the one before: reporting twice is reporting once.
                "event_time_window": "hour",
                "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
                "value_settings": {"event_payload_key": "value"},
            }
        )

    def _meter_there(self, meter: RemoteMeter) -> str | None:
        found = self._listed("list meters", self._api.billing.meters.list)
        return next((one.id for one in found if one.event_name == meter.key and one.status == "active"), None)

    def _product(self, key: str, title: str) -> Any:
        return self._api.products.create(
            {"id": product_id(key), "name": title, "metadata": {OURS: key, GATEWAY: self._account.name}}
        )

    def _price(self, price: RemotePrice, meter: str) -> Any:
        interval, count = _INTERVALS[price.cadence]
        params: dict[str, Any] = {
            "product": product_id(price.product),
            "currency": price.currency.code.lower(),
            "lookup_key": price.key,
            "nickname": price.title,
            "metadata": {OURS: price.key, GATEWAY: self._account.name},
            "recurring": {"interval": interval, "interval_count": count, "usage_type": "metered", "meter": meter},
            **_schedule(price),
        }
        return self._api.prices.create(params)  # type: ignore[arg-type]

    def _price_there(self, key: str) -> str | None:
        found = self._account.asked("look up a price", lambda: self._api.prices.list({"lookup_keys": [key]}))
        return next((one.id for one in found.data), None)

    def _switched(self, provision: Provision, name: str, *, active: bool) -> None:
        remote, api = provision.remote, self._api
        match provision.thing:
            case Thing.METER:
                switch = api.billing.meters.reactivate if active else api.billing.meters.deactivate
                self._account.asked(name, lambda: switch(remote))
            case Thing.PRODUCT:
                self._account.asked(name, lambda: api.products.update(remote, {"active": active}))
            case Thing.PRICE:
                self._account.asked(name, lambda: api.prices.update(remote, {"active": active}))

    def _renamed(self, provision: Provision, name: str) -> None:
        remote, title, api = provision.remote, provision.title, self._api
        if provision.thing is Thing.METER:
            self._account.asked(name, lambda: api.billing.meters.update(remote, {"display_name": title[:250]}))
        else:
            self._account.asked(name, lambda: api.products.update(remote, {"name": title}))

    def _key(self, answer: Any) -> str:
        """Empty for what is not this gateway's."""
        said: Mapping[str, str] = metadata(answer)
        return said.get(OURS, "") if said.get(GATEWAY) == self._account.name else ""

    def _listed(self, what: str, page: Any) -> list[Any]:
        found: list[Any] = []
        params: dict[str, Any] = {"limit": PAGE}
        while True:
            answer = self._account.asked(what, lambda params=params: page(params))  # type: ignore[misc]
            found += answer.data
            if not answer.has_more or not answer.data:
                return found
            params = {"limit": PAGE, "starting_after": answer.data[-1].id}


def _active_last(meters: list[Any]) -> list[Any]:
    """Of several meters of one event name only one can be active: that is the one."""
    return sorted(meters, key=lambda one: bool(one.status == "active"))


def _schedule(price: RemotePrice) -> dict[str, Any]:
    schedule = price.schedule
    match schedule.mode:
        case Mode.PER_UNIT:
            return {"billing_scheme": "per_unit", "unit_amount_decimal": _decimal(schedule.unit)}
        case Mode.PACKAGE:
            rounded = "up" if schedule.round_up else "down"
            return {
                "billing_scheme": "per_unit",
                "unit_amount_decimal": _decimal(schedule.unit),
                "transform_quantity": {"divide_by": schedule.divide_by, "round": rounded},
            }
    return {
        "billing_scheme": "tiered",
        "tiers_mode": schedule.mode.value,
        "tiers": [_tier(tier) for tier in schedule.tiers],
    }


def _tier(tier: RemoteTier) -> dict[str, Any]:
    said: dict[str, Any] = {"up_to": "inf" if tier.up_to is None else tier.up_to}
    said["unit_amount_decimal"] = _decimal(tier.unit)
    if tier.flat:
        said["flat_amount"] = tier.flat
    return said


def _decimal(minor: Fraction) -> Decimal:
    """Exactly: what has more than twelve decimals was refused before."""
    return Decimal(decimal_text(minor))
