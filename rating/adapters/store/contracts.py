"""Contracts in the tables: versions of the catalogue, subscriptions by command with ends and pauses, items."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, select

from rating.adapters.store.bulk import insert_new
from rating.adapters.store.tables import cancellations, catalogues, items, pauses, resumptions, subscriptions
from rating.core.canonical import canonical, digest, read
from rating.core.entries import cancellable, same_cancellation, same_catalogue, same_subscription, whole_seconds
from rating.core.items import Item, same_item
from rating.core.periods import from_milliseconds, from_seconds, milliseconds
from rating.core.subscriptions import Pause, Subscription, pausable, resumable
from rating.ports import KeptCatalogue


def keep_catalogue(connection: Connection, digest: str, text: str, in_force_from: datetime, at: datetime) -> bool:
    # The key says from when; one digest names one text whenever it is in force.
    kept = connection.execute(select(catalogues.c.text).where(catalogues.c.digest == digest)).scalar()
    if kept is not None:
        same_catalogue(digest, text, kept)
    entry = {
        "digest": digest,
        "in_force_from": whole_seconds(in_force_from, f"catalogue {digest}"),
        "text": text,
        "recorded_at": milliseconds(at),
    }
    return insert_new(connection, catalogues, entry, catalogues.c.id) is not None


def kept_catalogues(connection: Connection) -> tuple[KeptCatalogue, ...]:
    order = (catalogues.c.in_force_from, catalogues.c.recorded_at, catalogues.c.id)
    return tuple(
        KeptCatalogue(row.digest, row.text, from_seconds(row.in_force_from), from_milliseconds(row.recorded_at))
        for row in connection.execute(select(catalogues).order_by(*order))
    )


def subscribe(connection: Connection, subscription: Subscription, at: datetime) -> bool:
    where = f"subscription {subscription.key}"
    entry = {
        "key": subscription.key,
        "consumer": subscription.consumer,
        "plan": subscription.plan,
        "start": whole_seconds(subscription.start, where),
        "end": None if subscription.end is None else whole_seconds(subscription.end, where),
        "customer": subscription.customer,
        "anchor": subscription.anchor.isoformat(),
        "zone": subscription.zone.key,
        "at": milliseconds(at),
    }
    if insert_new(connection, subscriptions, entry, subscriptions.c.id) is not None:
        return True
    kept = connection.execute(select(subscriptions).where(subscriptions.c.key == subscription.key)).one()
    same_subscription(subscription, _subscription(kept))
    return False


def cancel(connection: Connection, key: str, end: datetime, at: datetime) -> None:
    kept = connection.execute(select(subscriptions).where(subscriptions.c.key == key)).one_or_none()
    cancellable(key, end, None if kept is None else _subscription(kept))
    entry = {"key": key, "end": whole_seconds(end, f"subscription {key}"), "at": milliseconds(at)}
    if insert_new(connection, cancellations, entry, cancellations.c.id) is None:
        before = connection.execute(select(cancellations.c.end).where(cancellations.c.key == key)).scalar_one()
        same_cancellation(key, end, from_seconds(before))


def kept_subscriptions(connection: Connection) -> tuple[Subscription, ...]:
    ends = {row.key: from_seconds(row.end) for row in connection.execute(select(cancellations))}
    kept = map(_subscription, connection.execute(select(subscriptions).order_by(subscriptions.c.key)))
    return tuple(replace(one, end=ends[one.key]) if one.key in ends else one for one in kept)


def pause(connection: Connection, subscription: str, start: datetime, at: datetime) -> bool:
    if not pausable(subscription, start, kept_pauses(connection).get(subscription, ())):
        return False
    entry = {
        "key": f"{subscription}/{start.isoformat()}",
        "subscription": subscription,
        "start": whole_seconds(start, f"subscription {subscription}"),
        "at": milliseconds(at),
    }
    return insert_new(connection, pauses, entry, pauses.c.id) is not None


def resume(connection: Connection, subscription: str, end: datetime, at: datetime) -> bool:
    paused = resumable(subscription, end, kept_pauses(connection).get(subscription, ()))
    if paused is None:
        return False
    entry = {
        "pause": f"{subscription}/{paused.start.isoformat()}",
        "end": whole_seconds(end, f"subscription {subscription}"),
        "at": milliseconds(at),
    }
    return insert_new(connection, resumptions, entry, resumptions.c.id) is not None


def kept_pauses(connection: Connection) -> dict[str, tuple[Pause, ...]]:
    statement = (
        select(pauses.c.subscription, pauses.c.start, resumptions.c.end)
        .join(resumptions, resumptions.c.pause == pauses.c.key, isouter=True)
        .order_by(pauses.c.subscription, pauses.c.start)
    )
    found: dict[str, tuple[Pause, ...]] = {}
    for name, start, end in connection.execute(statement):
        one = Pause(from_seconds(start), None if end is None else from_seconds(end))
        found[name] = (*found.get(name, ()), one)
    return found


def add_item(connection: Connection, item: Item, at: datetime) -> bool:
    content = canonical(item)
    entry = {
        "key": item.key,
        "subscription": item.subscription,
        "at": milliseconds(at),
        "content": content,
        "content_hash": digest(content),
    }
    if insert_new(connection, items, entry, items.c.id) is not None:
        return True
    kept = connection.execute(select(items.c.content).where(items.c.key == item.key)).scalar_one()
    same_item(item, read(Item, kept))
    return False


def kept_items(connection: Connection) -> tuple[Item, ...]:
    return tuple(read(Item, text) for text in connection.scalars(select(items.c.content).order_by(items.c.id)))


def item_records(connection: Connection) -> tuple[tuple[str, str, str, str], ...]:
    columns = (items.c.key, items.c.subscription, items.c.content, items.c.content_hash)
    return tuple(tuple(row) for row in connection.execute(select(*columns).order_by(items.c.id)))


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        consumer=row.consumer,
        plan=row.plan,
        start=from_seconds(row.start),
        end=None if row.end is None else from_seconds(row.end),
        customer=row.customer,
        anchor=date.fromisoformat(row.anchor),
        zone=ZoneInfo(row.zone),
    )
