"""Reads metered usage out of the book for drafting: once per meter and span, however many subscriptions share them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from rating.core.billing import gap
from rating.core.drafts import MeteredUsage, metered
from rating.core.meters import Meter
from rating.core.parts import Part
from rating.core.periods import Period
from rating.core.windows import Completeness
from rating.ports import Book, UsageRow

Spanned = tuple[str, Period]
"""A meter and the span over which its usage is summed."""


class UsageReader:
    """One view of the book; make a new one to see what was closed since.

    With `as_of`, adjustments recorded later are left out: what an invoice issued then is charged from.
    """

    def __init__(self, book: Book, as_of: datetime | None = None) -> None:
        self._book = book
        self._as_of = as_of
        self._held: set[tuple[str, datetime]] | None = None
        self._states: dict[Spanned, Mapping[datetime, Completeness]] = {}
        self._usage: dict[tuple[Spanned, bool], dict[str, MeteredUsage]] = {}

    def gaps(self, parts: Iterable[Part]) -> tuple[str, ...]:
        """A sentence for each meter whose windows over a part are not all closed; empty when usage is whole."""
        found = []
        for part in parts:
            meter = part.card.meter
            missing = gap(
                meter.name, part.span, meter.window, self._closed((meter.name, part.span)), self._holds(meter)
            )
            if missing is not None:
                found.append(str(missing))
        return tuple(dict.fromkeys(found))

    def of(self, consumer: str, parts: Iterable[Part]) -> dict[Spanned, MeteredUsage]:
        """What the consumer used in each part, keyed as `draft` wants it."""
        found: dict[Spanned, MeteredUsage] = {}
        for part in parts:
            key = (part.card.meter.name, part.span)
            usage = self._all(key, part.card.mixed).get(consumer) or self._nothing(key)
            if key not in found or part.card.mixed:
                found[key] = usage
        return found

    def alone(self, consumer: str, parts: Iterable[Part]) -> dict[Spanned, MeteredUsage]:
        """The same, read for this consumer only: for few consumers of a period that is over."""
        found: dict[Spanned, MeteredUsage] = {}
        for part in parts:
            key = (part.card.meter.name, part.span)
            if key not in found or part.card.mixed:
                rows = self._book.usage(part.span, part.card.meter.name, consumer, as_of=self._as_of)
                found[key] = metered(
                    ((row.window, row.completeness, row.usage) for row in rows), *self._counts(key), part.card.mixed
                )
        return found

    def _holds(self, meter: Meter) -> Collection[datetime]:
        if self._held is None:
            self._held = {(entry.held.meter, entry.held.window.start) for entry in self._book.held()}
        return [start for name, start in self._held if name == meter.name]

    def _closed(self, key: Spanned) -> Mapping[datetime, Completeness]:
        if key not in self._states:
            self._states[key] = self._book.closed(*key)
        return self._states[key]

    def _all(self, key: Spanned, mixed: bool) -> dict[str, MeteredUsage]:
        """Every consumer's usage."""
        if (key, mixed) not in self._usage:
            windows, degraded = self._counts(key)
            meter, span = key
            rows: dict[str, list[UsageRow]] = {}
            for row in self._book.usage(span, meter, as_of=self._as_of):
                rows.setdefault(row.usage.consumer, []).append(row)
            self._usage[key, mixed] = {
                consumer: metered(((row.window, row.completeness, row.usage) for row in own), windows, degraded, mixed)
                for consumer, own in rows.items()
            }
        return self._usage[key, mixed]

    def _nothing(self, key: Spanned) -> MeteredUsage:
        """Zero usage is a measurement too: it stands on the same windows."""
        return metered((), *self._counts(key))

    def _counts(self, key: Spanned) -> tuple[int, int]:
        states = self._closed(key)
        return len(states), sum(state is Completeness.DEGRADED for state in states.values())
