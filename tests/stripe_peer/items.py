"""Invoice items: on a draft invoice at once, or pending until the customer's next one."""

from __future__ import annotations

from typing import Any

from tests.stripe_peer.currencies import currency
from tests.stripe_peer.customers import bill_in, present
from tests.stripe_peer.events import emit
from tests.stripe_peer.invoices import changed, editable
from tests.stripe_peer.limits import merged
from tests.stripe_peer.lines import appended, from_item, period, plain, priced, refuse_unserved, totalled
from tests.stripe_peer.refusals import wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/invoiceitems"


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    refuse_unserved(call.params, "discounts", "tax_rates", "customer_account", "subscription")
    invoice = editable(world, call.params["invoice"], "invoice") if "invoice" in call.params else None
    name = call.get("customer") or (invoice["customer"] if invoice else None)
    if name is None:
        raise wrong("Missing required param: customer.", "customer", "parameter_missing")
    customer = present(world, name)
    if invoice and invoice["customer"] != name:
        raise wrong(f"The invoice {invoice['id']} belongs to another customer", "invoice")
    wanted = call.get("currency") or (call.get("price_data") or {}).get("currency")
    if wanted is None and "pricing" in call.params and call.params["pricing"].get("price") in world.prices:
        wanted = world.prices.get(call.params["pricing"]["price"])["currency"]
    if invoice and wanted and currency(wanted) != invoice["currency"]:
        raise wrong(
            f"The currency of the invoice item ({wanted}) must match that of the invoice ({invoice['currency']})",
            "currency",
        )
    of = bill_in(world, customer, wanted or (invoice["currency"] if invoice else None))
    cost = priced(world, call.params, of)
    item: Thing = {
        "id": world.items.new_id(),
        "object": "invoiceitem",
        "amount": cost["amount"],
        "currency": of,
        "customer": name,
        "customer_account": None,
        "date": world.now(),
        "description": call.get("description"),
        "discountable": call.get("discountable", cost["amount"] >= 0),
        "discounts": [],
        "invoice": invoice["id"] if invoice else None,
        "livemode": call.livemode,
        "metadata": merged({}, call.get("metadata")),
        "net_amount": cost["amount"],
        "parent": None,
        "period": period(call.get("period"), world.now()),
        "pricing": cost["pricing"],
        "proration": False,
        "quantity": int(cost["quantity"]),
        "quantity_decimal": plain(cost["quantity"]),
        "tax_rates": [],
        "test_clock": None,
    }
    if invoice:
        appended(world, invoice, [from_item(world, invoice, item)])
    world.items.put(item)
    emit(world, "invoiceitem.created", item)
    if invoice:
        changed(world, invoice)
    return item


@serves("get", _URL + "/{invoiceitem}")
def retrieved(world: World, call: Call) -> Thing:
    return world.items.get(call.ids[0], "invoiceitem")


@serves("post", _URL + "/{invoiceitem}")
def updated(world: World, call: Call) -> Thing:
    item = world.items.get(call.ids[0], "invoiceitem")
    refuse_unserved(call.params, "discounts", "tax_rates")
    invoice = editable(world, item["invoice"], "invoice") if item["invoice"] else None
    new = {**item, "metadata": merged(item["metadata"], call.get("metadata"))}
    for field in ("description", "discountable"):
        if field in call.params:
            new[field] = call.params[field]
    if "period" in call.params:
        new["period"] = period(call.params["period"], world.now())
    if any(name in call.params for name in ("amount", "price_data", "pricing", "unit_amount_decimal")):
        cost = priced(world, call.params, item["currency"])
        new.update(
            amount=cost["amount"],
            net_amount=cost["amount"],
            pricing=cost["pricing"],
            quantity=int(cost["quantity"]),
            quantity_decimal=plain(cost["quantity"]),
        )
    item.update(new)
    if invoice:
        lines = world.lines[invoice["id"]]
        for number, one in enumerate(lines):
            if of_item(one) == item["id"]:
                lines[number] = {**from_item(world, invoice, item), "id": one["id"]}
        totalled(invoice, lines)
        changed(world, invoice)
    return item


def of_item(line: Thing) -> Any:
    """The invoice item that a line comes from."""
    return ((line["parent"] or {}).get("invoice_item_details") or {}).get("invoice_item")


@serves("delete", _URL + "/{invoiceitem}")
def deleted(world: World, call: Call) -> Thing:
    item = world.items.get(call.ids[0], "invoiceitem")
    if item["invoice"]:
        invoice = editable(world, item["invoice"], "invoice")
        lines = world.lines[invoice["id"]]
        lines[:] = [one for one in lines if of_item(one) != item["id"]]
        totalled(invoice, lines)
        changed(world, invoice)
    world.items.remove(item["id"])
    emit(world, "invoiceitem.deleted", item)
    return {"id": item["id"], "object": "invoiceitem", "deleted": True}


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    filters: dict[str, Any] = {"customer": call.get("customer"), "invoice": call.get("invoice")}
    page = world.items.page(call.params, _URL, **filters)
    if "pending" in call.params:
        data = [one for one in page["data"] if (one["invoice"] is None) == call.params["pending"]]
        page = {**page, "data": data}
    return page
