"""`expand`: ids replaced by their objects, along dotted paths (`data.customer`, `latest_invoice.payments`)."""

from __future__ import annotations

from typing import Any

from tests.stripe_peer.refusals import invalid
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import World


def expanded(world: World, thing: Thing, paths: list[str]) -> Thing:
    """A copy with these paths expanded.

    Raises:
        Refusal: there is nothing to expand there.
    """
    for path in paths:
        thing = _at(world, thing, path.split("."), path)
    return thing


def _at(world: World, value: Any, parts: list[str], path: str) -> Any:
    if isinstance(value, list):
        return [_at(world, one, parts, path) for one in value]
    if isinstance(value, str):
        value = _object(world, value, path)
    if not parts or value is None:
        return value
    if isinstance(value, dict) and parts[0] == "payments" and value.get("object") == "invoice":
        value = {**value, "payments": _payments(world, value["id"])}
    elif isinstance(value, dict) and parts[0] == "tiers" and value.get("object") == "price":
        # Put in or left out where prices are answered.
        return value
    if not isinstance(value, dict) or parts[0] not in value:
        raise invalid(f"This property cannot be expanded ({path}).", "expand")
    return {**value, parts[0]: _at(world, value.get(parts[0]), parts[1:], path)}


def _payments(world: World, invoice: str) -> Thing:
    found = world.payments.having("invoice", invoice)
    return {"object": "list", "data": found, "has_more": False, "url": f"/v1/invoice_payments?invoice={invoice}"}


def _object(world: World, name: str, path: str) -> Thing:
    # Imported here: these rooms use none of this, and this uses all of them.
    from tests.stripe_peer.invoices import shown

    for shelf in (
        world.customers,
        world.invoices,
        world.credit_notes,
        world.balance,
        world.payments,
        world.intents,
        world.charges,
        world.refunds,
        world.disputes,
        world.products,
        world.prices,
        world.subscriptions,
    ):
        if name in shelf:
            thing = shelf.get(name)
            return shown(world, thing) if shelf is world.invoices else thing
    raise invalid(f"This property cannot be expanded ({path}).", "expand")
