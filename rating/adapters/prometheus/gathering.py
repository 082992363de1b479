"""Gathers the readings of one window of one meter: which questions are asked, in which order, and of which counters.

Most counters are settled by three vectors: their last readings before the window and in it, and the falls in between.
Only those that began, restarted or fell are read sample by sample. What any of it means is decided in `core.counters`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Asking
from rating.core.counters import (
    MARGIN,
    REACH,
    SAME_PROCESS,
    THOUSANDTHS,
    WHOLE,
    Counts,
    Naming,
    Partition,
    Reading,
    Readings,
    Series,
    partition,
    scale_of,
)
from rating.core.meters import Lifetime, Meter
from rating.core.periods import Period, milliseconds
from rating.core.vocabulary import PROCESS_START, UP
from rating.core.windows import Query, Usage

_MINUTE = 60_000
_RUNGS = (5 * _MINUTE, 60 * _MINUTE, 6 * 60 * _MINUTE, 24 * 60 * _MINUTE)
"""How far before a window a base is searched, in turn; the meter's lookback is the last rung."""
_CONTEXT = 6 * _MINUTE
"""Kept before a base: what replicas saw around it tells which epoch it belongs to."""
_PER_QUERY = 500
"""Counters asked for by name in one query."""
_MANY = 20
"""So many queries by name cost more than one for all."""
_SAMPLES_PER_QUERY = 1_000_000
_STEPS = 10_000
"""Steps in one range query; Prometheus refuses 11,000."""

Identity = tuple[tuple[str, str], ...]


class Carried(NamedTuple):
    """The last readings before an instant: asked for at the end of one window, and the bases of the next."""

    at: int
    readings: dict[int, Reading]


class Gathering:
    """Gathers the readings of one window."""

    def __init__(self, asking: Asking, meter: Meter, window: Period, carried: Carried | None) -> None:
        self._ask = asking
        self._carried = carried
        self._recent: dict[int, Reading] = {}
        self._meter = meter
        self._naming = Naming(meter)
        self._start, self._end = milliseconds(window.start), milliseconds(window.end)
        self._length = self._end - self._start
        self._lookback = meter.lookback // timedelta(milliseconds=1)
        self._first_rung = min(_RUNGS[0], self._lookback)
        self._interval = meter.scrape_interval // timedelta(milliseconds=1)

    def read(self) -> Readings:
        ask = self._ask
        ends, fallen = self._ends()
        clean: list[Usage] = []
        by_target: Counter[tuple[str, ...]] = Counter()
        clean_series = clean_identities = largest = rebuilt_series = 0
        series: list[Series] = []
        starts: list[Series] = []
        waiting: Mapping[int, Reading] = ends
        among: list[Mapping[str, Collection[str]] | None] = [None]

        # Up the ladder: at each rung the counters with a base are settled, those without one wait for the next.
        rungs = [self._first_rung, *(rung for rung in _RUNGS[1:] if rung < self._lookback)]
        if self._lookback > rungs[-1]:
            rungs.append(self._lookback)
        for rung in rungs:
            if not waiting:
                break
            sorted_out = self._sort(waiting, among, rung, fallen if rung == rungs[0] else None)
            clean += sorted_out.clean
            by_target.update(sorted_out.by_target)
            clean_series += sorted_out.clean_series
            clean_identities += sorted_out.clean_identities
            largest = max(largest, sorted_out.largest)
            dirty = [reading for reading in waiting.values() if reading.name.identity in sorted_out.dirty]
            found, found_starts = self._rebuild([*dirty, *sorted_out.departed], rung)
            series += found
            starts += found_starts
            rebuilt_series += self._agreeing(dirty, found)
            waiting = {key: reading for key, reading in waiting.items() if reading.name.identity in sorted_out.born}
            among = [covering(group) for group in _groups(waiting.values(), _PER_QUERY)]

        born = list(waiting.values())
        found, found_starts = self._rebuild(born, _CONTEXT)
        series += found
        starts += found_starts
        rebuilt_series += self._agreeing(born, found)

        up, alive = self._scrapes()
        if self._meter.max_rate is not None and self._meter.lifetime is Lifetime.PROCESS:
            # A counter that its process took along leaves no sample in the window: its target tells of the restart.
            starts += self._starts({self._naming.target(one.labels) for one in up}, self._length + MARGIN)
        return Readings(
            clean=clean,
            clean_identities=clean_identities,
            largest=largest,
            clean_by_target=by_target,
            series=series,
            starts=starts,
            up=up,
            alive=alive,
            sighted=self._sightings({reading.name.target for reading in born}),
            seen_from=self._seen_from() if born else self._start - self._lookback,
            counts=Counts(len(ends), clean_series, rebuilt_series),
            warnings=tuple(ask.warnings),
            infos=tuple(ask.infos),
            queries=tuple(ask.queries),
        )

    def carried(self) -> Carried:
        return Carried(self._end - 1, self._recent)

    def _ends(self) -> tuple[dict[int, Reading], set[int]]:
        """The last reading inside the window of each series, and the series with a fall in value since their bases.

        Nearly all have a sample in the window's last minutes: these are asked for at a fraction of the cost of looking
        through the whole window, and serve the next window as bases. The count of falls tells which others there are.
        """
        counters = queries.counters(self._meter)
        self._recent = self._ask.readings(queries.last(counters, self._first_rung), self._end - 1)
        fallen, early = set(), []
        falls = queries.resets(counters, self._length + self._first_rung + _MINUTE)
        for key, name, count in self._ask.items(falls, self._end - 1):
            if count != "0":
                fallen.add(key)
            if key not in self._recent:
                early.append(Reading(name, 0))
        among: list[Mapping[str, Collection[str]] | None] = [covering(group) for group in _groups(early, _PER_QUERY)]
        ends = dict(self._recent)
        for group in among if len(among) <= _MANY else [None]:
            asked = self._ask.readings(queries.last(queries.counters(self._meter, group), self._length), self._end - 1)
            ends |= {key: reading for key, reading in asked.items() if key not in ends}
        return ends, fallen

    def _sort(
        self,
        ends: Mapping[int, Reading],
        among: Sequence[Mapping[str, Collection[str]] | None],
        rung: int,
        fallen: set[int] | None,
    ) -> Partition:
        """The partition of `ends` by bases at most `rung` milliseconds before the window.

        Args:
            among: selectors that cover `ends`.
            fallen: the series with a fall in value since that rung, where they are known already.
        """
        bases: dict[int, Reading] = {}
        if rung == self._first_rung and self._carried is not None and self._carried.at == self._start - 1:
            bases = self._carried.readings
            # Asked at the end of the window before: the evidence of this one rests on it as well.
            text = queries.last(queries.counters(self._meter), rung)
            self._ask.queries.append(Query(text, self._start - 1, len(bases)))
        else:
            for group in among:
                bases |= self._ask.readings(queries.last(queries.counters(self._meter, group), rung), self._start - 1)
        if not bases:
            return partition(ends, bases, (), ())
        reach = self._length + rung + _MINUTE
        if fallen is None:
            fallen = set()
            for group in among:
                falls = queries.fallen(queries.counters(self._meter, group), reach)
                fallen |= {key for key, _, _ in self._ask.items(falls, self._end - 1)}
        known = {reading.name.identity for reading in bases.values()}
        targets = {reading.name.target for reading in ends.values() if reading.name.identity in known}
        return partition(ends, bases, fallen, self._restarted(targets, reach))

    def _restarted(self, targets: Collection[tuple[str, ...]], reach: int) -> set[tuple[str, ...]]:
        """Targets seen with more than one process."""
        if self._meter.lifetime is Lifetime.DURABLE:
            return set()
        labels = self._meter.target_labels
        first: dict[tuple[str, ...], int] = {}
        last: dict[tuple[str, ...], int] = {}
        for group in self._target_groups(targets, reach):
            start = queries.selector(PROCESS_START, among=group)
            for found, value in self._ask.values(queries.lowest(start, labels, reach), self._end - 1, THOUSANDTHS):
                target = self._naming.target(found)
                first[target] = min(value, first.get(target, value))
            for found, value in self._ask.values(queries.highest(start, labels, reach), self._end - 1, THOUSANDTHS):
                target = self._naming.target(found)
                last[target] = max(value, last.get(target, value))
        return {target for target in first if last.get(target, first[target]) - first[target] > SAME_PROCESS}

    def _rebuild(self, wanted: Sequence[Reading], reach: int) -> tuple[list[Series], list[Series]]:
        """Samples of these counters from their bases on, and of their targets' process starts."""
        if not wanted:
            return [], []
        reach += _CONTEXT
        before = self._length + reach
        series: list[Series] = []
        per_query = max(1, min(_PER_QUERY, _SAMPLES_PER_QUERY * self._interval // before))
        for group in _groups(wanted, per_query):
            text = queries.samples(queries.counters(self._meter, covering(group)), before)
            identities = {reading.name.identity for reading in group}
            found = self._ask.samples(text, self._end - 1, scale_of(self._meter), self._start - reach, self._end)
            series += self._from_bases([one for one in found if self._naming.identity(one.labels) in identities])
        if self._meter.lifetime is Lifetime.DURABLE:
            return series, []
        return series, self._starts({self._naming.target(one.labels) for one in series}, before)

    def _starts(self, targets: Collection[tuple[str, ...]], reach: int) -> list[Series]:
        """Process starts of these targets, over so many milliseconds before the window's end."""
        starts: dict[frozenset[tuple[str, str]], Series] = {}
        for among in self._target_groups(targets, reach):
            text = queries.samples(queries.selector(PROCESS_START, among=among), reach)
            for one in self._ask.samples(text, self._end - 1, THOUSANDTHS, self._end - reach, self._end):
                if self._naming.target(one.labels) in targets:
                    starts[frozenset(one.labels.items())] = _changes(one)
        return list(starts.values())

    def _from_bases(self, found: Iterable[Series]) -> list[Series]:
        """Each counter's samples from a little before its latest base on: what lies further back decides nothing."""
        members: dict[Identity, list[Series]] = {}
        for one in found:
            members.setdefault(self._naming.identity(one.labels), []).append(one)
        kept = []
        for group in members.values():
            bases = [time for one in group for time in one.times if time < self._start]
            since = max(bases, default=self._start) - _CONTEXT
            for one in group:
                index = bisect_left(one.times, since)
                if index < len(one.times):
                    kept.append(Series(one.labels, one.times[index:], one.units[index:]))
        return kept

    def _agreeing(self, wanted: Sequence[Reading], found: Iterable[Series]) -> int:
        """How many of the counters to be rebuilt were found, ending at the very reading the first query gave."""
        # As multisets: a volatile label cuts one counter into several series of one name.
        last = Counter((self._naming.name(one.labels), one.units[-1]) for one in found)
        return (last & Counter((reading.name, reading.units) for reading in wanted)).total()

    def gauges(self) -> Readings:
        """Every sample of a meter's gauges that may hold in the window, and the scrapes that tell which are gone."""
        ask = self._ask
        before = REACH * (self._meter.hold // timedelta(milliseconds=1))
        reach = self._length + before
        # One millisecond less, for servers that include a range's beginning: nothing there can hold in the window.
        listed = ask.readings(queries.last(queries.counters(self._meter), reach - 1), self._end - 1)
        per_query = max(1, min(_PER_QUERY, _SAMPLES_PER_QUERY * self._interval // reach))
        kept: dict[frozenset[tuple[str, str]], Series] = {}
        for group in _groups(listed.values(), per_query):
            text = queries.samples(queries.counters(self._meter, covering(group)), reach)
            identities = {reading.name.identity for reading in group}
            found = ask.samples(text, self._end - 1, scale_of(self._meter), self._start - before, self._end)
            wanted = (one for one in found if self._naming.identity(one.labels) in identities)
            kept |= {frozenset(one.labels.items()): one for one in wanted}
        series = list(kept.values())
        known = any(one.times[0] < self._start for one in series)
        up, alive = self._scrapes(max(MARGIN, before))
        return Readings(
            series=series,
            up=up,
            alive=alive,
            seen_from=self._start if known else self._seen_from(),
            counts=Counts(len(listed), 0, len(series)),
            warnings=tuple(ask.warnings),
            infos=tuple(ask.infos),
            queries=tuple(ask.queries),
        )

    def _scrapes(self, before: int = MARGIN) -> tuple[list[Series], list[int]]:
        """`up` of the targets that expose the metric, and when the source recorded anything at all."""
        start, end = self._start - before, self._end + MARGIN
        among = {}
        for label in self._meter.target_labels:
            values = self._ask.label_values(label, queries.counters(self._meter), self._start - _RUNGS[-1], self._end)
            if 0 < len(values) <= _PER_QUERY:
                among[label] = values
        ups: list[Series] = []
        if among:
            text = queries.samples(queries.selector(UP, among=among), end - start)
            ups = self._ask.samples(text, end - 1, WHOLE, start, end)
        step = max(self._interval, -(-(end - start) // _STEPS))
        # A step speaks for the samples since the one before it.
        alive = [at - step + 1 for at in self._ask.instants(queries.scraped(UP, step), start, end, step)]
        return ups, alive

    def _sightings(self, targets: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
        """Of these targets, those scraped successfully at some time before the window."""
        sighted: dict[tuple[str, ...], int] = {}
        for reach in (_RUNGS[0], self._lookback):
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
        for step in (60 * _MINUTE, _MINUTE, 1_000):
            step = max(step, -(-(end - start) // _STEPS))
            found = self._ask.instants(queries.present(UP), start, end, step)
            if not found:
                return end
            start, end = max(start, found[0] - step), min(end, found[0])
        return end

    def _target_groups(self, targets: Collection[tuple[str, ...]], reach: int) -> list[dict[str, set[str]]]:
        """Selectors over the target labels that cover these targets, few enough at a time to be answered."""
        per_query = max(1, min(_PER_QUERY, _SAMPLES_PER_QUERY * self._interval // max(1, reach)))
        ordered = sorted(targets)
        return [
            {
                label: {target[i] for target in ordered[at : at + per_query]}
                for i, label in enumerate(self._meter.target_labels)
            }
            for at in range(0, len(ordered), per_query)
        ]


def covering(group: Sequence[Reading]) -> dict[str, set[str]]:
    """Label values that select all of these counters, and not many others."""
    result: dict[str, set[str]] = {}
    labels = [dict(reading.name.identity) for reading in group]
    for label in {label for one in labels for label in one}:
        result[label] = {one.get(label, "") for one in labels}
    return result


def _groups(readings: Iterable[Reading], size: int) -> list[list[Reading]]:
    """Counters in groups, those with like labels together: so each group's selector covers little else."""
    ordered = sorted(readings, key=lambda reading: reading.name)
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


def _changes(series: Series) -> Series:
    """A series that is constant for long: only the samples that differ from the one before."""
    times: list[int] = []
    units: list[int] = []
    for time, value in zip(series.times, series.units, strict=True):
        if not units or units[-1] != value:
            times.append(time)
            units.append(value)
    return Series(series.labels, times, units)
