"""Signed JSON to any receiver: a CRM's intake, a workflow, a queue. Signed as Standard Webhooks says.

`webhook-id` is the same for every attempt, so that a receiver can drop what it has; `webhook-timestamp` is the
attempt's; `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body` (standardwebhooks.com). A
secret that begins with `whsec_` is base64; any other is used as it is written.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rating.adapters.notifiers.posting import Poster
from rating.core.deliveries import Delivery
from rating.core.money import Money, decimal_text
from rating.core.periods import Period
from rating.specs.wording import worded


class WebhookNotifier:
    """Keeps the promises of `ports.Notifier`."""

    to_customer = False

    def __init__(
        self, channel: str, url: str, secret: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._key = signing_key(secret)
        self._clock = clock
        self._poster = Poster(channel, url, (secret, url), clock=clock)

    def preview(self, delivery: Delivery) -> str:
        return json.dumps(document(delivery), indent=1, ensure_ascii=False)

    def deliver(self, delivery: Delivery, *, unsubscribe: str = "") -> str:
        body = json.dumps(document(delivery), ensure_ascii=False, separators=(",", ":")).encode()
        stamp = str(int(self._clock().timestamp()))
        headers = {
            "webhook-id": delivery.key,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature(self._key, delivery.key, stamp, body)}",
            "Idempotency-Key": delivery.key,
        }
        return self._poster.post(body, headers)


def signing_key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return secret.encode()


def signature(key: bytes, name: str, stamp: str, body: bytes) -> str:
    signed = b".".join((name.encode(), stamp.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def document(delivery: Delivery) -> dict[str, Any]:
    """The notification for programs: numbers are decimal text, as everywhere outside the engine."""
    one, at = delivery.told.notification, delivery.told.at
    words = worded(one, "en", at=at, to_customer=False)
    values: dict[str, Any] = {
        "id": one.id,
        "type": one.kind.value,
        "audience": one.audience.value,
        "time": _instant(at),
        "summary": words.subject,
        "details": list(words.lines),
        "customer": one.customer,
        "consumer": one.consumer,
        "subscription": one.subscription,
        "plan": one.plan,
        "period": None if one.period is None else _period(one.period),
        "meter": one.meter,
        "unit": one.unit,
        "mark": one.mark,
        "used": decimal_text(one.used),
        "allowance": decimal_text(one.allowance),
        "limit": None if one.limit is None else decimal_text(one.limit),
        "forecast": None if one.forecast is None else decimal_text(one.forecast, 3),
        "counted_exactly_through": None if one.closed_through is None else _instant(one.closed_through),
        "next_plan": one.next_plan,
        "next_plan_costs_more": _money(one.more),
        "next_plan_costs_more_at_this_pace": _money(one.more_at_pace),
        "ends": None if one.ends is None else _instant(one.ends),
        "left": _money(one.left),
        "granted": _money(one.granted),
        "alert": one.alert,
        "labels": dict(one.labels),
    }
    metered = ("used", "allowance")
    return {
        key: value for key, value in values.items() if value not in (None, "", {}) and (one.meter or key not in metered)
    }


def _money(money: Money | None) -> dict[str, str] | None:
    return None if money is None else {"amount": money.digits, "currency": money.currency.code}


def _period(period: Period) -> dict[str, str]:
    return {"start": _instant(period.start), "end": _instant(period.end)}


def _instant(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
