"""What Stripe tells us: proven by its signature at the door, read later as facts, fetched where it is not told.

The library checks signature and age; what an event means is `facts`. Nothing of a body or a secret is ever logged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import stripe

from rating.adapters.stripe.client import StripeAccount
from rating.adapters.stripe.errorreports import DECLINED, declined
from rating.adapters.stripe.facts import KINDS, facts, paid
from rating.core.publications import Signal
from rating.core.signals import Fact, Paid, Refusal, Remark, Unknown
from rating.errors import EdgeDisagrees

HEADER = "stripe-signature"
TOLERANCE = 300
"""Seconds: Stripe's own default. A delivery that is tried again is signed anew."""
PAGE = 100
SNAPSHOT, THIN = "event", "v2.core.event"

_AGAIN = {
    "invoice": "/v1/invoices/",
    "invoice_payment": "/v1/invoice_payments/",
    "refund": "/v1/refunds/",
    "dispute": "/v1/disputes/",
    "credit_note": "/v1/credit_notes/",
}
"""Objects that are read anew where an event tells them in the words of another API version."""


class StripeDoor:
    """Keeps the promises of `ports.SignalDoor`.

    Args:
        secrets: of every endpoint that delivers here; several while one is being replaced, and for thin events.
        live: whether the account's events are about real money.
    """

    def __init__(self, account: StripeAccount, secrets: Sequence[str], *, live: bool) -> None:
        self._account = account
        self._secrets = tuple(secrets)
        self._live = live

    @property
    def name(self) -> str:
        return self._account.name

    @property
    def kind(self) -> str:
        return "stripe"

    def admitted(self, body: bytes, headers: Mapping[str, str]) -> Signal | Refusal:
        if not self._secrets:
            return Refusal.UNSERVED
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return Refusal.SIGNATURE
        refusal = self._unproven(text, headers.get(HEADER, ""))
        if refusal is not None:
            return refusal
        try:
            event: Any
            if json.loads(text).get("object") == THIN:
                event = self._account.client.parse_event_notification_without_verification(text)
                occurred = datetime.fromisoformat(event.created).astimezone(UTC)
            else:
                event = self._account.client.construct_event_without_verification(text)
                occurred = datetime.fromtimestamp(event.created, UTC)
            name, kind, live = event.id, event.type, event.livemode
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError, RecursionError):
            return Refusal.MALFORMED
        if not all(isinstance(one, str) and one and one.isprintable() for one in (name, kind)):
            return Refusal.MALFORMED
        if live is not self._live:
            return Refusal.MODE
        return Signal(self.name, name, kind, occurred, text)

    def _unproven(self, text: str, header: str) -> Refusal | None:
        aged = False
        for secret in self._secrets:
            if _signed(text, header, secret, TOLERANCE):
                return None
            aged = aged or _signed(text, header, secret, None)
        return Refusal.STALE if aged else Refusal.SIGNATURE


def _signed(text: str, header: str, secret: str, tolerance: int | None) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(text, header, secret, tolerance))
    except (stripe.SignatureVerificationError, TypeError, ValueError, OverflowError):
        return False


class StripeSignals:
    """Keeps the promises of `ports.SignalReader`."""

    def __init__(self, account: StripeAccount) -> None:
        self._account = account
        self._api = account.client.v1

    @property
    def name(self) -> str:
        return self._account.name

    def read(self, signal: Signal) -> tuple[Fact, ...]:
        try:
            event = json.loads(signal.content)
        except (ValueError, RecursionError) as error:
            raise EdgeDisagrees(f"signal {signal.id} is kept as no JSON") from error
        if not isinstance(event, dict):
            raise EdgeDisagrees(f"signal {signal.id} is kept as {type(event).__name__} and not as an event")
        if event.get("object") == THIN:
            return self._thin(signal, event)
        told = (event.get("data") or {}).get("object")
        if not isinstance(told, dict):
            raise EdgeDisagrees(f"signal {signal.id} of kind {signal.kind} tells of no object")
        kind = str(told.get("object"))
        if not _same_words(event.get("api_version")) and kind in _AGAIN and signal.kind in KINDS:
            told = self._fetched(f"read {kind} of {signal.id}", f"{_AGAIN[kind]}{told.get('id')}")
        return facts(signal.kind, told, event, self.name, signal.occurred_at)

    def payments(self, invoice: str) -> tuple[Paid, ...]:
        found = self._account.asked(
            f"list payments of {invoice}",
            lambda: list(
                self._api.invoice_payments.list(
                    {"invoice": invoice, "status": "paid", "limit": PAGE}
                ).auto_paging_iter()
            ),
        )
        return tuple(fact for one in found if isinstance(fact := paid(one.to_dict()), Paid))

    def invoice_of(self, payment: str) -> str | None:
        if not payment.startswith("pi_"):
            # A charge without an intent pays no invoice of this API version.
            return None
        about: Any = {"payment": {"type": "payment_intent", "payment_intent": payment}, "limit": PAGE}
        page = self._account.asked(f"list what {payment} paid", lambda: self._api.invoice_payments.list(about))
        for one in page.data:
            return one.invoice if isinstance(one.invoice, str) else one.invoice.id
        return None

    def missed(self, since: datetime) -> Iterator[Signal]:
        after: dict[str, Any] = {}
        pages: list[list[Any]] = []
        while True:
            about: Any = {"types": list(KINDS), "created": {"gte": int(since.timestamp())}, "limit": PAGE, **after}
            page = self._account.asked("list events", lambda about=about: self._api.events.list(about))  # type: ignore[misc]
            pages.append(page.data)
            if not page.has_more or not page.data:
                break
            after = {"starting_after": page.data[-1].id}
        # Stripe lists the newest first.
        for data in reversed(pages):
            for event in reversed(data):
                told = json.dumps(event.to_dict(), default=str, separators=(",", ":"))
                yield Signal(self.name, event.id, event.type, datetime.fromtimestamp(event.created, UTC), told)

    def _thin(self, signal: Signal, event: Mapping[str, Any]) -> tuple[Fact, ...]:
        if signal.kind not in DECLINED:
            return (
                (Remark(f"{signal.kind} changes nothing"),)
                if signal.kind.startswith("v1.")
                else (Unknown(signal.kind),)
            )
        whole = self._fetched(f"read event {signal.id}", f"/v2/core/events/{signal.id}")
        return (declined({**event, **whole}, signal.occurred_at),)

    def _fetched(self, what: str, address: str) -> Mapping[str, Any]:
        answer = self._account.asked(what, lambda: self._account.client.raw_request("get", address))
        found = json.loads(answer.body)
        if not isinstance(found, dict):
            raise EdgeDisagrees(f"{what}: Stripe answered with no object")
        return found


def _same_words(version: Any) -> bool:
    """Is it of a version whose words are this library's? Monthly releases of one name only add to them."""
    return isinstance(version, str) and version.partition(".")[2] == stripe.api_version.partition(".")[2]
