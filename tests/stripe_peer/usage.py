"""Meter events as they are kept: per meter and customer, found by identifier, summed over any span. No Stripe words."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

Formula = Literal["sum", "count", "last"]
WINDOWS = {"hour": 3_600, "day": 86_400}


@dataclass(slots=True)
class Event:
    """One meter event. Times are seconds of the server's clock; `sequence` is its place in the order of arrival."""

    timestamp: int
    value: int
    received: int
    sequence: int
    cancelled: bool = False


_in_time = attrgetter("timestamp", "sequence")


@dataclass(slots=True)
class Series:
    """The events of one customer on one meter."""

    events: list[Event] = field(default_factory=list)
    """In order of their timestamps, those of one second in order of arrival."""

    def add(self, event: Event) -> None:
        if self.events and event.timestamp < self.events[-1].timestamp:
            insort(self.events, event, key=_in_time)
        else:
            self.events.append(event)

    def counted(self, start: int, end: int, window: str | None, known_until: int) -> list[Event]:
        """Those in [start, end) that count: not cancelled, not too fresh, and of a pre-aggregated window only the
        one that came last."""
        inside = [
            event
            for event in self.events
            if start <= event.timestamp < end and not event.cancelled and event.received <= known_until
        ]
        if window is None:
            return inside
        latest: dict[int, Event] = {}
        for event in inside:
            at = event.timestamp // WINDOWS[window]
            if at not in latest or latest[at].sequence < event.sequence:
                latest[at] = event
        return list(latest.values())


@dataclass
class Usage:
    """All events of one account."""

    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    """By meter and customer."""
    identifiers: dict[tuple[str, str], Event] = field(default_factory=dict)
    """By event name and identifier, for a day or longer."""
    count: int = 0

    def known(self, name: str, identifier: str, since: int) -> Event | None:
        """The event with that identifier, if it was received since then."""
        event = self.identifiers.get((name, identifier))
        return event if event is not None and event.received >= since else None

    def keep(
        self, meter: str, customer: str, name: str, identifier: str, timestamp: int, value: int, now: int
    ) -> Event:
        self.count += 1
        event = Event(timestamp, value, now, self.count)
        self.series.setdefault((meter, customer), Series()).add(event)
        self.identifiers[(name, identifier)] = event
        return event

    def total(
        self, meter: str, customer: str, start: int, end: int, formula: Formula, window: str | None, known_until: int
    ) -> int:
        """What the meter shows over [start, end): the sum, the number of events, or the last value."""
        series = self.series.get((meter, customer))
        if series is None:
            return 0
        events = series.counted(start, end, window, known_until)
        if formula == "count":
            return len(events)
        if formula == "last":
            return max(events, key=_in_time).value if events else 0
        return sum(event.value for event in events)
