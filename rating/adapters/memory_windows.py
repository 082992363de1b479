"""Usage windows of the book in memory: closings, what adjusts them, and the days they are rolled up to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from rating.core.canonical import digest
from rating.core.entries import (
    adjustable,
    adjusted,
    genesis,
    keepable_closing,
    merged,
    recorded,
    recorded_after,
    same_adjustment,
    same_closing,
    usage_digest,
    whole_seconds,
)
from rating.core.invoices import Invoice
from rating.core.periods import Period
from rating.core.rollup import (
    SERIES,
    Day,
    KeptRollUp,
    RollUp,
    WindowHead,
    keep_rollup,
    not_adjustable,
    not_the_sum,
    rollable,
    rolled_already,
    rolled_meanwhile,
    same_rollup,
)
from rating.core.windows import Adjustment, Closing, Completeness, Held, Usage
from rating.ports import AdjustmentEntry, ClosingHead, HeldEntry, UsageRow

Key = tuple[str, datetime]
"""Meter and start of a window."""


class MemoryWindows:
    """Safe to share between threads."""

    _turn: threading.RLock
    _invoices: dict[str, Invoice]

    def __init__(self) -> None:
        super().__init__()
        self._closings: dict[Key, tuple[Closing, str, datetime]] = {}
        self._adjustments: dict[Key, list[AdjustmentEntry]] = {}
        self._holds: dict[tuple[str, datetime, str], HeldEntry] = {}
        self._touched: list[frozenset[str]] = []
        self._rolled: dict[Key, tuple[RollUp, Day, int, str]] = {}
        """Of rolled-up windows: how many consumers they had, and the digest of their rows."""
        self._rollups: list[tuple[KeptRollUp, str]] = []
        """With the hash of each."""

    def close(self, closing: Closing, *, meter_digest: str, at: datetime) -> bool:
        keepable_closing(closing)
        key = (closing.meter, closing.window.start)
        with self._turn:
            if key in self._closings:
                kept = self._closings[key][0]
                if key in self._rolled:
                    rollup, _, _, kept_digest = self._rolled[key]
                    if usage_digest(closing.usage) != kept_digest:
                        raise rolled_already(kept.meter, kept.window, rollup.archive)
                    kept = replace(kept, usage=closing.usage)
                same_closing(closing, kept)
                return False
            self._closings[key] = (closing, meter_digest, recorded(at))
            return True

    def hold(self, held: Held, *, at: datetime) -> None:
        for instant in (held.window.start, held.window.end):
            whole_seconds(instant, f"window {held.meter}")
        with self._turn:
            self._holds.setdefault((held.meter, held.window.start, held.reason), HeldEntry(held, recorded(at)))

    def closings(self, meter: str, period: Period) -> tuple[ClosingHead, ...]:
        return tuple(
            ClosingHead(
                closing.meter,
                closing.window,
                closing.completeness,
                self._consumers(closing),
                meter_digest,
                at,
                closing.evidence,
                (closing.meter, closing.window.start) in self._rolled,
            )
            for closing, meter_digest, at in self._closed(period, meter)
        )

    def _consumers(self, closing: Closing) -> int:
        key = (closing.meter, closing.window.start)
        return self._rolled[key][2] if key in self._rolled else len({usage.consumer for usage in closing.usage})

    def closed(self, meter: str, period: Period) -> dict[datetime, Completeness]:
        return {closing.window.start: closing.completeness for closing, _, _ in self._closed(period, meter)}

    def closed_through(self, meter: str) -> datetime | None:
        with self._turn:
            ends = (closing.window.end for (name, _), (closing, _, _) in self._closings.items() if name == meter)
            return max(ends, default=None)

    def held(self) -> tuple[HeldEntry, ...]:
        with self._turn:
            entries = sorted(self._holds.values(), key=lambda entry: entry.at)
            latest = {(entry.held.window.start, entry.held.meter): entry for entry in entries}
            return tuple(latest[key] for key in sorted(latest) if key[::-1] not in self._closings)

    def adjust(self, adjustment: Adjustment, *, at: datetime) -> bool:
        key = (adjustment.meter, adjustment.window.start)
        with self._turn:
            kept = self._adjustments.get(key, [])
            closed = self._closings[key][0].window if key in self._closings else None
            adjustable(adjustment, closed, len(kept))
            if adjustment.revision <= len(kept):
                same_adjustment(adjustment, kept[adjustment.revision - 1].adjustment.rows)
                return False
            if key in self._rolled:
                raise not_adjustable(adjustment, self._rolled[key][0].archive)
            issued = max((invoice.issued_at for invoice in self._invoices.values()), default=None)
            self._adjustments[key] = [*kept, AdjustmentEntry(adjustment, recorded_after(at, issued))]
            self._touched.append(frozenset(row.consumer for row in adjustment.rows))
            return True

    def adjustments(self, period: Period, meter: str | None = None) -> tuple[AdjustmentEntry, ...]:
        with self._turn:
            return tuple(
                entry
                for name, start in sorted(self._adjustments)
                if meter in (None, name) and period.contains(start)
                for entry in self._adjustments[name, start]
            )

    def adjusted(self, period: Period | None = None) -> frozenset[str]:
        with self._turn:
            return frozenset(
                row.consumer
                for (_, start), entries in self._adjustments.items()
                if period is None or period.contains(start)
                for entry in entries
                for row in entry.adjustment.rows
            )

    def usage(
        self,
        period: Period,
        meter: str | None = None,
        consumer: str | None = None,
        *,
        as_of: datetime | None = None,
    ) -> Iterator[UsageRow]:
        known = None if as_of is None else recorded(as_of)
        differences: dict[tuple[str, datetime], list[Usage]] = {}
        for entry in self.adjustments(period, meter):
            if known is None or entry.at <= known:
                key = (entry.adjustment.meter, entry.adjustment.window.start)
                differences.setdefault(self._found_under(key), []).extend(entry.adjustment.rows)
        for kept in self.rollups(meter, period):
            for head in kept.rollup.days:
                head.inside(period)
        for closing, _, _ in self._closed(period, meter):
            key = (closing.meter, closing.window.start)
            window, state, booked = closing.window, closing.completeness, closing.usage
            if key in self._rolled:
                day = self._rolled[key][1]
                if key != self._found_under(key):
                    continue
                window, state, booked = day.head.span, day.head.completeness, day.usage
            for usage in adjusted(booked, differences.get(key, ())):
                if consumer in (None, usage.consumer):
                    yield UsageRow(closing.meter, window, usage, state)

    def _found_under(self, key: Key) -> Key:
        """The window under which usage of this one is found: the first of its day where it is rolled up."""
        return (key[0], self._rolled[key][1].head.first) if key in self._rolled else key

    def totals(
        self, meter: str, period: Period, consumer: str | None = None, *, as_of: datetime | None = None
    ) -> tuple[Usage, ...]:
        rows = merged(row.usage for row in self.usage(period, meter, consumer, as_of=as_of))
        return tuple(row for row in rows if row.quantity)

    def sums(self, meter: str, period: Period, consumer: str | None = None) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, _, quantity in self.totals(meter, period, consumer):
            found[name] = found.get(name, 0) + quantity
        return found

    def _closed(self, period: Period, meter: str | None) -> list[tuple[Closing, str, datetime]]:
        """By meter and start."""
        with self._turn:
            return [
                self._closings[name, start]
                for name, start in sorted(self._closings)
                if meter in (None, name) and period.contains(start)
            ]

    def roll_up(self, rollup: RollUp, days: Sequence[Day], *, at: datetime) -> bool:
        with self._turn:
            for kept, _ in self._rollups:
                if (kept.rollup.meter, kept.rollup.span.start) == (rollup.meter, rollup.span.start):
                    same_rollup(rollup, kept.rollup)
                    return False
            closed = [[one for one, _, _ in self._closed(day.head.span, rollup.meter)] for day in days]
            for day, some in zip(days, closed, strict=True):
                if any((one.meter, one.window.start) in self._rolled for one in some):
                    raise rolled_meanwhile(rollup.meter, day.head)
            rollable(rollup, days, [list(map(_head, some)) for some in closed])
            for day, some in zip(days, closed, strict=True):
                if tuple(adjusted((), (row for one in some for row in one.usage))) != day.usage:
                    raise not_the_sum(rollup.meter, day.head)
            entry, content = keep_rollup(rollup, self._rollups[-1][1] if self._rollups else genesis(SERIES), at)
            self._rollups.append((entry, digest(content)))
            for day, some in zip(days, closed, strict=True):
                for one in some:
                    key = (one.meter, one.window.start)
                    self._rolled[key] = (rollup, day, self._consumers(one), usage_digest(one.usage))
                    self._closings[key] = (replace(one, usage=()), *self._closings[key][1:])
            return True

    def rollups(self, meter: str | None = None, period: Period | None = None) -> tuple[KeptRollUp, ...]:
        with self._turn:
            return tuple(
                kept
                for kept, _ in self._rollups
                if meter in (None, kept.rollup.meter)
                and (period is None or any(day.meets(period) for day in kept.rollup.days))
            )


def _head(closing: Closing) -> WindowHead:
    return WindowHead(closing.window, len(closing.usage), usage_digest(closing.usage))
