"""Stripe's events as facts: which of its words mean what to us. Pure: the event's text in, facts out.

Decides what counts. A payment is told by the object that ties it to an invoice and by nothing else, so that it is one
however many events speak of it; a refund by the refund, never by the charge's running total.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rating.adapters.stripe.amounts import from_stripe
from rating.core.money import Currency, Money
from rating.core.signals import (
    Began,
    CreditedThere,
    CustomerChanged,
    CustomerGone,
    Disputed,
    Ended,
    Fact,
    GaveBack,
    GivenUpThere,
    Moved,
    Paid,
    PaidInFull,
    PaymentFailed,
    Remark,
    Stage,
    Unknown,
    VoidedThere,
)
from rating.errors import EdgeDisagrees

Told = Mapping[str, Any]

INVOICE, NOTE, CUSTOMER = "rating_invoice", "rating_credit_note", "rating_customer"
"""In the metadata of what we made there: our own names. The first two are `papers`', the third `customers`'."""
CONSUMER, PLAN, OURS, GATEWAY = "rating_consumer", "rating_plan", "rating_key", "rating_gateway"
KEY = "rating:"
"""What the keys of our prices begin with: `rating:pro/charge/api_calls:0123456789abcdef`."""

LIVE = ("active", "trialing", "past_due", "unpaid", "paused")
_FULL_HOUR = 3600


def facts(kind: str, told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    """What an event says. `told` is its object, `event` the whole of it.

    Raises:
        EdgeDisagrees: the object does not have what objects of its kind have.
    """
    translate = _KINDS.get(kind)
    if translate is not None:
        return translate(told, event, gateway, at)
    if kind.startswith(_NO_MATTER):
        return (Remark(f"{kind} changes nothing in the book"),)
    return (Unknown(kind),)


def paid(told: Told) -> Fact:
    """An object that ties a payment to an invoice."""
    payment = _field(told, "payment", dict)
    kind = _field(payment, "type", str)
    units = _currency(told)
    if told.get("status") != "paid":
        return Remark(f"payment is {told.get('status')}")
    return Paid(
        _id(told.get("invoice"), "invoice"),
        from_stripe(_field(told, "amount_paid", int), units),
        _at(_field(_field(told, "status_transitions", dict), "paid_at", int)),
        _id(payment.get(kind), kind),
        outside=kind == "payment_record",
    )


def money(told: Told, name: str) -> Money:
    return from_stripe(_field(told, name, int), _currency(told))


def plan_of(items: Any) -> str:
    """The plan of ours that the prices of these items name; empty for none, several with commas."""
    data = items.get("data", ()) if isinstance(items, dict) else ()
    found = dict.fromkeys(_plan_of_price(item.get("price") or {}) for item in data if isinstance(item, dict))
    return ", ".join(sorted(found))


def payment_of(told: Told) -> str:
    """The name of the payment that a refund or dispute is about: the intent's where there is one."""
    intent = told.get("payment_intent") or told.get("charge")
    return _id(intent, "payment_intent or charge")


def ours(told: Told, name: str) -> str:
    """A word of ours in its metadata; empty when there is none."""
    said = told.get("metadata")
    return str(said.get(name) or "") if isinstance(said, dict) else ""


def _plan_of_price(price: Told) -> str:
    named = ours(price, PLAN)
    if named:
        return named
    key = ours(price, OURS) or str(price.get("lookup_key") or "")
    return key.removeprefix(KEY).split("/")[0] if key.startswith(KEY) else key


def _paid(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    return (paid(told),)


def _in_full(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    outside = from_stripe(told.get("amount_paid_off_stripe") or 0, _currency(told))
    when = _transition(told, "paid_at") or at
    return (PaidInFull(_field(told, "id", str), when, outside, ours(told, INVOICE)),)


def _payment_failed(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    name, left = _field(told, "id", str), money(told, "amount_remaining")
    return (PaymentFailed(name, left, at, _field(told, "attempt_count", int), number=ours(told, INVOICE)),)


def _refunded(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    status = _field(told, "status", str)
    if status not in ("succeeded", "pending", "failed"):
        return (Remark(f"refund is {status}"),)
    if not told.get("payment_intent") and not told.get("charge"):
        return (Remark("refund of no payment"),)
    name, created = _field(told, "id", str), _at(_field(told, "created", int))
    return (GaveBack(payment_of(told), money(told, "amount"), created, name, status == "failed"),)


def _disputed(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    status, due = _field(told, "status", str), (told.get("evidence_details") or {}).get("due_by")
    closed = event.get("type") == "charge.dispute.closed"
    if closed and status not in ("won", "lost"):
        return (Remark(f"dispute is {status}"),)
    return (
        Disputed(
            payment_of(told),
            money(told, "amount"),
            at if closed else _at(_field(told, "created", int)),
            _field(told, "id", str),
            Stage(status) if closed else Stage.OPEN,
            str(told.get("reason") or ""),
            None if closed or not isinstance(due, int) else _at(due),
        ),
    )


def _voided(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    when = _transition(told, "voided_at") or at
    given_up = _transition(told, "marked_uncollectible_at") is not None
    name, came = _field(told, "id", str), money(told, "amount_paid")
    return (VoidedThere(name, when, came, given_up, ours(told, INVOICE)),)


def _given_up(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    when = _transition(told, "marked_uncollectible_at") or at
    name = _field(told, "id", str)
    return (GivenUpThere(name, when, money(told, "amount_paid"), money(told, "amount_remaining"), ours(told, INVOICE)),)


def _credited(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    made = _at(_field(told, "created", int))
    invoice, name = _id(told.get("invoice"), "invoice"), _field(told, "id", str)
    return (CreditedThere(name, invoice, money(told, "total"), made, ours(told, NOTE), ours(told, INVOICE)),)


def _customer_changed(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    changed = _previous(event)
    now = {name: str(told.get(name) or "") for name in ("email", "name") if name in changed}
    if "address" in changed:
        now["country"] = str((told.get("address") or {}).get("country") or "")
    if not now:
        return (Remark("nothing that the catalogue knows has changed"),)
    return (CustomerChanged(_field(told, "id", str), at, tuple(sorted(now.items())), ours(told, CUSTOMER)),)


def _customer_gone(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    return (CustomerGone(_field(told, "id", str), at, ours(told, CUSTOMER)),)


def _subscription(told: Told, event: Told, gateway: str, at: datetime) -> tuple[Fact, ...]:
    name, customer = _field(told, "id", str), _id(told.get("customer"), "customer")
    status, plan = _field(told, "status", str), plan_of(told.get("items"))
    mine = ours(told, OURS) if ours(told, GATEWAY) in ("", gateway) else ""
    about = {"consumer": ours(told, CONSUMER), "ours": mine}
    previous = _previous(event)
    kind = event.get("type")
    if kind == "customer.subscription.deleted":
        ended, due = _field(told, "ended_at", int), told.get("cancel_at")
        if isinstance(due, int) and 0 <= ended - due < _FULL_HOUR:
            ended = due
        return (Ended(name, customer, plan, _at(ended), **about),)
    if status not in LIVE:
        return (Remark(f"subscription is {status}"),)
    before = plan_of(previous.get("items")) if "items" in previous else plan
    found: list[Fact] = []
    if kind == "customer.subscription.created" or str(previous.get("status", "")).startswith("incomplete"):
        found.append(Began(name, customer, before, _at(_field(told, "start_date", int)), **about))
    if before != plan:
        found.append(Moved(name, customer, before, plan, at, **about))
    if found:
        return tuple(found)
    if {"cancel_at", "cancel_at_period_end"} & previous.keys():
        due = told.get("cancel_at")
        if isinstance(due, int):
            return (Remark(f"it ends {_at(due):%Y-%m-%d %H:%M} there unless that is taken back; here once it has"),)
        return (Remark("its end there was taken back"),)
    if "pause_collection" in previous:
        return (Remark("collection is paused or resumed there; `rating subscriptions pause` pauses billing here"),)
    return (Remark("plan and status are the same"),)


_KINDS: Mapping[str, Callable[[Told, Told, str, datetime], tuple[Fact, ...]]] = {
    "invoice_payment.paid": _paid,
    "invoice.paid": _in_full,
    "invoice.payment_failed": _payment_failed,
    "invoice.voided": _voided,
    "invoice.marked_uncollectible": _given_up,
    "refund.created": _refunded,
    "refund.updated": _refunded,
    "refund.failed": _refunded,
    "charge.refund.updated": _refunded,
    "charge.dispute.created": _disputed,
    "charge.dispute.closed": _disputed,
    "credit_note.created": _credited,
    "customer.updated": _customer_changed,
    "customer.deleted": _customer_gone,
    "customer.subscription.created": _subscription,
    "customer.subscription.updated": _subscription,
    "customer.subscription.deleted": _subscription,
}
KINDS = tuple(_KINDS)
"""The snapshot events that matter."""
_NO_MATTER = (
    "invoice.",
    "invoice_payment.",
    "invoiceitem.",
    "charge.",
    "payment_intent.",
    "payment_method.",
    "payment_record.",
    "credit_note.",
    "customer.",
    "billing.",
    "billing_portal.",
    "price.",
    "product.",
    "plan.",
    "balance.",
    "payout.",
    "setup_intent.",
    "checkout.",
    "mandate.",
    "tax.",
    "test_helpers.",
)


def _field(told: Told, name: str, kind: type[Any]) -> Any:
    value = told.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise EdgeDisagrees(f"Stripe told of something without a {name} that is {kind.__name__}")
    return value


def _id(value: Any, name: str) -> str:
    """A name, whether the object was told whole or by name."""
    if isinstance(value, dict):
        value = value.get("id")
    if not isinstance(value, str) or not value:
        raise EdgeDisagrees(f"Stripe told of something without its {name}")
    return value


def _currency(told: Told) -> Currency:
    code = _field(told, "currency", str)
    try:
        return Currency(code.upper())
    except ValueError as error:
        raise EdgeDisagrees(f"Stripe told of an amount in {code!r}, which is no currency") from error


def _transition(told: Told, name: str) -> datetime | None:
    second = (told.get("status_transitions") or {}).get(name)
    return _at(second) if isinstance(second, int) else None


def _previous(event: Told) -> Told:
    found = (event.get("data") or {}).get("previous_attributes")
    return found if isinstance(found, dict) else {}


def _at(second: int) -> datetime:
    try:
        return datetime.fromtimestamp(second, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise EdgeDisagrees(f"Stripe told of the second {second}, which is no instant") from error
