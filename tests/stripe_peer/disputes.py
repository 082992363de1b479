"""Disputes: opened by a cardholder (here: by a test), closed as won or lost."""

from __future__ import annotations

from tests.stripe_peer.events import emit
from tests.stripe_peer.refusals import wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import DAY, Call, World

_URL = "/v1/disputes"
_TO_ANSWER = 21 * DAY


def opened(world: World, charge: Thing, reason: str = "fraudulent") -> Thing:
    """Raises: Refusal, when it is disputed already."""
    if charge["disputed"]:
        raise wrong(f"Charge {charge['id']} is disputed already", "charge", "charge_disputed")
    dispute: Thing = {
        "id": world.disputes.new_id(),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": world.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {"due_by": world.now() + _TO_ANSWER, "has_evidence": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": charge["livemode"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "needs_response",
    }
    world.disputes.put(dispute)
    charge["disputed"] = True
    emit(world, "charge.dispute.created", dispute)
    emit(world, "charge.dispute.funds_withdrawn", dispute)
    return dispute


def closed(world: World, dispute: Thing, status: str) -> Thing:
    """`won` gives the money back, `lost` does not.

    Raises:
        Refusal: it is closed already.
    """
    if dispute["status"] in ("won", "lost"):
        raise wrong(f"Dispute {dispute['id']} is closed already", "dispute")
    dispute["status"] = status
    emit(world, "charge.dispute.updated", dispute, {"status": "needs_response"})
    if status == "won":
        world.charges.get(dispute["charge"])["disputed"] = False
        emit(world, "charge.dispute.funds_reinstated", dispute)
    emit(world, "charge.dispute.closed", dispute)
    return dispute


@serves("get", _URL + "/{dispute}")
def retrieved(world: World, call: Call) -> Thing:
    return world.disputes.get(call.ids[0], "dispute")


@serves("post", _URL + "/{dispute}/close")
def accepted(world: World, call: Call) -> Thing:
    """Closing a dispute through the API is losing it."""
    return closed(world, world.disputes.get(call.ids[0], "dispute"), "lost")


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    filters = {name: call.get(name) for name in ("charge", "payment_intent")}
    return world.disputes.page(call.params, _URL, **filters)
