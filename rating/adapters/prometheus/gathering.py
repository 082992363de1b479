"""Gathers the readings of one window of one meter: which questions are asked, in which order, and of which counters.

Most counters are settled by three vectors: their last readings before the window and in it, and the falls in between.
Only those that began, restarted or fell are read sample by sample. What any of it means is decided in `core.counters`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Samples
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
        for group, among in self._raw_groups(missing, before):
            for labels, samples in self._raw(group, among, before):
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

    def _raw(self, wanted: Integers, among: Among, before: int) -> Iterator[tuple[dict[str, str], Samples]]:
        """Raw samples of these counters, and of others that the selector covers. What is too much for the server is
        asked for in halves."""
        text = queries.samples(queries.counters(self._meter, among), before)
        try:
            yield from list(self._ask.raw(text, self._end - 1, self._end - before, self._end))
        except TooMuch:
            if len(wanted) < 2:
                raise
            for half in np.array_split(wanted[np.argsort(self._roster.place[wanted], kind="stable")], 2):
                yield from self._raw(half, covering(self._identities(half)), before)
