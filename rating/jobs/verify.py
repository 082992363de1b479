"""Measures closed windows again, while their samples are retained, and compares with the book.

Changes nothing. What a difference means is for a person to say. Windows that are rolled up are compared one by one
where an archive is given, else a day at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import groupby

from rating.core.counters import RELEASED, decide
from rating.core.entries import merged
from rating.core.meters import Degraded, Meter
from rating.core.periods import Period
from rating.core.rollup import KeptRollUp
from rating.core.windows import Closing, Held, Usage
from rating.errors import SamplesMissing
from rating.jobs.contracts import meter_as_closed
from rating.jobs.hours import Hours
from rating.ports import Archive, Book, ClosingHead, CounterSource, UsageRow


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of one window, or rolled-up day, that now measures something else."""

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
    """Meter, window or rolled-up day, and why it cannot be measured again."""
    rollups: tuple[KeptRollUp, ...] = ()
    """Where windows are rolled up to days."""

    def __add__(self, other: Verified) -> Verified:
        return Verified(
            self.equal + other.equal,
            self.differences + other.differences,
            self.unreadable + other.unreadable,
            self.rollups + other.rollups,
        )


def verify(
    book: Book,
    source: CounterSource,
    meters: Sequence[Meter],
    period: Period,
    *,
    archive: Archive | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verified:
    """Compare every closed window of `meters` that starts inside `period` with a fresh measurement.

    Raises:
        EdgeUnavailable, EdgeRefused: as `source.read` does.
        EdgeUnavailable, EdgeDisagrees: as `Hours.usage` does of the archive.
        BookError: the period begins or ends inside a day that is rolled up, and there is no archive.
    """
    known = kept_meters(book)
    rollups = {meter.name: book.rollups(meter.name, period) for meter in meters}
    heads = {meter.name: book.closings(meter.name, period) for meter in meters}
    total, done, equal = sum(map(len, heads.values())), 0, 0
    differences: list[Difference] = []
    unreadable: list[tuple[str, Period, str]] = []
    for meter in meters:
        days = [] if archive is not None else [day.span for one in rollups[meter.name] for day in one.rollup.days]
        rows = _Booked(Hours(book, archive).usage(period, meter.name))
        for span, windows in _spans(heads[meter.name], days):
            booked = rows.of(span)
            measured = _measured_all(known, source, meter, windows)
            progress(done := done + len(windows), total)
            if isinstance(measured, str):
                unreadable.append((meter.name, span, measured))
                continue
            found = _differences(meter.name, span, booked, measured)
            differences += found
            equal += 0 if found else len(windows)
    kept = tuple(one for meter in meters for one in rollups[meter.name])
    return Verified(equal, tuple(differences), tuple(unreadable), kept)


def _spans(heads: Sequence[ClosingHead], days: Sequence[Period]) -> Iterator[tuple[Period, list[ClosingHead]]]:
    """What is compared at once: a window, or the windows of a day of which only the sum is known."""
    day_of = {day.start: day for day in days}
    now: Period | None = None
    for is_day, some in groupby(heads, lambda head: bool(days) and head.rolled):
        if not is_day:
            yield from ((head.window, [head]) for head in some)
            continue
        together: list[ClosingHead] = []
        for head in some:
            if head.window.start in day_of and together:
                assert now is not None
                yield now, together
                together = []
            now = day_of.get(head.window.start, now)
            together.append(head)
        assert now is not None
        yield now, together


class _Booked:
    """Usage rows that come in order of time, handed out span by span."""

    def __init__(self, rows: Iterator[UsageRow]) -> None:
        self._groups = groupby(rows, lambda row: row.window)
        self._next: tuple[Period, list[Usage]] | None = None
        self._advance()

    def of(self, span: Period) -> list[Usage]:
        if self._next is None or self._next[0] != span:
            return []
        found = self._next[1]
        self._advance()
        return found

    def _advance(self) -> None:
        group = next(self._groups, None)
        self._next = None if group is None else (group[0], [row.usage for row in group[1]])


def _measured_all(
    known: AsClosed, source: CounterSource, meter: Meter, heads: Sequence[ClosingHead]
) -> Sequence[Usage] | str:
    rows: list[Usage] = []
    for head in heads:
        measured = _measured(known, source, meter, head)
        if isinstance(measured, str):
            return measured
        rows += measured
    return merged(rows)


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
