"""The Notices of `ports` in plain dicts, for the book in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from rating.core.alerts import Alert, Heard
from rating.core.deliveries import Attempt, Attempted, Delivery, final
from rating.core.entries import attemptable, recorded, same_attempt
from rating.core.notices import Notification, Preference, Told, Topic
from rating.errors import BookError


class MemoryNotices:
    """Safe to share between threads; gone with the process."""

    _turn: threading.RLock

    def __init__(self) -> None:
        super().__init__()
        self._alerts: dict[str, Heard] = {}
        self._notifications: dict[str, Told] = {}
        """By id."""
        self._attempts: dict[tuple[str, str], list[Attempted]] = {}
        self._preferences: dict[tuple[str, Topic], tuple[Preference, datetime]] = {}
        self._opened: dict[str, datetime] = {}

    def hear(self, alerts: Sequence[Alert], *, at: datetime) -> int:
        with self._turn:
            before = len(self._alerts)
            for alert in alerts:
                self._alerts.setdefault(alert.key, Heard(alert, recorded(at)))
            return len(self._alerts) - before

    def heard(self, since: datetime) -> tuple[Heard, ...]:
        with self._turn:
            found = [one for one in self._alerts.values() if one.at >= recorded(since)]
        return tuple(sorted(found, key=lambda one: (one.at, one.alert.key)))

    def tell(self, notifications: Sequence[Notification], *, at: datetime) -> tuple[Notification, ...]:
        new = []
        with self._turn:
            for one in notifications:
                if one.id not in self._notifications:
                    self._notifications[one.id] = Told(one, recorded(at))
                    new.append(one)
        return tuple(new)

    def told(self, keys: Collection[str]) -> frozenset[str]:
        with self._turn:
            return frozenset(keys) & {told.notification.key for told in self._notifications.values()}

    def notifications(self, *, customer: str | None = None, since: datetime | None = None) -> tuple[Told, ...]:
        with self._turn:
            found = [
                told
                for told in self._notifications.values()
                if customer in (None, told.notification.customer) and (since is None or told.at >= recorded(since))
            ]
        return tuple(sorted(found, key=lambda told: (told.at, told.notification.id)))

    def notification(self, name: str) -> Told | None:
        return self._notifications.get(name)

    def deliveries(self, notification: str | None = None) -> tuple[Delivery, ...]:
        with self._turn:
            return tuple(
                Delivery(told, planned, tuple(self._attempts.get((told.notification.id, planned.channel), ())))
                for told in self.notifications()
                if notification in (None, told.notification.id)
                for planned in told.notification.planned
            )

    def undelivered(self) -> tuple[Delivery, ...]:
        return tuple(one for one in self.deliveries() if not final(one.attempts))

    def attempted(self, attempt: Attempt, *, at: datetime) -> bool:
        with self._turn:
            told = self._notifications.get(attempt.notification)
            ways = () if told is None else told.notification.planned
            made = self._attempts.get((attempt.notification, attempt.channel), [])
            attemptable(attempt, planned=attempt.channel in {way.channel for way in ways}, made=len(made))
            if attempt.number <= len(made):
                same_attempt(attempt, made[attempt.number - 1].attempt)
                return False
            self._attempts[attempt.notification, attempt.channel] = [*made, Attempted(attempt, recorded(at))]
            return True

    def prefer(self, preference: Preference, *, at: datetime) -> bool:
        key = (preference.customer, preference.topic)
        with self._turn:
            if key in self._preferences and self._preferences[key][0].wanted == preference.wanted:
                return False
            self._preferences[key] = (preference, recorded(at))
            return True

    def preferences(self, customer: str | None = None) -> tuple[tuple[Preference, datetime], ...]:
        with self._turn:
            return tuple(self._preferences[key] for key in sorted(self._preferences) if customer in (None, key[0]))

    def open_notification(self, name: str, *, at: datetime) -> bool:
        with self._turn:
            if name not in self._notifications:
                raise BookError(
                    f"there is no notification {name} in the book; `rating notify list` shows those it holds"
                )
            if name in self._opened:
                return False
            self._opened[name] = recorded(at)
            return True

    def opened(self, customer: str) -> Mapping[str, datetime]:
        with self._turn:
            return {
                name: at
                for name, at in self._opened.items()
                if self._notifications[name].notification.customer == customer
            }
