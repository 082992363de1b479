"""Closes usage windows: gathers a window's readings, lets the core decide, and enters the result in the book.

Decides nothing about usage. Doing it again is nothing: what is in the book is not due, and an entry made twice is one.
A window is closed, held, or its meter stops there with a reason; none is ever skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from rating.core.counters import Readings, decide
from rating.core.keys import meter_digest
from rating.core.meters import Meter
from rating.core.periods import Period, stamp
from rating.core.schedule import Due, due_windows
from rating.core.windows import Closing, Completeness, Held
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable, RatingError, SamplesMissing, WindowStillOpen
from rating.jobs.contracts import meter_as_closed
from rating.jobs.reading import Found, Outcome, ahead, in_order, one_by_one
from rating.ports import Book, CounterSource

PARALLEL_FROM = 16
"""Due windows from which several are read at once: a tick of a running engine has fewer, a backfill has more."""

NOWHERE_LATER: Mapping[str, datetime] = {}
"""Every meter begins where the run does."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A meter whose source could not be read: this window and all later ones wait for the next run."""

    due: Due
    reason: str
    refused: bool
    """True when trying again changes nothing until somebody acts."""


class Closed(NamedTuple):
    """A closed window without its usage and evidence: a backfill of months must not pile them up."""

    meter: str
    window: Period
    completeness: Completeness
    consumers: int


@dataclass(frozen=True, slots=True)
class Redefined:
    """A meter whose windows up to `through` were measured by other rules than it has now."""

    meter: str
    through: datetime

    def __str__(self) -> str:
        return (
            f"meter {self.meter}: its definition changed; windows up to {stamp(self.through)} stand as they were "
            "measured, later ones follow the new definition; give it a name of its own if invoices must not mix both"
        )


@dataclass(frozen=True, slots=True)
class Collected:
    """What one run came to, oldest first."""

    closed: tuple[Closed, ...]
    held: tuple[Held, ...]
    stopped: tuple[Stopped, ...]
    """At most one per meter."""
    waiting: int
    """Due windows not come to, because their meter stopped or the run was asked to end."""
    redefined: tuple[Redefined, ...] = ()


def due(
    book: Book,
    meters: Sequence[Meter],
    *,
    since: datetime,
    now: datetime,
    until: datetime | None = None,
    begins: Mapping[str, datetime] = NOWHERE_LATER,
) -> list[Due]:
    """Windows of `meters` between `since` and `until` that have settled and are absent from the book, oldest first.

    A meter named in `begins` has none before that instant either: nobody was billed by it yet.
    """
    end = max(since, now if until is None else min(until, now))
    span = Period(since, end)
    in_book = {meter.name: set(book.closed(meter.name, span)) for meter in meters}
    return [
        entry
        for entry in due_windows(meters, in_book, since, now)
        if entry.window.end <= end and entry.window.start >= begins.get(entry.meter.name, since)
    ]


def lag(
    book: Book, meter: Meter, *, since: datetime, now: datetime, begins: Mapping[str, datetime] = NOWHERE_LATER
) -> timedelta:
    """How long the oldest due window of a meter has been waiting past its settling delay; zero when none is due."""
    waiting = due(book, (meter,), since=since, now=now, begins=begins)
    return now - (waiting[0].window.end + meter.settling) if waiting else timedelta(0)


def collect(
    book: Book,
    source: CounterSource,
    meters: Sequence[Meter],
    *,
    since: datetime,
    now: datetime,
    until: datetime | None = None,
    begins: Mapping[str, datetime] = NOWHERE_LATER,
    dry_run: bool = False,
    released: bool = False,
    resting: AbstractSet[tuple[str, datetime]] = frozenset(),
    only: AbstractSet[tuple[str, datetime]] | None = None,
    readers: Sequence[CounterSource] = (),
    look_ahead: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    closed: Callable[[Closing], None] = lambda closing: None,
    progress: Callable[[int, int, Due], None] = lambda done, total, begun: None,
) -> Collected:
    """Close every due window, oldest first.

    A meter whose source is unavailable or refuses stops at that window; the others go on and everything closed stays.
    With further `readers`, many due windows are read at once and still entered in order; those of a stopped meter that
    were being read are kept.

    Args:
        begins: per meter, an instant before which it has no windows; see `due`.
        dry_run: decide, but enter nothing.
        released: a person has looked: close as degraded what would be held for its doubts.
        resting: meter and start of held windows that are not to be read again yet.
        only: meter and start of the windows to read, where it is not all that are due.
        readers: further readers of the same counters as `source`, one for each window more to be read at once.
        look_ahead: read the next windows while one is decided and entered; another thread uses `source` then.
        stopping: asked between windows; True ends the run early, with what is done kept.
        closed: told each closing that is new in the book (or would be).
        progress: told (windows done, windows due, the one begun now).

    Raises:
        Contradiction: the book holds the window with other usage.
    """
    waiting = due(book, meters, since=since, now=now, until=until, begins=begins)
    waiting = [entry for entry in waiting if (entry.meter.name, entry.window.start) not in resting]
    if only is not None:
        waiting = [entry for entry in waiting if (entry.meter.name, entry.window.start) in only]
    redefined = _redefined(book, waiting)
    heads: list[Closed] = []
    held: list[Held] = []
    stopped: dict[str, Stopped] = {}
    passed = 0

    def stop(entry: Due, error: RatingError) -> None:
        reason = str(error)
        if isinstance(error, WindowStillOpen):
            # Nothing is held: the window will be whole when the source's clock has come that far.
            reason = f"{error}, and this machine's says {now:%Y-%m-%d %H:%M:%S}; set both clocks by NTP"
        stopped.setdefault(entry.meter.name, Stopped(entry, reason, isinstance(error, EdgeRefused)))

    # gather, decide
    decided = partial(_decided, released=released)
    if len(waiting) >= PARALLEL_FROM and readers:
        read = partial(_outcome, released=released)
        outcomes = in_order([source, *readers], waiting, read, stopped.keys(), stopping)
    elif look_ahead and len(waiting) > 1:
        outcomes = ahead(source, waiting, _read, decided, stopped.keys(), stopping)
    else:
        read = partial(_outcome, released=released)
        outcomes = one_by_one(source, waiting, read, stopped.keys(), stopping)
    # Ended here, also where the book gives up: the garbage collector might let a reader wait for itself.
    with closing(outcomes):
        for done, (entry, outcome) in enumerate(outcomes):
            if outcome is None:
                passed += 1
                continue
            progress(done, len(waiting), entry)
            if isinstance(outcome, RatingError):
                stop(entry, outcome)
                passed += 1
                continue

            # apply
            if isinstance(outcome, Held):
                held.append(Held(outcome.meter, outcome.window, outcome.reason))
                if not dry_run:
                    book.hold(outcome, at=now)
            else:
                consumers = len({row.consumer for row in outcome.usage})
                heads.append(Closed(outcome.meter, outcome.window, outcome.completeness, consumers))
                if dry_run or book.close(outcome, meter_digest=meter_digest(entry.meter), at=now):
                    closed(outcome)

    return Collected(tuple(heads), tuple(held), tuple(stopped.values()), passed, redefined)


def _read(source: CounterSource, entry: Due) -> Found:
    try:
        readings = source.read(entry.meter, entry.window)
    except (SamplesMissing, EdgeDisagrees) as error:
        # Neither gone samples nor impossible ones mend by waiting: the window is held until a person decides.
        return Held(entry.meter.name, entry.window, str(error))
    except (WindowStillOpen, EdgeUnavailable, EdgeRefused) as error:
        return error
    return readings


def _decided(entry: Due, found: Found, released: bool) -> Outcome:
    return decide(entry.meter, entry.window, found, released=released) if isinstance(found, Readings) else found


def _outcome(source: CounterSource, entry: Due, released: bool) -> Outcome:
    return _decided(entry, _read(source, entry), released)


def _redefined(book: Book, waiting: Sequence[Due]) -> tuple[Redefined, ...]:
    """Meters whose last closed window was measured by other rules than the ones now due will be.

    Another key that stands for a consumer is no other rule: what it counted so far is kept under what may be shown.
    """
    found = []
    for meter in {entry.meter.name: entry.meter for entry in waiting}.values():
        through = book.closed_through(meter.name)
        if through is not None:
            # Not even found where its length has changed.
            last = book.closings(meter.name, Period(through - meter.window, through))[-1:]
            before = [meter_as_closed(book, meter, head.meter_digest) for head in last]
            if [one and replace(one, consumers=()) for one in before] != [replace(meter, consumers=())]:
                found.append(Redefined(meter.name, through))
    return tuple(found)
