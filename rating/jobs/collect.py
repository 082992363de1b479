"""Closes usage windows: gathers a window's readings, lets the core decide, and enters the result in the book.

Decides nothing about usage. Doing it again is nothing: what is in the book is not due, and an entry made twice is one.
A window is closed, held, or its meter stops there with a reason; none is ever skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rating.core.counters import decide
from rating.core.keys import meter_digest
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.schedule import Due, due_windows
from rating.core.windows import Closing, Held
from rating.errors import EdgeRefused, EdgeUnavailable, SamplesMissing
from rating.ports import Book, ClosingHead, CounterSource


@dataclass(frozen=True, slots=True)
class Stopped:
    """A meter whose source could not be read: this window and all later ones wait for the next run."""

    due: Due
    reason: str
    refused: bool
    """True when trying again changes nothing until somebody acts."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one run came to, oldest first."""

    closed: tuple[ClosingHead, ...]
    """Without their usage rows: a backfill of months must not pile them up."""
    held: tuple[Held, ...]
    stopped: tuple[Stopped, ...]
    """At most one per meter."""
    waiting: int
    """Due windows not come to, because their meter stopped or the run was asked to end."""


def due(
    book: Book, meters: Sequence[Meter], *, since: datetime, now: datetime, until: datetime | None = None
) -> list[Due]:
    """Windows of `meters` between `since` and `until` that have settled and are absent from the book, oldest first."""
    end = max(since, now if until is None else min(until, now))
    span = Period(since, end)
    in_book = {meter.name: set(book.closed(meter.name, span)) for meter in meters}
    return [entry for entry in due_windows(meters, in_book, since, now) if entry.window.end <= end]


def lag(book: Book, meter: Meter, *, since: datetime, now: datetime) -> timedelta:
    """How long the oldest due window of a meter has been waiting past its settling delay; zero when none is due."""
    waiting = due(book, (meter,), since=since, now=now)
    return now - (waiting[0].window.end + meter.settling) if waiting else timedelta(0)


def collect(
    book: Book,
    source: CounterSource,
    meters: Sequence[Meter],
    *,
    since: datetime,
    now: datetime,
    until: datetime | None = None,
    dry_run: bool = False,
    released: bool = False,
    retry_held: bool = True,
    stopping: Callable[[], bool] = lambda: False,
    closed: Callable[[Closing], None] = lambda closing: None,
    progress: Callable[[int, int, Due], None] = lambda done, total, begun: None,
) -> Collected:
    """Close every due window, oldest first.

    A meter whose source is unavailable or refuses stops at that window; the others go on and everything closed stays.

    Args:
        dry_run: decide, but enter nothing.
        released: a person has looked: close as degraded what would be held for its doubts.
        retry_held: read windows again that the book already shows as held.
        stopping: asked between windows; True ends the run early, with what is done kept.
        closed: told each closing that is new in the book (or would be).
        progress: told (windows done, windows due, the one begun now).

    Raises:
        Contradiction: the book holds the window with other usage.
    """
    waiting = due(book, meters, since=since, now=now, until=until)
    if not retry_held:
        shown = {(entry.held.meter, entry.held.window.start) for entry in book.held()}
        waiting = [entry for entry in waiting if (entry.meter.name, entry.window.start) not in shown]
    heads: list[ClosingHead] = []
    held: list[Held] = []
    stopped: dict[str, Stopped] = {}
    passed = 0

    for done, entry in enumerate(waiting):
        if stopping():
            passed += len(waiting) - done
            break
        if entry.meter.name in stopped:
            passed += 1
            continue
        progress(done, len(waiting), entry)

        # gather, decide
        try:
            outcome = _outcome(source, entry, released)
        except (EdgeUnavailable, EdgeRefused) as error:
            stopped[entry.meter.name] = Stopped(entry, str(error), isinstance(error, EdgeRefused))
            passed += 1
            continue

        # apply
        if isinstance(outcome, Held):
            held.append(outcome)
            if not dry_run:
                book.hold(outcome, at=now)
        else:
            head = _head(outcome, meter_digest(entry.meter), now)
            heads.append(head)
            if dry_run or book.close(outcome, meter_digest=head.meter_digest, at=now):
                closed(outcome)

    return Collected(tuple(heads), tuple(held), tuple(stopped.values()), passed)


def _outcome(source: CounterSource, entry: Due, released: bool) -> Closing | Held:
    try:
        readings = source.read(entry.meter, entry.window)
    except SamplesMissing as error:
        # Gone samples do not come back by waiting: the window is shown as held until a person decides.
        return Held(entry.meter.name, entry.window, str(error))
    return decide(entry.meter, entry.window, readings, released=released)


def _head(closing: Closing, digest: str, at: datetime) -> ClosingHead:
    consumers = len({row.consumer for row in closing.usage})
    return ClosingHead(closing.meter, closing.window, closing.completeness, consumers, digest, at, closing.evidence)
