"""Roll-up: closed windows of one meter as days: each series' total, and digests that lead back to every window.

Decides which windows become one day, what a day keeps of them, and what the book must hold before a day may take their
place. The windows' heads prove the day; the day proves the sum.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

from rating.core.canonical import canonical, digest
from rating.core.entries import GREATEST, keepable, merged, recorded, usage_digest
from rating.core.periods import Period, seconds, stamp
from rating.core.windows import Adjustment, Completeness, Usage
from rating.errors import BookError, Contradiction

SERIES = "rollups"
"""The chain of roll-ups begins with this name; see `entries.genesis`."""


class WindowHead(NamedTuple):
    """What a closing says of its window, without usage."""

    window: Period
    rows: int
    usage_digest: str


class Placed(Protocol):
    """Anything of one meter and window."""

    @property
    def meter(self) -> str: ...
    @property
    def window(self) -> Period: ...


class Closed(Placed, Protocol):
    """A closed window with its usage, as the book has it."""

    @property
    def rows(self) -> int: ...
    @property
    def usage_digest(self) -> str: ...
    @property
    def usage(self) -> tuple[Usage, ...]: ...
    @property
    def completeness(self) -> Completeness: ...


P = TypeVar("P", bound=Placed)


@dataclass(frozen=True, slots=True)
class DayHead:
    """A rolled-up day without its usage."""

    first: datetime
    """Start of its first window."""
    last: datetime
    """Start of its last one."""
    end: datetime
    """End of its last one. Between first and end no window is missing."""
    windows: int
    rows: int
    """Usage rows of those windows."""
    completeness: Completeness
    """Degraded when one of them is."""
    digest: str
    """SHA-256 over one line `start-seconds|usage digest` per window, in order of time."""
    usage_digest: str
    """Of the day's own rows, as a closing has it of its window's."""

    @property
    def span(self) -> Period:
        return Period(self.first, self.end)

    def meets(self, period: Period) -> bool:
        """Whether the period has windows of the day, or lies between two of them."""
        return self.first < period.end and period.start <= self.last

    def inside(self, period: Period) -> bool:
        """Whether the day is part of the period.

        Raises:
            BookError: some of its windows start inside and some do not.
        """
        some, every = self.meets(period), period.contains(self.first) and period.contains(self.last)
        if some and not every:
            raise cut(self.span, period)
        return every


@dataclass(frozen=True, slots=True)
class Day:
    """One meter's windows that start on one day of the calendar."""

    meter: str
    day: date
    head: DayHead
    usage: tuple[Usage, ...]
    """As closed, summed by consumer and dimensions. Adjustments are entries of their own and stay in the book."""


@dataclass(frozen=True, slots=True)
class RollUp:
    """An entry of the book: these days stand where the usage of their windows stood, which lies in an archive."""

    meter: str
    days: tuple[DayHead, ...]
    total: int
    """All that was counted, in the meter's resolution."""
    archive: str
    """Name of the file that holds every window."""
    archive_digest: str
    """SHA-256 of that file's bytes."""
    author: str

    @property
    def span(self) -> Period:
        return Period(self.days[0].first, self.days[-1].end)

    @property
    def windows(self) -> int:
        return sum(day.windows for day in self.days)

    @property
    def rows(self) -> int:
        """Usage rows that the days took the place of."""
        return sum(day.rows for day in self.days)


@dataclass(frozen=True, slots=True)
class KeptRollUp:
    """All that is hashed when a roll-up is kept."""

    rollup: RollUp
    at: datetime
    previous_hash: str


def rolled(closings: Iterable[Closed], zones: Sequence[ZoneInfo], cuts: Sequence[datetime] = ()) -> Iterator[Day]:
    """Days of closings that come by meter and start; see `by_day`."""
    for windows in by_day(closings, zones, cuts):
        yield day_of(windows, zones[0])


def by_day(closings: Iterable[P], zones: Sequence[ZoneInfo], cuts: Sequence[datetime] = ()) -> Iterator[list[P]]:
    """The windows of each day, of closings that come by meter and start.

    A day ends at midnight in each of the zones, at each of `cuts` (sorted), and where a window is missing: what is
    asked of whole days there is the same of days as of windows.
    """

    def place(one: P) -> tuple[object, ...]:
        start = one.window.start
        return one.meter, *(start.astimezone(zone).date() for zone in zones), bisect_right(cuts, start)

    for _, some in groupby(closings, place):
        yield from _unbroken(some)


def _unbroken(closings: Iterable[P]) -> Iterator[list[P]]:
    run: list[P] = []
    for one in closings:
        if run and run[-1].window.end != one.window.start:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def day_of(windows: Sequence[Closed], zone: ZoneInfo) -> Day:
    """What windows of one meter without a gap between them come to. The day is named by the zone."""
    first, last = windows[0].window, windows[-1].window
    usage = tuple(row for row in merged(row for one in windows for row in one.usage) if row.quantity)
    head = DayHead(
        first.start,
        last.start,
        last.end,
        len(windows),
        sum(one.rows for one in windows),
        max((one.completeness for one in windows), key=lambda state: state is Completeness.DEGRADED),
        windows_digest(WindowHead(one.window, one.rows, one.usage_digest) for one in windows),
        usage_digest(usage),
    )
    return Day(windows[0].meter, first.start.astimezone(zone).date(), head, usage)


def windows_digest(windows: Iterable[WindowHead]) -> str:
    """SHA-256 over one line `start-seconds|usage digest` per window."""
    return digest("".join(f"{seconds(one.window.start)}|{one.usage_digest}\n" for one in windows))


_DRAFTING = timedelta(days=1)
"""How long before it is issued an invoice may have been drafted, clocks that disagree included."""


def known_by_day(rollups: Sequence[KeptRollUp], issued: datetime, archived: bool) -> bool:
    """Whether a line over windows of these roll-ups is held to its quantity alone and not to the digest of its windows.

    So it is where no archive gives the windows back, and for late usage that was itself drafted from days.
    """
    return bool(rollups) and (not archived or any(one.at <= issued + _DRAFTING for one in rollups))


def keep_rollup(rollup: RollUp, previous_hash: str, at: datetime) -> tuple[KeptRollUp, str]:
    """The entry as it is kept, and the canonical text its hash is taken of."""
    kept = KeptRollUp(rollup, recorded(at), previous_hash)
    return kept, canonical(kept)


def same_rollup(rollup: RollUp, kept: RollUp) -> None:
    """Raises:
    Contradiction: other windows of that meter and start were rolled up. The author may differ: the first stands.
    """
    before, now = ((one.days, one.total, one.archive_digest) for one in (kept, rollup))
    if before != now:
        raise Contradiction(
            f"windows {rollup.meter} {rollup.span} are rolled up already, {kept.span} into {kept.archive} with digest "
            f"{kept.archive_digest[:12]}, and are now {rollup.archive} with {rollup.archive_digest[:12]}; "
            "keep the archive that the book names, and prune what comes after it"
        )


def rollable(rollup: RollUp, days: Sequence[Day], closed: Sequence[Sequence[WindowHead]]) -> None:
    """`closed` are, for each day, the closings of the book in its span.

    Raises:
        BookError: they are not those the days are the sum of, or a sum is beyond 64 bits.
    """
    if [day.head for day in days] != list(rollup.days) or not days:
        raise BookError(
            f"roll-up {rollup.meter} {rollup.span}: {len(days)} days are not those of the entry; prune again"
        )
    if sum(row.quantity for day in days for row in day.usage) != rollup.total:
        raise BookError(f"roll-up {rollup.meter} {rollup.span}: its days do not sum to {rollup.total}; prune again")
    for day, windows in zip(days, closed, strict=True):
        head, where = day.head, f"day {rollup.meter} {day.head.span}"
        found = (len(windows), sum(one.rows for one in windows), windows_digest(windows))
        if found != (head.windows, head.rows, head.digest):
            raise BookError(
                f"{where}: the book has {found[0]} windows with {found[1]} rows and digest {found[2][:12]}, the "
                f"archive {head.windows} with {head.rows} and {head.digest[:12]}; nothing was removed, "
                "run `rating book check`"
            )
        if usage_digest(day.usage) != head.usage_digest:
            raise BookError(f"{where}: its rows have another digest than it says; nothing was removed, prune again")
        for row in day.usage:
            if not -GREATEST <= row.quantity <= GREATEST:
                keepable(row.quantity, f"{where}, {row.consumer}: quantity")


def not_the_sum(meter: str, day: DayHead) -> BookError:
    return BookError(
        f"day {meter} {day.span}: its windows in the book do not sum to it; nothing was removed, "
        "run `rating book check`"
    )


def rolled_meanwhile(meter: str, day: DayHead) -> Contradiction:
    return Contradiction(f"windows {meter} {day.span} are rolled up already, run `rating book prune` again")


def cut(day: Period, period: Period) -> BookError:
    """What is asked begins or ends inside a day of which only the whole is known."""
    return BookError(
        f"usage of {period} is asked for, but the windows of {day} are rolled up to one sum; ask for whole days, or "
        "give --archive with the folder that holds them (`rating book rollups` names the file)"
    )


def not_adjustable(adjustment: Adjustment, archive: str) -> BookError:
    return BookError(
        f"window {adjustment.meter} {stamp(adjustment.window.start)} is rolled up to its day (its own rows are in "
        f"{archive}), so it is not corrected any more; give back or charge a difference by `rating credit-notes add` "
        "or `rating items add`"
    )


def rolled_already(meter: str, window: Period, archive: str) -> Contradiction:
    return Contradiction(
        f"window {meter} {window} was closed with other usage; its rows are rolled up to their day and lie in "
        f"{archive}; its quantity does not change any more"
    )
