"""Money going back: refunds of charges."""

from __future__ import annotations

from typing import Any

from tests.stripe_peer.events import emit
from tests.stripe_peer.limits import merged
from tests.stripe_peer.refusals import wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/refunds"


def refunded(world: World, charge: Thing, amount: int | None = None, **about: Any) -> Thing:
    """Give that much of a charge back, or all that is left.

    Raises:
        Refusal: more than is left, nothing is left, or the charge never came in.
    """
    left = charge["amount"] - charge["amount_refunded"]
    if not charge["paid"]:
        raise wrong(f"Charge {charge['id']} was not paid", "charge")
    if left <= 0:
        raise wrong(f"Charge {charge['id']} has already been refunded.", "charge", "charge_already_refunded")
    if charge["disputed"]:
        raise wrong(f"Charge {charge['id']} is disputed", "charge", "charge_disputed")
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        raise wrong(f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({left})", "amount")
    refund: Thing = {
        "id": world.refunds.new_id(),
        "object": "refund",
        "amount": wanted,
        "balance_transaction": f"txn_{world.number():014d}",
        "charge": charge["id"],
        "created": world.now(),
        "currency": charge["currency"],
        "destination_details": {"type": "card"},
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
        **about,
    }
    world.refunds.put(refund)
    before = charge["amount_refunded"]
    charge["amount_refunded"] += wanted
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    emit(world, "refund.created", refund)
    emit(world, "charge.refunded", charge, {"amount_refunded": before})
    return refund


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    if "charge" in call.params:
        charge = world.charges.named(call.params["charge"], "charge")
    elif "payment_intent" in call.params:
        intent = world.intents.named(call.params["payment_intent"], "payment_intent")
        charge = world.charges.get(intent["latest_charge"] or "none")
    else:
        raise wrong("One of charge and payment_intent is required", "charge", "parameter_missing")
    about = {"reason": call.get("reason"), "metadata": merged({}, call.get("metadata"))}
    return refunded(world, charge, call.get("amount"), **about)


@serves("get", _URL + "/{refund}")
def retrieved(world: World, call: Call) -> Thing:
    return world.refunds.get(call.ids[0], "refund")


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    return world.refunds.page(call.params, _URL, charge=call.get("charge"), payment_intent=call.get("payment_intent"))
