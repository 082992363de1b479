"""Notices in the tables: alerts heard, notifications with their ways and attempts, preferences, what was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, select

from rating.adapters.store.bulk import batched, insert_new
from rating.adapters.store.engine import Database
from rating.adapters.store.tables import alerts, attempts, deliveries, notifications, opened, preferences
from rating.core.alerts import Alert, Heard
from rating.core.canonical import canonical, read
from rating.core.deliveries import Attempt, Attempted, Delivery, Outcome, final
from rating.core.entries import attemptable, same_attempt
from rating.core.notices import Notification, Preference, Told, Topic
from rating.core.periods import from_milliseconds, milliseconds
from rating.errors import BookError


class StoreNotices:
    """The Notices of `ports` over a database; the rest of the book is `book`'s."""

    _database: Database

    def hear(self, alerts: Sequence[Alert], *, at: datetime) -> int:
        with self._database.writing() as connection:
            return sum(_hear(connection, alert, at) for alert in alerts)

    def heard(self, since: datetime) -> tuple[Heard, ...]:
        statement = select(alerts).where(alerts.c.at >= milliseconds(since)).order_by(alerts.c.at, alerts.c.key)
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
        return tuple(Heard(_alert(row.content), from_milliseconds(row.at)) for row in rows)

    def tell(self, notifications: Sequence[Notification], *, at: datetime) -> tuple[Notification, ...]:
        with self._database.writing() as connection:
            return tuple(one for one in notifications if _tell(connection, one, at))

    def told(self, keys: Collection[str]) -> frozenset[str]:
        found: set[str] = set()
        with self._database.reading() as connection:
            for some in batched(sorted(keys), 500):
                found.update(connection.scalars(select(notifications.c.key).where(notifications.c.key.in_(some))))
        return frozenset(found)

    def notifications(self, *, customer: str | None = None, since: datetime | None = None) -> tuple[Told, ...]:
        statement = select(notifications).order_by(notifications.c.at, notifications.c.name)
        if customer is not None:
            statement = statement.where(notifications.c.customer == customer)
        if since is not None:
            statement = statement.where(notifications.c.at >= milliseconds(since))
        with self._database.reading() as connection:
            return tuple(map(_told, connection.execute(statement)))

    def notification(self, name: str) -> Told | None:
        with self._database.reading() as connection:
            row = connection.execute(select(notifications).where(notifications.c.name == name)).one_or_none()
        return None if row is None else _told(row)

    def deliveries(self, notification: str | None = None) -> tuple[Delivery, ...]:
        statement = _ways()
        if notification is not None:
            statement = statement.where(notifications.c.name == notification)
        with self._database.reading() as connection:
            return _deliveries(connection, statement)

    def undelivered(self) -> tuple[Delivery, ...]:
        later = attempts.alias("later")
        after = exists().where(later.c.delivery == attempts.c.delivery, later.c.number > attempts.c.number)
        done = exists().where(and_(attempts.c.delivery == deliveries.c.id, attempts.c.final == 1, ~after))
        with self._database.reading() as connection:
            return _deliveries(connection, _ways().where(~done))

    def attempted(self, attempt: Attempt, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            return _attempted(connection, attempt, at)

    def prefer(self, preference: Preference, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            return _prefer(connection, preference, at)

    def preferences(self, customer: str | None = None) -> tuple[tuple[Preference, datetime], ...]:
        latest = _latest_preferences()
        if customer is not None:
            latest = latest.where(preferences.c.customer == customer)
        with self._database.reading() as connection:
            rows = connection.execute(latest).all()
        return tuple(
            (Preference(row.customer, Topic(row.topic), bool(row.wanted), row.source), from_milliseconds(row.at))
            for row in rows
        )

    def open_notification(self, name: str, *, at: datetime) -> bool:
        with self._database.writing() as connection:
            number = connection.scalar(select(notifications.c.id).where(notifications.c.name == name))
            if number is None:
                raise BookError(
                    f"there is no notification {name} in the book; `rating notify list` shows those it holds"
                )
            entry = {"notification": number, "at": milliseconds(at)}
            return insert_new(connection, opened, entry, opened.c.id) is not None

    def opened(self, customer: str) -> Mapping[str, datetime]:
        statement = (
            select(notifications.c.name, opened.c.at)
            .join_from(opened, notifications, notifications.c.id == opened.c.notification)
            .where(notifications.c.customer == customer)
        )
        with self._database.reading() as connection:
            return {name: from_milliseconds(at) for name, at in connection.execute(statement)}


@lru_cache(maxsize=50_000)
def _alert(content: str) -> Alert:
    # What was heard never changes, and is asked for at every tick.
    return read(Alert, content)


def _hear(connection: Connection, alert: Alert, at: datetime) -> bool:
    entry = {"key": alert.key, "content": canonical(alert), "at": milliseconds(at)}
    return insert_new(connection, alerts, entry, alerts.c.id) is not None


def _tell(connection: Connection, one: Notification, at: datetime) -> bool:
    entry = {
        "key": one.key,
        "name": one.id,
        "kind": one.kind.value,
        "consumer": one.consumer,
        "customer": one.customer,
        "content": canonical(one),
        "at": milliseconds(at),
    }
    number = insert_new(connection, notifications, entry, notifications.c.id)
    if number is None:
        return False
    for planned in one.planned:
        insert_new(connection, deliveries, {"notification": number, "channel": planned.channel}, deliveries.c.id)
    return True


def _told(row: Row[Any]) -> Told:
    return Told(read(Notification, row.content), from_milliseconds(row.at))


def _ways() -> Select[Any]:
    return (
        select(deliveries.c.id, deliveries.c.channel, notifications.c.content, notifications.c.at)
        .join_from(deliveries, notifications, notifications.c.id == deliveries.c.notification)
        .order_by(notifications.c.at, notifications.c.name, deliveries.c.id)
    )


def _deliveries(connection: Connection, statement: Select[Any]) -> tuple[Delivery, ...]:
    ways = connection.execute(statement).all()
    made = _attempts(connection, [way.id for way in ways])
    found = []
    for way in ways:
        told = _told(way)
        planned = next(plan for plan in told.notification.planned if plan.channel == way.channel)
        found.append(Delivery(told, planned, tuple(made.get(way.id, ()))))
    return tuple(found)


def _attempts(connection: Connection, ways: Iterable[int]) -> dict[int, list[Attempted]]:
    made: dict[int, list[Attempted]] = {}
    for some in batched(ways, 500):
        statement = (
            select(attempts, deliveries.c.channel, notifications.c.name)
            .join_from(attempts, deliveries, deliveries.c.id == attempts.c.delivery)
            .join(notifications, notifications.c.id == deliveries.c.notification)
            .where(attempts.c.delivery.in_(some))
            .order_by(attempts.c.delivery, attempts.c.number)
        )
        for row in connection.execute(statement):
            attempt = Attempt(row.name, row.channel, row.number, Outcome(row.outcome), row.said, row.retry_after)
            made.setdefault(row.delivery, []).append(Attempted(attempt, from_milliseconds(row.at)))
    return made


def _attempted(connection: Connection, attempt: Attempt, at: datetime) -> bool:
    way = connection.scalar(
        select(deliveries.c.id)
        .join(notifications, notifications.c.id == deliveries.c.notification)
        .where(notifications.c.name == attempt.notification, deliveries.c.channel == attempt.channel)
    )
    before = [] if way is None else _attempts(connection, [way]).get(way, [])
    attemptable(attempt, planned=way is not None, made=len(before))
    if attempt.number <= len(before):
        same_attempt(attempt, before[attempt.number - 1].attempt)
        return False
    entry = {
        "delivery": way,
        "number": attempt.number,
        "outcome": attempt.outcome.value,
        "final": int(final([*before, Attempted(attempt, at)])),
        "said": attempt.said,
        "retry_after": attempt.retry_after,
        "at": milliseconds(at),
    }
    return insert_new(connection, attempts, entry, attempts.c.id) is not None


def _latest_preferences() -> Select[Any]:
    later = preferences.alias("later")
    after = exists().where(
        later.c.customer == preferences.c.customer,
        later.c.topic == preferences.c.topic,
        later.c.number > preferences.c.number,
    )
    return select(preferences).where(~after).order_by(preferences.c.customer, preferences.c.topic)


def _prefer(connection: Connection, preference: Preference, at: datetime) -> bool:
    of = and_(preferences.c.customer == preference.customer, preferences.c.topic == preference.topic.value)
    stands = connection.execute(_latest_preferences().where(of)).one_or_none()
    if stands is not None and bool(stands.wanted) == preference.wanted:
        return False
    entry = {
        "customer": preference.customer,
        "topic": preference.topic.value,
        "number": 1 if stands is None else stands.number + 1,
        "wanted": int(preference.wanted),
        "source": preference.source,
        "at": milliseconds(at),
    }
    return insert_new(connection, preferences, entry, preferences.c.id) is not None
