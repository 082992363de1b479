"""Usage events to Stripe's meters: few one by one, many in streams.

One by one (v1) each is checked before it is answered, a thousand a second, one at a time for a customer and meter.
Streams (v2) take a hundred in a request and ten thousand requests a second, and are checked afterwards: what fails
there is told by an event (`errorreports`). Neither needs an idempotency key: an event carries its own name, and a name
that is known is as good as told; the number of an hour takes the place of the one before it, so nothing is ever added
twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import stripe

from rating.adapters.stripe.client import StripeAccount
from rating.core.periods import seconds
from rating.core.usageevents import UsageEvent
from rating.errors import EdgeRefused
from rating.ports import Unreported

BATCH = 100
"""Events in one request of a stream."""
SESSION_SECONDS = 14 * 60
"""A stream's token is good for fifteen minutes."""
STREAM_ABOVE = 1_000
"""From so many events on they go as a stream."""
EVENTS_PER_SECOND = 1_000
"""Stripe's published limit for single events with a live key. Streams take ten times as many requests."""
DIGITS = 15
"""The most digits of a value."""
_DUPLICATE = "duplicate_meter_event"


class StripeMeters:
    """Where events are sent.

    Args:
        workers: customers served at once; each one's events go one after the other.
    """

    def __init__(
        self,
        account: StripeAccount,
        *,
        workers: int = 4,
        stream_above: int = STREAM_ABOVE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._workers = workers
        self._stream_above = stream_above
        self._clock = clock
        self._turn = threading.Lock()
        self._stream: stripe.StripeClient | None = None
        self._until = 0.0
        self.batches = 0
        """Requests of streams so far."""

    def report(self, events: Sequence[UsageEvent], customers: Mapping[str, str]) -> Sequence[Unreported]:
        """See `ports.UsageGateway`."""
        declined: list[Unreported] = []
        good: list[UsageEvent] = []
        for event in events:
            why = _unfit(event, customers)
            if why:
                declined.append(Unreported(event, why))
            else:
                good.append(event)
        if len(good) > self._stream_above:
            return declined + self._streamed(good, customers)
        return declined + self._one_by_one(good, customers)

    def _one_by_one(self, events: Sequence[UsageEvent], customers: Mapping[str, str]) -> list[Unreported]:
        of_customer: dict[str, list[UsageEvent]] = {}
        for event in events:
            of_customer.setdefault(event.customer, []).append(event)
        if not of_customer:
            return []
        with ThreadPoolExecutor(min(self._workers, len(of_customer))) as pool:
            answers = [pool.submit(self._of_one, theirs, customers) for theirs in of_customer.values()]
        return [one for answer in answers for one in answer.result()]

    def _of_one(self, events: Sequence[UsageEvent], customers: Mapping[str, str]) -> list[Unreported]:
        declined = []
        for event in events:
            params: Any = {**_said(event, customers), "timestamp": seconds(event.at)}
            try:
                self._account.asked(
                    f"report usage {event.name}",
                    lambda params=params: self._sent(params),  # type: ignore[misc]
                )
            except EdgeRefused as error:
                declined.append(Unreported(event, str(error)))
        return declined

    def _sent(self, params: Any) -> None:
        try:
            self._account.client.v1.billing.meter_events.create(params)
        except stripe.InvalidRequestError as error:
            if error.code != _DUPLICATE and "already exists with identifier" not in str(error.user_message):
                raise

    def _streamed(self, events: Sequence[UsageEvent], customers: Mapping[str, str]) -> list[Unreported]:
        batches = [events[place : place + BATCH] for place in range(0, len(events), BATCH)]
        with ThreadPoolExecutor(min(self._workers, len(batches))) as pool:
            answers = [pool.submit(self._batch, batch, customers) for batch in batches]
        return [one for answer in answers for one in answer.result()]

    def _batch(self, events: Sequence[UsageEvent], customers: Mapping[str, str]) -> list[Unreported]:
        params: Any = {
            "events": [{**_said(one, customers), "timestamp": f"{one.at:%Y-%m-%dT%H:%M:%SZ}"} for one in events]
        }
        try:
            self._account.asked("report a stream of usage", lambda: self._stream_sent(params))
        except EdgeRefused as error:
            return [Unreported(event, str(error)) for event in events]
        with self._turn:
            self.batches += 1
        return []

    def _stream_sent(self, params: Any) -> None:
        try:
            self._session().v2.billing.meter_event_stream.create(params)
        except stripe.TemporarySessionExpiredError:
            self._forget()
            self._session().v2.billing.meter_event_stream.create(params)

    def _session(self) -> stripe.StripeClient:
        """A client with a token that is good for a while."""
        with self._turn:
            if self._stream is None or self._clock() >= self._until:
                begun = self._clock()
                session = self._account.client.v2.billing.meter_event_session.create({})
                self._stream = self._account.connected(session.authentication_token)
                self._until = begun + SESSION_SECONDS
            return self._stream

    def _forget(self) -> None:
        with self._turn:
            self._stream = None


def _said(event: UsageEvent, customers: Mapping[str, str]) -> dict[str, Any]:
    payload = {"stripe_customer_id": customers[event.customer], "value": str(event.value)}
    return {"event_name": event.meter, "identifier": event.name, "payload": payload}


def _unfit(event: UsageEvent, customers: Mapping[str, str]) -> str:
    if event.customer not in customers:
        return f"customer {event.customer} has no name at Stripe; its subscription was not made there"
    if event.value < 0:
        return f"usage of {event.value} is below zero; Stripe charges a sum below zero as none, correct the window"
    if len(str(event.value)) > DIGITS:
        return f"usage of {event.value} has more than {DIGITS} digits; give the meter a coarser resolution"
    return ""
