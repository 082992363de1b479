"""A site of Recurly's, as far as our gateway needs one: purchases, credits, payments, keys that are forgotten.

It stands in for a sandbox, which cannot be reached from a test machine. What it takes and answers follows Recurly's API
documentation (v2021-02-25); the official library reads its answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .recurly_usages import Usages
from .recurly_usages import only as _only
from .recurly_usages import refused as _refused
from .services import Answer, Service

KEY = "recurly0123456789abcdef"
PURCHASE = {"currency", "account", "collection_method", "po_number", "net_terms", "customer_notes", "line_items"}
LINE = {
    "type", "currency", "unit_amount", "quantity", "description", "start_date", "end_date", "tax_exempt",
}  # fmt: skip
PAYMENT = {"payment_method", "description", "amount", "collected_at"}
REFUND = {"type", "amount", "refund_method", "credit_customer_notes"}


class RecurlySite(Service):
    key_header = "idempotency-key"

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        self.invoices: dict[str, dict[str, Any]] = {}
        self.accounts: set[str] = set()
        self.usages = Usages()
        self.adds = Decimal(0)
        """What the site puts on each purchase by itself."""
        self.remembered.clear()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: str) -> Answer:
        if not headers.get("accept", "").startswith("application/vnd.recurly.v"):
            raise _refused(406, "unknown_api_version", "no version")
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        said = json.loads(body) if body else {}
        usage = self.usages.answer(method, [unquote(part) for part in parts.path.split("/")[1:]], query, said)
        if usage is not None:
            return usage
        match method, [unquote(part) for part in parts.path.split("/")[1:]]:
            case "POST", ["purchases", "preview"]:
                foreseen = {"object": "invoice", "type": "charge", "total": float(self._comes_to(said))}
                return 200, {"object": "invoice_collection", "charge_invoice": foreseen}
            case "POST", ["purchases"]:
                return 201, {"object": "invoice_collection", "charge_invoice": self._purchase(said)}
            case "GET", ["accounts", name, "invoices"]:
                return 200, self._listed(name.removeprefix("code-"), query)
            case "GET", ["invoices", number]:
                return 200, self._found(number)
            case "POST", ["invoices", number, "transactions"]:
                return 201, self._pay(self._found(number), said)
            case "POST", ["invoices", number, "refund"]:
                return 201, self._credit(self._found(number), said)
            case "PUT", ["invoices", number, "mark_failed"]:
                self._found(number)["state"] = "failed"
                return 200, self._found(number)
        raise _refused(404, "not_found", f"{method} {path} is no call")

    def _comes_to(self, said: dict[str, Any]) -> Decimal:
        _only(said, PURCHASE)
        for line in said["line_items"]:
            _only(line, LINE)
            if line["type"] == "charge" and line["unit_amount"] < 0:
                raise _refused(422, "validation", "a charge is not below zero")
        return sum((Decimal(repr(line["unit_amount"])) for line in said["line_items"]), self.adds)

    def _purchase(self, said: dict[str, Any]) -> dict[str, Any]:
        total = self._comes_to(said)
        self.accounts.add(said["account"]["code"])
        return self._new("charge", said["account"]["code"], said["currency"], total, said["customer_notes"], said)

    def _credit(self, invoice: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        _only(said, REFUND)
        amount = Decimal(repr(said["amount"]))
        credited = sum(Decimal(repr(one["total"])) for one in self.invoices.values() if one["of"] == invoice["id"])
        if amount <= 0 or amount + credited > Decimal(repr(invoice["total"])):
            raise _refused(422, "validation", "more is credited than was charged")
        made = self._new("credit", invoice["owner"], invoice["currency"], amount, said["credit_customer_notes"], {})
        made["of"] = invoice["id"]
        return made

    def _pay(self, invoice: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        _only(said, PAYMENT)
        paid = sum(Decimal(repr(one["amount"])) for one in invoice["transactions"])
        if paid + Decimal(repr(said["amount"])) > Decimal(repr(invoice["total"])):
            raise _refused(422, "validation", "more is paid than was charged")
        made = {**said, "object": "transaction", "id": f"t{len(invoice['transactions'])}{invoice['id']}"}
        invoice["transactions"].append(made)
        return made

    def _new(
        self, kind: str, owner: str, currency: str, total: Decimal, notes: str, said: dict[str, Any]
    ) -> dict[str, Any]:
        number = f"i{len(self.invoices):04d}"
        self.invoices[number] = {
            "object": "invoice", "id": number, "type": kind, "currency": currency, "state": "pending",
            "total": float(total), "customer_notes": notes, "po_number": said.get("po_number"), "transactions": [],
            "owner": owner, "of": None,
        }  # fmt: skip
        return self.invoices[number]

    def _listed(self, owner: str, query: Mapping[str, str]) -> dict[str, Any]:
        if owner not in self.accounts:
            raise _refused(404, "not_found", f"no account {owner}")
        own = [one for one in self.invoices.values() if one["owner"] == owner]
        # Pages of one: whoever looks for something has to turn them.
        place = int(query.get("cursor", 0))
        more = place + 1 < len(own)
        following = f"/accounts/code-{owner}/invoices?cursor={place + 1}" if more else None
        return {"object": "list", "has_more": more, "next": following, "data": own[place : place + 1]}

    def _found(self, number: str) -> dict[str, Any]:
        if number not in self.invoices:
            raise _refused(404, "not_found", f"no invoice {number}")
        return self.invoices[number]
