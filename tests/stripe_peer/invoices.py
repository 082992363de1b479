"""Invoices while they are drafts: made, filled, changed, listed, deleted. What follows is in `finalizations`."""

from __future__ import annotations

from typing import Any

from tests.stripe_peer.currencies import amount
from tests.stripe_peer.customers import bill_in, differing, present
from tests.stripe_peer.events import emit
from tests.stripe_peer.limits import merged
from tests.stripe_peer.lines import (
    EMBEDDED,
    appended,
    from_item,
    line,
    page,
    period,
    priced,
    refuse_unserved,
    taxes,
    totalled,
)
from tests.stripe_peer.refusals import missing, wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.searches import search
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import DAY, Call, World

_URL = "/v1/invoices"
_LATE = ("auto_advance", "metadata", "due_date", "default_payment_method", "payment_settings", "rendering", "expand")
"""What may still change after finalisation."""
_PLAIN = ("custom_fields", "default_payment_method", "description", "effective_at", "footer", "statement_descriptor")
_NOT_SERVED = (
    "automatic_tax",
    "default_tax_rates",
    "discounts",
    "shipping_cost",
    "from_invoice",
    "customer_account",
    "on_behalf_of",
    "transfer_data",
    "application_fee_amount",
)


def shown(world: World, invoice: Thing) -> Thing:
    """As the API answers it: with its first ten lines. Its payments come only where they are expanded."""
    lines = world.lines[invoice["id"]]
    return {
        **invoice,
        "lines": {
            "object": "list",
            "data": lines[:EMBEDDED],
            "has_more": len(lines) > EMBEDDED,
            "total_count": len(lines),
            "url": f"{_URL}/{invoice['id']}/lines",
        },
    }


def new_invoice(world: World, customer: Thing, of: str, reason: str, **about: Any) -> Thing:
    """A draft without lines, in its place on the shelf."""
    now = world.now()
    invoice: Thing = {
        "id": world.invoices.new_id(),
        "object": "invoice",
        "account_country": "US",
        "account_name": "Peer",
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "status": None},
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": of,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_source": None,
        "default_tax_rates": [],
        "discounts": [],
        "due_date": None,
        "ending_balance": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "livemode": world.livemode,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": customer["balance"],
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
        **dict.fromkeys(_PLAIN),
        **about,
    }
    world.lines[invoice["id"]] = []
    return world.invoices.put(invoice)


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    refuse_unserved(call.params, *_NOT_SERVED, "subscription")
    if "customer" not in call.params:
        raise wrong("Missing required param: customer.", "customer", "parameter_missing")
    customer = present(world, call.params["customer"])
    method = call.get("collection_method", "charge_automatically")
    due = due_date(world, call.params, method, world.now())
    if method == "send_invoice" and not customer["email"]:
        raise wrong(
            "Missing email. In order to create invoices that are sent to the customer, the customer must have a valid "
            "email.",
            "customer",
        )
    number = call.get("number")
    if number is not None and number in world.numbers:
        raise wrong(f"The invoice number {number} is already used by {world.numbers[number]}", "number")
    of = bill_in(world, customer, call.get("currency"))
    invoice = new_invoice(world, customer, of, "manual")
    for field in (*_PLAIN, "number", "payment_settings", "rendering", "issuer", "shipping_details"):
        if field in call.params:
            invoice[field] = call.params[field]
    if number is not None:
        world.numbers[number] = invoice["id"]
    invoice.update(
        collection_method=method,
        due_date=due,
        metadata=merged({}, call.get("metadata")),
        auto_advance=call.get("auto_advance", False),
    )
    if call.get("pending_invoice_items_behavior") == "include":
        pending(world, invoice)
    _scheduled(world, invoice, call.get("automatically_finalizes_at"))
    world.invoices.put(invoice)
    emit(world, "invoice.created", shown(world, invoice))
    return shown(world, invoice)


def pending(world: World, invoice: Thing) -> None:
    """Bring the customer's waiting items in, newest first as Stripe does."""
    waiting = [one for one in world.items.having("customer", invoice["customer"]) if one["invoice"] is None]
    for item in reversed([one for one in waiting if one["currency"] == invoice["currency"]]):
        appended(world, invoice, [from_item(world, invoice, item)])
        item["invoice"] = invoice["id"]
        world.items.put(item)


def due_date(world: World, params: dict[str, Any], method: str, since: int) -> int | None:
    """Raises: Refusal, for a due date without `send_invoice`, both ways to say it, or one in the past."""
    days, date = params.get("days_until_due"), params.get("due_date")
    if method != "send_invoice":
        if days is not None or date is not None:
            raise wrong(
                "You can only set days_until_due or due_date if collection_method is send_invoice",
                "days_until_due" if days is not None else "due_date",
            )
        return None
    if days is not None and date is not None:
        raise wrong("You can only specify one of these parameters: days_until_due, due_date", "due_date")
    if date is not None and date < since:
        raise wrong("due_date must be in the future", "due_date")
    return int(date) if date is not None else since + DAY * (30 if days is None else days)


def _scheduled(world: World, invoice: Thing, at: int | None) -> None:
    """When an automatically advancing draft finalises itself."""
    if not invoice["auto_advance"] and at is None:
        invoice["automatically_finalizes_at"] = None
        return
    from tests.stripe_peer.finalizations import advanced

    when = at if at is not None else world.now() + world.settings.draft_seconds
    invoice["automatically_finalizes_at"] = when
    name = invoice["id"]
    world.later(when, lambda world: advanced(world, name, when))


def editable(world: World, name: str, param: str = "invoice") -> Thing:
    """A draft. Raises: Refusal."""
    invoice = world.invoices.named(name, param)
    if invoice["status"] != "draft":
        raise wrong(
            f"The invoice {name} is {invoice['status']}: once finalised, its lines and amounts can't be changed",
            param,
            "invoice_not_editable",
        )
    return invoice


def changed(world: World, invoice: Thing, previous: dict[str, Any] | None = None) -> Thing:
    """File it anew and say so."""
    world.invoices.put(invoice)
    full = shown(world, invoice)
    emit(world, "invoice.updated", full, previous or {})
    return full


@serves("get", _URL + "/{invoice}")
def retrieved(world: World, call: Call) -> Thing:
    return shown(world, world.invoices.get(call.ids[0], "invoice"))


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    filters = {name: call.get(name) for name in ("customer", "status", "subscription", "collection_method")}
    found = world.invoices.page(call.params, _URL, **filters)
    return {**found, "data": [shown(world, invoice) for invoice in found["data"]]}


@serves("get", _URL + "/search")
def searched(world: World, call: Call) -> Thing:
    found = search(world, world.invoices, call, _URL + "/search")
    return {**found, "data": [shown(world, invoice) for invoice in found["data"]]}


@serves("post", _URL + "/{invoice}")
def updated(world: World, call: Call) -> Thing:
    refuse_unserved(call.params, *_NOT_SERVED)
    invoice = world.invoices.get(call.ids[0], "invoice")
    if invoice["status"] != "draft":
        late = next((name for name in call.params if name not in _LATE), None)
        if late is not None:
            raise wrong(
                f"You can't change {late} of an invoice that is {invoice['status']}", late, "invoice_not_editable"
            )
    new = dict(invoice)
    for field in (*_PLAIN, "auto_advance", "payment_settings", "rendering", "issuer", "shipping_details"):
        if field in call.params:
            new[field] = call.params[field] if call.params[field] != "" else None
    if "number" in call.params:
        number = call.params["number"] or None
        if number is not None and world.numbers.get(number, invoice["id"]) != invoice["id"]:
            raise wrong(f"The invoice number {number} is already used by {world.numbers[number]}", "number")
        if number is not None:
            world.numbers[number] = invoice["id"]
        new["number"] = number
    method = new["collection_method"] = call.get("collection_method", invoice["collection_method"])
    if {"due_date", "days_until_due", "collection_method"} & call.params.keys():
        new["due_date"] = due_date(world, call.params, method, invoice["created"])
    new["metadata"] = merged(invoice["metadata"], call.get("metadata"))
    if invoice["status"] == "draft" and {"auto_advance", "automatically_finalizes_at"} & call.params.keys():
        _scheduled(world, new, call.get("automatically_finalizes_at"))
    previous = differing(invoice, new)
    invoice.update(new)
    return changed(world, invoice, previous)


@serves("delete", _URL + "/{invoice}")
def deleted(world: World, call: Call) -> Thing:
    invoice = world.invoices.get(call.ids[0], "invoice")
    if invoice["status"] != "draft" or invoice["parent"] is not None:
        raise wrong("You can only delete draft invoices that no subscription made", "invoice", "invoice_not_editable")
    world.invoices.remove(invoice["id"])
    if invoice["number"]:
        world.numbers.pop(invoice["number"], None)
    for item in world.items.having("invoice", invoice["id"]):
        world.items.remove(item["id"])
    emit(world, "invoice.deleted", shown(world, invoice))
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


@serves("get", _URL + "/{invoice}/lines")
def lines_listed(world: World, call: Call) -> Thing:
    invoice = world.invoices.get(call.ids[0], "invoice")
    return page(world, invoice["id"], call.params, f"{_URL}/{invoice['id']}/lines")


@serves("post", _URL + "/{invoice}/add_lines")
def lines_added(world: World, call: Call) -> Thing:
    world.invoices.get(call.ids[0], "invoice")
    invoice = editable(world, call.ids[0])
    new = []
    for number, sent in enumerate(call.params["lines"]):
        path = f"lines[{number}]"
        refuse_unserved(sent, "discounts", "tax_rates")
        if "invoice_item" in sent:
            item = world.items.named(sent["invoice_item"], f"{path}[invoice_item]")
            if item["invoice"] is not None or item["customer"] != invoice["customer"]:
                raise wrong(f"The invoice item {item['id']} is assigned already", f"{path}[invoice_item]")
            item["invoice"] = invoice["id"]
            world.items.put(item)
            new.append(from_item(world, invoice, item))
            continue
        cost = priced(world, sent, invoice["currency"], path)
        new.append(
            line(
                world,
                invoice,
                cost,
                description=sent.get("description"),
                discountable=sent.get("discountable", cost["amount"] >= 0),
                metadata=merged({}, sent.get("metadata")),
                period=period(sent.get("period"), world.now(), f"{path}[period]"),
                taxes=taxes(sent.get("tax_amounts"), invoice["currency"], f"{path}[tax_amounts]"),
                parent={
                    "type": "invoice_item_details",
                    "invoice_item_details": {
                        "invoice_item": f"ii_line_{world.number():014d}",
                        "proration": False,
                        "proration_details": {"credited_items": None},
                        "subscription": None,
                    },
                    "subscription_item_details": None,
                },
            )
        )
    appended(world, invoice, new)
    invoice["metadata"] = merged(invoice["metadata"], call.get("invoice_metadata"))
    return changed(world, invoice)


@serves("post", _URL + "/{invoice}/remove_lines")
def lines_removed(world: World, call: Call) -> Thing:
    world.invoices.get(call.ids[0], "invoice")
    invoice = editable(world, call.ids[0])
    lines = world.lines[invoice["id"]]
    names = {one["id"] for one in lines}
    for number, sent in enumerate(call.params["lines"]):
        if sent["id"] not in names:
            raise missing("line item", sent["id"], f"lines[{number}][id]")
    gone = {sent["id"] for sent in call.params["lines"]}
    lines[:] = [one for one in lines if one["id"] not in gone]
    totalled(invoice, lines)
    invoice["metadata"] = merged(invoice["metadata"], call.get("invoice_metadata"))
    return changed(world, invoice)


@serves("post", _URL + "/{invoice}/lines/{line_item_id}")
def line_updated(world: World, call: Call) -> Thing:
    world.invoices.get(call.ids[0], "invoice")
    invoice = editable(world, call.ids[0])
    lines = world.lines[invoice["id"]]
    one = next((one for one in lines if one["id"] == call.ids[1]), None)
    if one is None:
        raise missing("line item", call.ids[1], "line_item_id")
    refuse_unserved(call.params, "discounts", "tax_rates", "price_data", "pricing", "quantity")
    if "amount" in call.params:
        one["amount"] = one["subtotal"] = amount(call.params["amount"], invoice["currency"])
    for field in ("description", "discountable"):
        if field in call.params:
            one[field] = call.params[field]
    if "period" in call.params:
        one["period"] = period(call.params["period"], world.now())
    if "tax_amounts" in call.params:
        one["taxes"] = taxes(call.params["tax_amounts"], invoice["currency"], "tax_amounts")
    one["metadata"] = merged(one["metadata"], call.get("metadata"))
    totalled(invoice, lines)
    changed(world, invoice)
    return one
