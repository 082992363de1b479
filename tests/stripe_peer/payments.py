"""Money coming in: payment methods, payment intents, charges, and what they do to an invoice."""

from __future__ import annotations

from tests.stripe_peer.currencies import largest
from tests.stripe_peer.events import emit
from tests.stripe_peer.limits import merged
from tests.stripe_peer.refusals import Refusal, unserved, wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.searches import search
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

CARDS = {
    "pm_card_visa": None,
    "pm_card_mastercard": None,
    "pm_card_chargeDeclined": "card_declined",
    "pm_card_chargeCustomerFail": "card_declined",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_createDispute": None,
}
"""Stripe's own test cards, and why they are declined."""


def card(world: World, customer: Thing, token: str = "pm_card_visa", *, default: bool = True) -> Thing:
    """Give a customer a card."""
    if token not in CARDS:
        raise wrong(f"No such PaymentMethod: '{token}'", "payment_method", "resource_missing")
    method: Thing = {
        "id": world.methods.new_id(),
        "object": "payment_method",
        "card": {"brand": "visa", "exp_month": 12, "exp_year": 2040, "last4": "4242", "funding": "credit"},
        "created": world.now(),
        "customer": customer["id"],
        "livemode": world.livemode,
        "metadata": {},
        "type": "card",
        "_token": token,
    }
    world.methods.put(method)
    emit(world, "payment_method.attached", shown(method))
    if default:
        customer["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": method["id"]}
        emit(world, "customer.updated", customer, {"invoice_settings": {"default_payment_method": None}})
    return method


def shown(method: Thing) -> Thing:
    return {name: value for name, value in method.items() if name != "_token"}


def collect(world: World, invoice: Thing, name: str | None = None, token: str | None = None) -> None:
    """Charge what remains to the method named, the invoice's, or the customer's.

    Raises:
        Refusal: there is no method (400), or the card is declined (402).
    """
    customer = world.customers.get(invoice["customer"])
    subscription = ((invoice["parent"] or {}).get("subscription_details") or {}).get("subscription")
    if token is None:
        own = world.subscriptions.get(subscription)["default_payment_method"] if subscription else None
        name = name or invoice["default_payment_method"] or own
        name = name or customer["invoice_settings"]["default_payment_method"]
        if name is None:
            raise wrong(
                "There is no `default_payment_method` set on this Customer or Invoice. Please set one to collect "
                "payment, or pass paid_out_of_band.",
                "payment_method",
            )
        token = name if name in CARDS else world.methods.named(name, "payment_method")["_token"]
    due = invoice["amount_remaining"]
    if due > largest(invoice["currency"]):
        raise wrong(
            f"Amount must be no more than {largest(invoice['currency'])}; {due} is due", "amount", "amount_too_large"
        )
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1)
    declined = CARDS.get(token)
    intent = _intent(world, invoice, due, name)
    charge = _charge(world, invoice, intent, due, name, declined)
    if declined is not None:
        _failed(world, invoice, intent, charge, declined)
    emit(world, "charge.succeeded", charge)
    emit(world, "payment_intent.succeeded", intent)
    _payment(world, invoice, intent, due)
    settled(world, invoice, due)
    if token == "pm_card_createDispute":
        from tests.stripe_peer.disputes import opened

        opened(world, charge)


def _intent(world: World, invoice: Thing, due: int, method: str | None) -> Thing:
    intent: Thing = {
        "id": world.intents.new_id(),
        "object": "payment_intent",
        "amount": due,
        "amount_capturable": 0,
        "amount_received": 0,
        "application": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "created": world.now(),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": f"Payment for Invoice {invoice['number']}",
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": invoice["livemode"],
        "metadata": {},
        "payment_details": {"order_reference": invoice["id"]},
        "payment_method": method,
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
    }
    world.intents.put(intent)
    emit(world, "payment_intent.created", intent)
    return intent


def _charge(world: World, invoice: Thing, intent: Thing, due: int, method: str | None, declined: str | None) -> Thing:
    paid = declined is None
    charge: Thing = {
        "id": world.charges.new_id(),
        "object": "charge",
        "amount": due,
        "amount_captured": due if paid else 0,
        "amount_refunded": 0,
        "application": None,
        "balance_transaction": f"txn_{world.number():014d}" if paid else None,
        "billing_details": {"address": None, "email": invoice["customer_email"], "name": None, "phone": None},
        "captured": paid,
        "created": world.now(),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_code": declined,
        "failure_message": None if paid else "Your card was declined.",
        "livemode": invoice["livemode"],
        "metadata": {},
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method,
        "payment_method_details": {"type": "card"},
        "receipt_email": None,
        "refunded": False,
        "status": "succeeded" if paid else "failed",
    }
    world.charges.put(charge)
    intent["latest_charge"] = charge["id"]
    if paid:
        intent.update(status="succeeded", amount_received=due)
    return charge


def _failed(world: World, invoice: Thing, intent: Thing, charge: Thing, code: str) -> None:
    from tests.stripe_peer.invoices import changed
    from tests.stripe_peer.invoices import shown as whole

    message = charge["failure_message"]
    intent["last_payment_error"] = {"code": "card_declined", "decline_code": code, "message": message}
    emit(world, "charge.failed", charge)
    emit(world, "payment_intent.payment_failed", intent)
    changed(world, invoice, {"attempt_count": invoice["attempt_count"] - 1})
    emit(world, "invoice.payment_failed", whole(world, invoice))
    refusal = Refusal(402, message, kind="card_error", code="card_declined")
    refusal.body["error"].update(decline_code=code, charge=charge["id"])
    raise refusal


def _payment(world: World, invoice: Thing, intent: Thing, paid: int) -> Thing:
    payment: Thing = {
        "id": world.payments.new_id(),
        "object": "invoice_payment",
        "amount_paid": paid,
        "amount_requested": paid,
        "created": world.now(),
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": invoice["livemode"],
        "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": world.now()},
    }
    world.payments.put(payment)
    emit(world, "invoice_payment.paid", payment)
    return payment


def settled(world: World, invoice: Thing, paid: int) -> None:
    """That much has come in, by whatever way, and nothing remains."""
    from tests.stripe_peer.invoices import changed
    from tests.stripe_peer.invoices import shown as whole

    old = {name: invoice[name] for name in ("status", "amount_paid", "amount_remaining")}
    invoice["amount_paid"] += paid
    invoice["amount_remaining"] = max(0, invoice["amount_due"] - invoice["amount_paid"])
    invoice.update(status="paid", attempted=True, auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"] = {**invoice["status_transitions"], "paid_at": world.now()}
    changed(world, invoice, old)
    emit(world, "invoice.paid", whole(world, invoice))
    emit(world, "invoice.payment_succeeded", whole(world, invoice))
    subscription = ((invoice["parent"] or {}).get("subscription_details") or {}).get("subscription")
    if subscription:
        from tests.stripe_peer.subscriptions import invoice_paid

        invoice_paid(world, subscription)


@serves("post", "/v1/payment_methods/{payment_method}/attach")
def attached(world: World, call: Call) -> Thing:
    name = call.params.get("customer")
    customer = world.customers.named(name or "", "customer")
    return shown(card(world, customer, call.ids[0], default=False))


@serves("get", "/v1/payment_methods/{payment_method}")
def method_retrieved(world: World, call: Call) -> Thing:
    return shown(world.methods.get(call.ids[0], "payment_method"))


@serves("get", "/v1/charges/{charge}")
def charge_retrieved(world: World, call: Call) -> Thing:
    return world.charges.get(call.ids[0], "charge")


@serves("get", "/v1/charges")
def charges_listed(world: World, call: Call) -> Thing:
    filters = {name: call.get(name) for name in ("customer", "payment_intent")}
    return world.charges.page(call.params, "/v1/charges", **filters)


@serves("get", "/v1/charges/search")
def charges_searched(world: World, call: Call) -> Thing:
    return search(world, world.charges, call, "/v1/charges/search")


@serves("get", "/v1/payment_intents/{intent}")
def intent_retrieved(world: World, call: Call) -> Thing:
    return world.intents.get(call.ids[0], "intent")


@serves("post", "/v1/payment_intents/{intent}")
def intent_updated(world: World, call: Call) -> Thing:
    intent = world.intents.get(call.ids[0], "intent")
    if set(call.params) - {"metadata", "expand"}:
        raise unserved("changes of payment intents other than their metadata")
    intent["metadata"] = merged(intent["metadata"], call.get("metadata"))
    return intent


@serves("get", "/v1/payment_intents")
def intents_listed(world: World, call: Call) -> Thing:
    return world.intents.page(call.params, "/v1/payment_intents", customer=call.get("customer"))


@serves("get", "/v1/invoice_payments/{invoice_payment}")
def payment_retrieved(world: World, call: Call) -> Thing:
    return world.payments.get(call.ids[0], "invoice_payment")


@serves("get", "/v1/invoice_payments")
def payments_listed(world: World, call: Call) -> Thing:
    wanted = call.get("payment") or {}
    if wanted:
        found = [one for one in world.payments if one["payment"].get("payment_intent") == wanted.get("payment_intent")]
        return {"object": "list", "data": found, "has_more": False, "url": "/v1/invoice_payments"}
    filters = {name: call.get(name) for name in ("invoice", "status")}
    return world.payments.page(call.params, "/v1/invoice_payments", **filters)
