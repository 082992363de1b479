"""Customers: create, read, change, delete, list by e-mail, search by metadata."""

from __future__ import annotations

import re
from typing import Any

from tests.stripe_peer.currencies import currency
from tests.stripe_peer.events import emit
from tests.stripe_peer.limits import merged
from tests.stripe_peer.refusals import missing, wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.searches import search
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/customers"
_PLAIN = ("address", "business_name", "description", "email", "individual_name", "name", "phone", "shipping")
_PREFIX = re.compile(r"[A-Z0-9]{3,12}")


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    name = world.customers.new_id()
    customer: Thing = {
        "id": name,
        "object": "customer",
        **dict.fromkeys(_PLAIN),
        "balance": 0,
        "created": world.now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "discount": None,
        "invoice_prefix": call.get("invoice_prefix") or f"P{int(name.partition('_')[2]):07d}",
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": call.livemode,
        "metadata": {},
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "tax_exempt": "none",
        "test_clock": None,
    }
    _changed(world, customer, call)
    world.customers.put(customer)
    if call.get("balance"):
        from tests.stripe_peer.balances import moved

        _with_currency(customer)
        moved(world, customer, call.params["balance"], "initial")
    emit(world, "customer.created", customer)
    return customer


def _with_currency(customer: Thing) -> None:
    """A balance is in some currency: the account's, when nothing else was said."""
    if customer["currency"] is None:
        customer["currency"] = "usd"


def _changed(world: World, customer: Thing, call: Call) -> None:
    for field in _PLAIN:
        if field in call.params:
            customer[field] = call.params[field] if call.params[field] != "" else None
    for field in ("preferred_locales", "tax_exempt", "next_invoice_sequence", "invoice_prefix"):
        if field in call.params:
            customer[field] = call.params[field] or ("none" if field == "tax_exempt" else [])
    if not _PREFIX.fullmatch(customer["invoice_prefix"]):
        raise wrong("Invoice prefixes are 3 to 12 uppercase letters or digits", "invoice_prefix")
    settings = call.get("invoice_settings") or {}
    method = settings.get("default_payment_method")
    if method:
        world.methods.named(method, "invoice_settings[default_payment_method]")
        if world.methods.get(method)["customer"] != customer["id"]:
            raise wrong(
                f"The customer does not have a payment method with the ID {method}. The payment method must be "
                "attached to the customer.",
                "invoice_settings[default_payment_method]",
                "resource_missing",
            )
    customer["invoice_settings"] = {**customer["invoice_settings"], **settings}
    email = customer["email"]
    if email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise wrong(f"Invalid email address: {email}", "email", "email_invalid")
    customer["metadata"] = merged(customer["metadata"], call.get("metadata"))


def present(world: World, name: str, param: str = "customer") -> Thing:
    """A customer that a parameter names. Raises: Refusal."""
    return world.customers.named(name, param)


def bill_in(world: World, customer: Thing, wanted: str | None) -> str:
    """The currency of what this customer is charged; fixed by the first use.

    Raises:
        Refusal: the customer already has another one.
    """
    of = currency(wanted) if wanted else customer["currency"] or world.settings.account_currency
    if customer["currency"] is None:
        customer["currency"] = of
    if customer["currency"] != of:
        raise wrong(
            "You cannot combine currencies on a single customer. This customer has had a subscription, coupon, or "
            f"invoice item with currency {customer['currency']}; you sent {of}",
            "currency",
        )
    return of


@serves("get", _URL + "/{customer}")
def retrieved(world: World, call: Call) -> Thing:
    return _get(world, call.ids[0])


def _get(world: World, name: str) -> Thing:
    if name in world.deleted_customers:
        return {"id": name, "object": "customer", "deleted": True}
    return world.customers.get(name, "customer")


@serves("post", _URL + "/{customer}")
def updated(world: World, call: Call) -> Thing:
    customer = world.customers.get(call.ids[0], "customer")
    new = {**customer, "invoice_settings": dict(customer["invoice_settings"])}
    _changed(world, new, call)
    previous = differing(customer, new)
    if "balance" in call.params and call.params["balance"] != customer["balance"]:
        from tests.stripe_peer.balances import moved

        _with_currency(customer)
        previous["balance"] = customer["balance"]
        moved(world, customer, call.params["balance"] - customer["balance"], "adjustment")
        new["balance"], new["currency"] = customer["balance"], customer["currency"]
    customer.update(new)
    world.customers.put(customer)
    emit(world, "customer.updated", customer, previous)
    return customer


def differing(old: Thing, new: Thing) -> dict[str, Any]:
    """The old values of the fields that differ."""
    return {field: value for field, value in old.items() if new.get(field) != value}


@serves("delete", _URL + "/{customer}")
def deleted(world: World, call: Call) -> Thing:
    name = call.ids[0]
    if name in world.deleted_customers:
        raise missing("customer", name)
    customer = world.customers.get(name, "customer")
    for subscription in world.subscriptions.having("customer", name):
        if subscription["status"] != "canceled":
            from tests.stripe_peer.subscriptions import ended

            ended(world, subscription)
    world.customers.remove(name)
    world.deleted_customers.add(name)
    emit(world, "customer.deleted", customer)
    return {"id": name, "object": "customer", "deleted": True}


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    return world.customers.page(call.params, _URL, email=call.get("email"))


@serves("get", _URL + "/search")
def searched(world: World, call: Call) -> Thing:
    return search(world, world.customers, call, _URL + "/search")
