"""Gathers the readings of one window of one meter: which questions are asked, in which order, and of which counters.

Most counters are settled by three vectors: their last readings before the window and in it, and the falls in between.
Only those that began, restarted or fell are read sample by sample. What any of it means is decided in `core.counters`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Samples
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
    Series,
    deciding,
    partition,
)
from rating.core.meters import Lifetime


class Kept(NamedTuple):
    """Samples that came along with the first look, from its rung and the context before that on."""

    samples: Mapping[int, Samples]
    """By series: all there are, but for those of `thinned`."""
    thinned: AbstractSet[int]
    """Series of which only the samples that decide were kept, because nobody else can see these counters."""
    seen: Integers
    """All series with a sample, kept or not."""


NOTHING = Kept({}, frozenset(), np.empty(0, dtype=np.int64))


class First(NamedTuple):
    """What is known of all counters at once, before any of them is looked at by itself."""

    ends: Column
    """The last reading inside the window of each series."""
    bases: Column
    """The last one before it, within the first rung."""
    fallen: Integers
    restarted: Collection[tuple[str, ...]]
    kept: Kept


class Gathering(Questions):
    """Gathers the readings of one window; how its first look at all counters is taken is the subclass's."""

    @abstractmethod
    def _first(self) -> First: ...

    def read(self) -> Readings:
        ask = self._ask
        first = self._first()
        parts: list[Clean] = []
        by_target: Counter[tuple[str, ...]] = Counter()
        clean_series = clean_identities = largest = rebuilt_series = 0
        series: dict[int, Series] = {}
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
            series.update(rebuilt)
            starts += rebuilt_starts
            rebuilt_series += self._agreeing(found.dirty, first.ends, rebuilt)
            waiting = waiting.where(np.isin(waiting.numbers, found.born))
            if len(waiting.numbers):
                among = self._covering(waiting.numbers)

        born = waiting.numbers
        rebuilt, rebuilt_starts = self._rebuild(born, CONTEXT, first.kept)
        series.update(rebuilt)
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
            series=[*series.values()],
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

    def _rebuild(self, wanted: Integers, reach: int, kept: Kept) -> tuple[dict[int, Series], list[Series]]:
        """Samples of these counters from their bases on, by series, and of their targets' process starts."""
        if not len(wanted):
            return {}, []
        reach += CONTEXT
        before = self._length + reach
        starts = self._starts_of(self._targets(wanted), before)
        identity = self._roster.identity
        # All series of a counter, also those without a sample in the window: they tell its epochs.
        members: dict[int, dict[int, Samples]] = {number: {} for number in identity[wanted].tolist()}
        missing = wanted
        if kept.samples:
            missing = self._from_kept(wanted, kept, members)
        for group in self._raw_groups(missing, before):
            text = queries.samples(queries.counters(self._meter, group), before)
            for labels, samples in self._ask.raw(text, self._end - 1, self._start - reach, self._end):
                number = self._names.number(labels)
                mates = members.get(int(self._roster.identity[number]))
                if mates is not None:
                    mates[number] = samples
        text = queries.counters(self._meter)
        cuts = self._cuts(starts)
        series: dict[int, Series] = {}
        for mates in members.values():
            for number, (times, values) in self._deciding(mates, cuts).items():
                units = self._ask.units(text, values, self._ask.scale).tolist()
                series[number] = Series(self._names.labels(number), times.tolist(), units)
        return series, starts

    def _from_kept(self, wanted: Integers, kept: Kept, members: dict[int, dict[int, Samples]]) -> Integers:
        """Fill in what came along; returns the counters of which something did not."""
        identity = self._roster.identity
        mine = identity[kept.seen]
        ours = np.zeros(self._roster.identities, dtype=bool)
        ours[identity[wanted]] = True
        incomplete = set()
        for number, owner in zip(kept.seen[ours[mine]].tolist(), mine[ours[mine]].tolist(), strict=True):
            found = kept.samples.get(number)
            if found is None:
                incomplete.add(owner)
            else:
                members[owner][number] = found
        # What was thinned out because nobody else was known to see it, and then somebody did.
        incomplete |= {
            owner for owner, mates in members.items() if len(mates) > 1 and not kept.thinned.isdisjoint(mates)
        }
        for owner in incomplete:
            members[owner].clear()
        return wanted[np.isin(identity[wanted], list(incomplete))]

    def _deciding(self, mates: dict[int, Samples], cuts: Mapping[int, Collection[int]]) -> dict[int, Samples]:
        """The samples of one counter that decide: from a little before its latest base on, since what lies further back
        decides nothing; and where nobody else saw it, only those where something happens."""
        bases = [times[index - 1] for times, _ in mates.values() if (index := np.searchsorted(times, self._start))]
        since = max(bases, default=self._start) - CONTEXT
        alone = len(mates) == 1
        kept = {}
        for number, (times, values) in mates.items():
            first = int(np.searchsorted(times, since))
            times, values = times[first:], values[first:]
            if alone and len(times):
                places = deciding(times, values, (self._start, *cuts.get(int(self._roster.target_of[number]), ())))
                times, values = times[places], values[places]
            if len(times):
                kept[number] = times, values
        return kept

    def _agreeing(self, wanted: Integers, ends: Column, rebuilt: Mapping[int, Series]) -> int:
        """How many of the counters to be rebuilt were found, ending at the very reading the first look gave."""
        last = dict(zip(ends.numbers.tolist(), ends.units.tolist(), strict=True))
        return sum(number in rebuilt and rebuilt[number].units[-1] == last[number] for number in wanted.tolist())

    def _raw_groups(self, wanted: Integers, before: int) -> list[Among | None]:
        """Selectors for these counters, few enough at a time to be answered; where they are many, by their targets."""
        samples = max(1, SAMPLES_PER_QUERY * self._interval // before)
        per_query = min(PER_QUERY, samples)
        if len(wanted) <= MANY * per_query:
            return [covering(self._identities(group)) for group in self._split(wanted, per_query)]
        # Naming each of many counters costs more than what else their targets have.
        targets, sizes = np.unique(self._roster.target_of[wanted], return_counts=True)
        groups: list[Among | None] = []
        held: list[tuple[str, ...]] = []
        size = 0
        for target, counters in zip(targets.tolist(), sizes.tolist(), strict=True):
            if held and size + counters > samples:
                groups += self._target_groups(held, before)
                held, size = [], 0
            held.append(self._roster.targets[target])
            size += counters
        return [*groups, *self._target_groups(held, before)]
