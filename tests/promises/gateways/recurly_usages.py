"""Subscriptions and usage records of the small site of Recurly's.

As Recurly documents them: any number of records; one that was billed keeps its amount and cannot be removed; a renewal
bills what was recorded and not billed yet. Lists have pages of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from .services import Answer, Refusal

USAGE = {"merchant_tag", "amount", "recording_timestamp", "usage_timestamp"}
LISTED = {"ids", "limit", "order", "sort", "begin_time", "end_time", "billing_status", "cursor"}


class Usages:
    """What stands there, and what a renewal does with it."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.made = 0

    def subscribe(self, name: str, account: str, ends: datetime, *codes: str, **more: Any) -> None:
        """A person makes a subscription, with usage add-ons."""
        self.subscriptions[name] = {
            "object": "subscription", "id": name, "state": "active", "current_period_ends_at": _instant(ends),
            "current_period_started_at": _instant(ends - timedelta(days=1)),
            "expires_at": None,
            "account": {"object": "account_mini", "code": account}, "add_ons": [
                {"object": "subscription_add_on", "usage_calculation_type": "cumulative", "add_on": {
                    "object": "add_on_mini", "code": code, "add_on_type": "usage", "usage_type": "price"}}
                for code in codes
            ], **more,
        }  # fmt: skip

    def renew(self, name: str, days: int) -> None:
        """The period ends: what was recorded and lies before is billed."""
        one = self.subscriptions[name]
        ends = datetime.fromisoformat(one["current_period_ends_at"])
        for record in self.records.values():
            if record["of"][0] == name and datetime.fromisoformat(record["usage_timestamp"]) < ends:
                record["billed_at"] = record["billed_at"] or _instant(ends)
        one["current_period_started_at"] = _instant(ends)
        one["current_period_ends_at"] = _instant(ends + timedelta(days=days))

    def billed(self) -> dict[tuple[str, str], int]:
        """Amounts by subscription and add-on that were billed."""
        found: dict[tuple[str, str], int] = {}
        for one in self.records.values():
            if one["billed_at"]:
                found[one["of"]] = found.get(one["of"], 0) + one["amount"]
        return found

    def answer(self, method: str, parts: list[str], query: Mapping[str, str], said: dict[str, Any]) -> Answer | None:
        """None when the call is about something else."""
        match method, parts:
            case "GET", ["accounts", name, "subscriptions"]:
                owner = name.removeprefix("code-")
                theirs = [one for one in self.subscriptions.values() if one["account"]["code"] == owner]
                if not theirs:
                    raise refused(404, "not_found", f"no account {owner}")
                return 200, _page("/".join(["", *parts]), theirs, query)
            case "GET", ["subscriptions", name]:
                return 200, self._subscription(name)
            case "GET", ["subscriptions", name, "add_ons", code, "usage"]:
                return 200, self._listed("/".join(["", *parts]), self._add_on(name, code), query)
            case "POST", ["subscriptions", name, "add_ons", code, "usage"]:
                return 201, self._record(self._add_on(name, code), said)
            case "PUT", ["usage", name]:
                return 200, self._change(name, said)
            case "DELETE", ["usage", name]:
                self._unbilled(name)
                del self.records[name]
                return 204, {}
        return None

    def _subscription(self, name: str) -> dict[str, Any]:
        if name not in self.subscriptions:
            raise refused(404, "not_found", f"no subscription {name}")
        return self.subscriptions[name]

    def _add_on(self, name: str, code: str) -> tuple[str, str]:
        plain = code.removeprefix("code-")
        if plain == code or all(one["add_on"]["code"] != plain for one in self._subscription(name)["add_ons"]):
            raise refused(404, "not_found", f"no add-on {code} of {name}")
        return name, plain

    def _record(self, of: tuple[str, str], said: dict[str, Any]) -> dict[str, Any]:
        _usage(said)
        self.made += 1
        name = f"u{self.made}"
        self.records[name] = {"object": "usage", "id": name, "billed_at": None, "of": of, **said}
        return self.records[name]

    def _change(self, name: str, said: dict[str, Any]) -> dict[str, Any]:
        _usage(said)
        self._unbilled(name).update(said)
        return self.records[name]

    def _unbilled(self, name: str) -> dict[str, Any]:
        if name not in self.records:
            raise refused(404, "not_found", f"no usage {name}")
        if self.records[name]["billed_at"]:
            raise refused(422, "validation", "it was billed")
        return self.records[name]

    def _listed(self, path: str, of: tuple[str, str], query: Mapping[str, str]) -> dict[str, Any]:
        only(query, LISTED)
        if "begin_time" in query and query.get("sort") != "usage_timestamp":
            raise refused(400, "bad_request", "times are of no use without sort")
        begin, end = (datetime.fromisoformat(query[name]) for name in ("begin_time", "end_time"))
        found = [
            one
            for one in self.records.values()
            if one["of"] == of
            and begin <= datetime.fromisoformat(one["usage_timestamp"]) <= end
            and (query.get("billing_status", "unbilled") == "all" or not one["billed_at"])
        ]
        return _page(path, found, query)


def _usage(said: Mapping[str, Any]) -> None:
    only(said, USAGE)
    if not isinstance(said["amount"], int):
        raise refused(422, "validation", "without decimal quantities, digits after the point are stripped")


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _page(path: str, things: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    place = int(query.get("cursor", 0))
    more = place + 1 < len(things)
    kept = "&".join(f"{name}={value}" for name, value in query.items() if name != "cursor")
    following = f"{path}?{kept}&cursor={place + 1}" if more else None
    return {"object": "list", "has_more": more, "next": following, "data": things[place : place + 1]}


def refused(status: int, kind: str, message: str) -> Refusal:
    return Refusal(status, {"error": {"type": kind, "message": message}}, {"X-Request-Id": "r1"})


def only(said: Mapping[str, Any], known: set[str]) -> None:
    if set(said) - known:
        raise refused(400, "bad_request", f"unknown: {sorted(set(said) - known)}")
