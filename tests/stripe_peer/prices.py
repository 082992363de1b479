"""Prices: per unit, packages, tiers, flat amounts, metered or licensed. What they cost cannot change once made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.stripe_peer.currencies import currency
from tests.stripe_peer.customers import differing
from tests.stripe_peer.events import emit
from tests.stripe_peer.limits import merged
from tests.stripe_peer.lines import plain, refuse_unserved
from tests.stripe_peer.products import new_product
from tests.stripe_peer.refusals import wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.searches import search
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/prices"


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    refuse_unserved(call.params, "currency_options", "custom_unit_amount")
    return _shown(new_price(world, call.params, call.livemode), call)


def new_price(world: World, sent: dict[str, Any], livemode: bool) -> Thing:
    """Raises: Refusal, for a price that Stripe could not charge."""
    of = currency(sent["currency"])
    if ("product" in sent) == ("product_data" in sent):
        raise wrong("One of product and product_data is required, and only one", "product", "parameter_missing")
    tiered = sent.get("billing_scheme", "per_unit") == "tiered"
    unit = _either(sent, "unit_amount", "")
    if tiered:
        _tiers_allowed(sent, unit)
    elif unit is None:
        raise wrong("One of unit_amount, unit_amount_decimal, or custom_unit_amount is required", "unit_amount")
    elif "tiers" in sent or "tiers_mode" in sent:
        raise wrong("tiers and tiers_mode need billing_scheme=tiered", "tiers")
    if "transform_quantity" in sent and sent["transform_quantity"]["divide_by"] <= 0:
        raise wrong("divide_by must be positive", "transform_quantity[divide_by]")
    recurring = _recurring(world, sent.get("recurring"))
    key = sent.get("lookup_key")
    if key is not None:
        for other in world.prices.having("lookup_key", key):
            if not sent.get("transfer_lookup_key"):
                raise wrong(
                    f"A price (`{other['id']}`) already uses that lookup key.", "lookup_key", "resource_already_exists"
                )
            other["lookup_key"] = None
            world.prices.put(other)
            emit(world, "price.updated", other, {"lookup_key": key})
    if "product" in sent:
        product = world.products.named(sent["product"], "product")
    else:
        product = new_product(world, sent["product_data"], livemode)
    price: Thing = {
        "id": world.prices.new_id(),
        "object": "price",
        "active": sent.get("active", True),
        "billing_scheme": "tiered" if tiered else "per_unit",
        "created": world.now(),
        "currency": of,
        "custom_unit_amount": None,
        "livemode": livemode,
        "lookup_key": key,
        "metadata": merged({}, sent.get("metadata")),
        "nickname": sent.get("nickname"),
        "product": product["id"],
        "recurring": recurring,
        "tax_behavior": sent.get("tax_behavior", "unspecified"),
        "tiers": [_tier(tier) for tier in sent["tiers"]] if tiered else None,
        "tiers_mode": sent.get("tiers_mode"),
        "transform_quantity": sent.get("transform_quantity"),
        "type": "recurring" if recurring else "one_time",
        "unit_amount": _whole(unit),
        "unit_amount_decimal": None if unit is None else plain(unit),
    }
    world.prices.put(price)
    emit(world, "price.created", price)
    return price


def _either(sent: dict[str, Any], name: str, path: str) -> Decimal | None:
    both = {name, f"{name}_decimal"} & sent.keys()
    if len(both) == 2:
        raise wrong(f"You may only specify one of these parameters: {name}, {name}_decimal.", f"{path}{name}")
    value = sent.get(f"{name}_decimal", sent.get(name))
    if value is not None and value < 0:
        raise wrong(f"{name} must be at least 0; you sent {value}", f"{path}{name}")
    return None if value is None else Decimal(value)


def _whole(value: Decimal | None) -> int | None:
    """An amount that is no whole number of minor units shows in the decimal field alone."""
    return None if value is None or value != int(value) else int(value)


def _tiers_allowed(sent: dict[str, Any], unit: Decimal | None) -> None:
    if unit is not None:
        raise wrong("unit_amount cannot be set with billing_scheme=tiered", "unit_amount")
    if "transform_quantity" in sent:
        raise wrong("transform_quantity cannot be set with billing_scheme=tiered", "transform_quantity")
    if "tiers_mode" not in sent:
        raise wrong("tiers_mode is required with billing_scheme=tiered", "tiers_mode", "parameter_missing")
    tiers = sent.get("tiers") or []
    if not tiers:
        raise wrong("tiers are required with billing_scheme=tiered", "tiers", "parameter_missing")
    below = 0
    for number, tier in enumerate(tiers):
        last = number == len(tiers) - 1
        if (tier["up_to"] == "inf") != last:
            raise wrong("The last tier, and only the last, must have up_to=inf", f"tiers[{number}][up_to]")
        if not last and tier["up_to"] <= below:
            raise wrong(f"Tiers must rise: {tier['up_to']} follows {below}", f"tiers[{number}][up_to]")
        below = tier["up_to"] if not last else below
        path = f"tiers[{number}]."
        if _either(tier, "unit_amount", path) is None and _either(tier, "flat_amount", path) is None:
            raise wrong("A tier needs a unit_amount or a flat_amount", f"tiers[{number}]")


def _tier(sent: dict[str, Any]) -> Thing:
    unit, flat = _either(sent, "unit_amount", ""), _either(sent, "flat_amount", "")
    return {
        "flat_amount": _whole(flat),
        "flat_amount_decimal": None if flat is None else plain(flat),
        "unit_amount": _whole(unit),
        "unit_amount_decimal": None if unit is None else plain(unit),
        "up_to": None if sent["up_to"] == "inf" else sent["up_to"],
    }


def _recurring(world: World, sent: dict[str, Any] | None) -> Thing | None:
    if sent is None:
        return None
    metered = sent.get("usage_type", "licensed") == "metered"
    if metered and "meter" not in sent:
        raise wrong(
            "Metered prices must be backed by meters: recurring[meter] is required with usage_type=metered",
            "recurring[meter]",
            "parameter_missing",
        )
    if not metered and "meter" in sent:
        raise wrong("recurring[meter] needs usage_type=metered", "recurring[meter]")
    if metered:
        meter = world.meters.named(sent["meter"], "recurring[meter]")
        if meter["status"] != "active":
            raise wrong(f"The meter {meter['id']} is inactive", "recurring[meter]")
    count = sent.get("interval_count", 1)
    if not 1 <= count <= {"day": 1_095, "week": 156, "month": 36, "year": 3}[sent["interval"]]:
        raise wrong("The interval can be at most three years", "recurring[interval_count]")
    return {
        "interval": sent["interval"],
        "interval_count": count,
        "meter": sent.get("meter"),
        "trial_period_days": None,
        "usage_type": "metered" if metered else "licensed",
    }


@serves("get", _URL + "/{price}")
def retrieved(world: World, call: Call) -> Thing:
    return _shown(world.prices.get(call.ids[0], "price"), call)


def _shown(price: Thing, call: Call) -> Thing:
    """Tiers are only in answers that were asked to expand them; elsewhere there is not even their name."""
    wanted = any(path.rpartition(".")[2] == "tiers" for path in call.get("expand") or ())
    return price if wanted else without_tiers(price)


def without_tiers(price: Thing) -> Thing:
    return {name: value for name, value in price.items() if name != "tiers"}


@serves("post", _URL + "/{price}")
def updated(world: World, call: Call) -> Thing:
    refuse_unserved(call.params, "currency_options")
    price = world.prices.get(call.ids[0], "price")
    new = {**price, "metadata": merged(price["metadata"], call.get("metadata"))}
    for field in ("active", "nickname", "tax_behavior", "lookup_key"):
        if field in call.params:
            new[field] = call.params[field] if call.params[field] != "" else None
    key = new["lookup_key"]
    if key is not None and key != price["lookup_key"]:
        for other in world.prices.having("lookup_key", key):
            if not call.get("transfer_lookup_key"):
                raise wrong(f"A price (`{other['id']}`) already uses that lookup key.", "lookup_key")
            other["lookup_key"] = None
            world.prices.put(other)
    previous = differing(price, new)
    price.update(new)
    world.prices.put(price)
    emit(world, "price.updated", price, previous)
    return _shown(price, call)


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    if "lookup_keys" in call.params:
        if len(call.params["lookup_keys"]) > 10:
            raise wrong("You can look up at most 10 keys", "lookup_keys")
        found = [one for key in call.params["lookup_keys"] for one in world.prices.having("lookup_key", key)]
        found = [one for one in found if call.get("active") in (None, one["active"])]
        return {"object": "list", "data": [_shown(one, call) for one in found], "has_more": False, "url": _URL}
    filters = {name: call.get(name) for name in ("active", "product", "currency", "type")}
    page = world.prices.page(call.params, _URL, **filters)
    return {**page, "data": [_shown(one, call) for one in page["data"]]}


@serves("get", _URL + "/search")
def searched(world: World, call: Call) -> Thing:
    page = search(world, world.prices, call, _URL + "/search")
    return {**page, "data": [_shown(one, call) for one in page["data"]]}
