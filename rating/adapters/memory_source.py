"""Counter samples held in memory, served the obvious way: every counter sample by sample.

The source of the tests, and the plain account of what a source has to hand over: no partition, no ladder, no
shortcuts. Leaves every decision to `core.counters`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from rating.core.counters import REACH, THOUSANDTHS, WHOLE, Naming, Readings, Series, scale_of, together, units
from rating.core.counters.coverage import MARGIN
from rating.core.meters import Kind, Meter
from rating.core.periods import Period, milliseconds
from rating.core.vocabulary import PROCESS_START, UP
from rating.core.windows import Query

Samples = Sequence[tuple[int, int | float | str]]
"""(milliseconds since the epoch, reading), by rising time."""


class MemorySource:
    """The port `CounterSource` over series given as (labels with `__name__`, samples)."""

    def __init__(self, series: Iterable[tuple[Mapping[str, str], Samples]]) -> None:
        self._series = [(dict(labels), tuple(samples)) for labels, samples in series]

    def read(self, meter: Meter, window: Period) -> Readings:
        return together([self._read(one, window) for one in meter.of_each_metric])

    def _read(self, meter: Meter, window: Period) -> Readings:
        start, end = milliseconds(window.start), milliseconds(window.end)
        gauge = meter.kind is Kind.GAUGE
        reach = milliseconds(window.start - (REACH * meter.hold if gauge else meter.lookback))
        naming = Naming(meter)
        patterns = [(matcher, re.compile(matcher.pattern)) for matcher in meter.where]
        scale = scale_of(meter)
        counters = [
            Series(labels, [time for time, _ in samples], [units(_text(value), scale) for _, value in samples])
            for labels, samples in self._between(meter.metric, reach, end)
            if all(
                (pattern.fullmatch(labels.get(matcher.label, "")) is None) == matcher.negated
                for matcher, pattern in patterns
            )
        ]
        targets = {naming.target(series.labels) for series in counters}
        starts = [
            Series(labels, [time for time, _ in samples], [units(_text(value), THOUSANDTHS) for _, value in samples])
            for labels, samples in self._between(PROCESS_START, reach, end)
            if naming.target(labels) in targets
        ]
        every_up = [
            Series(labels, [time for time, _ in samples], [units(_text(value), WHOLE) for _, value in samples])
            for labels, samples in self._between(UP, min(reach, start - MARGIN), end + MARGIN)
        ]
        since = min(reach, start - MARGIN) if gauge else start - MARGIN
        ups = [_from(series, since) for series in every_up if naming.target(series.labels) in targets]
        known = reach if gauge else start - MARGIN
        present = {naming.identity(series.labels) for series in counters if series.times[-1] >= known}
        return Readings(
            series=[series for series in counters if naming.identity(series.labels) in present],
            starts=starts,
            up=[series for series in ups if series.times],
            alive=sorted({time for series in every_up for time in series.times if time >= start - MARGIN}),
            sighted=_sighted(naming, every_up, start),
            seen_from=max(reach, min((samples[0][0] for _, samples in self._series if samples), default=reach)),
            queries=(Query(meter.metric, end - 1, len(counters)),),
        )

    def _between(self, metric: str, start: int, end: int) -> list[tuple[dict[str, str], Samples]]:
        """Series of a metric with their samples in start <= t < end, those without any left out."""
        found: list[tuple[dict[str, str], Samples]] = []
        for labels, samples in self._series:
            if labels.get("__name__") == metric:
                inside = [(time, value) for time, value in samples if start <= time < end]
                if inside:
                    found.append((labels, inside))
        return found


def _text(value: int | float | str) -> str:
    """A number as Prometheus writes it: the shortest decimal text of its float64, without an exponent."""
    if isinstance(value, str):
        return value
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _from(series: Series, start: int) -> Series:
    kept = [(time, value) for time, value in zip(series.times, series.units, strict=True) if time >= start]
    return Series(series.labels, [time for time, _ in kept], [value for _, value in kept])


def _sighted(naming: Naming, ups: Iterable[Series], before: int) -> dict[tuple[str, ...], int]:
    sighted: dict[tuple[str, ...], int] = {}
    for series in ups:
        target = naming.target(series.labels)
        for time, up in zip(series.times, series.units, strict=True):
            if up == 1 and time < before:
                sighted[target] = min(time, sighted.get(target, time))
    return sighted
