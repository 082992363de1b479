"""The periods of subscriptions and their invoices: usage of what has ended, fixed prices of what begins."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.stripe_peer.events import emit
from tests.stripe_peer.finalizations import advanced, finalized, onward
from tests.stripe_peer.invoices import due_date, new_invoice, pending
from tests.stripe_peer.invoices import shown as invoice_shown
from tests.stripe_peer.lines import appended, line, plain
from tests.stripe_peer.meters import total
from tests.stripe_peer.rating import Part, parts, rounded
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.subscriptions import ended, shown
from tests.stripe_peer.world import World


def period_end(anchor: int, start: int, recurring: Thing) -> int:
    """The first end after `start` on the grid through the anchor; months that are too short end on their last day."""
    number = 1
    while (at := _after(anchor, number, recurring)) <= start:
        number += 1
    return at


def _after(anchor: int, number: int, recurring: Thing) -> int:
    moment = datetime.fromtimestamp(anchor, UTC)
    count = number * recurring["interval_count"]
    if recurring["interval"] in ("day", "week"):
        days = count * (7 if recurring["interval"] == "week" else 1)
        return int((moment + timedelta(days=days)).timestamp())
    months = moment.month - 1 + count * (12 if recurring["interval"] == "year" else 1)
    year, month = moment.year + months // 12, months % 12 + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return int(moment.replace(year=year, month=month, day=day).timestamp())


def begun(world: World, subscription: Thing) -> None:
    """A new subscription: its fixed prices are billed at once, its first end is waited for."""
    items = world.subscription_items.having("subscription", subscription["id"])
    licensed = [item for item in items if item["price"]["recurring"]["usage_type"] == "licensed"]
    if licensed and subscription["billing_cycle_anchor"] <= world.now():
        invoice = _invoice(world, subscription, "subscription_create", items[0]["current_period_start"], world.now())
        for item in licensed:
            span = (item["current_period_start"], item["current_period_end"])
            appended(world, invoice, _lines(world, invoice, item, item["quantity"], span))
        emit(world, "invoice.created", invoice_shown(world, invoice))
        # The first invoice waits for nothing.
        finalized(world, invoice)
        onward(world, invoice)
        _past_due(world, subscription, invoice)
    _wait(world, subscription["id"], items[0]["current_period_end"])


def _wait(world: World, name: str, end: int) -> None:
    world.later(end, lambda world: _over(world, name, end))


def _over(world: World, name: str, end: int) -> None:
    """A period has ended: bill it, begin the next one or stop."""
    subscription = world.subscriptions.things.get(name)
    if subscription is None or subscription["status"] == "canceled":
        return
    items = world.subscription_items.having("subscription", name)
    if items[0]["current_period_end"] != end:
        return
    stopping = subscription["cancel_at_period_end"]
    old_start = min(item["current_period_start"] for item in items)
    next_end = period_end(subscription["billing_cycle_anchor"], end, items[0]["price"]["recurring"])
    invoice = _invoice(world, subscription, "subscription_cycle", old_start, end)
    metered = []
    for item in items:
        if item["price"]["recurring"]["usage_type"] == "metered":
            # As it is now: the item goes on into its next period.
            metered.append(dict(item))
        elif not stopping:
            appended(world, invoice, _lines(world, invoice, item, item["quantity"], (end, next_end)))
    _metered(world, invoice, metered, end)
    pending(world, invoice)
    emit(world, "invoice.created", invoice_shown(world, invoice))
    if stopping:
        ended(world, subscription)
        return
    before = {"items": shown(world, subscription)["items"]}
    for item in items:
        item.update(current_period_start=end, current_period_end=next_end)
        world.subscription_items.put(item)
    emit(world, "customer.subscription.updated", shown(world, subscription), before)
    _wait(world, name, next_end)


def _used(world: World, invoice: Thing, item: Thing, start: int, end: int) -> int:
    meter = world.meters.get(item["price"]["recurring"]["meter"])
    return max(0, total(world, meter, invoice["customer"], start, end))


def _metered(world: World, invoice: Thing, items: list[Thing], end: int) -> None:
    """Lines for the usage of these items until `end`, counted once more when the hour of the draft is over: what was
    on its way at the end of the period still belongs to it."""

    def counted(world: World) -> None:
        lines = world.lines[invoice["id"]]
        lines[:] = [one for one in lines if one["id"] not in own]
        own.clear()
        for item in items:
            span = (item["current_period_start"], end)
            new = _lines(world, invoice, item, _used(world, invoice, item, *span), span)
            own.update(one["id"] for one in new)
            appended(world, invoice, new)

    own: set[str] = set()
    counted(world)
    world.later(invoice["automatically_finalizes_at"], lambda world: _completed(world, invoice, counted))


def _completed(world: World, invoice: Thing, counted: Callable[[World], None]) -> None:
    if invoice["id"] not in world.invoices or invoice["status"] != "draft":
        return
    when = invoice["automatically_finalizes_at"]
    if when is None or when > world.now():
        return
    counted(world)
    advanced(world, invoice["id"], when)
    subscription = world.subscriptions.get(invoice["parent"]["subscription_details"]["subscription"])
    _past_due(world, subscription, invoice)


def _past_due(world: World, subscription: Thing, invoice: Thing) -> None:
    if invoice["status"] == "open" and invoice["attempted"] and subscription["status"] == "active":
        subscription["status"] = "past_due"
        world.subscriptions.put(subscription)
        emit(world, "customer.subscription.updated", shown(world, subscription), {"status": "active"})


def billed_until(world: World, subscription: Thing, end: int) -> Thing:
    """An invoice for the usage so far, as `invoice_now` asks for."""
    items = world.subscription_items.having("subscription", subscription["id"])
    invoice = _invoice(world, subscription, "subscription_update", items[0]["current_period_start"], end)
    _metered(
        world, invoice, [dict(item) for item in items if item["price"]["recurring"]["usage_type"] == "metered"], end
    )
    emit(world, "invoice.created", invoice_shown(world, invoice))
    return invoice


def _invoice(world: World, subscription: Thing, reason: str, start: int, end: int) -> Thing:
    customer = world.customers.get(subscription["customer"])
    method = subscription["collection_method"]
    days = {"days_until_due": subscription["days_until_due"]} if method == "send_invoice" else {}
    when = world.now() + world.settings.draft_seconds
    invoice = new_invoice(
        world,
        customer,
        subscription["currency"],
        reason,
        auto_advance=True,
        automatically_finalizes_at=when,
        collection_method=method,
        description=subscription["description"],
        due_date=due_date(world, days, method, world.now()),
        livemode=subscription["livemode"],
        parent={
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
        },
        period_start=start,
        period_end=end,
    )
    subscription["latest_invoice"] = invoice["id"]
    return invoice


def _lines(world: World, invoice: Thing, item: Thing, quantity: int, span: tuple[int, int]) -> list[Thing]:
    price = item["price"]
    found = parts(price, quantity)
    product = world.products.get(price["product"])["name"]
    if world.settings.line_per_tier:
        return [_line(world, invoice, item, part.quantity, span, [part], f"{product} ({part.name})") for part in found]
    return [_line(world, invoice, item, quantity, span, found, f"{quantity} × {product}")]


def _line(
    world: World, invoice: Thing, item: Thing, quantity: int, span: tuple[int, int], some: list[Part], text: str
) -> Thing:
    price = item["price"]
    exact = sum((part.exact for part in some), Fraction(0))
    details: dict[str, Any] = {
        "type": "price_details",
        "price_details": {"price": price["id"], "product": price["product"]},
        "unit_amount_decimal": price["unit_amount_decimal"] or plain(_unit(some)),
    }
    cost = {"amount": rounded(exact, price["currency"]), "quantity": Decimal(quantity), "pricing": details}
    return line(
        world,
        invoice,
        cost,
        description=text,
        metadata=dict(item["metadata"]),
        parent={
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
        },
        period={"start": span[0], "end": span[1]},
        subscription=item["subscription"],
    )


def _unit(some: list[Part]) -> Decimal:
    """Of a line over several tiers Stripe gives no unit price; of one tier its own."""
    unit = some[0].unit if len(some) == 1 else Fraction(0)
    return Decimal(unit.numerator) / Decimal(unit.denominator)
