"""Where counters are read, and who may judge that place. Promises, and the values they speak in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from rating.core.counters import Readings
from rating.core.meters import Meter
from rating.core.periods import Period
from rating.core.presets import Preset


class CounterSource(Protocol):
    """Where counter samples come from."""

    def read(self, meter: Meter, window: Period) -> Readings:
        """Everything `core.counters` needs to decide this window, and what the source said about its own answer.

        The same window read twice while nothing was added gives equal readings. A partial answer is never passed off
        as a whole one: its warnings are in the readings.

        Raises:
            EdgeUnavailable: unreachable, timed out, or failing; a retry may succeed.
            EdgeRefused: it answered that this question is wrong (bad query, unauthorised, not Prometheus at all).
            EdgeDisagrees: its counters hold what no counter can count to (NaN, infinity).
            WindowStillOpen: by the source's own clock the window has not ended and settled.
            SamplesMissing: the window lies beyond what the source retains.
        """


@runtime_checkable
class Foreseeing(Protocol):
    """A source that may read several windows at once when it knows which are to come."""

    def foresee(self, windows: Mapping[Meter, Sequence[Period]]) -> None:
        """These windows of each meter will be read, oldest first; of everything foreseen before nothing is kept.

        What `read` returns is the same with or without it. Told an empty mapping when no more are to come: what was
        read ahead would be old when somebody asks for it later.
        """


class Estimate(StrEnum):
    """A query that usage is commonly estimated by, over a whole period."""

    INCREASES = "increases"
    """`increase(m[1h])` at the end of each hour, summed."""
    RATES = "rates"
    """`rate(m[5m]) * 3600` at the end of each hour, summed: the rate on a board taken for the hour's."""
    WHOLE = "whole"
    """One `increase()` over the whole period."""


@dataclass(frozen=True, slots=True)
class Estimated:
    quantities: Mapping[str, int]
    """By consumer, rounded to the meter's resolution."""
    warnings: tuple[str, ...] = ()
    """What the source said against its own answer."""


class Estimates(Protocol):
    """Where the obvious queries are asked. Nothing is ever billed from them."""

    def estimate(self, meter: Meter, period: Period, by: Estimate) -> Estimated:
        """Usage of every consumer over the hours that begin inside `period`.

        Raises:
            EdgeUnavailable: unreachable, timed out, or failing; a retry may succeed.
            EdgeRefused: it will not answer this question, for example because it would load too many samples.
            EdgeDisagrees: it answered with something that is no number.
            SamplesMissing: the period lies beyond what the source retains, so the estimate would be unfairly low.
        """


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Diagnosis(NamedTuple):
    """One thing that was looked at, and what to do about it."""

    verdict: Verdict
    about: str
    """The server or the meter."""
    what: str
    hint: str = ""


@runtime_checkable
class Examinable(Protocol):
    """A source that can say whether it is fit to bill from."""

    def examine(self, meters: Sequence[Meter], *, longest_period: timedelta, now: datetime) -> Iterator[Diagnosis]:
        """Look at the servers, then at each meter. Never raises for what it finds: that is a diagnosis."""

    def recognise(self, presets: Mapping[str, Preset], billed: Collection[str], now: datetime) -> Iterator[Diagnosis]:
        """Known gateways whose counters are there and not billed yet. Never raises for what it finds either."""
