"""A site of Chargebee's, as far as our gateway needs one: state, duplicate names, and parameters checked by the SDK.

It stands in for a sandbox, which cannot be reached from a test machine. Names and types of parameters are those of the
official library's own input types; what it does with them follows Chargebee's API documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import chargebee

from .chargebee_usages import Usages
from .chargebee_usages import refused as _refused
from .services import Answer, Service

_PART = re.compile(r"\[([^\]]*)\]")
KEY = "test_AbCdEf0123456789"


class ChargebeeSite(Service):
    key_header = "chargebee-idempotency-key"

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        self.customers: dict[str, dict[str, Any]] = {}
        self.invoices: dict[str, dict[str, Any]] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, list[dict[str, Any]]] = {}
        self.usages = Usages()
        self.remembered.clear()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: str) -> Answer:
        if "authorization" not in headers:
            raise _refused(401, "api_authentication_failed", "no key")
        parts = [unquote(part) for part in urlsplit(path).path.split("/")[3:]]
        said = _nested(body)
        usage = self.usages.answer(method, parts, dict(parse_qsl(urlsplit(path).query)), said)
        if usage is not None:
            return usage
        match method, parts:
            case "POST", ["customers"]:
                _checked(chargebee.Customer.CreateParams, said)
                return 200, {"customer": self._new(self.customers, said)}
            case "POST", ["invoices", "import_invoice"]:
                return 200, {"invoice": self._import(said)}
            case "GET", ["invoices", number]:
                return 200, {"invoice": self._found(self.invoices, number)}
            case "GET", ["invoices", number, "payments"]:
                return 200, self._listed(self.payments.get(number, []), dict(parse_qsl(urlsplit(path).query)))
            case "POST", ["invoices", number, "record_payment"]:
                _checked(chargebee.Invoice.RecordPaymentParams, said)
                return 200, self._pay(self._found(self.invoices, number), said["transaction"])
            case "POST", ["invoices", number, "void"]:
                return 200, {"invoice": self._end(self._found(self.invoices, number), "voided")}
            case "POST", ["invoices", number, "write_off"]:
                found = self._found(self.invoices, number)
                found["write_off_amount"] = found["amount_due"]
                return 200, {"invoice": self._end(found, "paid")}
            case "POST", ["credit_notes", "import_credit_note"]:
                return 200, {"credit_note": self._credit(said)}
            case "GET", ["credit_notes", number]:
                return 200, {"credit_note": self._found(self.notes, number)}
        raise _refused(404, "resource_not_found", f"{method} {path} is no call")

    def _import(self, said: dict[str, Any]) -> dict[str, Any]:
        _checked(chargebee.Invoice.ImportInvoiceParams, said)
        self._found(self.customers, said["customer_id"])
        amounts = [int(line["amount"]) for line in said.get("line_items", [])]
        for line in said.get("line_items", []):
            if int(line["unit_amount"]) * int(line["quantity"]) != int(line["amount"]):
                raise _refused(400, "param_wrong_value", "a line's amount is not its quantity times its unit", "amount")
        off = sum(int(one["amount"]) for one in said.get("discounts", []))
        if min(amounts, default=0) < 0 or sum(amounts) - off != int(said["total"]):
            raise _refused(400, "param_wrong_value", f"{sum(amounts)} - {off} is not {said['total']}", "total")
        paid = sum(int(one["amount"]) for one in said.get("payments", []))
        due = int(said["total"]) - paid
        if (said["status"] == "paid") != (due == 0):
            raise _refused(400, "param_wrong_value", f"{due} is due, so it is not {said['status']}", "status")
        made = {**said, "total": int(said["total"]), "amount_due": due, "amount_paid": paid, "write_off_amount": 0}
        return self._new(self.invoices, made)

    def _credit(self, said: dict[str, Any]) -> dict[str, Any]:
        _checked(chargebee.CreditNote.ImportCreditNoteParams, said)
        invoice = self._found(self.invoices, said["reference_invoice_id"])
        if sum(int(line["amount"]) for line in said["line_items"]) != int(said["total"]):
            raise _refused(400, "param_wrong_value", "the lines do not sum to the total", "total")
        if said["id"] in self.notes:
            raise _refused(400, "duplicate_entry", f"{said['id']} is taken", "id")
        for one in said.get("allocations", []):
            if int(one["allocated_amount"]) > invoice["amount_due"]:
                raise _refused(400, "invalid_request", "more is allocated than is due", "allocations")
            invoice["amount_due"] -= int(one["allocated_amount"])
        return self._new(self.notes, {**said, "total": int(said["total"])})

    def _pay(self, invoice: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        amount = int(said["amount"])
        if invoice["status"] == "voided" or amount > invoice["amount_due"]:
            raise _refused(400, "invalid_state_for_request", f"{invoice['amount_due']} is due", "amount")
        made = self.payments.setdefault(invoice["id"], [])
        transaction = {**said, "id": f"txn_{invoice['id']}_{len(made)}", "amount": amount}
        made.append(transaction)
        invoice["amount_due"] -= amount
        invoice["amount_paid"] += amount
        if not invoice["amount_due"]:
            invoice["status"] = "paid"
        return {"invoice": invoice, "transaction": transaction}

    def _listed(self, payments: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
        """A page of them: ten, unless another size is asked for."""
        first, size = int(query.get("offset", 0)), int(query.get("limit", 10))
        page: dict[str, Any] = {"list": [{"transaction": one} for one in payments[first : first + size]]}
        return {**page, "next_offset": str(first + size)} if first + size < len(payments) else page

    def _end(self, invoice: dict[str, Any], status: str) -> dict[str, Any]:
        if invoice["status"] == status:
            raise _refused(400, "invalid_state_for_request", f"it is {status}")
        if status == "voided" and invoice["amount_paid"]:
            raise _refused(400, "invalid_state_for_request", "it was paid in part")
        invoice["status"] = status
        return invoice

    def _new(self, among: dict[str, dict[str, Any]], said: dict[str, Any]) -> dict[str, Any]:
        if said["id"] in among:
            raise _refused(400, "duplicate_entry", f"{said['id']} is taken", "id")
        among[said["id"]] = said
        return said

    def _found(self, among: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
        if name not in among:
            raise _refused(404, "resource_not_found", f"{name} not found")
        return among[name]


def _nested(body: str) -> dict[str, Any]:
    """`line_items[amount][0]=5` as {"line_items": [{"amount": "5"}]}."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        top, *path = [name.partition("[")[0], *_PART.findall(name)]
        if not path:
            found[top] = value
        elif len(path) == 2 and path[1].isdigit():
            items = found.setdefault(top, [])
            place = int(path[1])
            items += [{} for _ in range(place + 1 - len(items))]
            items[place][path[0]] = value
        else:
            found.setdefault(top, {})[path[0]] = value
    return found


def _checked(kind: Any, said: Mapping[str, Any]) -> None:
    """Every parameter is one of the library's, and none that is required is missing."""
    hints = kind.__annotations__
    for name in said:
        if name not in hints:
            raise _refused(400, "param_not_allowed", f"{name} is no parameter", name)
    for name in kind.__required_keys__ - said.keys():
        raise _refused(400, "param_missing", f"{name} is missing", name)
    for name, value in said.items():
        text = str(hints[name])
        inner = re.search(r"(?:Invoice|CreditNote|Customer)\.(\w+Params)", text)
        if inner is not None:
            owner = getattr(chargebee, kind.__qualname__.split(".")[0])
            for one in value if isinstance(value, list) else [value]:
                _checked(getattr(owner, inner[1]), one)
        elif "int]" in text and not re.fullmatch(r"-?\d+", str(value)):
            raise _refused(400, "param_wrong_value", f"{name} is not a whole number: {value}", name)
