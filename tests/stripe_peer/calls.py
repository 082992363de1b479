"""Every call that collecting through Stripe makes, in an order in which a server with a state can follow it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import stripe

Made = dict[str, Any]
"""What earlier calls answered, by their names."""
Act = Callable[[stripe.StripeClient, Made], Any]

_USAGE = {"interval": "month", "usage_type": "metered"}
_FIXED = {"interval": "month", "usage_type": "licensed"}


def _draft(made: Made) -> dict[str, Any]:
    return {
        "customer": made["customer"].id,
        "currency": "usd",
        "auto_advance": False,
        "collection_method": "send_invoice",
        "days_until_due": 30,
        "pending_invoice_items_behavior": "exclude",
        "description": "October",
        "metadata": {"rating_invoice": "INV-1"},
    }


def _lines(*amounts: int) -> dict[str, Any]:
    return {
        "lines": [
            {
                "amount": amount,
                "description": f"{amount} of it",
                "period": {"start": 1_793_491_200, "end": 1_793_494_800},
                "metadata": {"rating_line": str(amount)},
            }
            for amount in amounts
        ]
    }


def _of_the_line(made: Made) -> dict[str, Any]:
    line = made["fill an invoice"].lines.data[0].id
    return {
        "invoice": made["invoice"].id,
        "lines": [{"type": "invoice_line_item", "invoice_line_item": line, "amount": 100}],
        "reason": "order_change",
        "memo": "less",
        "metadata": {"rating_credit_note": "CN-1"},
    }


def _event(made: Made) -> dict[str, Any]:
    payload = {"stripe_customer_id": made["customer"].id, "value": "42"}
    return {"event_name": "calls", "identifier": "window-1", "payload": payload}


CALLS: dict[str, Act] = {
    "customer": lambda c, made: c.v1.customers.create(
        {"name": "Acme", "email": "billing@acme.example", "metadata": {"rating_customer": "acme"}}
    ),
    "read a customer": lambda c, made: c.v1.customers.retrieve(made["customer"].id),
    "change a customer": lambda c, made: c.v1.customers.update(made["customer"].id, {"name": "Acme Inc."}),
    "list customers": lambda c, made: c.v1.customers.list({"email": "billing@acme.example", "limit": 100}),
    "search customers": lambda c, made: c.v1.customers.search({"query": "metadata['rating_customer']:'acme'"}),
    "customer balance": lambda c, made: c.v1.customers.balance_transactions.create(
        made["customer"].id, {"amount": -60, "currency": "usd", "metadata": {"rating_wallet": "w1"}}
    ),
    "list balance": lambda c, made: c.v1.customers.balance_transactions.list(made["customer"].id, {"limit": 100}),
    "invoice": lambda c, made: c.v1.invoices.create(_draft(made)),
    "fill an invoice": lambda c, made: c.v1.invoices.add_lines(made["invoice"].id, _lines(1_000, 500, -100)),
    "invoice item": lambda c, made: c.v1.invoice_items.create(
        {
            "customer": made["customer"].id,
            "invoice": made["invoice"].id,
            "amount": 250,
            "currency": "usd",
            "description": "one more",
            "period": {"start": 1_793_491_200, "end": 1_793_494_800},
        }
    ),
    "change an invoice": lambda c, made: c.v1.invoices.update(made["invoice"].id, {"metadata": {"hash": "abc"}}),
    "list lines": lambda c, made: c.v1.invoices.line_items.list(made["invoice"].id, {"limit": 100}),
    "finalize": lambda c, made: c.v1.invoices.finalize_invoice(made["invoice"].id, {"auto_advance": False}),
    "send": lambda c, made: c.v1.invoices.send_invoice(made["invoice"].id),
    "preview a credit note": lambda c, made: c.v1.credit_notes.preview(_preview(made)),
    "credit note": lambda c, made: c.v1.credit_notes.create(_of_the_line(made)),
    "list credit notes": lambda c, made: c.v1.credit_notes.list({"invoice": made["invoice"].id}),
    "void a credit note": lambda c, made: c.v1.credit_notes.void_credit_note(made["credit note"].id),
    "void": lambda c, made: c.v1.invoices.void_invoice(made["invoice"].id),
    "second invoice": lambda c, made: c.v1.invoices.create(_draft(made)),
    "fill it": lambda c, made: c.v1.invoices.add_lines(made["second invoice"].id, _lines(2_000)),
    "finalize it": lambda c, made: c.v1.invoices.finalize_invoice(made["second invoice"].id),
    "pay": lambda c, made: c.v1.invoices.pay(made["second invoice"].id, {"paid_out_of_band": True}),
    "third invoice": lambda c, made: c.v1.invoices.create(_draft(made)),
    "fill the third": lambda c, made: c.v1.invoices.add_lines(made["third invoice"].id, _lines(2_000)),
    "finalize the third": lambda c, made: c.v1.invoices.finalize_invoice(made["third invoice"].id),
    "give up": lambda c, made: c.v1.invoices.mark_uncollectible(made["third invoice"].id),
    "list invoices": lambda c, made: c.v1.invoices.list(
        {"customer": made["customer"].id, "status": "paid", "created": {"gte": 1}, "limit": 100}
    ),
    "search invoices": lambda c, made: c.v1.invoices.search({"query": "metadata['rating_invoice']:'INV-1'"}),
    "draft to delete": lambda c, made: c.v1.invoices.create(_draft(made)),
    "delete it": lambda c, made: c.v1.invoices.delete(made["draft to delete"].id),
    "product": lambda c, made: c.v1.products.create(
        {"name": "Calls", "unit_label": "call", "metadata": {"rating_plan": "pro"}}
    ),
    "change a product": lambda c, made: c.v1.products.update(made["product"].id, {"name": "API calls"}),
    "meter": lambda c, made: c.v1.billing.meters.create(
        {
            "display_name": "Calls",
            "event_name": "calls",
            "default_aggregation": {"formula": "sum"},
            "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
            "value_settings": {"event_payload_key": "value"},
            "event_time_window": "hour",
        }
    ),
    "rename a meter": lambda c, made: c.v1.billing.meters.update(made["meter"].id, {"display_name": "API calls"}),
    "list meters": lambda c, made: c.v1.billing.meters.list({"status": "active", "limit": 100}),
    "tiered price": lambda c, made: c.v1.prices.create(
        {
            "currency": "usd",
            "product": made["product"].id,
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [
                {"up_to": 1_000, "unit_amount_decimal": Decimal(0)},
                {"up_to": "inf", "unit_amount_decimal": Decimal("0.125"), "flat_amount": 500},
            ],
            "recurring": {**_USAGE, "meter": made["meter"].id},
            "lookup_key": "pro:calls",
            "metadata": {"rating_plan": "pro"},
        }
    ),
    "package price": lambda c, made: c.v1.prices.create(
        {
            "currency": "usd",
            "product": made["product"].id,
            "unit_amount_decimal": Decimal("12.5"),
            "transform_quantity": {"divide_by": 1_000, "round": "up"},
            "recurring": {**_USAGE, "meter": made["meter"].id},
        }
    ),
    "fixed price": lambda c, made: c.v1.prices.create(
        {"currency": "usd", "product": made["product"].id, "unit_amount": 4_900, "recurring": _FIXED}
    ),
    "list prices": lambda c, made: c.v1.prices.list({"lookup_keys": ["pro:calls"], "expand": ["data.tiers"]}),
    "archive a price": lambda c, made: c.v1.prices.update(made["package price"].id, {"active": False}),
    "subscription": lambda c, made: c.v1.subscriptions.create(
        {
            "customer": made["customer"].id,
            "items": [{"price": made["tiered price"].id}],
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "metadata": {"rating_subscription": "s1"},
        }
    ),
    "change a subscription": lambda c, made: c.v1.subscriptions.update(
        made["subscription"].id,
        {"items": [{"price": made["fixed price"].id, "quantity": 2}], "proration_behavior": "none"},
    ),
    "list subscriptions": lambda c, made: c.v1.subscriptions.list({"customer": made["customer"].id, "status": "all"}),
    "meter event": lambda c, made: c.v1.billing.meter_events.create(_event(made)),
    "cancel a meter event": lambda c, made: c.v1.billing.meter_event_adjustments.create(
        {"event_name": "calls", "type": "cancel", "cancel": {"identifier": "window-1"}}
    ),
    "meter summaries": lambda c, made: c.v1.billing.meters.event_summaries.list(
        made["meter"].id,
        {
            "customer": made["customer"].id,
            "start_time": 1_793_491_200,
            "end_time": 1_793_494_800,
            "value_grouping_window": "hour",
        },
    ),
    "end a subscription": lambda c, made: c.v1.subscriptions.cancel(made["subscription"].id),
    "webhook endpoint": lambda c, made: c.v1.webhook_endpoints.create(
        {"url": "https://example.com/hooks/stripe", "enabled_events": ["invoice.paid"]}
    ),
    "list events": lambda c, made: c.v1.events.list({"type": "invoice.paid", "limit": 100}),
    "delete a customer": lambda c, made: c.v1.customers.delete(made["customer"].id),
}


def _preview(made: Made) -> dict[str, Any]:
    """A preview takes no metadata on its lines, and here none at all."""
    return {name: value for name, value in _of_the_line(made).items() if name in ("invoice", "lines")}
