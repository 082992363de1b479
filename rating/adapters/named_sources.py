"""Several sources behind the ports `CounterSource` and `Estimates`: a meter is read from those it names.

Decides who is asked. What shards come to together is `core.counters`; a shard that cannot be read leaves the window to
a later run, because a part is not the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from rating.core.counters import Readings, apart
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.presets import Preset
from rating.errors import EdgeError, EdgeRefused, UsageError
from rating.ports import CounterSource, Diagnosis, Estimate, Estimated, Estimates, Examinable, Foreseeing, Verdict

S = TypeVar("S")


class NamedSources:
    """Sources by name, and the one without a name for meters that choose none."""

    def __init__(self, unnamed: CounterSource, named: Mapping[str, CounterSource]) -> None:
        self._unnamed, self._named = unnamed, named

    def read(self, meter: Meter, window: Period) -> Readings:
        if not meter.sources:
            return self._unnamed.read(meter, window)
        one = replace(meter, sources=())
        shards = {}
        for name in meter.sources:
            with _said(name):
                shards[name] = _chosen(self._named, meter, name).read(one, window)
        return apart(shards)

    def foresee(self, windows: Mapping[Meter, Sequence[Period]]) -> None:
        for name, source in (("", self._unnamed), *self._named.items()):
            if isinstance(source, Foreseeing):
                mine = {
                    meter: own
                    for meter, own in windows.items()
                    if (name in meter.sources if name else not meter.sources)
                }
                source.foresee({replace(meter, sources=()): own for meter, own in mine.items()})

    def examine(self, meters: Sequence[Meter], *, longest_period: timedelta, now: datetime) -> Iterator[Diagnosis]:
        groups: list[tuple[str, CounterSource, list[Meter]]] = []
        own = [meter for meter in meters if not meter.sources]
        if own or not self._named:
            groups.append(("", self._unnamed, own))
        for name, source in self._named.items():
            groups.append((name, source, [replace(one, sources=()) for one in meters if name in one.sources]))
        for name, source, group in groups:
            if isinstance(source, Examinable):
                for found in source.examine(group, longest_period=longest_period, now=now):
                    yield found._replace(about=f"{name}, {found.about}") if name else found
        yield from self._unknown(meters)

    def recognise(self, presets: Mapping[str, Preset], billed: Collection[str], now: datetime) -> Iterator[Diagnosis]:
        for name, source in (("", self._unnamed), *self._named.items()):
            if isinstance(source, Examinable) and (name or not self._named):
                for found in source.recognise(presets, billed, now):
                    yield found._replace(about=f"{name}, {found.about}") if name else found

    def _unknown(self, meters: Sequence[Meter]) -> Iterator[Diagnosis]:
        for meter in meters:
            for name in meter.sources:
                if name not in self._named:
                    yield Diagnosis(Verdict.FAIL, meter.name, *_missing(self._named, name))


class NamedEstimates:
    """The same for the obvious queries: over shards they are summed."""

    def __init__(self, unnamed: Estimates, named: Mapping[str, Estimates]) -> None:
        self._unnamed, self._named = unnamed, named

    def estimate(self, meter: Meter, period: Period, by: Estimate) -> Estimated:
        if not meter.sources:
            return self._unnamed.estimate(meter, period, by)
        one = replace(meter, sources=())
        quantities: dict[str, int] = {}
        warnings: list[str] = []
        for name in meter.sources:
            with _said(name):
                part = _chosen(self._named, meter, name).estimate(one, period, by)
            warnings += [f"{name}: {warning}" for warning in part.warnings]
            for consumer, quantity in part.quantities.items():
                quantities[consumer] = quantities.get(consumer, 0) + quantity
        return Estimated(quantities, tuple(warnings))


def _chosen(named: Mapping[str, S], meter: Meter, name: str) -> S:
    if name not in named:
        what, hint = _missing(named, name)
        raise EdgeRefused(f"meter {meter.name}: {what}; {hint}")
    return named[name]


def _missing(named: Mapping[str, object], name: str) -> tuple[str, str]:
    known = f"there are {', '.join(sorted(named))}" if named else "it names none"
    return f'its source "{name}" is not in the file of RATING_SOURCES', f"{known}; add it there, or choose another"


@contextmanager
def _said(name: str) -> Iterator[None]:
    """Failures name the source: of several shards one is meant."""
    try:
        yield
    except (EdgeError, UsageError) as error:
        make: Callable[[str], Exception] = type(error)
        raise make(f"source {name}: {error}") from error
