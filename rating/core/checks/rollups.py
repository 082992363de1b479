"""Rules about roll-ups: chained, said as they were kept, and each day what its windows and rows make it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rating.core.canonical import digest, read
from rating.core.checks.chains import hashes_chain
from rating.core.entries import usage_digest
from rating.core.periods import milliseconds, seconds
from rating.core.rollup import SERIES, DayHead, KeptRollUp, WindowHead, windows_digest
from rating.core.windows import Usage
from rating.errors import Finding

_BACKUP = "it was changed past the program; compare with a backup, or with the archive (`--archive`)"


class DayRecord(NamedTuple):
    """A row of `rolled_days` as stored, with its usage and the heads of the windows that are said to be in it."""

    meter: str
    first: int
    last: int
    end: int
    windows: int
    rows: int
    completeness: str
    digest: str
    usage_digest: str
    heads: tuple[WindowHead, ...] = ()
    usage: tuple[Usage, ...] = ()


class RollUpRecord(NamedTuple):
    """A row of `rollups` as stored, with its days."""

    sequence: int
    meter: str
    start: int
    end: int
    windows: int
    rows: int
    total: str
    archive: str
    archive_digest: str
    at: int
    content: str
    content_hash: str
    previous_hash: str
    days: tuple[DayRecord, ...] = ()

    @property
    def number(self) -> str:
        return str(self.sequence)

    @property
    def series(self) -> str:
        return SERIES


def rollup_record(sequence: int, kept: KeptRollUp, content: str) -> RollUpRecord:
    """How this roll-up must be stored."""
    one = kept.rollup
    return RollUpRecord(
        sequence,
        one.meter,
        seconds(one.span.start),
        seconds(one.span.end),
        one.windows,
        one.rows,
        str(one.total),
        one.archive,
        one.archive_digest,
        milliseconds(kept.at),
        content,
        digest(content),
        kept.previous_hash,
        tuple(_day_record(one.meter, day) for day in one.days),
    )


def _day_record(meter: str, day: DayHead) -> DayRecord:
    return DayRecord(
        meter,
        seconds(day.first),
        seconds(day.last),
        seconds(day.end),
        day.windows,
        day.rows,
        day.completeness.value,
        day.digest,
        day.usage_digest,
    )


def check_rollups(records: Iterable[RollUpRecord]) -> Iterator[Finding]:
    """Every rule about them. A roll-up's rows are let go before the next one's are read."""
    heads = []
    for place, one in enumerate(records, 1):
        if one.sequence != place:
            yield Finding(f"roll-up {one.number}", f"stands at place {place}", "one was removed; compare with a backup")
        yield from _as_kept(one)
        for day in one.days:
            yield from _holds(one, day)
        total = sum(row.quantity for day in one.days for row in day.usage)
        if str(total) != one.total:
            yield Finding(f"roll-up {one.number}", f"its days sum to {total} but it says {one.total}", _BACKUP)
        heads.append(one._replace(days=()))
    yield from hashes_chain(heads, "roll-up")


def _as_kept(one: RollUpRecord) -> Iterator[Finding]:
    """What is spread out for SQL says what the hashed content says."""
    where = f"roll-up {one.number}"
    try:
        kept = read(KeptRollUp, one.content)
    except ValueError:
        yield Finding(where, "its content cannot be read", _BACKUP)
        return
    said = rollup_record(one.sequence, kept, one.content)
    for name, stored, expected in zip(RollUpRecord._fields, one, said, strict=True):
        if name == "days":
            stored = tuple(day._replace(heads=(), usage=()) for day in one.days)
        if stored != expected and name not in ("content", "content_hash"):
            yield Finding(
                where, f"{name} is stored as {str(stored)[:120]} but its content says {str(expected)[:120]}", _BACKUP
            )


def _holds(one: RollUpRecord, day: DayRecord) -> Iterator[Finding]:
    """A day has the windows and the rows it was made of."""
    where = f"roll-up {one.number}, day of {day.meter} from {day.first}"
    found = (len(day.heads), sum(head.rows for head in day.heads), windows_digest(day.heads))
    if found != (day.windows, day.rows, day.digest):
        yield Finding(
            where,
            f"has {found[0]} windows with {found[1]} rows and digest {found[2][:12]} but was made of {day.windows} "
            f"with {day.rows} and {day.digest[:12]}",
            _BACKUP,
        )
    rows = usage_digest(day.usage)
    if rows != day.usage_digest:
        yield Finding(
            where, f"its rows have the digest {rows[:12]} but were kept with {day.usage_digest[:12]}", _BACKUP
        )
