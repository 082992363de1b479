"""Credit notes: of open invoices they lower what is due, of paid ones they are refunded, credited or paid outside."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.stripe_peer.balances import moved
from tests.stripe_peer.currencies import amount
from tests.stripe_peer.events import emit
from tests.stripe_peer.invoices import changed
from tests.stripe_peer.limits import merged
from tests.stripe_peer.lines import EMBEDDED, in_order, refuse_unserved, rounded
from tests.stripe_peer.payments import settled
from tests.stripe_peer.refunds import refunded
from tests.stripe_peer.refusals import wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/credit_notes"


def shown(world: World, note: Thing) -> Thing:
    lines = world.credit_lines[note["id"]]
    return {**note, "lines": in_order(lines, {}, f"{_URL}/{note['id']}/lines", "line item")}


def _drafted(world: World, call: Call) -> tuple[Thing, list[Thing], Thing]:
    """The note, its lines and its invoice, without doing anything yet.

    Raises:
        Refusal: the invoice is no finalised one, the amounts exceed it or do not add up.
    """
    refuse_unserved(call.params, "shipping_cost")
    invoice = world.invoices.named(call.params["invoice"], "invoice")
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise wrong(f"You can't credit an invoice that is {invoice['status']}; finalize it first", "invoice")
    if ("amount" in call.params) == ("lines" in call.params):
        raise wrong("One of amount, lines, or shipping_cost must be provided, and only one", "amount")
    lines = [_line(world, invoice, sent, f"lines[{number}]") for number, sent in enumerate(call.get("lines") or [])]
    if "amount" in call.params:
        lines = [_new_line(world, invoice, call.params["amount"], "custom_line_item", description=None)]
    total = sum(one["amount"] for one in lines) + sum(tax["amount"] for one in lines for tax in one["taxes"])
    amount(total, invoice["currency"])
    if total <= 0:
        raise wrong(f"The credit note's total must be positive; it is {total}", "amount")
    open_part, paid_part = _parts(invoice, total)
    credited, refund, outside = (call.get(name, 0) for name in ("credit_amount", "refund_amount", "out_of_band_amount"))
    linked = sum(one.get("amount_refunded", 0) for one in call.get("refunds") or [])
    if paid_part != credited + refund + outside + linked:
        raise wrong(
            f"The sum of credit amount, refund amount and out of band amount ({credited + refund + outside + linked}) "
            f"must equal the post payment amount of the credit note ({paid_part}).",
            "amount",
        )
    note: Thing = {
        "id": "cn_preview",
        "object": "credit_note",
        "amount": total,
        "amount_shipping": 0,
        "created": world.now(),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": call.get("effective_at") or world.now(),
        "invoice": invoice["id"],
        "livemode": call.livemode,
        "memo": call.get("memo"),
        "metadata": merged({}, call.get("metadata")),
        "number": f"{invoice['number']}-CN-{len(world.credit_notes.having('invoice', invoice['id'])) + 1:02d}",
        "out_of_band_amount": outside or None,
        "pdf": f"https://pay.stripe.com/credit_notes/peer/{invoice['id']}/pdf",
        "post_payment_amount": paid_part,
        "pre_payment_amount": open_part,
        "pretax_credit_amounts": [],
        "reason": call.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": sum(one["amount"] for one in lines),
        "subtotal_excluding_tax": sum(one["amount"] for one in lines),
        "total": total,
        "total_excluding_tax": sum(one["amount"] for one in lines),
        "total_taxes": [tax for one in lines for tax in one["taxes"]],
        "type": "mixed" if open_part and paid_part else "post_payment" if paid_part else "pre_payment",
        "voided_at": None,
    }
    return note, lines, invoice


def _parts(invoice: Thing, total: int) -> tuple[int, int]:
    """How much of it lowers what is due, and how much is of money already paid."""
    left = invoice["total"] - invoice["pre_payment_credit_notes_amount"] - invoice["post_payment_credit_notes_amount"]
    if total > left:
        raise wrong(
            f"The credit note's total ({total}) is more than what is left of the invoice to credit ({left})", "amount"
        )
    open_part = min(total, invoice["amount_remaining"]) if invoice["status"] != "paid" else 0
    return open_part, total - open_part


def _line(world: World, invoice: Thing, sent: dict[str, Any], path: str) -> Thing:
    refuse_unserved(sent, "tax_rates")
    if sent["type"] == "custom_line_item":
        if "amount" in sent or "invoice_line_item" in sent:
            raise wrong("A custom line item has a unit_amount and a quantity, no amount", f"{path}[amount]")
        unit = sent.get("unit_amount_decimal", sent.get("unit_amount"))
        if unit is None or "quantity" not in sent or "description" not in sent:
            raise wrong("A custom line item needs description, quantity and unit_amount", path, "parameter_missing")
        value = rounded(Decimal(unit) * sent["quantity"], invoice["currency"])
        line = _new_line(
            world,
            invoice,
            value,
            "custom_line_item",
            description=sent["description"],
            quantity=sent["quantity"],
            unit_amount=int(unit) if Decimal(unit) == int(unit) else None,
            unit_amount_decimal=str(unit),
        )
    else:
        of = next((one for one in world.lines[invoice["id"]] if one["id"] == sent.get("invoice_line_item")), None)
        if of is None:
            raise wrong(
                f"No such invoice line item: '{sent.get('invoice_line_item')}'",
                f"{path}[invoice_line_item]",
                "resource_missing",
            )
        value = sent.get("amount")
        if value is None:
            quantity = sent.get("quantity", of["quantity"] or 1)
            value = rounded(Decimal(of["amount"]) * quantity / Decimal(of["quantity_decimal"]), invoice["currency"])
        already = sum(
            one["amount"]
            for note in world.credit_notes.having("invoice", invoice["id"])
            if note["status"] == "issued"
            for one in world.credit_lines[note["id"]]
            if one["invoice_line_item"] == of["id"]
        )
        if abs(value + already) > abs(of["amount"]):
            raise wrong(
                f"The line {of['id']} has {of['amount'] - already} left to credit; you sent {value}", f"{path}[amount]"
            )
        line = _new_line(
            world,
            invoice,
            value,
            "invoice_line_item",
            description=of["description"],
            quantity=sent.get("quantity"),
            invoice_line_item=of["id"],
        )
    for number, tax in enumerate(sent.get("tax_amounts") or []):
        line["taxes"].append(
            {
                "amount": amount(tax["amount"], invoice["currency"], f"{path}[tax_amounts][{number}][amount]"),
                "tax_behavior": "exclusive",
                "tax_rate_details": {"tax_rate": tax["tax_rate"]},
                "taxability_reason": "not_available",
                "taxable_amount": tax["taxable_amount"],
                "type": "tax_rate_details",
            }
        )
    line["metadata"] = merged({}, sent.get("metadata"))
    return line


def _new_line(world: World, invoice: Thing, value: int, kind: str, **about: Any) -> Thing:
    return {
        "id": f"cnli_{world.number():014d}",
        "object": "credit_note_line_item",
        "amount": value,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": None,
        "livemode": invoice["livemode"],
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": None,
        "tax_rates": [],
        "taxes": [],
        "type": kind,
        "unit_amount": None,
        "unit_amount_decimal": None,
        **about,
    }


@serves("get", _URL + "/preview")
def previewed(world: World, call: Call) -> Thing:
    note, lines, _ = _drafted(world, call)
    return {**note, "lines": {"object": "list", "data": lines[:EMBEDDED], "has_more": len(lines) > EMBEDDED}}


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    note, lines, invoice = _drafted(world, call)
    customer = world.customers.get(invoice["customer"])
    charge = _charge(world, invoice)
    if call.get("refund_amount"):
        if charge is None:
            raise wrong("The invoice has no charge to refund; use credit_amount or out_of_band_amount", "refund_amount")
        refund = refunded(world, charge, call.params["refund_amount"])
        note["refunds"].append({"amount_refunded": refund["amount"], "refund": refund["id"], "type": "refund"})
    for one in call.get("refunds") or []:
        world.refunds.named(one.get("refund", ""), "refunds")
        note["refunds"].append({"amount_refunded": one.get("amount_refunded"), "refund": one["refund"]})
    note["id"] = world.credit_notes.new_id()
    world.credit_lines[note["id"]] = lines
    if call.get("credit_amount"):
        movement = moved(
            world,
            customer,
            -call.params["credit_amount"],
            "credit_note",
            credit_note=note["id"],
            invoice=invoice["id"],
        )
        note["customer_balance_transaction"] = movement["id"]
    world.credit_notes.put(note)
    invoice["post_payment_credit_notes_amount"] += note["post_payment_amount"]
    invoice["pre_payment_credit_notes_amount"] += note["pre_payment_amount"]
    invoice["amount_remaining"] -= note["pre_payment_amount"]
    invoice["amount_due"] -= note["pre_payment_amount"]
    emit(world, "credit_note.created", shown(world, note))
    if invoice["status"] == "open" and invoice["amount_remaining"] == 0:
        settled(world, invoice, 0)
    else:
        changed(world, invoice, {})
    return shown(world, note)


def _charge(world: World, invoice: Thing) -> Thing | None:
    for payment in world.payments.having("invoice", invoice["id"]):
        intent = world.intents.get(payment["payment"]["payment_intent"])
        return world.charges.get(intent["latest_charge"])
    return None


@serves("post", _URL + "/{id}/void")
def voided(world: World, call: Call) -> Thing:
    note = world.credit_notes.get(call.ids[0], "id")
    invoice = world.invoices.get(note["invoice"])
    if note["status"] == "void":
        raise wrong("This credit note is void already", "id")
    if note["post_payment_amount"] or invoice["status"] != "open":
        raise wrong("You can only void credit notes of open invoices", "id")
    note.update(status="void", voided_at=world.now())
    invoice["pre_payment_credit_notes_amount"] -= note["pre_payment_amount"]
    invoice["amount_remaining"] += note["pre_payment_amount"]
    invoice["amount_due"] += note["pre_payment_amount"]
    emit(world, "credit_note.voided", shown(world, note))
    changed(world, invoice, {})
    return shown(world, note)


@serves("post", _URL + "/{id}")
def updated(world: World, call: Call) -> Thing:
    note = world.credit_notes.get(call.ids[0], "id")
    note["memo"] = call.get("memo", note["memo"])
    note["metadata"] = merged(note["metadata"], call.get("metadata"))
    emit(world, "credit_note.updated", shown(world, note), {})
    return shown(world, note)


@serves("get", _URL + "/{id}")
def retrieved(world: World, call: Call) -> Thing:
    return shown(world, world.credit_notes.get(call.ids[0], "id"))


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    found = world.credit_notes.page(call.params, _URL, customer=call.get("customer"), invoice=call.get("invoice"))
    return {**found, "data": [shown(world, note) for note in found["data"]]}


@serves("get", _URL + "/{credit_note}/lines")
def lines_listed(world: World, call: Call) -> Thing:
    world.credit_notes.get(call.ids[0], "credit_note")
    return in_order(world.credit_lines[call.ids[0]], call.params, f"{_URL}/{call.ids[0]}/lines", "line item")
