"""Prune: put days in the place of the rows of old windows, once those rows lie in an archive that was read back.

A window may go when everything it was used for is invoiced, nothing looks at it again by itself, and no price asks what
hour it was. A file and an entry of the book are one meter's month: each is whole, whatever happens between two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, islice, zip_longest
from urllib.parse import quote

from rating.core.archived import ArchivedWindow, archived
from rating.core.checks import ClosingRecord
from rating.core.periods import EPOCH, Period
from rating.core.retention import Borders, billed_until, borders, by_the_hour, midnight, ripe
from rating.core.rollup import Day, RollUp, by_day, day_of
from rating.core.schedule import second_look_span
from rating.errors import BookError, EdgeDisagrees, Overtaken
from rating.jobs.contracts import Contracts
from rating.ports import Archive, ClosingHead, StoredBook

CLAIM = "prune"


@dataclass(frozen=True, slots=True)
class Pruned:
    """One meter's month whose rows became days; in a dry run, would."""

    meter: str
    span: Period
    windows: int
    rows: int
    """Usage rows before."""
    day_rows: int
    """Rows of days in their place."""
    total: int
    """What they count, before and after, in the meter's resolution."""
    archive: str
    digest: str
    """SHA-256 of the file; empty in a dry run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    pruned: tuple[Pruned, ...]
    stays: tuple[tuple[str, str], ...]
    """Meters of which some windows stay although they are old, and why."""


def prune(
    book: StoredBook,
    contracts: Contracts,
    before: date,
    archive: Archive | None,
    *,
    now: datetime,
    meter: str | None = None,
    author: str = "rating",
    stopping: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Roll up what starts before that day (UTC). Doing it again is nothing; without an archive, only look.

    A day of one window stays as it is: there is nothing to sum.

    Raises:
        EdgeUnavailable, EdgeDisagrees: the archive could not be written or does not read as it was written; nothing of
            that month was removed.
        Overtaken: somebody else prunes.
        BookError: the book does not hold what it was closed with; `rating book check` says where.
    """
    with book.claim(CLAIM) as alone:
        if not alone:
            raise Overtaken("somebody else prunes this book; run the command again when that is done")
        return _prune(book, contracts, before, archive, now, meter, author, stopping, progress)


def _prune(
    book: StoredBook,
    contracts: Contracts,
    before: date,
    archive: Archive | None,
    now: datetime,
    meter: str | None,
    author: str,
    stopping: Callable[[], bool],
    progress: Callable[[int, int], None],
) -> Outcome:
    catalogues = [catalogue for _, catalogue in contracts.versions]
    names = sorted({name for catalogue in catalogues for name in catalogue.meters if meter in (None, name)})
    if meter is not None and not names:
        raise BookError(f"no catalogue in the book has a meter {meter}; `rating check` lists those of the present one")
    hourly = by_the_hour(catalogues, contracts.subscriptions)
    billed = billed_until(contracts.subscriptions, contracts.plan, catalogues, book.issued(), now)
    looked = {one.name: second_look_span(one, now).start for one in contracts.current.meters.values()}
    zones = {one.zone.key for one in catalogues} | {one.zone.key for one in contracts.subscriptions}
    edges = borders((invoice.draft for invoice in book.invoices()), zones)
    found: list[Pruned] = []
    stays = [(name, "a price asks for the time of day, so its windows stay") for name in names if name in hourly]
    limits = list(ripe([name for name in names if name not in hourly], midnight(before), billed, looked))
    for done, (name, until) in enumerate(limits):
        progress(done, len(limits))
        if until < midnight(before):
            why = "are not invoiced yet" if until == billed.get(name) else "may still be corrected"
            stays.append((name, f"windows from {until:%Y-%m-%d %H:%M} on {why}"))
        heads = (head for head in book.closings(name, Period(EPOCH, max(EPOCH, until))) if not head.rolled)
        for _, month in groupby(by_day(heads, edges.zones, edges.cuts), _month):
            if stopping():
                return Outcome(tuple(found), tuple(stays))
            days = [[head.window for head in windows] for windows in month if len(windows) > 1]
            if days:
                found.append(_roll(book, name, days, edges, archive, now, author))
    return Outcome(tuple(found), tuple(stays))


def _month(windows: Sequence[ClosingHead]) -> tuple[int, int]:
    start = windows[0].window.start
    return start.year, start.month


def _roll(
    book: StoredBook,
    meter: str,
    days: Sequence[Sequence[Period]],
    edges: Borders,
    archive: Archive | None,
    now: datetime,
    author: str,
) -> Pruned:
    """Write the windows down, read them back, and let the book compare what was read with its own rows."""
    span = Period(days[0][0].start, days[-1][-1].end)
    wanted = {window.start for windows in days for window in windows}
    closed = (one for one in book.closing_records(meter, span) if one.window.start in wanted)
    name = f"{quote(meter, safe='')}.{span.start:%Y%m%dT%H%MZ}.{span.end:%Y%m%dT%H%MZ}.jsonl.gz"
    if archive is None:
        made = [day_of(windows, edges.zones[0]) for windows in _in_days(closed, days)]
        return _pruned(RollUp(meter, tuple(day.head for day in made), _total(made), name, "", author), made)
    heads: list[ClosingRecord] = []

    def written() -> Iterator[ArchivedWindow]:
        for one in closed:
            heads.append(one._replace(usage=()))
            yield archived(meter, one.window, one.usage)

    digest = archive.write(name, written())
    made = [day_of(windows, edges.zones[0]) for windows in _in_days(_read_back(archive, name, digest, heads), days)]
    rollup = RollUp(meter, tuple(day.head for day in made), _total(made), name, digest, author)
    book.roll_up(rollup, made, at=now)
    return _pruned(rollup, made)


def _read_back(archive: Archive, name: str, digest: str, heads: Sequence[ClosingRecord]) -> Iterator[ClosingRecord]:
    """The windows of the file, each with the rows it was closed with. Raises EdgeDisagrees otherwise."""
    for head, one in zip_longest(heads, archive.read(name, digest)):
        if head is None or one is None or (one.window, one.digest) != (head.window, head.usage_digest):
            raise EdgeDisagrees(
                f"{name} does not read as the windows it was written from; nothing was removed, check the disk, then "
                "`rating book check`"
            )
        yield head._replace(usage=one.usage)


def _in_days(closed: Iterable[ClosingRecord], days: Sequence[Sequence[Period]]) -> Iterator[list[ClosingRecord]]:
    rest = iter(closed)
    for windows in days:
        yield list(islice(rest, len(windows)))
    # What checks the end of the file is at the end of the reading.
    assert next(rest, None) is None


def _total(days: Iterable[Day]) -> int:
    return sum(row.quantity for day in days for row in day.usage)


def _pruned(rollup: RollUp, days: Sequence[Day]) -> Pruned:
    rows = sum(len(day.usage) for day in days)
    return Pruned(
        rollup.meter,
        rollup.span,
        rollup.windows,
        rollup.rows,
        rows,
        rollup.total,
        rollup.archive,
        rollup.archive_digest,
    )
