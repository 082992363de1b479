"""Positions: how every subscription stands with every meter, from accruals over arrays; only those near a line become
values of their own, so that ten thousand consumers cost what their few neighbours of a line cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np

from rating.core.billing import gap
from rating.core.column import Column
from rating.core.meters import Meter
from rating.core.notifications import TREND, Pace, Position
from rating.core.periods import Period
from rating.core.plans import Plan
from rating.jobs.accrue import Accrued, AccruedPlan, rate_all, usage_to_date
from rating.jobs.contracts import Contracts
from rating.jobs.live import Live
from rating.ports import Book


@dataclass(frozen=True, slots=True)
class Metered:
    """One meter of a group of subscriptions with the same terms."""

    meter: Meter
    title: str
    quantity: Column
    allowance: Fraction
    limit: Fraction | None


def metered(group: AccruedPlan) -> Iterator[Metered]:
    """Per meter of the plan: usage, and what its cards include together."""
    cards: dict[str, list[int]] = {}
    for index, entry in enumerate(group.cards):
        cards.setdefault(entry.card.meter.name, []).append(index)
    for indexes in cards.values():
        entries = [group.cards[index] for index in indexes]
        first = entries[0].card
        # An allowance in converted units is compared in the meter's, as the metrics show it.
        allowance = sum(
            (entry.card.included / (entry.card.conversion.factor if entry.card.conversion else 1) for entry in entries),
            Fraction(0),
        )
        limits = [entry.card.limit for entry in entries if entry.card.limit is not None]
        yield Metered(first.meter, first.title, entries[0].rated.quantity, allowance, min(limits, default=None))


def positions(
    accrued: Accrued,
    contracts: Contracts,
    *,
    everyone: bool = False,
    live: Mapping[tuple[str, str], int] | None = None,
) -> Iterator[Position]:
    """Those that have reached a threshold, an allowance or a limit; with `everyone` all of them.

    `live`, by consumer and meter, is what of the accruals was counted since the last closed window.
    """
    for group in accrued.plans:
        after = _next(group.plan, contracts, group.period.start)
        upgrade = group.upgrade
        for one in metered(group):
            through = accrued.through.get(one.meter.name)
            if through is None:
                continue
            rows = range(len(group.subscriptions)) if everyone else _near(group.plan, one)
            for row in rows:
                subscription = group.subscriptions[row]
                units = (live or {}).get((subscription.consumer, one.meter.name), 0)
                yield Position(
                    subscription,
                    group.plan,
                    after,
                    group.period,
                    group.billed,
                    one.meter,
                    one.title,
                    used=Fraction(int(one.quantity.units[row]), one.quantity.denominator),
                    live=one.meter.quantity(units),
                    allowance=one.allowance,
                    limit=one.limit,
                    closed_through=through,
                    currency=group.currency,
                    more=None if upgrade is None else Fraction(int(upgrade.units[row]), upgrade.denominator),
                )


def _near(plan: Plan, one: Metered) -> Iterator[int]:
    """Rows at or beyond the lowest line that anything is said about."""
    lines = [] if one.limit is None else [one.limit]
    if one.allowance > 0:
        lines += [one.allowance * share for share in (plan.upsell.thresholds if plan.upsell else ())]
        lines.append(one.allowance)
    if not lines:
        return
    for row in np.flatnonzero(one.quantity.from_(min(lines))):
        yield int(row)


def _next(plan: Plan, contracts: Contracts, instant: datetime) -> Plan | None:
    if plan.upsell is None:
        return None
    key = plan.upsell.plan
    current = contracts.current.plans.get(key)
    return contracts.plan(key, instant)[0] if current is not None else None


def with_live(
    book: Book,
    contracts: Contracts,
    consumer: str,
    live: Mapping[str, Live],
    now: datetime,
    *,
    factor: Fraction | None = None,
) -> Accrued:
    """One consumer's accruals once what was counted since is closed; with `factor`, of so many times the usage."""
    to_date = usage_to_date(book, contracts, now, consumer)
    totals = {key: dict(quantities) for key, quantities in to_date.totals.items()}
    for (meter, span), quantities in totals.items():
        counted = live.get(meter)
        # A window closed since then would be counted twice: what it holds is in the totals.
        if (
            counted is not None
            and to_date.through.get(meter) == counted.start
            and span.contains(min(counted.through, span.end - timedelta(seconds=1)))
        ):
            quantities[consumer] = quantities.get(consumer, 0) + counted.quantities.get(consumer, 0)
        if factor is not None and consumer in quantities:
            quantities[consumer] = int(quantities[consumer] * factor)
    return rate_all(replace(to_date, totals=totals), now)


def pace(book: Book, position: Position, now: datetime) -> Pace:
    """What was used over the last day, or since billing began where that is less: closed and live."""
    start = max(position.billed.start, position.closed_through - TREND)
    closed = book.sums(
        position.meter.name, Period(start, max(start, position.closed_through)), position.subscription.consumer
    )
    used = position.meter.quantity(closed.get(position.subscription.consumer, 0)) + position.live
    # Without a live reading nobody has looked at the time since the last closed window.
    end = now if position.live else position.closed_through
    return Pace(used, end - start)


class Wholeness:
    """Whether the usage a position rests on is whole: every window since the period began closed, none of them held."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._held: dict[str, set[datetime]] = {}
        for entry in book.held():
            self._held.setdefault(entry.held.meter, set()).add(entry.held.window.start)
        self._doubts: dict[tuple[str, datetime, datetime], str] = {}

    def doubt(self, position: Position) -> str:
        """Why nothing may be said yet; empty when all is whole."""
        meter, start = position.meter, position.billed.start
        key = (meter.name, start, position.closed_through)
        if key not in self._doubts:
            # A held window may lie behind the last closed one as well as before it.
            held = sorted(window for window in self._held.get(meter.name, ()) if start <= window < position.billed.end)
            missing = None
            if start < position.closed_through:
                span = Period(start, position.closed_through)
                missing = gap(meter.name, span, meter.window, self._book.closed(meter.name, span), held)
            self._doubts[key] = (
                f"meter {meter.name}: a window is held, the first at {held[0]:%Y-%m-%d %H:%M}"
                if held
                else ""
                if missing is None
                else str(missing)
            )
        return self._doubts[key]
