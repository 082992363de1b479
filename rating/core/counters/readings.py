"""What a source gathered about one meter and one window, before anything is decided.

Values only. Times are whole milliseconds since the epoch, readings whole multiples of the meter's resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, overload

import numpy as np

from rating.core.counters.roster import Integers, Ledger
from rating.core.windows import Query, Usage


class Series(NamedTuple):
    """The samples of one series, by rising time. `units[i]` was read at `times[i]`."""

    labels: Mapping[str, str]
    times: Sequence[int]
    units: Sequence[int]


class Clean(Sequence[Usage]):
    """What clean counters counted, as columns: there may be a million of them."""

    def __init__(self, ledger: Ledger, accounts: Integers, quantities: Integers) -> None:
        self.ledger = ledger
        self.accounts = accounts
        """Numbers in the ledger; one may occur several times."""
        self.quantities = quantities

    @classmethod
    def joined(cls, ledger: Ledger, parts: Sequence[Clean]) -> Clean:
        none = np.empty(0, dtype=np.int64)
        return cls(
            ledger,
            np.concatenate([none, *(part.accounts for part in parts)]),
            np.concatenate([none, *(part.quantities for part in parts)]),
        )

    def sums(self) -> tuple[Integers, Integers]:
        """Each account once, and what it counted in all; Python's integers where 64 bits might not do."""
        wide = len(self.quantities) * int(self.quantities.max(initial=0)) >= 1 << 62
        totals = np.zeros(len(self.ledger.accounts), dtype=object if wide else np.int64)
        np.add.at(totals, self.accounts, self.quantities.astype(object) if wide else self.quantities)
        accounts = np.flatnonzero(totals)
        return accounts, totals[accounts]

    def __len__(self) -> int:
        return len(self.accounts)

    def __iter__(self) -> Iterator[Usage]:
        known = self.ledger.accounts
        for account, quantity in zip(self.accounts.tolist(), self.quantities.tolist(), strict=True):
            consumer, dimensions = known[account]
            yield Usage(consumer, dimensions, quantity)

    @overload
    def __getitem__(self, index: int) -> Usage: ...
    @overload
    def __getitem__(self, index: slice) -> Clean: ...
    def __getitem__(self, index: int | slice) -> Usage | Clean:
        if isinstance(index, slice):
            return Clean(self.ledger, self.accounts[index], self.quantities[index])
        consumer, dimensions = self.ledger.accounts[int(self.accounts[index])]
        return Usage(consumer, dimensions, int(self.quantities[index]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and sorted(self) == sorted(other)

    __hash__ = None  # type: ignore[assignment]


class Counts(NamedTuple):
    """How many series the source says there are, and how the window's reading sorted them."""

    all: int
    clean: int
    rebuilt: int
    """Dirty or born: read sample by sample."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything that decides one window.

    `series` holds the samples of every counter that needs rebuilding, those inside the window and those before it back
    to its base. `clean` holds the usage of all other counters, as exact differences of cumulative readings; a consumer
    may have several rows.
    """

    clean: Sequence[Usage] = ()
    clean_identities: int = 0
    largest: int = 0
    """The greatest cumulative reading among the clean counters."""
    clean_by_target: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """What the clean counters of each target counted, by the values of its labels."""
    series: Sequence[Series] = ()
    starts: Sequence[Series] = ()
    """process_start_time_seconds of the targets of `series`; the units are milliseconds since the epoch."""
    up: Sequence[Series] = ()
    """`up` of the meter's targets from a little before the window to a little after it, in units of 1."""
    alive: Sequence[int] = ()
    """Instants between the same limits at which the source recorded any scrape at all, of whatever target."""
    sighted: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """An instant before the window at which a target (its labels' values) was scraped successfully."""
    seen_from: int = 0
    """The earliest instant this source can answer for; what lies before it was somebody else's to bill."""
    counts: Counts | None = None
    """None when the source hands over raw samples only and there is nothing to add up."""
    warnings: tuple[str, ...] = ()
    """The source's own doubts about its answer. Any of them holds the window."""
    infos: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()
    shards: Sequence[Readings] = ()
    """Readings of several sources with targets of their own, each to be judged by itself; then all else is empty."""


def apart(shards: Mapping[str, Readings]) -> Readings:
    """The readings of a meter from several sources that share no target, by the sources' names."""
    if len(shards) == 1:
        return next(iter(shards.values()))
    return Readings(
        shards=tuple(shards.values()),
        warnings=tuple(f"{name}: {warning}" for name, part in shards.items() for warning in part.warnings),
        infos=tuple(dict.fromkeys(info for part in shards.values() for info in part.infos)),
        queries=tuple(
            replace(query, text=f"{name}: {query.text}") for name, part in shards.items() for query in part.queries
        ),
    )


def together(parts: Sequence[Readings]) -> Readings:
    """The readings of a meter of several metrics, from those of each metric over the same window and source.

    The metrics may share targets: each target's own series are kept once.
    """
    if len(parts) == 1:
        return parts[0]
    counts = [part.counts for part in parts if part.counts is not None]
    by_target: dict[tuple[str, ...], int] = {}
    for part in parts:
        for target, counted in part.clean_by_target.items():
            by_target[target] = by_target.get(target, 0) + counted
    sighted: dict[tuple[str, ...], int] = {}
    for part in parts:
        for target, time in part.sighted.items():
            sighted[target] = min(time, sighted.get(target, time))
    return Readings(
        clean=[usage for part in parts for usage in part.clean],
        clean_identities=sum(part.clean_identities for part in parts),
        largest=max(part.largest for part in parts),
        clean_by_target=by_target,
        series=[series for part in parts for series in part.series],
        starts=_once(series for part in parts for series in part.starts),
        up=_once(series for part in parts for series in part.up),
        alive=sorted({time for part in parts for time in part.alive}),
        sighted=sighted,
        # The latest: no metric may claim to have looked further back than the source was asked for.
        seen_from=max(part.seen_from for part in parts),
        counts=Counts(*map(sum, zip(*counts, strict=True))) if len(counts) == len(parts) else None,
        warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
        infos=tuple(dict.fromkeys(info for part in parts for info in part.infos)),
        queries=tuple(query for part in parts for query in part.queries),
    )


def _once(found: Iterable[Series]) -> list[Series]:
    """One series for each set of labels: the one that reaches furthest back."""
    kept: dict[frozenset[tuple[str, str]], Series] = {}
    for series in found:
        key = frozenset(series.labels.items())
        if key not in kept or series.times[0] < kept[key].times[0]:
            kept[key] = series
    return list(kept.values())
