"""Events: one for each change, kept 30 days, with the object as it was at that moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from tests.stripe_peer.answers import encoded
from tests.stripe_peer.refusals import missing
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import API_VERSION, DAY, Call, World

KEPT = 30 * DAY


def emit(world: World, kind: str, thing: Thing, previous: dict[str, Any] | None = None) -> None:
    """Say that this happened to that object. `previous` has the old values of what an update changed."""
    if not world.settings.record_events:
        return
    data: dict[str, Any] = {"object": msgspec.Raw(encoded(thing))}
    if previous is not None:
        data["previous_attributes"] = msgspec.Raw(encoded(previous))
    cause = world.cause
    event = {
        "id": world.events.new_id(),
        "object": "event",
        "api_version": API_VERSION,
        "created": world.now(),
        "data": data,
        "livemode": world.livemode,
        "pending_webhooks": 0,
        "request": {
            "id": cause.request_id if cause else None,
            "idempotency_key": cause.idempotency_key if cause else None,
        },
        "type": kind,
    }
    world.events.put(event)
    for listener in world.listeners:
        listener(event, False)


def emit_thin(world: World, kind: str, related: Thing | None, data: dict[str, Any]) -> None:
    """A v2 event: what is sent has the related object's address, what is fetched has `data` as well."""
    event: Thing = {
        "id": world.thin_events.new_id(),
        "object": "v2.core.event",
        "type": kind,
        "created": stamp(world.now()),
        "livemode": False,
        "context": None,
        "reason": None,
        "data": data,
    }
    if related is not None:
        event["related_object"] = {
            "id": related["id"],
            "type": related["object"],
            "url": f"/v1/billing/meters/{related['id']}",
        }
    world.thin_events.put(event)
    for listener in world.listeners:
        listener(event, True)


def stamp(second: int) -> str:
    """A time as v2 writes it."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@serves("get", "/v1/events")
def listed(world: World, call: Call) -> Thing:
    created = call.get("created") or {}
    if isinstance(created, int):
        created = {"gte": created, "lte": created}
    oldest = world.now() - KEPT
    params = {**call.params, "created": {**created, "gte": max(oldest, created.get("gte", oldest))}}
    kinds = call.get("types")
    if kinds:
        pages = [world.events.page({**params, "limit": 100}, "/v1/events", type=kind) for kind in kinds]
        found = sorted((event for page in pages for event in page["data"]), key=lambda event: event["id"], reverse=True)
        limit = params.get("limit", 10)
        more = len(found) > limit or any(page["has_more"] for page in pages)
        return {"object": "list", "data": found[:limit], "has_more": more, "url": "/v1/events"}
    return world.events.page(params, "/v1/events", type=call.get("type"))


@serves("get", "/v1/events/{id}")
def retrieved(world: World, call: Call) -> Thing:
    event = world.events.get(call.ids[0])
    if event["created"] < world.now() - KEPT:
        raise missing("event", call.ids[0])
    return event


@serves("get", "/v2/core/events/{id}")
def thin_retrieved(world: World, call: Call) -> Thing:
    return world.thin_events.get(call.ids[0])


@serves("get", "/v2/core/events")
def thin_listed(world: World, call: Call) -> Thing:
    found = [
        event
        for event in reversed(list(world.thin_events))
        if not call.get("object_id") or event.get("related_object", {}).get("id") == call.get("object_id")
    ]
    return {"data": found[: call.get("limit", 20)], "next_page_url": None, "previous_page_url": None}
