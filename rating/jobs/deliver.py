"""Deliver: take every notification one step further on each of its ways, and enter what became of it.

The entry follows the attempt. Only where the other side has accepted and we die before the entry is a delivery made a
second time, under the same key, by which the receiver can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rating.core.deliveries import Attempt, Delivery, Outcome, State, due_at, state
from rating.core.notices import Preference, Routing
from rating.core.notifications import declined
from rating.errors import BookError, EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.ports import Book, Notifier

CLAIM = "notify"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round came to."""

    attempts: tuple[Attempt, ...]
    later: int
    """Ways on which something is to be done at a later time."""


def deliver(
    book: Book,
    notifiers: Mapping[str, Notifier],
    routing: Routing,
    *,
    now: datetime,
    clock: Callable[[], datetime] | None = None,
    unsubscribe: Callable[[Delivery], str] = lambda delivery: "",
    stopping: Callable[[], bool] = lambda: False,
    only: str = "",
    entered: Callable[[Attempt], None] = lambda attempt: None,
) -> Delivered:
    """Attempt what is due at `now`, each way once; does nothing while somebody else does it.

    A channel that is not reached is left alone for the rest of the round: a thousand deliveries must not wait for one
    server a thousand times. Entries are recorded as of `clock`, or `now` without one. `unsubscribe` makes the link that
    a mail carries; `only` limits it to one notification.
    """
    if not _due(book, only, now)[1]:
        return Delivered((), 0)
    with book.claim(CLAIM) as free:
        if not free:
            return Delivered((), 0)
        # Read again: somebody may have delivered between the look and the claim.
        waiting, due = _due(book, only, now)
        preferences = book.preferences()
        made: list[Attempt] = []
        away: set[str] = set()
        for one in due:
            if stopping():
                break
            if one.planned.channel in away:
                continue
            attempt = _attempt(one, notifiers, routing, preferences, unsubscribe)
            if attempt.outcome is Outcome.FAILED:
                away.add(attempt.channel)
            book.attempted(attempt, at=now if clock is None else clock())
            made.append(attempt)
            entered(attempt)
    return Delivered(tuple(made), waiting - len(made))


def _due(book: Book, only: str, now: datetime) -> tuple[int, list[Delivery]]:
    """How many ways are not at their end, and those of them that are due."""
    waiting = [one for one in book.undelivered() if only in ("", one.told.notification.id)]
    return len(waiting), [one for one in waiting if (at := due_at(one)) is not None and at <= now]


def revive(book: Book, notification: str, channel: str | None, *, now: datetime) -> tuple[Attempt, ...]:
    """A person asks to try a dead delivery again, on one way or on all.

    Raises:
        BookError: there is no such notification, or no such way, or nothing on it is dead.
    """
    ways = [one for one in book.deliveries(notification) if channel in (None, one.planned.channel)]
    if not ways:
        raise BookError(f"the book holds no notification {notification} on that way; `rating notify list` shows them")
    dead = [one for one in ways if state(one.attempts) is State.DEAD]
    if not dead:
        stands = ", ".join(f"{one.planned.channel} is {state(one.attempts)}" for one in ways)
        raise BookError(f"nothing about {notification} is dead: {stands}")
    revived = []
    for one in dead:
        attempt = Attempt(notification, one.planned.channel, len(one.attempts) + 1, Outcome.REVIVED, "a person asked")
        book.attempted(attempt, at=now)
        revived.append(attempt)
    return tuple(revived)


def _attempt(
    one: Delivery,
    notifiers: Mapping[str, Notifier],
    routing: Routing,
    preferences: Iterable[tuple[Preference, datetime]],
    unsubscribe: Callable[[Delivery], str],
) -> Attempt:
    """The next attempt on one way, made."""
    notification, channel, number = one.told.notification, one.planned.channel, len(one.attempts) + 1
    notifier = notifiers.get(channel)

    def ended(outcome: Outcome, said: str, retry_after: int = 0) -> Attempt:
        return Attempt(notification.id, channel, number, outcome, said, retry_after)

    if notifier is None:
        return ended(Outcome.FAILED, f"no channel is called {channel}; write it into the file of RATING_CHANNELS")
    if notifier.to_customer:
        why = declined(notification, routing, preferences)
        if why:
            return ended(Outcome.WITHHELD, why)
        if not one.planned.recipient:
            customer = notification.customer
            return ended(
                Outcome.WITHHELD, f"no address of {customer} was known; write it under notifications, contacts"
            )
    try:
        return ended(Outcome.DELIVERED, notifier.deliver(one, unsubscribe=unsubscribe(one)))
    except EdgeUnavailable as error:
        asked = 0 if error.retry_after is None else int(error.retry_after.total_seconds())
        return ended(Outcome.FAILED, str(error), asked)
    except (EdgeRefused, EdgeDisagrees, BookError) as error:
        return ended(Outcome.REFUSED, str(error))
