"""Subscriptions: made, changed, ended. Their periods and invoices are in `cycles`."""

from __future__ import annotations

from typing import Any

from tests.stripe_peer.customers import bill_in, differing, present
from tests.stripe_peer.events import emit
from tests.stripe_peer.invoices import due_date
from tests.stripe_peer.limits import merged
from tests.stripe_peer.lines import refuse_unserved
from tests.stripe_peer.prices import new_price, without_tiers
from tests.stripe_peer.refusals import missing, unserved, wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.searches import search
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/subscriptions"
_ITEMS = "/v1/subscription_items"
_NOT_SERVED = (
    "add_invoice_items",
    "automatic_tax",
    "billing_schedules",
    "billing_thresholds",
    "customer_account",
    "default_tax_rates",
    "discounts",
    "on_behalf_of",
    "pause_collection",
    "pending_invoice_item_interval",
    "transfer_data",
    "trial_from_plan",
    "trial_period_days",
    "trial_settings",
    "billing_cycle_anchor_config",
    "application_fee_percent",
)
_PLAIN = ("default_payment_method", "description", "payment_settings")


def shown(world: World, subscription: Thing) -> Thing:
    items = world.subscription_items.having("subscription", subscription["id"])
    shown = [{**item, "price": without_tiers(item["price"])} for item in items]
    return {
        **subscription,
        "items": {
            "object": "list",
            "data": shown,
            "has_more": False,
            "total_count": len(items),
            "url": f"{_ITEMS}?subscription={subscription['id']}",
        },
    }


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    from tests.stripe_peer.cycles import begun, period_end

    refuse_unserved(call.params, *_NOT_SERVED, "trial_end")
    if "customer" not in call.params:
        raise wrong("Missing required param: customer.", "customer", "parameter_missing")
    customer = present(world, call.params["customer"])
    if not call.get("items"):
        raise wrong("Missing required param: items.", "items", "parameter_missing")
    method = call.get("collection_method", "charge_automatically")
    due_date(world, {"days_until_due": call.get("days_until_due")} if call.get("days_until_due") else {}, method, 0)
    if method == "send_invoice" and (not customer["email"] or "days_until_due" not in call.params):
        raise wrong("send_invoice needs a customer with an email, and days_until_due", "days_until_due")
    prices = [_price(world, sent, f"items[{number}]", call) for number, sent in enumerate(call.params["items"])]
    intervals = {(price["recurring"]["interval"], price["recurring"]["interval_count"]) for price in prices}
    if len(intervals) > 1:
        raise wrong("All items of a subscription must have the same interval", "items")
    if len({price["id"] for price in prices}) < len(prices):
        raise wrong("A price can be on a subscription only once", "items")
    if len({price["currency"] for price in prices}) > 1:
        raise wrong("All items of a subscription must have the same currency", "items")
    of = bill_in(world, customer, call.get("currency") or prices[0]["currency"])
    if prices[0]["currency"] != of:
        raise wrong(f"The prices are in {prices[0]['currency']} and the subscription in {of}", "currency")
    now = world.now()
    start = call.get("backdate_start_date", now)
    anchor = call.get("billing_cycle_anchor", start)
    if "billing_cycle_anchor" in call.params and anchor < now:
        raise wrong("billing_cycle_anchor must be in the future", "billing_cycle_anchor")
    name = world.subscriptions.new_id()
    subscription: Thing = {
        "id": name,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": anchor,
        "billing_cycle_anchor_config": None,
        "billing_mode": call.get("billing_mode") or {"type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": call.get("cancel_at"),
        "cancel_at_period_end": call.get("cancel_at_period_end", False),
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": method,
        "created": now,
        "currency": of,
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": call.get("days_until_due"),
        "default_source": None,
        "default_tax_rates": [],
        "discounts": [],
        "ended_at": None,
        "invoice_settings": call.get("invoice_settings") or {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "livemode": call.livemode,
        "managed_payments": {"enabled": False},
        "metadata": merged({}, call.get("metadata")),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": start,
        "status": "active",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
        **dict.fromkeys(_PLAIN),
        **{field: call.params[field] for field in _PLAIN if field in call.params},
    }
    world.subscriptions.put(subscription)
    end = anchor if anchor > now else period_end(anchor, start, prices[0]["recurring"])
    for sent, price in zip(call.params["items"], prices, strict=True):
        _new_item(world, subscription, price, sent, (start, end))
    emit(world, "customer.subscription.created", shown(world, subscription))
    begun(world, subscription)
    return shown(world, subscription)


def _price(world: World, sent: dict[str, Any], path: str, call: Call) -> Thing:
    refuse_unserved(sent, "plan", "discounts", "tax_rates", "current_trial", "billing_thresholds")
    if "price_data" in sent:
        price = new_price(world, sent["price_data"], call.livemode)
    else:
        price = world.prices.named(sent.get("price") or "", f"{path}[price]")
    if price["recurring"] is None:
        raise wrong(f"The price {price['id']} is one-time; a subscription takes recurring ones", f"{path}[price]")
    if not price["active"]:
        raise wrong(f"The price {price['id']} is inactive", f"{path}[price]")
    if price["recurring"]["usage_type"] == "metered" and "quantity" in sent:
        raise wrong("A metered item takes no quantity: its meter counts", f"{path}[quantity]")
    return price


def _new_item(world: World, subscription: Thing, price: Thing, sent: dict[str, Any], span: tuple[int, int]) -> Thing:
    item: Thing = {
        "id": world.subscription_items.new_id(),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": world.now(),
        "current_period_end": span[1],
        "current_period_start": span[0],
        "discounts": [],
        "metadata": merged({}, sent.get("metadata")),
        "price": price,
        "subscription": subscription["id"],
        "tax_rates": [],
    }
    if price["recurring"]["usage_type"] == "licensed":
        item["quantity"] = sent.get("quantity", 1)
    return world.subscription_items.put(item)


@serves("get", _URL + "/{subscription_exposed_id}")
def retrieved(world: World, call: Call) -> Thing:
    return shown(world, world.subscriptions.get(call.ids[0], "id"))


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    """Ended subscriptions show only when they are asked for."""
    status = call.get("status")
    filters: dict[str, Any] = {"customer": call.get("customer")}
    if status in (None, "all", "ended") or "price" in call.params:
        page = _scanned(world, call, status)
    else:
        page = world.subscriptions.page(call.params, _URL, status=status, **filters)
    return {**page, "data": [shown(world, one) for one in page["data"]]}


def _scanned(world: World, call: Call, status: str | None) -> Thing:
    limit, found, params = call.get("limit", 10), [], {**call.params, "limit": 100}
    while True:
        page = world.subscriptions.page(params, _URL, customer=call.get("customer"))
        for one in page["data"]:
            ended = one["status"] in ("canceled", "incomplete_expired")
            if status == "all" or ended == (status == "ended"):
                price = call.get("price")
                items = world.subscription_items.having("subscription", one["id"])
                if price is None or any(item["price"]["id"] == price for item in items):
                    found.append(one)
        if not page["has_more"] or len(found) > limit or "ending_before" in params:
            return {"object": "list", "data": found[:limit], "has_more": len(found) > limit, "url": _URL}
        params = {**params, "starting_after": page["data"][-1]["id"]}


@serves("post", _URL + "/{subscription_exposed_id}")
def updated(world: World, call: Call) -> Thing:
    refuse_unserved(call.params, *_NOT_SERVED, "trial_end")
    subscription = world.subscriptions.get(call.ids[0], "id")
    if subscription["status"] == "canceled":
        raise missing("subscription", subscription["id"])
    before = shown(world, subscription)
    if call.get("items") and call.get("proration_behavior", "create_prorations") != "none":
        _no_proration(world, subscription, call.params["items"])
    for field in (*_PLAIN, "cancel_at_period_end", "collection_method", "days_until_due"):
        if field in call.params:
            subscription[field] = call.params[field] if call.params[field] != "" else None
    if "cancel_at" in call.params:
        at = call.params["cancel_at"]
        subscription["cancel_at"] = None if at == "" else at
        if isinstance(at, int):
            name = subscription["id"]
            world.later(at, lambda world: _cancel_due(world, name, at))
    if call.get("cancel_at_period_end"):
        subscription["canceled_at"] = world.now()
    subscription["metadata"] = merged(subscription["metadata"], call.get("metadata"))
    for number, sent in enumerate(call.get("items") or []):
        _item_changed(world, subscription, sent, f"items[{number}]", call)
    world.subscriptions.put(subscription)
    after = shown(world, subscription)
    emit(world, "customer.subscription.updated", after, differing(before, after))
    return after


def _cancel_due(world: World, name: str, at: int) -> None:
    subscription = world.subscriptions.get(name)
    if subscription["status"] != "canceled" and subscription["cancel_at"] == at:
        ended(world, subscription)


def _no_proration(world: World, subscription: Thing, items: list[dict[str, Any]]) -> None:
    """Licensed items changed in the middle of a period would be prorated: not computed here."""
    for sent in items:
        name = sent.get("id")
        old = world.subscription_items.things.get(name or "")
        licensed = old is not None and old["price"]["recurring"]["usage_type"] == "licensed"
        new = world.prices.things.get(sent.get("price", ""))
        if licensed or (new is not None and new["recurring"]["usage_type"] == "licensed"):
            raise unserved("prorations; send proration_behavior=none")


def _item_changed(world: World, subscription: Thing, sent: dict[str, Any], path: str, call: Call) -> None:
    items = world.subscription_items.having("subscription", subscription["id"])
    if "id" not in sent:
        price = _price(world, sent, path, call)
        if price["currency"] != subscription["currency"]:
            raise wrong(f"The price is in {price['currency']}, the subscription in {subscription['currency']}", path)
        span = (world.now(), items[0]["current_period_end"])
        _new_item(world, subscription, price, sent, span)
        return
    item = next((one for one in items if one["id"] == sent["id"]), None)
    if item is None:
        raise missing("subscription item", sent["id"], f"{path}[id]")
    if sent.get("deleted"):
        if len(items) == 1:
            raise wrong("A subscription must have at least one active price", path)
        world.subscription_items.remove(item["id"])
        return
    if "price" in sent or "price_data" in sent:
        price = _price(world, sent, path, call)
        if price["currency"] != subscription["currency"]:
            raise wrong(f"The price is in {price['currency']}, the subscription in {subscription['currency']}", path)
        item["price"] = price
        if price["recurring"]["usage_type"] == "metered":
            item.pop("quantity", None)
        else:
            item.setdefault("quantity", 1)
    if "quantity" in sent:
        item["quantity"] = sent["quantity"]
    item["metadata"] = merged(item["metadata"], sent.get("metadata"))
    world.subscription_items.put(item)


@serves("delete", _URL + "/{subscription_exposed_id}")
def cancelled(world: World, call: Call) -> Thing:
    subscription = world.subscriptions.get(call.ids[0], "id")
    if subscription["status"] == "canceled":
        raise missing("subscription", subscription["id"])
    if call.get("prorate"):
        raise unserved("prorations")
    if call.get("invoice_now"):
        from tests.stripe_peer.cycles import billed_until

        billed_until(world, subscription, world.now())
    ended(world, subscription)
    return shown(world, subscription)


def ended(world: World, subscription: Thing) -> None:
    """Over, now."""
    now = world.now()
    subscription.update(status="canceled", ended_at=now, canceled_at=subscription["canceled_at"] or now)
    world.subscriptions.put(subscription)
    emit(world, "customer.subscription.deleted", shown(world, subscription))


def invoice_paid(world: World, name: str) -> None:
    """One that was past due is in order again."""
    subscription = world.subscriptions.things.get(name)
    if subscription is not None and subscription["status"] in ("past_due", "unpaid", "incomplete"):
        old = {"status": subscription["status"]}
        subscription["status"] = "active"
        world.subscriptions.put(subscription)
        emit(world, "customer.subscription.updated", shown(world, subscription), old)


@serves("get", _URL + "/search")
def searched(world: World, call: Call) -> Thing:
    page = search(world, world.subscriptions, call, _URL + "/search")
    return {**page, "data": [shown(world, one) for one in page["data"]]}


@serves("get", _ITEMS)
def items_listed(world: World, call: Call) -> Thing:
    name = call.params["subscription"]
    world.subscriptions.named(name, "subscription")
    return world.subscription_items.page(call.params, _ITEMS, subscription=name)


@serves("get", _ITEMS + "/{item}")
def item_retrieved(world: World, call: Call) -> Thing:
    return world.subscription_items.get(call.ids[0], "item")


@serves("post", _ITEMS + "/{item}")
def item_updated(world: World, call: Call) -> Thing:
    item = world.subscription_items.get(call.ids[0], "item")
    subscription = world.subscriptions.get(item["subscription"])
    before = shown(world, subscription)
    sent = {
        "id": item["id"],
        **{key: call.params[key] for key in ("price", "quantity", "metadata") if key in call.params},
    }
    if call.get("proration_behavior", "create_prorations") != "none":
        _no_proration(world, subscription, [sent])
    _item_changed(world, subscription, sent, "", call)
    after = shown(world, subscription)
    emit(world, "customer.subscription.updated", after, differing(before, after))
    return world.subscription_items.get(item["id"])
