"""Measures closed windows again, while their samples are retained, and compares with the book.

Changes nothing. What a difference means is for a person to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from rating.core.counters import RELEASED, decide
from rating.core.meters import Degraded, Meter
from rating.core.periods import Period
from rating.core.windows import Closing, Held, Usage
from rating.errors import SamplesMissing
from rating.jobs.contracts import meter_as_closed
from rating.ports import Book, ClosingHead, CounterSource


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of one window that now measures something else."""

    meter: str
    window: Period
    consumer: str
    dimensions: tuple[str, ...]
    booked: int
    """In the meter's resolution."""
    measured: int


@dataclass(frozen=True, slots=True)
class Verified:
    equal: int = 0
    """Windows that measure what the book says."""
    differences: tuple[Difference, ...] = ()
    unreadable: tuple[tuple[str, Period, str], ...] = ()
    """Meter, window and why it cannot be measured again."""

    def __add__(self, other: Verified) -> Verified:
        return Verified(
            self.equal + other.equal, self.differences + other.differences, self.unreadable + other.unreadable
        )


def verify(
    book: Book,
    source: CounterSource,
    meters: Sequence[Meter],
    period: Period,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verified:
    """Compare every closed window of `meters` that starts inside `period` with a fresh measurement.

    Raises:
        EdgeUnavailable, EdgeRefused: as `source.read` does.
    """
    known = kept_meters(book)
    closings = [(meter, head) for meter in meters for head in book.closings(meter.name, period)]
    equal, differences = 0, []
    unreadable: list[tuple[str, Period, str]] = []
    for done, (meter, head) in enumerate(closings):
        progress(done, len(closings))
        measured = _measured(known, source, meter, head)
        if isinstance(measured, str):
            unreadable.append((meter.name, head.window, measured))
            continue
        found = _differences(meter.name, head.window, book.totals(meter.name, head.window), measured)
        differences += found
        equal += not found
    return Verified(equal, tuple(differences), tuple(unreadable))


AsClosed = Callable[[Meter, str], Meter | None]
"""The meter as windows of that digest were measured by it."""


def kept_meters(book: Book) -> AsClosed:
    """`meter_as_closed`, asking the book once for each meter and digest: many windows have the same."""
    return cache(partial(meter_as_closed, book))


def _measured(known: AsClosed, source: CounterSource, meter: Meter, head: ClosingHead) -> Sequence[Usage] | str:
    try:
        outcome = measure_again(known, source, meter, head)
    except SamplesMissing as error:
        return str(error)
    if isinstance(outcome, str):
        return f"{outcome}; verify with the catalogue of that time"
    return outcome.reason if isinstance(outcome, Held) else outcome.usage


def measure_again(known: AsClosed, source: CounterSource, meter: Meter, head: ClosingHead) -> Closing | Held | str:
    """A closed window measured anew by the meter as it was then; or why there is no such meter. Raises as `read`."""
    as_closed = known(meter, head.meter_digest)
    if as_closed is None:
        return "the meter has changed since this window was closed"
    # What a person released once is measured as it was then, its doubts included; and what was billed once is not
    # held by a policy that came later.
    released = any(note.startswith(RELEASED) for note in head.evidence.notes)
    lenient = replace(as_closed, degraded=Degraded.BILL, tolerated=None, tolerated_share=None)
    return decide(lenient, head.window, source.read(lenient, head.window), released=released)


def _differences(meter: str, window: Period, booked: Sequence[Usage], measured: Sequence[Usage]) -> list[Difference]:
    before = {(row.consumer, row.dimensions): row.quantity for row in booked}
    now = {(row.consumer, row.dimensions): row.quantity for row in measured}
    return [
        Difference(meter, window, *key, before.get(key, 0), now.get(key, 0))
        for key in sorted(before.keys() | now.keys())
        if before.get(key, 0) != now.get(key, 0)
    ]
