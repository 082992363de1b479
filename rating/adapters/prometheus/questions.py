"""What every way of gathering asks alike about one window of one meter: of its targets, and of some counters by name.

Decides how questions are kept small enough to be answered; which are asked, and in which order, is the subclass's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Asking
from rating.core.counters import (
    MARGIN,
    SAME_PROCESS,
    THOUSANDTHS,
    WHOLE,
    Column,
    Integers,
    Readings,
    Roster,
    Series,
    changes,
)
from rating.core.meters import Lifetime, Meter
from rating.core.periods import Period, milliseconds
from rating.core.vocabulary import PROCESS_START, UP

MINUTE = 60_000
RUNGS = (5 * MINUTE, 60 * MINUTE, 6 * 60 * MINUTE, 24 * 60 * MINUTE)
"""How far before a window a base is searched, in turn; the meter's lookback is the last rung."""
CONTEXT = 6 * MINUTE
"""Kept before a base: what replicas saw around it tells which epoch it belongs to."""
PER_QUERY = 500
"""Counters asked for by name in one query."""
MANY = 20
"""So many queries by name cost more than one for all."""
SAMPLES_PER_QUERY = 1_000_000
_STEPS = 10_000
"""Steps in one range query; Prometheus refuses 11,000."""

Among = Mapping[str, Collection[str]]
"""Values of labels that a selector is narrowed to."""


class Carried(NamedTuple):
    """The last readings before an instant: asked for at the end of one window, and the bases of the next."""

    at: int
    readings: Column
    roster: Roster
    """Where the series have these numbers."""


class Questions(ABC):
    """Gathers the readings of one window."""

    streamed = False
    """Whether by remote read."""

    def __init__(self, asking: Asking, meter: Meter, window: Period) -> None:
        self._ask = asking
        self._names = asking.names
        self._roster = asking.names.roster
        self._meter, self.window = meter, window
        self._naming = self._roster.naming
        self._start, self._end = milliseconds(window.start), milliseconds(window.end)
        self._length = self._end - self._start
        self._lookback = meter.lookback // timedelta(milliseconds=1)
        self._first_rung = min(RUNGS[0], self._lookback)
        self._interval = meter.scrape_interval // timedelta(milliseconds=1)
        self._lone = len(asking.clients) == 1
        self._narrowed: dict[str, set[str]] | None = None

    @abstractmethod
    def read(self) -> Readings: ...

    def close(self) -> None:
        self._ask.end()

    def carried(self) -> Carried | None:
        """What the next window need not ask for again."""
        return None

    def _restarted_among(self, groups: Iterable[Among], reach: int) -> set[tuple[str, ...]]:
        if self._meter.lifetime is Lifetime.DURABLE:
            return set()
        first: dict[tuple[str, ...], int] = {}
        last: dict[tuple[str, ...], int] = {}
        for group in groups:
            lowest, highest = self._begin_restarted(group, reach)
            for found, value in self._ask.values(lowest, self._end - 1, THOUSANDTHS):
                target = self._naming.target(found)
                first[target] = min(value, first.get(target, value))
            for found, value in self._ask.values(highest, self._end - 1, THOUSANDTHS):
                target = self._naming.target(found)
                last[target] = max(value, last.get(target, value))
        return {target for target in first if last.get(target, first[target]) - first[target] > SAME_PROCESS}

    def _begin_restarted(self, group: Among, reach: int) -> tuple[str, str]:
        """Ask for the earliest and the latest process start of each target; both questions are sent at once."""
        start, labels = queries.selector(PROCESS_START, among=group), self._meter.target_labels
        lowest, highest = queries.lowest(start, labels, reach), queries.highest(start, labels, reach)
        self._ask.begin(lowest, self._end - 1)
        self._ask.begin(highest, self._end - 1)
        return lowest, highest

    def _restarted(self, targets: Collection[tuple[str, ...]], reach: int) -> set[tuple[str, ...]]:
        """Targets seen with more than one process."""
        return self._restarted_among(self._target_groups(targets, reach), reach)

    def _starts_of(self, targets: Collection[tuple[str, ...]], reach: int) -> list[Series]:
        """Process starts of these targets, over so many milliseconds before the window's end."""
        if self._meter.lifetime is Lifetime.DURABLE:
            return []
        starts: dict[frozenset[tuple[str, str]], Series] = {}
        for among in self._target_groups(targets, reach):
            text = queries.samples(queries.selector(PROCESS_START, among=among), reach)
            for one in self._ask.samples(text, self._end - 1, THOUSANDTHS, self._end - reach, self._end):
                if self._naming.target(one.labels) in targets:
                    starts[frozenset(one.labels.items())] = _changes(one)
        return list(starts.values())

    def _cuts(self, starts: Iterable[Series]) -> dict[int, set[int]]:
        """When each target, by number, was first seen with a new process."""
        found: dict[int, set[int]] = {}
        for one in starts:
            found.setdefault(self._roster.target(self._naming.target(one.labels)), set()).update(changes([one]))
        return found

    def _targets(self, numbers: Integers) -> set[tuple[str, ...]]:
        return {self._roster.targets[number] for number in np.unique(self._roster.target_of[numbers]).tolist()}

    def _scrapes(self, before: int = MARGIN) -> tuple[list[Series], list[int]]:
        """`up` of the targets that expose the metric, and when the source recorded anything at all."""
        text, start, end, step = self._scrapes_asked(before)
        ups = self._ask.samples(text, end - 1, WHOLE, start, end) if text else []
        # A step speaks for the samples since the one before it.
        alive = [at - step + 1 for at in self._ask.instants(queries.scraped(UP, step), start, end, step)]
        return ups, alive

    def _scrapes_asked(self, before: int = MARGIN) -> tuple[str, int, int, int]:
        """The question for `up`, empty where nobody knows of which targets; from when to when, and in which steps."""
        start, end = self._start - before, self._end + MARGIN
        among = self._among()
        text = queries.samples(queries.selector(UP, among=among), end - start) if among else ""
        return text, start, end, max(self._interval, -(-(end - start) // _STEPS))

    def _begin_scrapes(self) -> None:
        """Ask for `_scrapes` ahead of the moment when they are needed."""
        text, start, end, step = self._scrapes_asked()
        if text:
            self._ask.begin_raw(text, end - 1)
        self._ask.begin_instants(queries.scraped(UP, step), start, end, step)

    def _among(self) -> Among:
        """Values of the target labels that the meter's targets have, those of too many left out; asked once."""
        if self._narrowed is None:
            self._narrowed = {}
            self._begin_among()
            for label in self._meter.target_labels:
                values = self._ask.label_values(label, *self._among_asked())
                if 0 < len(values) <= PER_QUERY:
                    self._narrowed[label] = values
        return self._narrowed

    def _among_asked(self) -> tuple[str, int, int]:
        return queries.counters(self._meter), self._start - RUNGS[-1], self._end

    def _begin_among(self) -> None:
        for label in self._meter.target_labels if self._narrowed is None else ():
            self._ask.begin_label_values(label, *self._among_asked())

    def _sightings(self, targets: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
        """Of these targets, those scraped successfully at some time before the window."""
        sighted: dict[tuple[str, ...], int] = {}
        for reach in (RUNGS[0], self._lookback):
            missing = {target for target in targets if target not in sighted}
            for among in self._target_groups(missing, reach):
                text = queries.highest(queries.selector(UP, among=among), self._meter.target_labels, reach)
                for found, value in self._ask.values(text, self._start - 1, WHOLE):
                    if value == 1:
                        sighted[self._naming.target(found)] = self._start - 1
        return sighted

    def _seen_from(self) -> int:
        """The earliest instant at which the source recorded a scrape, at most the meter's lookback away; the window's
        start when there is none. Found in three ever finer looks, and never earlier than the truth."""
        start, end = self._start - self._lookback, self._start
        for step in (60 * MINUTE, MINUTE, 1_000):
            step = max(step, -(-(end - start) // _STEPS))
            found = self._ask.instants(queries.present(UP), start, end, step)
            if not found:
                return end
            start, end = max(start, found[0] - step), min(end, found[0])
        return end

    def _target_groups(self, targets: Collection[tuple[str, ...]], reach: int) -> list[dict[str, set[str]]]:
        """Selectors over the target labels that cover these targets, few enough at a time to be answered."""
        per_query = max(1, min(PER_QUERY, SAMPLES_PER_QUERY * self._interval // max(1, reach)))
        ordered = sorted(targets)
        return [
            {
                label: {target[i] for target in ordered[at : at + per_query]}
                for i, label in enumerate(self._meter.target_labels)
            }
            for at in range(0, len(ordered), per_query)
        ]

    def _covering(self, numbers: Integers) -> list[Among | None]:
        """Selectors that cover these counters: by name where they are few, else all there are."""
        groups = self._split(numbers, PER_QUERY)
        if len(groups) > MANY:
            return [None]
        return [covering(self._identities(group)) for group in groups]

    def _identities(self, numbers: Integers) -> list[dict[str, str]]:
        return [dict(self._naming.identity(self._names.labels(number))) for number in numbers.tolist()]

    def _split(self, numbers: Integers, size: int) -> list[Integers]:
        """Series in groups, those of one place together: so each group's selector covers little else."""
        ordered = numbers[np.argsort(self._roster.place[numbers], kind="stable")]
        return [ordered[at : at + size] for at in range(0, len(ordered), size)]


def covering(group: Sequence[Mapping[str, str]]) -> dict[str, set[str]]:
    """Label values that select all of these counters, and not many others."""
    return {label: {one.get(label, "") for one in group} for label in {label for one in group for label in one}}


def _changes(series: Series) -> Series:
    """A series that is constant for long: only the samples that differ from the one before."""
    times: list[int] = []
    units: list[int] = []
    for time, value in zip(series.times, series.units, strict=True):
        if not units or units[-1] != value:
            times.append(time)
            units.append(value)
    return Series(series.labels, times, units)
