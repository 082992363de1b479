"""Gathers every sample of a meter's gauges that may hold in a window, and the scrapes that tell which are gone."""

from __future__ import annotations

from datetime import timedelta

from rating.adapters.prometheus import queries
from rating.adapters.prometheus.questions import PER_QUERY, SAMPLES_PER_QUERY, Questions, covering
from rating.core.counters import MARGIN, REACH, Counts, Readings, Series


class Gauges(Questions):
    def read(self) -> Readings:
        ask, scale = self._ask, self._ask.scale
        before = REACH * (self._meter.hold // timedelta(milliseconds=1))
        reach = self._length + before
        # One millisecond less, for servers that include a range's beginning: nothing there can hold in the window.
        listed = ask.readings(queries.last(queries.counters(self._meter), reach - 1), self._end - 1)
        per_query = max(1, min(PER_QUERY, SAMPLES_PER_QUERY * self._interval // reach))
        identity = self._roster.identity
        kept: dict[int, Series] = {}
        for group in self._split(listed.numbers, per_query):
            text = queries.samples(queries.counters(self._meter, covering(self._identities(group))), reach)
            wanted = set(identity[group].tolist())
            for one in ask.samples(text, self._end - 1, scale, self._start - before, self._end):
                number = self._names.number(one.labels)
                if int(self._roster.identity[number]) in wanted:
                    kept[number] = one
        series = list(kept.values())
        known = any(one.times[0] < self._start for one in series)
        up, alive = self._scrapes(max(MARGIN, before))
        return Readings(
            series=series,
            up=up,
            alive=alive,
            seen_from=self._start if known else self._seen_from(),
            counts=Counts(len(listed.numbers), 0, len(series)),
            warnings=tuple(ask.warnings),
            infos=tuple(ask.infos),
            queries=tuple(ask.queries),
        )
