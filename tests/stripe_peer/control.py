"""The test's own door, `/_peer/...`: clock, faults, keys, webhooks, payments, and what happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from tests.stripe_peer import routes
from tests.stripe_peer.answers import Answer, Request, encoded
from tests.stripe_peer.deliveries import WayFault
from tests.stripe_peer.disputes import closed, opened
from tests.stripe_peer.endpoints import endpoints
from tests.stripe_peer.finalizations import finalized
from tests.stripe_peer.invoices import shown
from tests.stripe_peer.payments import card, collect, settled
from tests.stripe_peer.refunds import refunded
from tests.stripe_peer.refusals import Refusal
from tests.stripe_peer.service import Service
from tests.stripe_peer.shelves import Shelf
from tests.stripe_peer.world import Settings, World

Told = dict[str, Any]


class Control:
    """Answers what tests ask and order."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._doors: dict[tuple[str, str], Callable[[Told], Any]] = {
            ("GET", "clock"): lambda told: {"now": self._world.now()},
            ("POST", "clock"): self._clock,
            ("GET", "faults"): lambda told: service.faults.shown(),
            ("POST", "faults"): self._fault,
            ("DELETE", "faults"): lambda told: service.faults.clear(),
            ("GET", "requests"): lambda told: list(service.log),
            ("DELETE", "requests"): self._forget,
            ("GET", "state"): lambda told: state(self._world),
            ("GET", "settings"): lambda told: asdict(self._world.settings),
            ("POST", "settings"): self._settings,
            ("POST", "keys"): self._keys,
            ("GET", "webhooks"): lambda told: service.deliveries.shown(),
            ("POST", "webhooks"): self._hold,
            ("POST", "webhooks/faults"): self._way_fault,
            ("DELETE", "webhooks/faults"): lambda told: service.deliveries.faults.clear(),
            ("POST", "webhooks/release"): lambda told: {"count": service.deliveries.release(**told)},
            ("POST", "webhooks/again"): lambda told: {"count": service.deliveries.again(told.get("event"))},
            ("POST", "card"): self._card,
            ("POST", "pay"): self._pay,
            ("POST", "refund"): self._refund,
            ("POST", "dispute"): self._dispute,
            ("POST", "dispute/close"): self._close,
            ("GET", "endpoints"): lambda told: {
                "known": len(endpoints()),
                "served": sorted(" ".join(one) for one in routes.ROUTES),
            },
            ("GET", "defects"): lambda told: service.defects,
        }

    @property
    def _world(self) -> World:
        return self._service.world

    async def answer(self, request: Request) -> Answer:
        name = request.path.removeprefix("/_peer/")
        if (request.method, name) == ("POST", "webhooks/settle"):
            return await self._settle()
        door = self._doors.get((request.method, name))
        if door is None:
            return Answer(404, encoded({"error": {"message": f"no control {request.method} {request.path}"}}))
        try:
            told = json.loads(request.body) if request.body else {}
            done = door(told)
        except Refusal as refusal:
            return Answer(refusal.status, encoded(refusal.body))
        except (KeyError, TypeError, ValueError) as error:
            return Answer(400, encoded({"error": {"message": f"{type(error).__name__}: {error}"}}))
        return Answer(200, encoded({} if done is None else done))

    async def _settle(self) -> Answer:
        """Answer once no webhook is due or under way."""
        while not self._service.deliveries.settled():
            await asyncio.sleep(0.005)
        return Answer(200, encoded({}))

    def _clock(self, told: Told) -> Told:
        """`{"to": second}` or `{"by": seconds}`, and `{"standing": true}`."""
        if "standing" in told:
            self._world.clock.stand(told["standing"])
        to = told["to"] if "to" in told else self._world.now() + told.get("by", 0)
        if to < self._world.now():
            raise ValueError(f"the clock is at {self._world.now()} and goes forwards only, not to {to}")
        self._world.advance(to)
        self._service.deliveries.wake()
        return {"now": self._world.now()}

    def _fault(self, told: Told) -> None:
        for script in told if isinstance(told, list) else [told]:
            self._service.faults.add(**script)

    def _forget(self, told: Told) -> None:
        """Requests count from 1 again."""
        self._service.log.clear()
        self._service.count = 0

    def _settings(self, told: Told) -> Told:
        known = {one.name for one in fields(Settings)}
        for name, value in told.items():
            if name not in known:
                raise ValueError(f"no setting {name}; there are {', '.join(sorted(known))}")
            setattr(self._world.settings, name, value)
        return asdict(self._world.settings)

    def _keys(self, told: Told) -> None:
        """Keys with their scopes; null may do everything."""
        for key, scopes in told.items():
            if not key.startswith(("sk_test_", "rk_test_", "sk_live_", "rk_live_")):
                raise ValueError(f"{key} is no key of Stripe's")
            self._service.accounts.keys[key] = scopes

    def _hold(self, told: Told) -> None:
        self._service.deliveries.held = bool(told["held"])
        self._service.deliveries.wake()

    def _way_fault(self, told: Told) -> None:
        self._service.deliveries.faults.append(WayFault(**told))

    def _card(self, told: Told) -> Any:
        customer = self._world.customers.get(told["customer"])
        return card(self._world, customer, told.get("card", "pm_card_visa"))["id"]

    def _pay(self, told: Told) -> Any:
        """The customer pays an open invoice on its page."""
        invoice = self._world.invoices.get(told["invoice"])
        if invoice["status"] == "draft":
            finalized(self._world, invoice)
        if invoice["status"] not in ("open", "uncollectible"):
            raise ValueError(f"the invoice is {invoice['status']}")
        if told.get("out_of_band"):
            settled(self._world, invoice, invoice["amount_remaining"])
        else:
            collect(self._world, invoice, token=told.get("card", "pm_card_visa"))
        return shown(self._world, invoice)

    def _charge(self, told: Told) -> Any:
        if "charge" in told:
            return self._world.charges.get(told["charge"])
        payments = self._world.payments.having("invoice", told["invoice"])
        if not payments:
            raise ValueError(f"the invoice {told['invoice']} was not paid by card")
        intent = self._world.intents.get(payments[-1]["payment"]["payment_intent"])
        return self._world.charges.get(intent["latest_charge"])

    def _refund(self, told: Told) -> Any:
        return refunded(self._world, self._charge(told), told.get("amount"))

    def _dispute(self, told: Told) -> Any:
        return opened(self._world, self._charge(told), told.get("reason", "fraudulent"))

    def _close(self, told: Told) -> Any:
        return closed(self._world, self._world.disputes.get(told["dispute"]), told["status"])


def state(world: World) -> Told:
    """Every object, as the API would show it, by kind."""
    found: Told = {name: list(value) for name, value in vars(world).items() if isinstance(value, Shelf)}
    found["invoices"] = [{**invoice, "lines": world.lines[invoice["id"]]} for invoice in world.invoices]
    found["credit_notes"] = [{**note, "lines": world.credit_lines[note["id"]]} for note in world.credit_notes]
    found["meter_events"] = [
        {
            "meter": meter,
            "customer": customer,
            "timestamp": event.timestamp,
            "value": event.value,
            "cancelled": event.cancelled,
            "received": event.received,
        }
        for (meter, customer), series in world.usage.series.items()
        for event in series.events
    ]
    found["now"] = world.now()
    return found
