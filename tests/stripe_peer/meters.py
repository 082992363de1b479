"""Billing meters, which cannot change beyond their names, and what they show."""

from __future__ import annotations

from tests.stripe_peer.events import emit
from tests.stripe_peer.lines import in_order
from tests.stripe_peer.refusals import wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.usage import WINDOWS
from tests.stripe_peer.world import Call, World

_URL = "/v1/billing/meters"


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    name = call.params["event_name"]
    if any(meter["status"] == "active" for meter in world.meters.having("event_name", name)):
        raise wrong(f"An active meter with the event name {name} already exists", "event_name")
    mapping = call.get("customer_mapping") or {"event_payload_key": "stripe_customer_id", "type": "by_id"}
    meter: Thing = {
        "id": world.meters.new_id(),
        "object": "billing.meter",
        "created": world.now(),
        "customer_mapping": mapping,
        "default_aggregation": {"formula": call.params["default_aggregation"]["formula"]},
        "display_name": call.params["display_name"],
        "event_name": name,
        "event_time_window": call.get("event_time_window"),
        "livemode": call.livemode,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": world.now(),
        "value_settings": call.get("value_settings") or {"event_payload_key": "value"},
    }
    world.meters.put(meter)
    emit(world, "billing.meter.created", meter)
    return meter


def active(world: World, event_name: str) -> Thing | None:
    """The meter that events of that name go to."""
    return next((meter for meter in world.meters.having("event_name", event_name) if meter["status"] == "active"), None)


@serves("get", _URL + "/{id}")
def retrieved(world: World, call: Call) -> Thing:
    return world.meters.get(call.ids[0], "id")


@serves("post", _URL + "/{id}")
def updated(world: World, call: Call) -> Thing:
    """The SDK's type admits the display name alone."""
    meter = world.meters.get(call.ids[0], "id")
    old = {"display_name": meter["display_name"]}
    meter.update(display_name=call.get("display_name", meter["display_name"]), updated=world.now())
    emit(world, "billing.meter.updated", meter, old)
    return meter


@serves("post", _URL + "/{id}/deactivate")
def deactivated(world: World, call: Call) -> Thing:
    meter = world.meters.get(call.ids[0], "id")
    used = any(price["active"] and (price["recurring"] or {}).get("meter") == meter["id"] for price in world.prices)
    if used:
        raise wrong("You cannot deactivate a meter that has active prices", "id")
    meter.update(status="inactive", status_transitions={"deactivated_at": world.now()}, updated=world.now())
    world.meters.put(meter)
    emit(world, "billing.meter.deactivated", meter)
    return meter


@serves("post", _URL + "/{id}/reactivate")
def reactivated(world: World, call: Call) -> Thing:
    meter = world.meters.get(call.ids[0], "id")
    if active(world, meter["event_name"]) is not None:
        raise wrong(f"An active meter with the event name {meter['event_name']} already exists", "id")
    meter.update(status="active", status_transitions={"deactivated_at": None}, updated=world.now())
    world.meters.put(meter)
    emit(world, "billing.meter.reactivated", meter)
    return meter


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    return world.meters.page(call.params, _URL, status=call.get("status"))


def total(world: World, meter: Thing, customer: str, start: int, end: int) -> int:
    """What the meter shows for a customer over [start, end), as far as it is known by now."""
    return world.usage.total(
        meter["id"],
        customer,
        start,
        end,
        meter["default_aggregation"]["formula"],
        meter["event_time_window"],
        world.now() - world.settings.meter_delay,
    )


@serves("get", _URL + "/{id}/event_summaries")
def summaries(world: World, call: Call) -> Thing:
    meter = world.meters.get(call.ids[0], "id")
    customer, start, end = call.params["customer"], call.params["start_time"], call.params["end_time"]
    world.customers.named(customer, "customer")
    grouping = call.get("value_grouping_window")
    step = WINDOWS[grouping] if grouping else 60
    for name, value in (("start_time", start), ("end_time", end)):
        if value % step:
            raise wrong(f"{name} must be aligned with {grouping or 'minute'} boundaries; you sent {value}", name)
    if end <= start:
        raise wrong("end_time must be after start_time", "end_time")
    spans = (
        [(start, end)]
        if grouping is None
        else [(at, at + step) for at in _used(world, meter, customer, start, end, step)]
    )
    found = [
        {
            "id": f"mtrusg_{meter['id']}_{customer}_{low}_{high}",
            "object": "billing.meter_event_summary",
            "aggregated_value": float(total(world, meter, customer, low, high)),
            "end_time": high,
            "livemode": call.livemode,
            "meter": meter["id"],
            "start_time": low,
        }
        for low, high in reversed(spans)
    ]
    return in_order(found, call.params, f"{_URL}/{meter['id']}/event_summaries", "meter event summary")


def _used(world: World, meter: Thing, customer: str, start: int, end: int, step: int) -> list[int]:
    """The starts of the windows in which something happened."""
    series = world.usage.series.get((meter["id"], customer))
    events = series.events if series else ()
    return sorted({event.timestamp // step * step for event in events if start <= event.timestamp < end})
