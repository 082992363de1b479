"""Subscriptions, usage records and pending invoices of the small site of Chargebee's.

As Chargebee documents them: one record of an item price for an instant; a record may be deleted and made anew until its
invoice is closed; what is recorded of a period that is closed is taken and never billed. Lists have pages of two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import chargebee
from chargebee.filters import Filters

from .services import Answer, Refusal

PAGE = 2


class Usages:
    """What stands there, and what the site's clock does with it."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.records: list[dict[str, Any]] = []
        self.invoices: dict[str, dict[str, Any]] = {}
        self.made = 0

    def subscribe(self, name: str, customer: str, start: int, end: int, *items: str, **more: Any) -> None:
        """A person makes a subscription, with metered item prices."""
        self.subscriptions[name] = {
            "id": name, "customer_id": customer, "status": "active", "current_term_start": start,
            "current_term_end": end, "subscription_items": [{"item_price_id": item} for item in items], **more,
        }  # fmt: skip

    def renew(self, name: str, end: int) -> None:
        """The period ends: its invoice is pending, and the usage that lies in it stands on it."""
        one = self.subscriptions[name]
        number = f"draft_{len(self.invoices)}"
        began, one["current_term_start"], one["current_term_end"] = one["current_term_start"], one[
            "current_term_end"], end  # fmt: skip
        self.invoices[number] = {"id": number, "status": "pending", "subscription_id": name, "from": began,
                                 "until": one["current_term_start"]}  # fmt: skip
        self._gather()

    def close(self) -> None:
        """Pending invoices are closed with the usage that stands on them."""
        self._gather()
        for invoice in self.invoices.values():
            invoice["status"] = "payment_due"

    def billed(self) -> dict[tuple[str, str], Decimal]:
        """Quantity by subscription and item price on closed invoices."""
        found: dict[tuple[str, str], Decimal] = {}
        for one in self.records:
            if one.get("invoice_id") and self.invoices[one["invoice_id"]]["status"] != "pending":
                key = (one["subscription_id"], one["item_price_id"])
                found[key] = found.get(key, Decimal(0)) + Decimal(one["quantity"])
        return found

    def _gather(self) -> None:
        for number, invoice in self.invoices.items():
            for one in self.records:
                inside = invoice["from"] <= one["usage_date"] < invoice["until"]
                if invoice["status"] == "pending" and inside and one["subscription_id"] == invoice["subscription_id"]:
                    one["invoice_id"] = number

    def answer(self, method: str, parts: list[str], query: Mapping[str, str], said: dict[str, Any]) -> Answer | None:
        """None when the call is about something else."""
        match method, parts:
            case "GET", ["subscriptions"]:
                theirs = list(self.subscriptions.values())
                page = _page("subscription", theirs, query, chargebee.Subscription)
                for one in page["list"]:
                    one["customer"] = {"id": one["subscription"]["customer_id"]}
                return 200, page
            case "GET", ["subscriptions", name]:
                there = self._subscription(name)
                return 200, {"subscription": there, "customer": {"id": there["customer_id"]}}
            case "GET", ["usages"]:
                return 200, _page("usage", self.records, query, chargebee.Usage)
            case "GET", ["invoices"]:
                return 200, _page("invoice", list(self.invoices.values()), query, chargebee.Invoice)
            case "GET", ["invoices", number] if number in self.invoices:
                return 200, {"invoice": self.invoices[number]}
            case "POST", ["subscriptions", name, "usages"]:
                return 200, {"usage": self._record(name, said)}
            case "POST", ["subscriptions", name, "delete_usage"]:
                return 200, {"usage": self._delete(name, said)}
        return None

    def _subscription(self, name: str) -> dict[str, Any]:
        if name not in self.subscriptions:
            raise refused(404, "resource_not_found", f"{name} not found")
        return self.subscriptions[name]

    def _record(self, name: str, said: dict[str, Any]) -> dict[str, Any]:
        known(chargebee.Usage.CreateParams, said)
        items = [one["item_price_id"] for one in self._subscription(name)["subscription_items"]]
        if said["item_price_id"] not in items:
            raise refused(400, "invalid_request", f"{said['item_price_id']} is no item of {name}", "item_price_id")
        if not re.fullmatch(r"\d{1,40}(\.\d+)?", said["quantity"]) or not Decimal(said["quantity"]):
            raise refused(400, "param_wrong_value", f"{said['quantity']} is no quantity", "quantity")
        if len(said.get("note", "")) > 500:
            raise refused(400, "param_wrong_value", "the note is too long", "note")
        date = int(said["usage_date"])
        for one in self.records:
            if (one["subscription_id"], one["item_price_id"], one["usage_date"]) == (name, said["item_price_id"], date):
                raise refused(400, "duplicate_entry", "there is usage of that time", "usage_date")
        self.made += 1
        made = {**said, "id": f"usage_{self.made}", "subscription_id": name, "usage_date": date, "source": "api"}
        self.records.append(made)
        self._gather()
        return made

    def _delete(self, name: str, said: dict[str, Any]) -> dict[str, Any]:
        known(chargebee.Usage.DeleteParams, said)
        for one in self.records:
            if (one["id"], one["subscription_id"]) == (said["id"], name):
                invoice = self.invoices.get(one.get("invoice_id", ""))
                if invoice is not None and invoice["status"] != "pending":
                    raise refused(400, "invalid_state_for_request", "it is on a closed invoice")
                self.records.remove(one)
                return one
        raise refused(404, "resource_not_found", f"{said['id']} not found")


def refused(status: int, code: str, message: str, param: str | None = None) -> Refusal:
    said = {"message": message, "api_error_code": code, "type": "invalid_request", "param": param}
    return Refusal(status, {**said, "error_code": code, "http_status_code": status, "error_msg": message})


def known(kind: Any, said: Mapping[str, Any]) -> None:
    """Every parameter is one of the library's, and none that is required is missing."""
    for name in said:
        if name not in kind.__annotations__:
            raise refused(400, "param_not_allowed", f"{name} is no parameter", name)
    for name in kind.__required_keys__ - said.keys():
        raise refused(400, "param_missing", f"{name} is missing", name)


def _page(word: str, things: list[dict[str, Any]], query: Mapping[str, str], resource: Any) -> dict[str, Any]:
    """A page of those that match every filter `name[operator]=value`."""
    for name, value in query.items():
        top, _, operator = name.rstrip("]").partition("[")
        known(resource.ListParams, {top: value})
        if operator:
            kind = re.search(r"Filters\.(\w+)", str(resource.ListParams.__annotations__[top]))
            assert kind is not None
            if operator.upper() not in getattr(Filters, kind[1]).__annotations__:
                raise refused(400, "param_wrong_value", f"{operator} is no operator of {top}", name)
            things = [one for one in things if _holds(one.get(top), operator, value)]
    first, size = int(query.get("offset", 0)), min(PAGE, int(query.get("limit", 10)))
    found: dict[str, Any] = {"list": [{word: one} for one in things[first : first + size]]}
    return {**found, "next_offset": str(first + size)} if first + size < len(things) else found


def _holds(value: Any, operator: str, wanted: str) -> bool:
    match operator:
        case "is":
            return str(value) == wanted
        case "after":
            return int(value) > int(wanted)
        case "before":
            return int(value) < int(wanted)
    raise refused(400, "param_wrong_value", f"{operator} is not served here")
