"""Where events are sent: webhook endpoints of v1, and event destinations of v2 for thin events."""

from __future__ import annotations

from tests.stripe_peer.events import stamp
from tests.stripe_peer.limits import merged
from tests.stripe_peer.refusals import unserved, wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import API_VERSION, Call, World

_URL = "/v1/webhook_endpoints"


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    if not call.params["url"].startswith(("http://", "https://")):
        raise wrong("Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid")
    endpoint: Thing = {
        "id": world.endpoints.new_id(),
        "object": "webhook_endpoint",
        "api_version": call.get("api_version") or API_VERSION,
        "application": None,
        "created": world.now(),
        "description": call.get("description"),
        "enabled_events": call.params["enabled_events"],
        "livemode": call.livemode,
        "metadata": merged({}, call.get("metadata")),
        "status": "enabled",
        "url": call.params["url"],
    }
    endpoint["_secret"] = f"whsec_peer{world.number():028d}"
    world.endpoints.put(endpoint)
    # The secret is told once, here.
    return {**_shown(endpoint), "secret": endpoint["_secret"]}


def _shown(endpoint: Thing) -> Thing:
    return {name: value for name, value in endpoint.items() if name != "_secret"}


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    page = world.endpoints.page(call.params, _URL)
    return {**page, "data": [_shown(one) for one in page["data"]]}


@serves("get", _URL + "/{id}")
def retrieved(world: World, call: Call) -> Thing:
    return _shown(world.endpoints.get(call.ids[0]))


@serves("post", _URL + "/{id}")
def updated(world: World, call: Call) -> Thing:
    endpoint = world.endpoints.get(call.ids[0])
    for name in ("url", "enabled_events", "description"):
        if name in call.params:
            endpoint[name] = call.params[name]
    if "disabled" in call.params:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
    endpoint["metadata"] = merged(endpoint["metadata"], call.get("metadata"))
    return _shown(endpoint)


@serves("delete", _URL + "/{id}")
def deleted(world: World, call: Call) -> Thing:
    world.endpoints.get(call.ids[0])
    world.endpoints.remove(call.ids[0])
    return {"id": call.ids[0], "object": "webhook_endpoint", "deleted": True}


@serves("post", "/v2/core/event_destinations")
def destination_created(world: World, call: Call) -> Thing:
    if call.params["type"] != "webhook_endpoint":
        raise unserved(f"event destinations of type {call.params['type']}")
    now = stamp(world.now())
    destination: Thing = {
        "id": world.destinations.new_id(),
        "object": "v2.core.event_destination",
        "created": now,
        "description": call.get("description", ""),
        "enabled_events": call.params["enabled_events"],
        "event_payload": call.params["event_payload"],
        "livemode": call.livemode,
        "metadata": call.get("metadata") or {},
        "name": call.params["name"],
        "snapshot_api_version": call.get("snapshot_api_version"),
        "status": "enabled",
        "type": "webhook_endpoint",
        "updated": now,
        "webhook_endpoint": {"url": call.params["webhook_endpoint"]["url"]},
    }
    destination["_secret"] = f"whsec_peer{world.number():028d}"
    world.destinations.put(destination)
    shown = _shown(destination)
    if "webhook_endpoint.signing_secret" in (call.get("include") or ()):
        shown["webhook_endpoint"] = {**shown["webhook_endpoint"], "signing_secret": destination["_secret"]}
    return shown


@serves("get", "/v2/core/event_destinations")
def destinations_listed(world: World, call: Call) -> Thing:
    found = [_shown(one) for one in world.destinations]
    return {"data": found[: call.get("limit", 20)], "next_page_url": None, "previous_page_url": None}
