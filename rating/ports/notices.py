"""What is told to whom: how the book remembers it, and how it leaves the house."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from rating.core.alerts import Alert, Heard
from rating.core.deliveries import Attempt, Delivery
from rating.core.notices import Notification, Preference, Told


class Notices(Protocol):
    """The part of the book that is about telling people. Its entries are as append-only as all others.

    Raises as Book does.
    """

    def hear(self, alerts: Sequence[Alert], *, at: datetime) -> int:
        """Keep alerts that were heard; returns how many are new. In any order and however often: each once."""

    def heard(self, since: datetime) -> tuple[Heard, ...]:
        """Alerts first heard at or after `since`, by when, then by key."""

    def tell(self, notifications: Sequence[Notification], *, at: datetime) -> tuple[Notification, ...]:
        """Keep notifications with the ways they are to go out on, all in one transaction; returns those that are new.

        What is told already under its key is the same entry whatever its numbers are by now: the first ones stand.
        """

    def told(self, keys: Collection[str]) -> frozenset[str]:
        """Which of these keys are told: cheap to ask often."""

    def notifications(self, *, customer: str | None = None, since: datetime | None = None) -> tuple[Told, ...]:
        """Notifications by when they were told, then by id."""

    def notification(self, name: str) -> Told | None:
        """The notification with this id."""

    def deliveries(self, notification: str | None = None) -> tuple[Delivery, ...]:
        """Every way of every notification (or of one) with its attempts, by when it was told, id and plan."""

    def undelivered(self) -> tuple[Delivery, ...]:
        """Those on which something is still to be done: cheap to ask often."""

    def attempted(self, attempt: Attempt, *, at: datetime) -> bool:
        """Keep an attempt. True when it is new; Contradiction when its number was kept with another outcome, BookError
        for a way that was never planned, Overtaken when an attempt before it is missing.
        """

    def prefer(self, preference: Preference, *, at: datetime) -> bool:
        """Keep what a customer wants to hear. False when that is what stands already."""

    def preferences(self, customer: str | None = None) -> tuple[tuple[Preference, datetime], ...]:
        """What stands, by customer and topic, and since when."""

    def open_notification(self, name: str, *, at: datetime) -> bool:
        """Keep that the customer has read it. False when that is known; BookError when there is none of this id."""

    def opened(self, customer: str) -> Mapping[str, datetime]:
        """The ids of what a customer has read, and when."""


class Notifier(Protocol):
    """One channel on which people are told."""

    @property
    def to_customer(self) -> bool:
        """Does it end at the customer's own address, which it is then given? Preferences and quiet hours hold there."""

    def preview(self, delivery: Delivery) -> str:
        """What would be sent, readable by people, without secrets. Sends nothing."""

    def deliver(self, delivery: Delivery, *, unsubscribe: str = "") -> str:
        """Send it, with a link to hear no more of it where the channel has a place for one; returns what was answered.

        Every attempt of one delivery carries the delivery's key, so that a receiver can drop what it has. What is said
        in errors and answers holds no secret.

        Raises:
            EdgeUnavailable: not reached, not known there, or asked to wait (`retry_after`); a retry may succeed.
            EdgeRefused: it was understood and declined; trying again changes nothing.
        """
