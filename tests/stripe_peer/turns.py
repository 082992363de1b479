"""Who is sent away: a second v1 meter event at a time for a customer and meter, and too many requests a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.stripe_peer.meters import active
from tests.stripe_peer.refusals import Refusal
from tests.stripe_peer.world import Call, World

_METER_EVENTS = "/v1/billing/meter_events"


class Turns:
    """What is under way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._under_way: set[tuple[str, str]] = set()
        self._second, self._seen = 0, 0

    @asynccontextmanager
    async def of(self, call: Call) -> AsyncIterator[None]:
        """Raises: Refusal 429, for a second meter event of one customer and meter, or too many in one second."""
        self._pace()
        if call.path != _METER_EVENTS or call.method != "POST":
            yield
            return
        payload = call.params["payload"]
        meter = active(self._world, call.params["event_name"])
        key = meter["customer_mapping"]["event_payload_key"] if meter else "stripe_customer_id"
        pair = (call.params["event_name"], payload.get(key, ""))
        if pair in self._under_way:
            raise Refusal(
                429,
                "This object cannot be accessed right now because another API request or Stripe process is currently "
                f"accessing it: one call at a time per customer per meter ({pair[1]}, {pair[0]}).",
                code="lock_timeout",
                stored=False,
            )
        self._under_way.add(pair)
        try:
            if self._world.settings.meter_event_seconds:
                await asyncio.sleep(self._world.settings.meter_event_seconds)
            yield
        finally:
            self._under_way.discard(pair)

    def _pace(self) -> None:
        allowed = self._world.settings.requests_per_second
        now = self._world.now()
        if now != self._second:
            self._second, self._seen = now, 0
        self._seen += 1
        if allowed and self._seen > allowed:
            raise Refusal(
                429,
                f"Request rate limit exceeded: {allowed} requests a second.",
                code="rate_limit",
                stored=False,
                headers={"Stripe-Rate-Limited-Reason": "global-rate"},
            )
