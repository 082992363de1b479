"""Meter events: one by one (v1, v2), answered after they are checked, or in streams, whose mistakes are told later."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Any

from tests.stripe_peer.events import emit_thin, stamp
from tests.stripe_peer.meters import active
from tests.stripe_peer.refusals import Refusal, wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import DAY, Call, World

OLDEST, NEWEST = 35 * DAY, 300
SESSION = 900
BATCH = 100
DIGITS = 15
_WHOLE = re.compile(r"-?\d+")


class Mistake(Exception):
    """What is wrong with one event, by the code of Stripe's error reports."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def _record(world: World, sent: dict[str, Any], timestamp: int, identifier: str, *, async_: bool) -> bool:
    """Keep one event. False: one with that identifier is there already.

    Raises:
        Mistake: it cannot be counted.
    """
    name, payload, now = sent["event_name"], sent["payload"], world.now()
    meter = active(world, name)
    if meter is None:
        raise Mistake("no_meter", f"No active meter found for event name {name}", "event_name")
    if timestamp < now - OLDEST:
        raise Mistake("timestamp_too_far_in_past", f"The timestamp {timestamp} is more than 35 days ago", "timestamp")
    if timestamp > now + NEWEST:
        raise Mistake("timestamp_in_future", f"The timestamp {timestamp} is more than 5 minutes ahead", "timestamp")
    customer_key = meter["customer_mapping"]["event_payload_key"]
    value_key = meter["value_settings"]["event_payload_key"]
    customer = payload.get(customer_key)
    if not customer:
        raise Mistake(
            "meter_event_no_customer_defined", f"The payload has no {customer_key}", f"payload[{customer_key}]"
        )
    if customer not in world.customers:
        raise Mistake("meter_event_customer_not_found", f"No such customer: '{customer}'", f"payload[{customer_key}]")
    counted = meter["default_aggregation"]["formula"] == "count"
    value = payload.get(value_key, "1" if counted else "")
    if not _WHOLE.fullmatch(value):
        raise Mistake(
            "meter_event_invalid_value",
            f"The value must be a whole number; you sent {value!r}",
            f"payload[{value_key}]",
        )
    if len(value.lstrip("-0")) > DIGITS:
        raise Mistake(
            "meter_event_value_too_many_digits",
            f"The value {value} has more than {DIGITS} digits",
            f"payload[{value_key}]",
        )
    if world.usage.known(name, identifier, now - DAY) is not None:
        if async_:
            return False
        raise Mistake("duplicate_meter_event", f"An event already exists with identifier {identifier}", "identifier")
    world.usage.keep(meter["id"], customer, name, identifier, timestamp, int(value), now)
    return True


@serves("post", "/v1/billing/meter_events")
def created(world: World, call: Call) -> Thing:
    timestamp = call.get("timestamp", world.now())
    identifier = call.get("identifier") or f"peer_{world.number():032x}"
    try:
        _record(world, call.params, timestamp, identifier, async_=False)
    except Mistake as mistake:
        if not world.settings.meter_errors_later or mistake.code == "duplicate_meter_event":
            raise wrong(mistake.message, mistake.param, mistake.code) from None
        _reported(world, [(call.params, mistake)])
    return {
        "object": "billing.meter_event",
        "created": world.now(),
        "event_name": call.params["event_name"],
        "identifier": identifier,
        "livemode": call.livemode,
        "payload": call.params["payload"],
        "timestamp": timestamp,
    }


@serves("post", "/v2/billing/meter_events")
def created_v2(world: World, call: Call) -> Thing:
    timestamp = _second(call.get("timestamp"), world, "timestamp")
    identifier = call.get("identifier") or f"peer_{world.number():032x}"
    try:
        _record(world, call.params, timestamp, identifier, async_=False)
    except Mistake as mistake:
        raise wrong(mistake.message, mistake.param, mistake.code) from None
    return {
        "object": "v2.billing.meter_event",
        "created": stamp(world.now()),
        "event_name": call.params["event_name"],
        "identifier": identifier,
        "livemode": call.livemode,
        "payload": call.params["payload"],
        "timestamp": stamp(timestamp),
    }


def _second(text: str | None, world: World, param: str) -> int:
    if text is None:
        return world.now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong(f"Invalid timestamp: {text}", param) from None
    if moment.tzinfo is None:
        raise wrong(f"Invalid timestamp, it has no offset: {text}", param)
    return int(moment.timestamp())


@serves("post", "/v2/billing/meter_event_session")
def session(world: World, call: Call) -> Thing:
    number = world.number()
    token = f"mes_token_peer_{number:020d}"
    world.sessions[token] = world.now() + SESSION
    return {
        "id": f"mes_{number:014d}",
        "object": "v2.billing.meter_event_session",
        "authentication_token": token,
        "created": stamp(world.now()),
        "expires_at": stamp(world.now() + SESSION),
        "livemode": call.livemode,
    }


@serves("post", "/v2/billing/meter_event_stream")
def streamed(world: World, call: Call) -> Thing:
    events = call.params["events"]
    if not 0 < len(events) <= BATCH:
        raise wrong(f"A request takes 1 to {BATCH} events; you sent {len(events)}", "events")
    mistakes = []
    for number, sent in enumerate(events):
        timestamp = _second(sent.get("timestamp"), world, f"events[{number}].timestamp")
        try:
            _record(world, sent, timestamp, sent.get("identifier") or f"peer_{world.number():032x}", async_=True)
        except Mistake as mistake:
            mistakes.append((sent, mistake))
    _reported(world, mistakes)
    return {}


def _reported(world: World, mistakes: list[tuple[dict[str, Any], Mistake]]) -> None:
    """Thin events about what could not be counted: one for each meter, and one for names that no meter has."""
    by_meter: dict[str | None, list[tuple[dict[str, Any], Mistake]]] = {}
    for sent, mistake in mistakes:
        meter = active(world, sent["event_name"])
        by_meter.setdefault(meter["id"] if meter else None, []).append((sent, mistake))
    for name, some in by_meter.items():
        codes = Counter(mistake.code for _, mistake in some)
        data = {
            "developer_message_summary": f"There {'is' if len(some) == 1 else 'are'} {len(some)} invalid event"
            f"{'' if len(some) == 1 else 's'}",
            "reason": {
                "error_count": len(some),
                "error_types": [
                    {
                        "code": code,
                        "error_count": count,
                        "sample_errors": [
                            {"error_message": mistake.message, "request": {"identifier": sent.get("identifier", "")}}
                            for sent, mistake in some
                            if mistake.code == code
                        ][:5],
                    }
                    for code, count in codes.items()
                ],
            },
            "validation_start": stamp(world.now()),
            "validation_end": stamp(world.now() + 1),
        }
        kind = "v1.billing.meter.no_meter_found" if name is None else "v1.billing.meter.error_report_triggered"
        emit_thin(world, kind, world.meters.get(name) if name else None, data)


@serves("post", "/v1/billing/meter_event_adjustments")
def adjusted(world: World, call: Call) -> Thing:
    name, identifier = call.params["event_name"], (call.get("cancel") or {}).get("identifier")
    if not identifier:
        raise wrong("Missing required param: cancel[identifier].", "cancel[identifier]", "parameter_missing")
    event = world.usage.identifiers.get((name, identifier))
    if event is None:
        raise Refusal(404, f"No such meter event: '{identifier}'", code="resource_missing", param="cancel[identifier]")
    if event.received < world.now() - DAY:
        raise wrong(
            f"The event {identifier} was received more than 24 hours ago and can't be cancelled", "cancel[identifier]"
        )
    if event.cancelled:
        raise wrong(f"The event {identifier} is cancelled already", "cancel[identifier]")
    event.cancelled = True
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": name,
        "livemode": call.livemode,
        "status": "complete",
        "type": "cancel",
    }
