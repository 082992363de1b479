"""Rounds: one visit to a gateway that rates by itself, what is known of it, and what came of the visit so far.

Writes down how far each subject has come there. What is told is `carry_subscriptions` and `report_usage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rating.core.offers import RemoteContract
from rating.core.periods import from_seconds
from rating.core.publications import (
    Outcome,
    Progress,
    Progressed,
    State,
    by_subject,
    due_at,
    final,
    following,
    state,
    subscription_subject,
)
from rating.errors import EdgeUnavailable
from rating.ports import Book, UsageGateway

USAGE = "usage"
"""Claimed, with the gateway's name, while it is told."""


@dataclass
class Round:
    """One round at one gateway. A dry one keeps nothing and calls nobody."""

    book: Book
    gateway: UsageGateway
    now: datetime
    clock: Callable[[], datetime]
    """When entries are recorded."""
    stopping: Callable[[], bool]
    dry: bool
    open: Mapping[str, list[Progressed]] = field(default_factory=dict)
    """Entries of the subjects that were not finished when the round began."""
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What the gateway calls a part of a subject."""
    away: str = ""
    """Why the gateway is left alone for the rest of the round."""
    parked: list[Progress] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    def gather(self) -> None:
        """Read what the book has of the gateway."""
        self.open = by_subject(self.book.unfinished(self.name))
        self.read_names()

    def read_names(self) -> None:
        self.names = {(one.subject, one.part): one.name for one in self.book.remote_names(self.name)}

    @property
    def name(self) -> str:
        return self.gateway.name

    @property
    def over(self) -> bool:
        """Is nothing more to be done in it?"""
        return bool(self.away) or self.stopping()

    def called(self, subject: str, part: str = "") -> str | None:
        """What the gateway calls it; the `Names` of `ports`."""
        return self.names.get((subject, part))

    def since(self, contract: RemoteContract) -> datetime | None:
        """From when the gateway has the subscription; None when it has none."""
        start = self.names.get((subscription_subject(contract.subscription), "start"))
        return None if start is None else from_seconds(int(start))

    def entries(self, subject: str) -> Sequence[Progressed]:
        if subject in self.open:
            return self.open[subject]
        # Most subjects have none; those of single customers may have been finished before.
        return self.book.progressed(self.name, subject) if subject.count("/") > 3 else ()

    def may(self, subject: str) -> bool:
        """Is it time for the next attempt?"""
        at = due_at(self.open.get(subject, ()))
        return at is None or at <= self.now

    def enter(self, entries: Sequence[Progressed], subject: str, outcome: Outcome, said: str = "") -> list[Progressed]:
        progress = following(self.name, subject, entries, outcome, said)
        at = self.clock()
        self.book.progress((progress,), at=at)
        return [*entries, Progressed(progress, at)]

    def failed(self, subject: str, entries: Sequence[Progressed], error: EdgeUnavailable) -> None:
        """It was not reached: the subject is tried again later, and nothing more is asked in this round."""
        asked = 0 if error.retry_after is None else int(error.retry_after.total_seconds())
        progress = replace(following(self.name, subject, entries, Outcome.FAILED, str(error)), retry_after=asked)
        self.book.progress((progress,), at=self.clock())
        if state([*entries, Progressed(progress, self.now)]) is State.PARKED:
            self.parked.append(progress)
        self.away = str(error)

    def park_once(self, subject: str, why: str) -> None:
        """Park it unless it is parked, or a person has dismissed it."""
        entries = self.book.progressed(self.name, subject)
        if not final(entries):
            self.park(subject, entries, why)

    def park(self, subject: str, entries: Sequence[Progressed], why: str) -> None:
        """A person looks."""
        progress = following(self.name, subject, entries, Outcome.REFUSED, why)
        if not self.dry:
            self.book.progress((progress,), at=self.clock())
        self.parked.append(progress)
