"""The lines of invoices: what one costs, how many there may be, how they are listed, and the totals they make."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.stripe_peer.currencies import amount, currency, granule
from tests.stripe_peer.limits import LINES
from tests.stripe_peer.refusals import unserved, wrong
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import World

EMBEDDED = 10
"""Lines inside an invoice's answer; the rest is asked for in pages."""


def rounded(exact: Decimal, of: str) -> int:
    """An exact sum in minor units as an amount that can be collected: half up, once."""
    step = granule(of)
    return int((exact / step).quantize(Decimal(1), ROUND_HALF_UP)) * step


def priced(world: World, sent: dict[str, Any], of: str, path: str = "") -> dict[str, Any]:
    """What a line or an invoice item costs: `amount`, `quantity`, `pricing`.

    Raises:
        Refusal: more than one way, none, another currency, an amount this currency has not.
    """
    ways = [name for name in ("amount", "price_data", "pricing", "unit_amount_decimal") if name in sent]
    if len(ways) != 1:
        raise wrong(
            f"You must specify exactly one of amount, price_data, pricing; you sent {', '.join(ways) or 'none'}",
            f"{path}[amount]" if path else "amount",
        )
    quantity = sent.get("quantity_decimal", Decimal(sent.get("quantity", 1)))
    if quantity < 0:
        raise wrong("Quantities cannot be negative", _within(path, "quantity"))
    if "amount" in sent:
        if "quantity" in sent or "quantity_decimal" in sent:
            raise wrong("You cannot send a quantity with an amount", _within(path, "quantity"))
        return {"amount": amount(sent["amount"], of, _within(path, "amount")), "quantity": Decimal(1), "pricing": None}
    unit, price, product = _unit(world, sent, of, path)
    return {
        "amount": rounded(unit * quantity, of),
        "quantity": quantity,
        "pricing": {
            "type": "price_details",
            "price_details": {"price": price, "product": product},
            "unit_amount_decimal": plain(unit),
        },
    }


def _unit(world: World, sent: dict[str, Any], of: str, path: str) -> tuple[Decimal, str | None, str | None]:
    if "unit_amount_decimal" in sent:
        return sent["unit_amount_decimal"], None, None
    if "price_data" in sent:
        data = sent["price_data"]
        if currency(data["currency"]) != of:
            raise wrong(f"The price is in {data['currency']} and the invoice in {of}", _within(path, "price_data"))
        unit = data.get("unit_amount_decimal", data.get("unit_amount"))
        if unit is None or ("product" in data) == ("product_data" in data):
            raise wrong(
                "price_data needs one of unit_amount and unit_amount_decimal, and one of product and product_data",
                _within(path, "price_data"),
            )
        if "product" in data:
            world.products.named(data["product"], _within(path, "price_data[product]"))
        return Decimal(unit), None, data.get("product")
    name = sent["pricing"].get("price")
    price = world.prices.named(name, _within(path, "pricing[price]"))
    if price["type"] != "one_time":
        raise wrong(f"The price {name} is recurring; lines take one-time prices", _within(path, "pricing[price]"))
    if price["currency"] != of:
        raise wrong(f"The price is in {price['currency']} and the invoice in {of}", _within(path, "pricing[price]"))
    return Decimal(price["unit_amount_decimal"]), name, price["product"]


def _within(path: str, name: str) -> str:
    first, _, rest = name.partition("[")
    return f"{path}[{first}]" + (f"[{rest}" if rest else "") if path else name


def plain(number: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def period(sent: dict[str, int] | None, now: int, path: str = "period") -> dict[str, int]:
    """Raises: Refusal, when it ends before it starts."""
    if sent is None:
        return {"start": now, "end": now}
    if sent["end"] < sent["start"]:
        raise wrong(f"The period ends at {sent['end']}, before its start at {sent['start']}", path)
    return {"start": sent["start"], "end": sent["end"]}


def line(world: World, invoice: Thing, cost: dict[str, Any], **about: Any) -> Thing:
    """A new line, not yet on its invoice."""
    quantity = cost["quantity"]
    return {
        "id": f"il_{world.number():014d}",
        "object": "line_item",
        "amount": cost["amount"],
        "currency": invoice["currency"],
        "description": None,
        "discount_amounts": [],
        "discountable": cost["amount"] >= 0,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": invoice["livemode"],
        "metadata": {},
        "parent": None,
        "period": {"start": world.now(), "end": world.now()},
        "pretax_credit_amounts": [],
        "pricing": cost["pricing"],
        "quantity": int(quantity) if quantity == int(quantity) else None,
        "quantity_decimal": plain(quantity),
        "subscription": None,
        "subtotal": cost["amount"],
        "taxes": [],
        **about,
    }


def taxes(sent: Any, of: str, path: str) -> list[Thing]:
    """Tax amounts that the caller computed.

    Raises:
        Refusal: more than 20, or an amount this currency has not.
    """
    if not sent:
        return []
    if len(sent) > 20:
        raise wrong(f"A line can have up to 20 tax amounts; you sent {len(sent)}", path)
    found = []
    for number, tax in enumerate(sent):
        data = tax.get("tax_rate_data") or {}
        found.append(
            {
                "amount": amount(tax["amount"], of, f"{path}[{number}][amount]"),
                "tax_behavior": "inclusive" if data.get("inclusive") else "exclusive",
                "tax_rate_details": {"tax_rate": f"txr_{data.get('display_name', 'inline')}"},
                "taxability_reason": tax.get("taxability_reason", "not_available"),
                "taxable_amount": tax["taxable_amount"],
                "type": "tax_rate_details",
            }
        )
    return found


def appended(world: World, invoice: Thing, new: list[Thing]) -> None:
    """Put lines on an invoice.

    Raises:
        Refusal: more than 250 of them.
    """
    lines = world.lines[invoice["id"]]
    if len(lines) + len(new) > LINES:
        raise wrong(
            f"An invoice can have at most {LINES} items; this one has {len(lines)} and you sent {len(new)} more",
            "lines",
        )
    lines.extend(new)
    totalled(invoice, lines)


def totalled(invoice: Thing, lines: list[Thing]) -> None:
    """Sums of what is on the invoice. Nothing is rounded here: the lines are whole."""
    subtotal = sum(one["amount"] for one in lines)
    each = [tax for one in lines for tax in one["taxes"]]
    exclusive = sum(tax["amount"] for tax in each if tax["tax_behavior"] == "exclusive")
    inclusive = sum(tax["amount"] for tax in each if tax["tax_behavior"] == "inclusive")
    invoice["subtotal"], invoice["subtotal_excluding_tax"] = subtotal, subtotal - inclusive
    invoice["total"], invoice["total_excluding_tax"] = subtotal + exclusive, subtotal - inclusive
    invoice["total_taxes"] = each
    due = max(0, invoice["total"])
    invoice["amount_due"] = invoice["amount_remaining"] = due


def page(world: World, name: str, params: dict[str, Any], url: str) -> Thing:
    """Lines in their order, which is not that of other lists: the first added comes first."""
    return in_order(world.lines[name], params, url, "line item")


def in_order(things: list[Thing], params: dict[str, Any], url: str, kind: str) -> Thing:
    """One page of a list that runs forwards."""
    limit = params.get("limit", EMBEDDED)
    if not 1 <= limit <= 100:
        raise wrong(f"This value must be between 1 and 100 (inclusive); you sent {limit}", "limit")
    names = [one["id"] for one in things]
    low, high = 0, len(things)
    for word in ("starting_after", "ending_before"):
        if word in params:
            if params[word] not in names:
                raise wrong(f"No such {kind}: '{params[word]}'", word, "resource_missing")
            at = names.index(params[word])
            low, high = (at + 1, high) if word == "starting_after" else (max(0, at - limit), at)
    found = things[low:high][:limit]
    more = low > 0 if "ending_before" in params else high - low > limit
    return {"object": "list", "data": found, "has_more": more, "url": url}


def refuse_unserved(params: dict[str, Any], *names: str) -> None:
    """Raises: Refusal 501, for what would change amounts in ways that are not computed here."""
    for name in names:
        value = params.get(name)
        if isinstance(value, dict) and value.get("enabled") is False:
            continue
        if value:
            raise unserved(f"the parameter {name}")


def from_item(world: World, invoice: Thing, item: Thing) -> Thing:
    """The line that an invoice item becomes."""
    cost = {"amount": item["amount"], "quantity": Decimal(item["quantity_decimal"]), "pricing": item["pricing"]}
    return line(
        world,
        invoice,
        cost,
        description=item["description"],
        discountable=item["discountable"],
        metadata=dict(item["metadata"]),
        period=dict(item["period"]),
        parent={
            "type": "invoice_item_details",
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": item["proration"],
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
        },
    )
