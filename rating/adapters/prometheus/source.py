"""The port `CounterSource` over Prometheus's query API: decides which questions to ask about a window.

Most counters are settled by three vectors: their last readings at both ends and the falls in between. Only those that
began, restarted or fell are read sample by sample. What any of it means is decided in `core.counters`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.asking import Asking, Names
from rating.adapters.prometheus.client import Client
from rating.adapters.prometheus.decoding import RuntimeReply
from rating.adapters.prometheus.dialects import DIALECTS
from rating.adapters.prometheus.examination import examine
from rating.core.counters import (
    MARGIN,
    SAME_PROCESS,
    Counts,
    Naming,
    Partition,
    Reading,
    Readings,
    Series,
    partition,
)
from rating.core.meters import Lifetime, Meter
from rating.core.periods import Period, milliseconds
from rating.core.vocabulary import PROCESS_START, UP
from rating.core.windows import Usage
from rating.errors import EdgeRefused, SamplesMissing
from rating.ports import Diagnosis

_MINUTE = 60_000
_RUNGS = (5 * _MINUTE, 60 * _MINUTE, 6 * 60 * _MINUTE, 24 * 60 * _MINUTE)
"""How far before a window a base is searched, in turn; the meter's lookback is the last rung."""
_CONTEXT = 6 * _MINUTE
"""Kept before a base: what replicas saw around it tells which epoch it belongs to."""
_ATTEMPTS = 3
_PER_QUERY = 200
"""Counters asked for by name in one query."""
_SAMPLES_PER_QUERY = 1_000_000
_STEPS = 10_000
"""Steps in one range query; Prometheus refuses 11,000."""

Identity = tuple[tuple[str, str], ...]


class PrometheusSource:
    """Counters behind one or several Prometheus servers; several are replicas or shards of one whole."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        timeout: float = 120.0,
        bearer_token: str = "",
        username: str = "",
        password: str = "",
        tenant: str = "",
        ca_file: str = "",
        client_cert: str = "",
        client_key: str = "",
        dialect: str = "prometheus",
    ) -> None:
        if dialect not in DIALECTS:
            raise EdgeRefused(
                f"dialect {dialect!r} is unknown; RATING_PROMETHEUS_DIALECT is one of {', '.join(DIALECTS)}"
            )
        if not urls:
            raise EdgeRefused("no Prometheus to read from; set RATING_PROMETHEUS_URL")
        self._dialect = DIALECTS[dialect]
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        if bearer_token:
            headers["Authorization"] = f"Bearer {bearer_token}"
        self.clients = [
            Client(
                url,
                timeout=timeout,
                dialect=self._dialect,
                headers=headers,
                auth=(username, password) if username else None,
                verify=ca_file or True,
                cert=(client_cert, client_key) if client_cert and client_key else client_cert or None,
            )
            for url in urls
        ]
        self._names: dict[Meter, Names] = {}
        self._retention: timedelta | None = None
        self._retention_asked = False

    def asking(self, meter: Meter) -> Asking:
        """A fresh conversation about a meter."""
        names = self._names.setdefault(meter, Names(Naming(meter)))
        return Asking(self.clients, names, meter.digits)

    def read(self, meter: Meter, window: Period) -> Readings:
        self._check_retention(window)
        for attempt in range(_ATTEMPTS):
            readings = _Window(self.asking(meter), meter, window).read()
            counts = readings.counts
            if counts is None or counts.clean + counts.rebuilt == counts.all or attempt == _ATTEMPTS - 1:
                break
        return readings

    def examine(self, meters: Sequence[Meter], *, longest_period: timedelta, now: datetime) -> Iterator[Diagnosis]:
        return examine(self, meters, longest_period=longest_period, now=now)

    @property
    def retention(self) -> timedelta | None:
        """How long the servers keep samples, by time; None where they do not tell. The shortest of several."""
        if not self._retention_asked and self._dialect.tells_retention:
            told = []
            for client in self.clients:
                try:
                    info = client.get(RuntimeReply, "/api/v1/status/runtimeinfo").data
                except EdgeRefused:
                    continue
                span = duration(info.storage_retention.partition(" ")[0])
                if span is not None:
                    told.append(span)
            self._retention = min(told, default=None)
            self._retention_asked = True
        return self._retention

    def _check_retention(self, window: Period) -> None:
        # Asked first: only an answer tells the server's clock, and ours is not to be trusted about its samples.
        retention = self.retention
        clock = next((client.server_time for client in self.clients if client.server_time is not None), None)
        if retention is not None and clock is not None and window.start < clock - retention:
            raise SamplesMissing(
                f"{self.clients[0].shown_url} keeps samples for {_days(retention)} and the window began "
                f"{_days(clock - window.start)} ago: what is left of it cannot be trusted; "
                "collect sooner, or raise --storage.tsdb.retention.time"
            )


class _Window:
    """Gathers the readings of one window."""

    def __init__(self, asking: Asking, meter: Meter, window: Period) -> None:
        self._ask = asking
        self._meter = meter
        self._naming = Naming(meter)
        self._start, self._end = milliseconds(window.start), milliseconds(window.end)
        self._length = self._end - self._start
        self._lookback = meter.lookback // timedelta(milliseconds=1)
        self._interval = meter.scrape_interval // timedelta(milliseconds=1)

    def read(self) -> Readings:
        ask, at_end = self._ask, self._end - 1
        ends = ask.readings(queries.last(queries.counters(self._meter), self._length), at_end)
        clean: list[Usage] = []
        clean_series = clean_identities = largest = rebuilt_series = 0
        series: list[Series] = []
        starts: list[Series] = []
        waiting: Mapping[int, Reading] = ends
        among: list[Mapping[str, Collection[str]] | None] = [None]

        # Up the ladder: at each rung the counters with a base are settled, those without one wait for the next.
        rungs = [*(rung for rung in _RUNGS if rung < self._lookback), self._lookback]
        for rung in rungs:
            if not waiting:
                break
            sorted_out = self._sort(waiting, among, rung)
            clean += sorted_out.clean
            clean_series += sorted_out.clean_series
            clean_identities += sorted_out.clean_identities
            largest = max(largest, sorted_out.largest)
            dirty = [reading for reading in waiting.values() if reading.name.identity in sorted_out.dirty]
            found, found_starts = self._rebuild(dirty, rung)
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
        return Readings(
            clean=clean,
            clean_identities=clean_identities,
            largest=largest,
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

    def _sort(
        self,
        ends: Mapping[int, Reading],
        among: Sequence[Mapping[str, Collection[str]] | None],
        rung: int,
    ) -> Partition:
        """The partition of `ends` by bases at most `rung` milliseconds before the window."""
        bases: dict[int, Reading] = {}
        for group in among:
            bases |= self._ask.readings(queries.last(queries.counters(self._meter, group), rung), self._start - 1)
        if not bases:
            return partition(ends, bases, (), ())
        reach = self._length + rung + _MINUTE
        fallen: set[int] = set()
        for group in among:
            fallen |= self._ask.series(queries.fallen(queries.counters(self._meter, group), reach), self._end - 1)
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
            for found, value in self._ask.values(queries.lowest(start, labels, reach), self._end - 1, 3):
                target = self._naming.target(found)
                first[target] = min(value, first.get(target, value))
            for found, value in self._ask.values(queries.highest(start, labels, reach), self._end - 1, 3):
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
        starts: dict[frozenset[tuple[str, str]], Series] = {}
        per_query = max(1, min(_PER_QUERY, _SAMPLES_PER_QUERY * self._interval // before))
        for group in _groups(wanted, per_query):
            text = queries.samples(queries.counters(self._meter, covering(group)), before)
            identities = {reading.name.identity for reading in group}
            found = self._ask.samples(text, self._end - 1, self._meter.digits, self._start - reach, self._end)
            series += self._from_bases([one for one in found if self._naming.identity(one.labels) in identities])
        if self._meter.lifetime is Lifetime.PROCESS:
            targets = {self._naming.target(one.labels) for one in series}
            for among in self._target_groups(targets, before):
                text = queries.samples(queries.selector(PROCESS_START, among=among), before)
                for one in self._ask.samples(text, self._end - 1, 3, self._start - reach, self._end):
                    if self._naming.target(one.labels) in targets:
                        starts[frozenset(one.labels.items())] = _changes(one)
        return series, list(starts.values())

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

    def _scrapes(self) -> tuple[list[Series], list[int]]:
        """`up` of the targets that expose the meter's counter, and when the source recorded anything at all."""
        start, end = self._start - MARGIN, self._end + MARGIN
        among = {}
        for label in self._meter.target_labels:
            values = self._ask.label_values(label, queries.counters(self._meter), self._start - _RUNGS[-1], self._end)
            if 0 < len(values) <= _PER_QUERY:
                among[label] = values
        ups: list[Series] = []
        if among:
            text = queries.samples(queries.selector(UP, among=among), end - start)
            ups = self._ask.samples(text, end - 1, 0, start, end)
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
                for found, value in self._ask.values(text, self._start - 1, 0):
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


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.1f}".removesuffix(".0") + " days"


_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")


def duration(text: str) -> timedelta | None:
    """`15d`, `1y2w`, `36h`: Prometheus's spelling. None for anything else, such as a size."""
    match = _DURATION.match(text)
    if not text or match is None:
        return None
    years, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=365 * years + 7 * weeks + days, hours=hours, minutes=minutes, seconds=seconds)
