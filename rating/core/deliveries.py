"""How far a notification has come on each of its ways: a pure function of the attempts made.

Decides when the next attempt is due, when there is none any more, and what a person's "try again" means. How an attempt
is made is a channel's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rating.core.canonical import digest
from rating.core.notices import Planned, Told


class Outcome(StrEnum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """Unreachable, slow or asked to wait: tried again."""
    REFUSED = "refused"
    """Understood and declined: a dead letter until a person looks."""
    WITHHELD = "withheld"
    """The customer does not want to hear of it."""
    REVIVED = "revived"
    """A person asked to try again: what failed before no longer counts."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry about one way of one notification."""

    notification: str
    """Its id."""
    channel: str
    number: int
    """1, 2, 3 ... on this way."""
    outcome: Outcome
    said: str = ""
    """What the other side said, or why it was not asked."""
    retry_after: int = 0
    """Seconds the other side asked us to wait."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt in the book."""

    attempt: Attempt
    at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One way of one notification with what was tried on it so far."""

    told: Told
    planned: Planned
    attempts: tuple[Attempted, ...] = ()

    @property
    def key(self) -> str:
        """The same for every attempt: whoever receives it twice can tell."""
        return delivery_key(self.told.notification.id, self.planned.channel)


class State(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    WITHHELD = "withheld"
    DEAD = "dead"


FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=6)
MOST = 12
"""Attempts before a delivery is dead: with the pauses below, a receiver may be down for about a day and a half."""


def pause(failures: int) -> timedelta:
    """How long to wait after so many failures in a row: 30 s, then four times as long each time, six hours at most."""
    # The power is bounded before it is taken: numbers of attempts come from a database.
    factor: int = 4 ** min(max(failures, 1) - 1, 10)
    return min(FIRST_PAUSE * factor, LONGEST_PAUSE)


def state(attempts: Sequence[Attempted]) -> State:
    """Where this way stands."""
    if not attempts:
        return State.WAITING
    match attempts[-1].attempt.outcome:
        case Outcome.DELIVERED:
            return State.DELIVERED
        case Outcome.WITHHELD:
            return State.WITHHELD
        case Outcome.REFUSED:
            return State.DEAD
        case Outcome.REVIVED:
            return State.WAITING
    return State.DEAD if failures(attempts) >= MOST else State.WAITING


def failures(attempts: Sequence[Attempted]) -> int:
    """How many attempts have failed since the beginning, or since a person asked to try again."""
    count = 0
    for one in reversed(attempts):
        if one.attempt.outcome is not Outcome.FAILED:
            break
        count += 1
    return count


def due_at(delivery: Delivery) -> datetime | None:
    """When the next attempt is due, outside the customer's quiet hours; None when there is none."""
    if state(delivery.attempts) is not State.WAITING:
        return None
    due = delivery.told.at
    if delivery.attempts:
        last = delivery.attempts[-1]
        due = last.at
        if last.attempt.outcome is Outcome.FAILED:
            asked = timedelta(seconds=last.attempt.retry_after)
            due += max(pause(failures(delivery.attempts)), min(asked, timedelta(days=1)))
    return due if delivery.planned.quiet is None else delivery.planned.quiet.over(due)


def final(attempts: Sequence[Attempted]) -> bool:
    """Is nothing to be done on this way unless a person asks for it?"""
    return state(attempts) is not State.WAITING


def delivery_key(notification: str, channel: str) -> str:
    return f"{notification}-{digest(channel)[:8]}"
