"""Gathers the readings of one window of one meter: which questions are asked, in which order, and of which counters.

Most counters are settled by three vectors: their last readings before the window and in it, and the falls in between.
Only those that began, restarted or fell are read sample by sample. What any of it means is decided in `core.counters`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Doubles
from rating.adapters.prometheus.client import TooMuch
from rating.adapters.prometheus.pieces import WHOLE, Piece, cut
from rating.adapters.prometheus.questions import (
    CONTEXT,
    MANY,
    MINUTE,
    PER_QUERY,
    RUNGS,
    SAMPLES_PER_QUERY,
    Among,
    Questions,
    covering,
)
from rating.core.counters import (
    MARGIN,
    Clean,
    Column,
    Counts,
    Integers,
    Partition,
    Readings,
    Samples,
    Series,
    Traces,
    deciding_all,
    falls,
    first_at,
    partition,
    ranges,
)
from rating.core.meters import Lifetime


class Kept(NamedTuple):
    """Samples that came along with the first look, from its rung and the context before that on."""

    samples: Samples
    """All there are, but for those of `thinned`."""
    thinned: Integers
    """Series of which only the samples that decide were kept, because nobody else can see these counters."""
    seen: Integers
    """All series with a sample, kept or not."""


_NONE = np.empty(0, dtype=np.int64)
NOTHING = Kept(Samples.empty(), _NONE, _NONE)


class First(NamedTuple):
    """What is known of all counters at once, before any of them is looked at by itself."""

    ends: Column
    """The last reading inside the window of each series."""
    bases: Column
    """The last one before it, within the first rung."""
    fallen: Integers
    restarted: Collection[tuple[str, ...]]
    kept: Kept


Cuts = Mapping[int, Collection[int]]
"""When each target, by number, was first seen with a new process."""
_Flat = tuple[Integers, Doubles, Integers]
"""Times and values of many series, one after the other, and the places of values lower than the one before."""
_LONG_AGO = np.iinfo(np.int64).min
_FEW = 20
"""So few counters of a target are asked for by name: a name says best what is meant."""


class Gathering(Questions):
    """Gathers the readings of one window; how its first look at all counters is taken is the subclass's."""

    def _pieces(self) -> list[Piece]:
        """The meter in questions small enough. Before its size is known, as many as its consumers suggest."""
        if not self._names.pieces:
            self._names.plan(self._meter.consumer, dict.fromkeys(self._consumers(WHOLE), 1))
        return self._names.pieces

    def _consumers(self, piece: Piece) -> set[str]:
        counters = queries.counters(self._meter, piece=piece)
        return self._ask.label_values(self._meter.consumer, counters, self._start - RUNGS[0], self._end)

    def _halved(self, piece: Piece) -> list[Piece]:
        """A piece the server finds too large, as smaller ones; as itself where it cannot be cut."""
        sizes = dict.fromkeys(self._consumers(piece), 1)
        halves = [(*piece, *part) for part in cut(self._meter.consumer, sizes, -(-len(sizes) // 2))]
        if len(halves) > 1:
            at = self._names.pieces.index(piece)
            self._names.pieces = [*self._names.pieces[:at], *halves, *self._names.pieces[at + 1 :]]
        return halves

    def _plan(self, ends: Column) -> None:
        roster = self._roster
        sizes: Counter[str] = Counter()
        if len(ends.numbers) > self._names.most:
            accounts, counts = np.unique(roster.account[ends.numbers], return_counts=True)
            for account, count in zip(accounts.tolist(), counts.tolist(), strict=True):
                sizes[roster.ledger.accounts[account][0]] += count
            self._names.plan(self._meter.consumer, sizes)

    _ends = Column.empty()
    """The last readings inside the window, once they are known."""

    @abstractmethod
    def _first(self) -> First: ...

    def read(self) -> Readings:
        ask = self._ask
        first = self._first()
        self._ends = first.ends
        self._plan(first.ends)
        parts: list[Clean] = []
        by_target: Counter[tuple[str, ...]] = Counter()
        clean_series = clean_identities = largest = rebuilt_series = 0
        series: list[Samples] = []
        starts: list[Series] = []
        waiting = first.ends
        among: list[Among | None] = [None]

        # Up the ladder: at each rung the counters with a base are settled, those without one wait for the next.
        rungs = [self._first_rung, *(rung for rung in RUNGS[1:] if rung < self._lookback)]
        if self._lookback > rungs[-1]:
            rungs.append(self._lookback)
        for rung in rungs:
            if not len(waiting.numbers):
                break
            if rung == rungs[0]:
                found = partition(self._roster, waiting, first.bases, first.fallen, first.restarted)
            else:
                found = self._sort(waiting, among, rung)
            parts.append(found.clean)
            by_target.update(found.by_target)
            clean_series += found.clean_series
            clean_identities += found.clean_identities
            largest = max(largest, found.largest)
            wanted = np.concatenate((found.dirty, found.departed))
            rebuilt, rebuilt_starts = self._rebuild(wanted, rung, first.kept if rung == rungs[0] else NOTHING)
            series.append(rebuilt)
            starts += rebuilt_starts
            rebuilt_series += self._agreeing(found.dirty, first.ends, rebuilt)
            waiting = waiting.where(np.isin(waiting.numbers, found.born))
            if len(waiting.numbers):
                among = self._covering(waiting.numbers)

        born = waiting.numbers
        rebuilt, rebuilt_starts = self._rebuild(born, CONTEXT, first.kept)
        series.append(rebuilt)
        starts += rebuilt_starts
        rebuilt_series += self._agreeing(born, first.ends, rebuilt)

        up, alive = self._scrapes()
        if self._meter.max_rate is not None and self._meter.lifetime is Lifetime.PROCESS:
            # A counter that its process took along leaves no sample in the window: its target tells of the restart.
            starts += self._starts_of({self._naming.target(one.labels) for one in up}, self._length + MARGIN)
        newborn = self._targets(born)
        return Readings(
            clean=Clean.joined(self._roster.ledger, parts),
            clean_identities=clean_identities,
            largest=largest,
            clean_by_target=by_target,
            series=Traces(self._roster, Samples.joined(series), self._names.labels),
            starts=starts,
            up=up,
            alive=alive,
            sighted=self._sightings(newborn),
            seen_from=self._seen_from() if len(born) else self._start - self._lookback,
            counts=Counts(len(first.ends.numbers), clean_series, rebuilt_series),
            warnings=tuple(ask.warnings),
            infos=tuple(ask.infos),
            queries=tuple(ask.queries),
        )

    def _sort(self, ends: Column, among: Sequence[Among | None], rung: int) -> Partition:
        """The partition of `ends`, which `among` covers, by bases at most `rung` milliseconds before the window."""
        bases = Column.empty()
        for group in among:
            asked = self._ask.readings(queries.last(queries.counters(self._meter, group), rung), self._start - 1)
            bases = bases.joined(asked)
        if not len(bases.numbers):
            return partition(self._roster, ends, bases, bases.numbers, ())
        reach = self._length + rung + MINUTE
        fallen = [bases.numbers[:0]]
        for group in among:
            falls = queries.fallen(queries.counters(self._meter, group), reach)
            fallen.append(self._ask.vector(falls, self._end - 1)[0])
        return partition(self._roster, ends, bases, np.concatenate(fallen), self._restarted_of(ends, bases, reach))

    def _restarted_of(self, ends: Column, bases: Column, reach: int) -> set[tuple[str, ...]]:
        known = np.isin(self._roster.identity[ends.numbers], self._roster.identity[bases.numbers])
        numbers = np.unique(self._roster.target_of[ends.numbers[known]])
        return self._restarted({self._roster.targets[number] for number in numbers.tolist()}, reach)

    def _rebuild(self, wanted: Integers, reach: int, kept: Kept) -> tuple[Samples, list[Series]]:
        """Samples of these counters from their bases on, in whole units, and of their targets' process starts."""
        if not len(wanted):
            return Samples.empty(), []
        reach += CONTEXT
        before = self._length + reach
        starts = self._starts_of(self._targets(wanted), before)
        found, missing = self._from_kept(wanted, kept)
        parts, cuts = [found], self._cuts(starts)
        for group, among in self._raw_groups(missing, before):
            for part in self._raw(group, among, before):
                # All series of a counter, also those without a sample in the window: they tell its epochs.
                part = self._among_these(part, wanted)
                parts.append(
                    self._sifted(part.numbers, (part.times, part.values, falls(part.values)), part.low, part.high, cuts)
                )
        samples = self._deciding(Samples.joined(parts), cuts)
        units = self._ask.units(queries.counters(self._meter), samples.values, self._ask.scale)
        return samples._replace(values=units), starts

    def _among_these(self, samples: Samples, wanted: Integers) -> Samples:
        """Of the counters that are wanted, by whichever series."""
        return samples.where(self._of(wanted)[self._roster.identity[samples.numbers]])

    def _of(self, wanted: Integers) -> NDArray[Any]:
        """For each identity, whether it is that of one of these series."""
        mask = np.zeros(self._roster.identities, dtype=bool)
        mask[self._roster.identity[wanted]] = True
        return mask

    def _from_kept(self, wanted: Integers, kept: Kept) -> tuple[Samples, Integers]:
        """What came along, and the counters of which something did not."""
        if not len(kept.samples.numbers):
            return kept.samples, wanted
        identity = self._roster.identity
        ours = self._of(wanted)
        absent = kept.seen[~np.isin(kept.seen, kept.samples.numbers)]
        # What was thinned out because nobody else was known to see it, and then somebody did.
        mates = np.bincount(identity[kept.samples.numbers], minlength=len(ours))
        crowded = kept.thinned[mates[identity[kept.thinned]] > 1]
        incomplete = np.zeros(len(ours), dtype=bool)
        incomplete[identity[absent]] = True
        incomplete[identity[crowded]] = True
        whole = ours & ~incomplete
        return kept.samples.where(whole[identity[kept.samples.numbers]]), wanted[incomplete[identity[wanted]]]

    def _sifted(self, numbers: Integers, among: _Flat, low: Integers, high: Integers, cuts: Cuts) -> Samples:
        """As `_deciding`, while the rest is still to come: only series that nobody else can see are made shorter."""
        alone = self._alone(numbers)
        since = np.where(alone, self._since(numbers, among[0], low, high), low)
        return self._thinned(numbers, among, since, high, alone, cuts)

    def _alone(self, numbers: Integers) -> NDArray[Any]:
        found: NDArray[Any] = (self._roster.alone[numbers] & self._lone).astype(bool)
        return found

    def _deciding(self, samples: Samples, cuts: Cuts) -> Samples:
        """The samples that decide: of each counter from a little before its latest base on, since what lies further
        back decides nothing; and where nobody else saw it, only those where something happens."""
        numbers, times, values = samples.numbers, samples.times, samples.values
        alone = np.bincount(self._roster.identity[numbers])[self._roster.identity[numbers]] == 1
        since = self._since(numbers, times, samples.low, samples.high)
        return self._thinned(numbers, (times, values, falls(values)), since, samples.high, alone, cuts)

    def _since(self, numbers: Integers, times: Integers, low: Integers, high: Integers) -> Integers:
        """Where in each series, which lies at `low` to `high`, begins what decides."""
        identity = self._roster.identity[numbers]
        at = first_at(times, low, high, self._start)
        based = at > low
        latest = np.full(self._roster.identities, _LONG_AGO, dtype=np.int64)
        np.maximum.at(latest, identity[based], times[at[based] - 1])
        latest = np.where(latest[identity] > _LONG_AGO, latest[identity], self._start)
        return first_at(times, low, high, latest - CONTEXT)

    def _thinned(
        self,
        numbers: Integers,
        among: _Flat,
        low: Integers,
        high: Integers,
        alone: NDArray[Any],
        cuts: Cuts,
    ) -> Samples:
        """Of series that are `alone` the samples that decide, of others all. Each lies at `low` to `high`."""
        some = high > low
        numbers, low, high, alone = (column[some] for column in (numbers, low, high, alone))
        times, values, fallen = among
        single = np.flatnonzero(alone)
        owners, instants = self._instants(numbers[single], cuts)
        places = deciding_all(times, fallen, low[single], high[single], owners, instants)
        if len(single) < len(numbers):
            places = np.sort(np.concatenate((places, ranges(low[~alone], high[~alone]))))
        return Samples.picked(numbers, low, places, times, values)

    def _instants(self, numbers: Integers, cuts: Cuts) -> tuple[Integers, Integers]:
        """For each of these series the window's start and when its target was first seen with a new process: as the
        index of the series and the instant."""
        owners = [np.arange(len(numbers))]
        instants = [np.full(len(numbers), self._start)]
        target = self._roster.target_of[numbers]
        order = np.argsort(target, kind="stable")
        for number, times in cuts.items():
            first, last = np.searchsorted(target, [number, number + 1], sorter=order)
            for time in times:
                owners.append(order[first:last])
                instants.append(np.full(last - first, time))
        return np.concatenate(owners), np.concatenate(instants)

    def _agreeing(self, wanted: Integers, ends: Column, rebuilt: Samples) -> int:
        """How many of the counters to be rebuilt were found, ending at the very reading the first look gave."""
        last = np.full(len(self._roster), -1, dtype=np.int64)
        last[ends.numbers] = ends.units
        found = np.full(len(self._roster), -2, dtype=np.int64)
        found[rebuilt.numbers] = rebuilt.values[rebuilt.high - 1]
        return int(np.count_nonzero(found[wanted] == last[wanted]))

    def _raw_groups(self, wanted: Integers, before: int) -> Iterator[tuple[Integers, Among]]:
        """These counters, few enough at a time to be answered, and selectors for them: by name, or by target where most
        of what their targets have is wanted. Naming each of many counters costs a server more than to send a few
        others."""
        samples = max(1, SAMPLES_PER_QUERY * self._interval // before)
        per_query = min(PER_QUERY, samples)
        target = self._roster.target_of[wanted]
        there = np.bincount(self._roster.target_of[self._ends.numbers], minlength=len(self._roster.targets))
        counted = np.bincount(target, minlength=len(there))
        crowded = (2 * counted >= there) & (counted > _FEW)
        if len(wanted) > MANY * per_query:
            crowded = counted > 0
        for group in self._split(wanted[~crowded[target]], per_query):
            yield group, covering(self._identities(group))
        held: list[int] = []
        size = 0
        for number in np.flatnonzero(crowded).tolist():
            if held and (size + counted[number] > samples or len(held) == PER_QUERY):
                yield wanted[np.isin(target, held)], self._of_targets(held)
                held, size = [], 0
            held.append(number)
            size += int(counted[number])
        if held:
            yield wanted[np.isin(target, held)], self._of_targets(held)

    def _of_targets(self, numbers: Sequence[int]) -> Among:
        targets = [self._roster.targets[number] for number in numbers]
        return {label: {target[i] for target in targets} for i, label in enumerate(self._meter.target_labels)}

    def _raw(self, wanted: Integers, among: Among, before: int) -> Iterator[Samples]:
        """Raw samples of these counters, and of others that the selector covers. What is too much for the server is
        asked for in halves."""
        text = queries.samples(queries.counters(self._meter, among), before)
        try:
            yield self._ask.raw(text, self._end - 1, self._end - before, self._end)
        except TooMuch:
            if len(wanted) < 2:
                raise
            for half in np.array_split(wanted[np.argsort(self._roster.place[wanted], kind="stable")], 2):
                yield from self._raw(half, covering(self._identities(half)), before)
