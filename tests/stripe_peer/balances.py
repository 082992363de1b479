"""The customer's balance: what Stripe owes them (negative) or they owe (positive), and each movement of it."""

from __future__ import annotations

from typing import Any

from tests.stripe_peer.currencies import amount, currency
from tests.stripe_peer.events import emit
from tests.stripe_peer.limits import merged
from tests.stripe_peer.refusals import missing, wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/customers/{customer}/balance_transactions"


def moved(world: World, customer: Thing, by: int, kind: str, **about: Any) -> Thing:
    """Change the balance and write down why."""
    customer["balance"] += by
    movement: Thing = {
        "id": world.balance.new_id(),
        "object": "customer_balance_transaction",
        "amount": by,
        "checkout_session": None,
        "created": world.now(),
        "credit_note": None,
        "currency": customer["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "description": None,
        "ending_balance": customer["balance"],
        "invoice": None,
        "livemode": world.livemode,
        "metadata": {},
        "type": kind,
        **about,
    }
    return world.balance.put(movement)


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    customer = world.customers.get(call.ids[0], "customer")
    of = currency(call.params["currency"])
    if customer["currency"] is not None and customer["currency"] != of:
        raise wrong(
            f"The customer's currency is {customer['currency']}; a balance transaction in {of} cannot be made",
            "currency",
        )
    by = amount(call.params["amount"], of)
    customer["currency"] = of
    old = customer["balance"]
    movement = moved(
        world,
        customer,
        by,
        "adjustment",
        description=call.get("description"),
        metadata=merged({}, call.get("metadata")),
    )
    emit(world, "customer.updated", customer, {"balance": old})
    return movement


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    customer = world.customers.get(call.ids[0], "customer")
    url = _URL.replace("{customer}", customer["id"])
    return world.balance.page(call.params, url, customer=customer["id"], invoice=call.get("invoice"))


@serves("get", _URL + "/{transaction}")
def retrieved(world: World, call: Call) -> Thing:
    movement = world.balance.get(call.ids[1], "transaction")
    if movement["customer"] != call.ids[0]:
        raise missing("customer_balance_transaction", call.ids[1], "transaction")
    return movement


@serves("post", _URL + "/{transaction}")
def updated(world: World, call: Call) -> Thing:
    movement = retrieved(world, call)
    movement["description"] = call.get("description", movement["description"])
    movement["metadata"] = merged(movement["metadata"], call.get("metadata"))
    return movement
