"""Webhooks: each event to each endpoint that asks for it, signed by the SDK's own signer, tried again until accepted.

Faults of the way lie here: events twice, late, out of order, never, forged or stale.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import httpx
from stripe import WebhookSignature

from tests.stripe_peer.answers import encoded
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import World

AGAIN = (0, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 86_400)
"""Seconds of the server's clock before each attempt: about three days in all, as in live mode."""
_PATIENCE = 20.0


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    event: str
    type: str
    endpoint: str
    due: int
    attempt: int = 0
    status: int | str | None = None
    """Of the last attempt: a status, or the name of what went wrong."""
    done: bool = False
    forged: bool = False
    stale: int = 0


@dataclass(slots=True)
class WayFault:
    """What happens on the way to events of matching types."""

    type: str = "*"
    copies: int = 1
    drop: bool = False
    delay: int = 0
    """Seconds of the server's clock."""
    forged: bool = False
    """Signed with another secret."""
    stale: int = 0
    """Seconds by which the signature is older than it should be."""
    times: int | None = None
    played: int = 0


@dataclass
class Deliveries:
    """All of them. Runs in the server's loop."""

    world: World
    held: bool = False
    """Nothing leaves until `release`."""
    faults: list[WayFault] = field(default_factory=list)
    log: list[Delivery] = field(default_factory=list)
    _waiting: list[Delivery] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: bool = False

    def __post_init__(self) -> None:
        self.world.listeners.append(self.heard)

    def heard(self, event: Thing, thin: bool) -> None:
        """An event happened: put it on its way to all that listen."""
        for name in self._listening(event["type"], thin):
            fault = self._fault(event["type"]) or WayFault()
            for _ in range(0 if fault.drop else fault.copies):
                delivery = Delivery(event["id"], event["type"], name, self.world.now() + fault.delay)
                delivery.forged, delivery.stale = fault.forged, fault.stale
                self._waiting.append(delivery)
                self.log.append(delivery)
                if not thin:
                    event["pending_webhooks"] += 1
        self._wake.set()

    def _listening(self, kind: str, thin: bool) -> list[str]:
        names = [] if thin else [one["id"] for one in self.world.endpoints if _wants(one, kind)]
        payload = "thin" if thin else "snapshot"
        destinations = (one for one in self.world.destinations if one["event_payload"] == payload)
        return names + [one["id"] for one in destinations if _wants(one, kind)]

    def _fault(self, kind: str) -> WayFault | None:
        for fault in self.faults:
            if fnmatchcase(kind, fault.type) and (fault.times is None or fault.played < fault.times):
                fault.played += 1
                return fault
        return None

    def release(self, order: str = "kept", seed: int = 0, copies: int = 1) -> int:
        """Let go what was held: `kept`, `reversed` or `shuffled`, each so many times. Returns how many."""
        self._waiting += [
            Delivery(one.event, one.type, one.endpoint, one.due, forged=one.forged, stale=one.stale)
            for one in list(self._waiting)
            for _ in range(copies - 1)
        ]
        if order == "reversed":
            self._waiting.reverse()
        elif order == "shuffled":
            random.Random(seed).shuffle(self._waiting)
        elif order != "kept":
            raise ValueError(f"order is kept, reversed or shuffled, not {order!r}")
        self.held = False
        self._wake.set()
        return len(self._waiting)

    def again(self, event: str | None = None) -> int:
        """Send this event once more (all that were not accepted, when none is named), now."""
        now, count = self.world.now(), 0
        if event is None:
            for delivery in self._waiting:
                delivery.due = min(delivery.due, now)
                count += 1
        else:
            for one in [one for one in self.log if one.event == event]:
                copy = Delivery(one.event, one.type, one.endpoint, now)
                self._waiting.append(copy)
                self.log.append(copy)
                count += 1
        self._wake.set()
        return count

    def wake(self) -> None:
        """The clock has moved."""
        self._wake.set()

    def settled(self) -> bool:
        """Nothing is due and nothing under way."""
        return not self._busy and (self.held or not any(one.due <= self.world.now() for one in self._waiting))

    def shown(self) -> dict[str, Any]:
        return {
            "held": self.held,
            "waiting": [asdict(one) for one in self._waiting],
            "log": [asdict(one) for one in self.log],
            "faults": [asdict(one) for one in self.faults],
        }

    async def run(self) -> None:
        """Deliver for ever; cancelled at the end."""
        async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._busy = True
                try:
                    while not self.held and (due := self._next()) is not None:
                        await self._send(client, due)
                finally:
                    self._busy = False

    def _next(self) -> Delivery | None:
        now = self.world.now()
        for number, delivery in enumerate(self._waiting):
            if delivery.due <= now:
                return self._waiting.pop(number)
        return None

    async def _send(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        target = self._target(delivery.endpoint)
        if target is None:
            delivery.status = "endpoint removed"
            return
        url, secret = target
        thin = delivery.event in self.world.thin_events
        event = (self.world.thin_events if thin else self.world.events).get(delivery.event)
        if thin:
            event = {name: value for name, value in event.items() if name != "data"}
        body = encoded(event)
        if delivery.forged:
            secret = "whsec_somebody_else"
        # Receivers compare with the machine's clock, not with the server's.
        when = int(time.time()) - delivery.stale
        signature = WebhookSignature.generate_signature_header(body.decode(), secret, when)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature,
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        delivery.attempt += 1
        try:
            delivery.status = (await client.post(url, content=body, headers=headers)).status_code
        except httpx.HTTPError as error:
            delivery.status = type(error).__name__
        delivery.done = isinstance(delivery.status, int) and 200 <= delivery.status < 300
        if delivery.done:
            if not thin:
                event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
        elif delivery.attempt < len(AGAIN):
            delivery.due = self.world.now() + AGAIN[delivery.attempt]
            self._waiting.append(delivery)
            self.world.later(delivery.due, lambda _: self._wake.set())

    def _target(self, name: str) -> tuple[str, str] | None:
        if name in self.world.endpoints:
            endpoint = self.world.endpoints.get(name)
            return endpoint["url"], endpoint["_secret"]
        if name in self.world.destinations:
            destination = self.world.destinations.get(name)
            return destination["webhook_endpoint"]["url"], destination["_secret"]
        return None


def _wants(endpoint: Thing, kind: str) -> bool:
    enabled = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in enabled or kind in enabled)
